# shellcheck shell=bash disable=SC2034
# Names that hack/node.sh and its parts share; sourced, never run.
state=/run/fineline-node # keys, kubeconfig, logs, sockets: small; one node fits on a machine
data=$(realpath -m -- "${FINELINE_NODE_DATA:-/var/lib/fineline-node}") # volumes, logs of pods, etcd
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fineline/node
# Images outlive the node: a large one takes minutes to unpack. Containers do not.
images_store=$cache/containerd
# Who takes a node up or down holds this.
lock=/run/lock/fineline-node

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

# Programs that reach the node from this machine ask no proxy for it.
if [[ ${no_proxy:=${NO_PROXY:-}} != '*' && $no_proxy != "$node_address,"* ]]; then
  no_proxy=$node_address,$host_address,$service_network,$pod_network${no_proxy:+,$no_proxy}
fi
export no_proxy NO_PROXY=$no_proxy

say() { echo "hack/node.sh: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

# The folder of the CNI plugins: Debian's, Fedora's, or the one where many put them by hand.
cni_folder() {
  local folder folders=(/opt/cni/bin /usr/libexec/cni /usr/lib/cni)
  [[ -z ${FINELINE_CNI_BIN:-} ]] || folders=("$FINELINE_CNI_BIN")
  for folder in "${folders[@]}"; do
    [[ ! -x $folder/ptp ]] || break
  done
  echo "$folder"
}
