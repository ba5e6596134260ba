#!/usr/bin/env bash
# Ends the node of this machine's own and looks whether anything of it is left; does nothing where there is none. It
# needs nothing but the control group: a node whose `up` was killed half-way is ended as well.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
# shellcheck source=cgroups.sh
source "$here/cgroups.sh"
# shellcheck source=folders.sh
source "$here/folders.sh"
# shellcheck source=machine.sh
source "$here/machine.sh"
((EUID == 0)) || fail "only root can take a node down"

# An `up` that calls this holds it already, and hands it down as its file 8.
if [[ ! /proc/self/fd/8 -ef $lock ]]; then
  exec 8>"$lock"
  flock --nonblock 8 || {
    say "waiting for another hack/node.sh that is at work"
    flock --timeout 300 8 || fail "another hack/node.sh has been at work for five minutes: end that first"
  }
fi
# Where `up` put it, whatever FINELINE_NODE_DATA is now.
[[ ! -s $state/data ]] || data=$(<"$state/data")

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

# The cable's end here, and the routes over it, go with the node's network, a moment after its last process.
! cable_is_ours || ip link delete "$host_interface" 2>/dev/null || true
for folder in $(cgroup_folders); do
  [[ ! -d $folder ]] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
done

mapfile -t left < <(processes_left)
! cable_is_ours || left+=("interface $host_interface")
for folder in $(cgroup_folders); do [[ ! -d $folder ]] || left+=("cgroup $folder"); done
mounts=$(awk -v state="$state/" -v data="$data/" 'index($2, state) == 1 || index($2, data) == 1 { print $2 }' /proc/mounts)
for mount in $mounts; do left+=("mount $mount"); done
rules=$({ iptables-save; ip6tables-save; } 2>/dev/null | grep -c -- "--comment.*$node_name" || true)
((rules == 0)) || left+=("$rules iptables rules")
if ((${#left[@]})); then
  fail "not all of the node could be taken away: $(printf '%s; ' "${left[@]}")"
fi

remove "$data"
rm -rf --one-file-system "$state"
# Made by `up` as places to mount on; another runtime's are not empty.
rmdir /run/containerd /var/lib/cni 2>/dev/null || true
