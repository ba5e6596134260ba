#!/usr/bin/env bash
# Prints a folder that holds what the node itself runs, built from Go modules the first time (two minutes on two cores):
#   hack/node/images.sh
#   hack/node/images.sh check    prints nothing, and fails where they are still to be built and can't be
# box.tar and dns.tar are images (pods' sandboxes and the tests' pods; CoreDNS), policies is a program. The folder lies
# in the user's cache, keyed by what it is built from.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
# shellcheck source=../go.sh
source "$here/../go.sh"

cd "$here/programs"
built_from() { find . '(' -name '*.go' ! -name '*_test.go' ')' -o -name go.mod -o -name go.sum | sort | xargs cat ../archive.py ../images.sh; }
folder=$cache/$(built_from | sha256sum | cut -c1-12)-$(uname -m)
if [[ ! -d $folder ]]; then
  lacking=$(go_lacks .)
  [[ -z $lacking ]] || fail "the node's own images have to be built: $lacking"
fi
[[ ${1:-} != check ]] || exit 0
if [[ ! -d $folder ]]; then
  mkdir -p "$cache"
  # Whoever comes second waits, instead of building the same at the same time.
  exec 9>"$cache/.lock"
  flock 9
  if [[ ! -d $folder ]]; then
    say "building the node's own images into $folder (two minutes on two cores, once)"
    building=$(mktemp -d "$cache/.building-XXXXXX")
    trap 'rm -rf "$building"' EXIT
    for program in box dns policies; do
      CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags '-s -w' -o "$building/$program" "./$program" >&2 ||
        fail "$program could not be built; Go's output stands above"
    done
    python3 ../archive.py localhost/fineline-node/box:1 "$building/box" "$building/box.tar" pause
    python3 ../archive.py localhost/fineline-node/dns:1 "$building/dns" "$building/dns.tar"
    chmod 755 "$building"
    # The folder appears whole or not at all.
    mv -T "$building" "$folder"
  fi
fi
echo "$folder"
