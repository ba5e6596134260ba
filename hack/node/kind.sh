#!/usr/bin/env bash
# What hack/node.sh does where the user is not root and Docker answers: the same commands for a kind cluster of one node.
# kind's own node image comes from a registry; it enforces NetworkPolicies itself.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
kubeconfig=$cache/kind.kubeconfig
docker info >/dev/null 2>&1 || fail "Docker does not answer"

kind() { "$program" "$@" --name "$node_name"; }
kubectl() { KUBECONFIG=$kubeconfig "$("$here/../control-plane.sh")/kubectl" "$@"; }

command=$1
shift
[[ $command == check ]] && exit
program=$("$here/../tools.sh" kind)

case $command in
  up)
    mkdir -p "$cache"
    # Whoever comes second finds the cluster of the first.
    exec 9>"$cache/.kind-lock"
    ! command -v flock >/dev/null || flock 9
    # One whose making was ended half-way is listed, and does not answer.
    if "$program" get clusters 2>/dev/null | grep -qx "$node_name"; then
      { kind export kubeconfig --kubeconfig "$kubeconfig" && kubectl get --raw /readyz; } >/dev/null 2>&1 ||
        fail "there is a kind cluster $node_name, and it does not answer: hack/node.sh down takes it away"
    else
      kind create cluster --kubeconfig "$kubeconfig" --wait 120s >&2 || fail "kind could not make a cluster; what it says stands above"
    fi
    box=$("$here/images.sh")/box.tar
    kind load image-archive "$box" >&2
    echo "$kubeconfig"
    ;;
  load)
    (($#)) || fail "which archives?"
    for archive in "$@"; do
      kind load image-archive "$archive" >&2 || fail "$archive could not be loaded; what kind says stands above"
    done
    ;;
  kubectl)
    [[ -e $kubeconfig ]] || fail "no node is up: hack/node.sh up"
    kubectl "$@"
    ;;
  host) docker network inspect kind --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' | tr ' ' '\n' | grep -m1 '\.' ;;
  logs)
    mkdir -p "$cache/kind-logs"
    kind export logs "$cache/kind-logs" >&2
    echo "$cache/kind-logs"
    ;;
  down)
    kind delete cluster --kubeconfig "$kubeconfig" >&2
    rm -f "$kubeconfig"
    ;;
  *) fail "what is $command? hack/node.sh alone lists what it does" ;;
esac
