#!/usr/bin/env bash
# Prints the path of a tool that tests and the cluster set-up need, building it from Go modules the first time:
#   hack/tools.sh versitygw
# What it builds lies under ${XDG_CACHE_HOME:-$HOME/.cache}/fineline/tools, shared by all checkouts of this user.
set -euo pipefail

# name  module path  version
tools='
versitygw  github.com/versity/versitygw/cmd/versitygw  v1.8.0
'

fail() {
  echo "hack/tools.sh: $*" >&2
  exit 1
}

wanted=${1:-}
read -r name package version < <(awk -v wanted="$wanted" 'NF && $1 == wanted' <<<"$tools") ||
  fail "which tool? One of: $(awk 'NF { printf "%s ", $1 }' <<<"$tools")"

folder=${XDG_CACHE_HOME:-$HOME/.cache}/fineline/tools/$name-$version
if [[ ! -x $folder/$name ]]; then
  command -v go >/dev/null || fail "$name has to be built, and go is not installed: get it from https://go.dev/dl/"
  echo "hack/tools.sh: building $package@$version into $folder (a minute or so, once)" >&2
  mkdir -p "$(dirname "$folder")"
  building=$(mktemp -d "$(dirname "$folder")/.building-XXXXXX")
  trap 'rm -rf "$building"' EXIT
  # Away from the checkout, so that no go.mod of it has a say.
  (cd "$building" && CGO_ENABLED=0 GOFLAGS=-mod=mod GOBIN=$building go install "$package@$version" >&2) ||
    fail "go install $package@$version failed; its output stands above"
  chmod 755 "$building"
  # Whoever was first has put the same thing there.
  mv -T "$building" "$folder" 2>/dev/null || [[ -x $folder/$name ]] || fail "could not move the result to $folder"
fi
echo "$folder/$name"
