#!/usr/bin/env bash
# Installs what `make e2e` needs of Debian's packages and this machine lacks, for CI; needs root. Takes away no package
# for it. Says in one sentence why something could not be had, and fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  echo "hack/ci-packages.sh: $*" >&2
  exit 1
}

mapfile -t missing < <(
  "$here/node/packages.sh"
  # Whichever of the three is there builds the images, debootstrap what they start from where no registry is reached.
  docker info >/dev/null 2>&1 || command -v podman >/dev/null || command -v buildah >/dev/null || echo buildah
  command -v debootstrap >/dev/null || echo debootstrap
)
((${#missing[@]})) || exit 0

((EUID == 0)) || fail "only root can install ${missing[*]}"
command -v apt-get >/dev/null || fail "${missing[*]} are missing, and this is no Debian"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
echo "hack/ci-packages.sh: installing ${missing[*]}" >&2
if ! { timeout 90 apt-get -qq update && timeout 200 apt-get -qq install -y --no-install-recommends --no-remove "${missing[@]}"; } >"$log" 2>&1; then
  fail "${missing[*]} could not be installed: $(grep . "$log" | tail -1)"
fi
