#!/usr/bin/env bash
# Prints the path of a tool that tests and the cluster set-up need, building it from Go modules the first time:
#   hack/tools.sh versitygw
# What it builds lies under ${XDG_CACHE_HOME:-$HOME/.cache}/fineline/tools, shared by all checkouts of this user. The
# control plane has a script of its own: hack/control-plane.sh.
set -euo pipefail

# name  module  version  package in it  what of the module is kept beside the tool, build tags (- for nothing)
tools='
versitygw  github.com/versity/versitygw      v1.8.0    cmd/versitygw  -       -
kwok       sigs.k8s.io/kwok                  v0.8.0    cmd/kwok       -       -
kueue      sigs.k8s.io/kueue                 v0.19.0   cmd/kueue      config  -
promtool   github.com/prometheus/prometheus  v0.313.5  cmd/promtool   -       remove_all_sd
helm       helm.sh/helm/v4                   v4.3.1    cmd/helm       -       -
kind         sigs.k8s.io/kind                 v0.30.0   .              -       -
kubeconform  github.com/yannh/kubeconform   v0.8.0    cmd/kubeconform  -     -
'

fail() {
  echo "hack/tools.sh: $*" >&2
  exit 1
}

wanted=${1:-}
read -r name module version package kept tags < <(awk -v wanted="$wanted" 'NF && $1 == wanted' <<<"$tools") ||
  fail "which tool? One of: $(awk 'NF { printf "%s ", $1 }' <<<"$tools")"

# shellcheck source=go.sh
source "$(dirname "${BASH_SOURCE[0]}")/go.sh"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fineline/tools
# What it was built from and for: homes are shared between machines.
folder=$cache/$name-$version
[[ $kept == - ]] || folder+=-${kept//\//-}
[[ $tags == - ]] || folder+=-$tags
folder+=-$HOSTTYPE
whole() { [[ -x $folder/$name && ($kept == - || -e $folder/$(basename "$kept")) ]]; }

build() {
  local started=$SECONDS source fetched lacking
  command -v go >/dev/null || fail "$name has to be built, and go is not installed: get it from https://go.dev/dl/"
  echo "hack/tools.sh: building $module@$version into $folder (one to five minutes on two cores, once)" >&2
  # In the module's own folder, so that its own go.sum checks whatever it is built from. Go says in its answer, and there
  # alone, why it could not fetch it.
  fetched=$(cd / && GOFLAGS=-mod=mod go mod download -json "$module@$version") ||
    fail "$module@$version could not be fetched: $(sed -n 's/^\t"Error": "\(.*\)",\{0,1\}$/\1/p' <<<"$fetched")"
  source=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$fetched")
  lacking=$(go_lacks "$source")
  [[ -z $lacking ]] || fail "$module@$version could not be built: $lacking"
  (cd "$source" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly go build -tags "${tags#-}" -trimpath -ldflags '-s -w' -o "$1/$name" "./$package" >&2) ||
    fail "$module@$version could not be built; Go's output stands above"
  # Modules are fetched as read-only files.
  [[ $kept == - ]] || { cp -R "$source/$kept" "$1/" && chmod -R u+w "$1/$(basename "$kept")"; }
  echo "hack/tools.sh: $name was built in $((SECONDS - started)) s" >&2
}

if ! whole; then
  mkdir -p "$cache"
  # Whoever comes second waits, instead of building the same at the same time.
  exec 9>"$cache/.lock-$name"
  ! command -v flock >/dev/null || flock 9
  if ! whole; then
    building=$(mktemp -d "$cache/.building-XXXXXX")
    trap 'rm -rf "$building"' EXIT
    build "$building"
    chmod 755 "$building"
    # The folder appears whole or not at all.
    rm -rf "$folder"
    mv -T "$building" "$folder"
  fi
fi
echo "$folder/$name"
