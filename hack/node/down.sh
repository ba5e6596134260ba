#!/usr/bin/env bash
# Ends the node of this machine's own and looks whether anything of it is left; does nothing where there is none. It
# needs nothing but the control group: a node whose `up` was killed half-way is ended as well.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
((EUID == 0)) || fail "only root can take a node down"

# The first process takes all others with it, their mounts and their network. Those of a node that has no first process
# yet, or no more, are ended one by one.
init=$(cat "$state/pid" 2>/dev/null || true)
for _ in $(seq 100); do
  processes=$(node_processes)
  [[ -n $processes ]] || break
  if grep -qx "${init:-none}" <<<"$processes"; then
    kill -KILL "$init" 2>/dev/null || true
  else
    xargs kill -KILL <<<"$processes" 2>/dev/null || true
  fi
  sleep 0.1
done

# The cable's end here goes with the node's network, a moment after its last process.
ip link delete "$host_interface" 2>/dev/null || true
for folder in $(cgroup_folders); do
  [[ ! -d $folder ]] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
done

left=()
for process in $(node_processes); do left+=("process $process ($(tr '\0' ' ' <"/proc/$process/cmdline" | cut -c1-60))"); done
[[ ! -e /sys/class/net/$host_interface ]] || left+=("interface $host_interface")
for network in "$pod_network" "$service_network" "$link_network"; do
  [[ -z $(ip -4 route show root "$network") ]] || left+=("route to $network")
done
for folder in $(cgroup_folders); do [[ ! -d $folder ]] || left+=("cgroup $folder"); done
mounts=$(awk -v state="$state/" -v data="$data/" 'index($2, state) == 1 || index($2, data) == 1 { print $2 }' /proc/mounts)
for mount in $mounts; do left+=("mount $mount"); done
rules=$({ iptables-save; ip6tables-save; } 2>/dev/null | grep -c -- "--comment.*$node_name" || true)
((rules == 0)) || left+=("$rules iptables rules")
if ((${#left[@]})); then
  fail "not all of the node could be taken away: $(printf '%s; ' "${left[@]}")"
fi

rm -rf --one-file-system "$state" "$data"
# Made by `up` as places to mount on; another runtime's are not empty.
rmdir /run/containerd /var/lib/cni 2>/dev/null || true
