#!/usr/bin/env bash
# Says in one sentence what this machine lacks for `make e2e`, and fails; says nothing where it has all. Beside what a
# node needs (hack/node.sh check): a builder of images, and disk for them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fineline

fail() {
  echo "hack/e2e-check.sh: $*" >&2
  exit 1
}

"$here/node.sh" check
docker info >/dev/null 2>&1 || command -v podman >/dev/null || command -v buildah >/dev/null ||
  fail "nothing here builds images: apt-get install buildah (or docker, or podman)"

# Most of it is the CPU evaluator's: 15 GB stay of building the images, 14 in the node's store. Building takes 22 for a
# while, the tests of images 7.
built=no loaded=no
! compgen -G "$cache/images/*/evaluator-cpu.tar" >/dev/null || built=yes
[[ ! -d $cache/node/containerd ]] || loaded=yes
case $built-$loaded in
  no-no) needed=32 ;;
  no-yes) needed=24 ;;
  yes-no) needed=16 ;;
  yes-yes) needed=8 ;;
esac
mkdir -p "$cache"
free=$(($(df --output=avail -k "$cache" | tail -1) / 1000000))
((free >= needed)) ||
  fail "$needed GB of disk are needed for images, and $free are free in $cache: set XDG_CACHE_HOME to a folder elsewhere"
