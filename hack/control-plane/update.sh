#!/usr/bin/env bash
# Writes go.mod and go.sum for another version of Kubernetes:
#   hack/control-plane/update.sh v1.36.3
# k8s.io/kubernetes names its staging modules by relative paths, which a module that imports it cannot follow, so each
# is replaced by what was published for that version: v1.36.3 is v0.36.3 there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
version=${1:?which version of Kubernetes? For instance v1.36.3}

source=$(cd / && go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
{
  printf 'module control-plane\n\n'
  grep '^go ' "$source/go.mod"
  printf '\nrequire (\n\tk8s.io/kubernetes %s\n' "$version"
  # The etcd that this Kubernetes is tested with.
  awk '$1 ~ /^go.etcd.io\/etcd\/client\/v3$/ { print "\tgo.etcd.io/etcd/server/v3 " $2 }' "$source/go.mod"
  printf ')\n\nreplace (\n'
  sed -n "s#^\t\(k8s.io/[^ ]*\) => ./staging.*#\t\1 => \1 v0.${version#v1.}#p" "$source/go.mod"
  printf ')\n'
} >go.mod
GOFLAGS=-mod=mod go mod tidy
