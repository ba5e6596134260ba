# shellcheck shell=bash disable=SC2034
# Names that hack/node.sh and its parts share; sourced, never run.
state=${FINELINE_NODE:-${XDG_RUNTIME_DIR:-/run}/fineline-node}   # keys, kubeconfig, logs, sockets: small
data=${FINELINE_NODE_DATA:-/var/lib/fineline-node}               # volumes, logs of pods, etcd
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fineline/node
# Images outlive the node: a large one takes minutes to unpack. Containers do not.
images_store=$cache/containerd

node_name=fineline-node
# The node has a network of its own. One cable (a veth pair) leads to it; its ends are:
host_interface=fl0
host_address=10.99.0.1
node_address=10.99.0.2
link_network=10.99.0.0/24
pod_network=10.244.0.0/24
service_network=10.96.0.0/16
api_address=10.96.0.1
dns_address=10.96.0.10
# All of the node's processes, those of its pods included, are in this control group and below it.
cgroup=fineline-node

say() { echo "hack/node.sh: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

# The folders of that control group, one for each hierarchy of this machine: one in all with cgroup v2, and with v1 one
# beside the others where that is mounted too, for runc makes use of it.
cgroup_folders() {
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    echo "/sys/fs/cgroup/$cgroup"
  else
    awk -v name="$cgroup" '$3 ~ /^cgroup2?$/ && $2 ~ "^/sys/fs/cgroup/" { print $2 "/" name }' /proc/mounts
  fi
}

# The ids of the node's processes, as this machine counts them.
node_processes() {
  local folder
  for folder in $(cgroup_folders); do
    [[ ! -d $folder ]] || find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done | sort -nu
}
