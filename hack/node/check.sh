#!/usr/bin/env bash
# Says in one sentence what this machine lacks for a node of its own, and fails; says nothing where it has all.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"

[[ $(uname -s) == Linux ]] || fail "a node needs Linux, and this is $(uname -s): start Docker for a kind cluster, or set FINELINE_E2E_KUBECONFIG"
((EUID == 0)) || fail "a node needs root: run it by sudo, start Docker for a kind cluster, or set FINELINE_E2E_KUBECONFIG"

missing=()
lacks() { command -v "$1" >/dev/null || missing+=("$2"); }
lacks containerd containerd
lacks ctr containerd
lacks runc runc
lacks iptables iptables
lacks nft nftables
lacks ip iproute2
lacks openssl openssl
lacks unshare util-linux
lacks flock util-linux
lacks curl curl
lacks pgrep procps
for plugin in ptp host-local portmap; do
  [[ -x ${FINELINE_CNI_BIN:-/usr/lib/cni}/$plugin ]] || missing+=(containernetworking-plugins)
done
((${#missing[@]} == 0)) ||
  fail "these packages are missing: apt-get install $(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')"

if [[ ! -e /sys/fs/cgroup/cgroup.controllers ]]; then
  for controller in cpu cpuacct cpuset memory pids; do
    awk -v wanted="$controller" '$3 == "cgroup" { split($4, options, ","); for (i in options) found = found || options[i] == wanted }
      END { exit !found }' /proc/mounts || fail "the cgroup controller $controller is not mounted below /sys/fs/cgroup: a kubelet can't do without"
  done
fi
[[ -w /sys/fs/cgroup || -n $(cgroup_folders) ]] || fail "no control groups are mounted at /sys/fs/cgroup"
unshare --mount --net --pid --fork true 2>/dev/null ||
  fail "this machine lets root make no namespaces (unshare fails): a container would have to be privileged"

for network in "$link_network" "$pod_network" "$service_network"; do
  taken=$(ip -4 route show match "$network" | grep -v '^default' || true)$(ip -4 route show root "$network" | grep -v '^default' || true)
  [[ -z $taken || $taken == *" dev $host_interface"* ]] || fail "the node's network $network is in use here (${taken%%$'\n'*})"
done
mkdir -p "$cache"
free=$(df --output=avail -k "$cache" | tail -1)
((free > 4000000)) || fail "less than 4 GB are free for images in $cache: set XDG_CACHE_HOME to a folder elsewhere"
((${#state} < 70)) || fail "FINELINE_NODE=$state is too long a path for the sockets in it (at most 70 characters)"
