#!/usr/bin/env bash
# Says in one sentence what this machine lacks for a node of its own, and fails; says nothing where it has all.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
# shellcheck source=cgroups.sh
source "$here/cgroups.sh"
# shellcheck source=machine.sh
source "$here/machine.sh"

[[ $(uname -s) == Linux ]] || fail "a node needs Linux, and this is $(uname -s): start Docker for a kind cluster, or set FINELINE_E2E_KUBECONFIG"
((EUID == 0)) || fail "a node needs root: run it by sudo, start Docker for a kind cluster, or set FINELINE_E2E_KUBECONFIG"

missing=$("$here/packages.sh" | tr '\n' ' ')
if [[ -n $missing ]] && command -v apt-get >/dev/null; then
  fail "these packages are missing: apt-get install ${missing% }"
elif [[ -n $missing ]]; then
  fail "what Debian has in these packages is missing: ${missing% } (FINELINE_CNI_BIN names the folder of the CNI plugins)"
fi
"$here/images.sh" check

lacking=$(cgroups_lack)
[[ -z $lacking ]] || fail "$lacking"
unshare --mount --net --pid --fork true 2>/dev/null ||
  fail "this machine lets root make no namespaces (unshare fails): a container would have to be privileged"

[[ ! -e /sys/class/net/$host_interface ]] || cable_is_ours || fail "an interface $host_interface is here already, and is no node's"
for network in "$link_network" "$pod_network" "$service_network"; do
  taken=$(network_in_use "$network")
  [[ -z $taken ]] || fail "the node's network $network is in use here ($taken)"
done
mkdir -p "$cache"
free=$(df --output=avail -k "$cache" | tail -1)
((free > 4000000)) || fail "less than 4 GB are free for images in $cache: set XDG_CACHE_HOME to a folder elsewhere"
lacking=$(overlay_lacks "$cache")
[[ -z $lacking ]] || fail "$lacking"
