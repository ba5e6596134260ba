#!/usr/bin/env bash
# Prints a folder that holds etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl for tests:
#   hack/control-plane.sh
#   hack/control-plane.sh node    kubelet and kube-proxy too, which only a real node needs
# Each is taken from $KUBEBUILDER_ASSETS where that has it; else from Kubernetes' and etcd's releases, where those can
# be reached within a few seconds; else built from Go modules (hack/control-plane/), about 6 minutes on two cores. What
# it fetches or builds lies under ${XDG_CACHE_HOME:-$HOME/.cache}/fineline/control-plane, shared by all checkouts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=go.sh
source "$here/go.sh"
source=$here/control-plane
names='etcd kube-apiserver kube-controller-manager kube-scheduler kubectl'
node_names='kubelet kube-proxy'
version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$source/go.mod")
etcd_version=$(awk '$1 == "go.etcd.io/etcd/server/v3" { print $2 }' "$source/go.mod")
# Mirrors may stand in for both; an empty value means: build.
releases=${FINELINE_KUBERNETES_RELEASES-https://dl.k8s.io/release}
etcd_releases=${FINELINE_ETCD_RELEASES-https://github.com/etcd-io/etcd/releases/download}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fineline/control-plane

say() { echo "hack/control-plane.sh: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

machine() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) uname -m ;;
  esac
}

fetch() { curl --fail --silent --show-error --location --connect-timeout 4 "$@"; }

whole() { for name in $names; do [[ -x $1/$name ]] || return 1; done; }

checked() { # FILE DIGEST
  [[ $(sha256sum <"$1") == "$2  -" ]] || fail "$(basename "$1") is not what its release says (SHA-256 differs)"
}

# Fills a folder from the releases. Returns 1 where there are none for this machine or they can't be reached.
download() {
  local folder=$1 address digest archive
  [[ $(uname -s) == Linux && -n $releases && -n $etcd_releases ]] || return 1
  address=$releases/$version/bin/linux/$(machine)
  archive=etcd-$etcd_version-linux-$(machine)
  fetch --max-time 20 --output /dev/null "$address/kube-apiserver.sha256" 2>/dev/null &&
    fetch --max-time 20 --output "$folder/sums" "$etcd_releases/$etcd_version/SHA256SUMS" 2>/dev/null || return 1
  say "fetching Kubernetes $version and etcd $etcd_version into $cache (once)"
  for name in $names; do
    [[ $name != etcd ]] || continue
    fetch --retry 2 --output "$folder/$name" "$address/$name" || fail "$address/$name could not be fetched"
    digest=$(fetch --retry 2 "$address/$name.sha256") || fail "$address/$name.sha256 could not be fetched"
    checked "$folder/$name" "${digest%% *}"
  done
  fetch --retry 2 --output "$folder/$archive.tar.gz" "$etcd_releases/$etcd_version/$archive.tar.gz" ||
    fail "$etcd_releases/$etcd_version/$archive.tar.gz could not be fetched"
  checked "$folder/$archive.tar.gz" "$(awk -v name="$archive.tar.gz" '$2 == name { print $1 }' "$folder/sums")"
  tar -xzf "$folder/$archive.tar.gz" -C "$folder" --strip-components 1 --no-same-owner "$archive/etcd"
  rm "$folder/$archive.tar.gz" "$folder/sums"
  (cd "$folder" && chmod 755 $names)
}

build() {
  local lacking
  lacking=$(go_lacks "$source")
  [[ -z $lacking ]] || fail "the releases can't be reached, so it has to be built: $lacking"
  say "building Kubernetes $version and etcd $etcd_version into $cache (about 6 minutes on two cores, once)"
  "$source/build.sh" "$1" >&2 || fail "the build failed; its output stands above"
}

# All that $KUBEBUILDER_ASSETS lacks comes from a folder of our own; a third one, of links, shows both as one.
joined() { # ASSETS OWN
  local folder
  folder=$cache/joined-$(printf '%s\n' "$1" "$2" | sha256sum | cut -c1-12)
  mkdir -p "$folder"
  for name in $names; do
    if [[ -x $1/$name ]]; then ln -sfn "$1/$name" "$folder/$name"; else ln -sfn "$2/$name" "$folder/$name"; fi
  done
  echo "$folder"
}

case ${1:-} in
  '') ;;
  node) names+=" $node_names" ;;
  *) fail "what is $1? \"node\" is the only thing to ask for" ;;
esac

assets=${KUBEBUILDER_ASSETS:-}
if [[ -n $assets ]]; then
  assets=$(cd "$assets" 2>/dev/null && pwd) || fail "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS is no folder"
  if whole "$assets"; then
    echo "$assets"
    exit
  fi
fi

folder=$cache/$version-$(cat "$source/go.mod" "$source/go.sum" "$source/main.go" "$source/build.sh" | sha256sum | cut -c1-8)-$(machine)
# What was built has all names. What was fetched for tests has not those of a node, which get a folder of their own.
[[ ${1:-} != node ]] || whole "$folder" || folder+=-node
if ! whole "$folder"; then
  mkdir -p "$cache"
  # Whoever comes second waits, instead of building the same at the same time.
  exec 9>"$cache/.lock"
  ! command -v flock >/dev/null || flock 9
  if ! whole "$folder"; then
    making=$(mktemp -d "$cache/.making-XXXXXX")
    trap 'rm -rf "$making"' EXIT
    download "$making" || build "$making"
    whole "$making" || fail "not all of these are there: $names"
    say "done in $SECONDS s"
    chmod 755 "$making"
    # The folder appears whole or not at all.
    mv -T "$making" "$folder" 2>/dev/null || whole "$folder" || fail "could not move the result to $folder"
  fi
fi

if [[ -n $assets ]]; then joined "$assets" "$folder"; else echo "$folder"; fi
