#!/usr/bin/env bash
# A real Kubernetes node on this machine, for trying Fineline and for `make e2e`:
#   hack/node.sh up              brings it up, or finds it up; prints the path of its kubeconfig
#   hack/node.sh check           says in one sentence what is missing for that, and fails
#   hack/node.sh load FILE...    makes the images of docker archives known to it
#   hack/node.sh kubectl ...     kubectl, as its administrator
#   hack/node.sh host            prints the address under which pods reach this machine
#   hack/node.sh logs            prints the folder of its logs
#   hack/node.sh down            ends it and looks that nothing of it is left
# Where FINELINE_E2E_KUBECONFIG names a cluster's kubeconfig, it is that cluster, and up and down do no more than look
# whether it answers. Elsewhere it is a node of this machine's own (hack/node/up.sh), which needs root; where the user is
# not root and Docker answers, a kind cluster (hack/node/kind.sh). See docs/node.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=node/settings.sh
source "$here/node/settings.sh"

usage() { sed -n '2,/^set -e/s/^# \{0,1\}//p' "$here/node.sh" >&2; }

which_kind() {
  if [[ -n ${FINELINE_E2E_KUBECONFIG:-} ]]; then
    echo given
  elif ((EUID != 0)) && docker info >/dev/null 2>&1; then
    echo kind
  else
    echo own
  fi
}

command=${1:-}
[[ -n $command ]] || { usage && exit 2; }
shift
cluster=$(which_kind)

[[ $cluster == given || ! -e $state ]] || ((EUID == 0)) || fail "a node of root's is up here: run this as root too (docs/node.md says how)"
if [[ $cluster == kind ]]; then
  exec "$here/node/kind.sh" "$command" "$@"
fi
if [[ $cluster == given ]]; then
  kubeconfig=$FINELINE_E2E_KUBECONFIG
  [[ -r $kubeconfig ]] || fail "FINELINE_E2E_KUBECONFIG=$kubeconfig is no file that can be read"
else
  kubeconfig=$state/kubeconfig
  [[ ! $command =~ ^(load|kubectl|host|logs)$ || -r $kubeconfig ]] || fail "no node is up: hack/node.sh up"
fi
kubectl() {
  local program=$state/kubectl
  [[ $cluster == own ]] || program=$(type -P kubectl) || fail "kubectl is not installed"
  KUBECONFIG=$kubeconfig "$program" "$@"
}

case $command-$cluster in
  check-own) "$here/node/check.sh" ;;
  check-given | down-given) ;;
  up-own) "$here/node/up.sh" ;;
  up-given)
    kubectl get --raw /readyz >/dev/null || fail "the cluster of FINELINE_E2E_KUBECONFIG does not answer"
    echo "$kubeconfig"
    ;;
  load-own) "$here/node/load.sh" "$@" ;;
  load-given) fail "images can't be loaded into the cluster of FINELINE_E2E_KUBECONFIG: push them to a registry of its nodes. make e2e needs a node of its own" ;;
  kubectl-*) kubectl "$@" ;;
  host-own) echo "$host_address" ;;
  host-given) echo "${FINELINE_E2E_HOST:?hack/node.sh: set FINELINE_E2E_HOST to the address under which the pods reach this machine}" ;;
  logs-own) echo "$state/log" ;;
  logs-given) fail "the logs of a cluster of yours are where you keep them" ;;
  down-own) "$here/node/down.sh" ;;
  *)
    usage
    exit 2
    ;;
esac
