#!/usr/bin/env bash
# Brings up the node of this machine's own (hack/node.sh up where the machine is root's and has the packages), or finds it
# up; prints the path of its kubeconfig.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
# shellcheck source=cgroups.sh
source "$here/cgroups.sh"
# shellcheck source=folders.sh
source "$here/folders.sh"

"$here/check.sh"
exec 8>"$lock"
flock --nonblock 8 || { say "waiting for another hack/node.sh that is at work" && flock 8; }

answers() { curl -fs --max-time 5 --cacert "$state/pki/ca.crt" --cert "$state/pki/admin.crt" --key "$state/pki/admin.key" "https://$node_address:6443/$1"; }
first_process_lives() { [[ -s $state/pid ]] && grep -qxf "$state/pid" <<<"$(node_processes)"; }

# One that has been ready is somebody's to take down: where the machine has much to do, it answers late.
if [[ -e $state/ready ]] && first_process_lives; then
  end=$((SECONDS + 90))
  until answers readyz >/dev/null; do
    if ((SECONDS >= end)) || ! first_process_lives; then
      fail "a node is up, but its API server has not answered for 90 s: see $state/log, or end it by hack/node.sh down"
    fi
    sleep 0.5
  done
  echo "$state/kubeconfig"
  exit
fi
! theirs "$data" || fail "$data is there already, and no node's: take it away yourself, or name another folder by FINELINE_NODE_DATA"
if [[ -e $state || -e $data/$mark || -n $(node_processes) ]]; then
  say "taking down what is left of an earlier node"
  "$here/down.sh"
fi

started=$SECONDS
binaries=$("$here/../control-plane.sh" node)
images=$("$here/images.sh")
mkdir -p "$state"
echo "$data" >"$state/data"
claim "$data"
mkdir -p "$state/log" "$state/containerd" "$state/cni" "$images_store" "$data"/{etcd,kubelet,pod-logs}
chmod 700 "$state" "$data" "$data/etcd"
mkdir -p /run/containerd /var/lib/cni
ln -s "$binaries/kubectl" "$state/kubectl"
"$here/keys.sh" "$state"

cat >"$state/audit-policy.yaml" <<YAML
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata}]
YAML
cat >"$state/containerd.toml" <<TOML
version = 2
root = "$images_store"
state = "$state/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "$state/containerd/sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$images_store/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/fineline-node/box:1"
  # Where root lacks CAP_SYS_RESOURCE, a pod's score can't be lower than this process's own.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(cni_folder)"
    conf_dir = "$state/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
TOML
sed 's/^disabled_plugins = \[/&"io.containerd.grpc.v1.cri", /' "$state/containerd.toml" >"$state/containerd-alone.toml"
cat >"$state/cni/10-node.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "$node_name", "plugins": [
  {"type": "ptp", "ipMasq": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_network"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
# Images can't be fetched again, so none is ever deleted for want of space.
cat >"$state/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $state/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $state/pki/kubelet-server.crt
tlsPrivateKeyFile: $state/pki/kubelet-server.key
address: $node_address
containerRuntimeEndpoint: unix://$state/containerd/sock
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
clusterDomain: cluster.local
clusterDNS: [$dns_address]
resolvConf: ""
podLogsDir: $data/pod-logs
volumePluginDir: $data/kubelet/volume-plugins
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
serializeImagePulls: false
nodeStatusUpdateFrequency: 5s
YAML

# A process 1 with mounts, processes and a network of its own, in the node's control group from its first moment.
make_cgroups || fail "the node's control groups could not be made; why stands above"
(
  exec 8>&-
  enter_cgroups
  # Nothing of whoever starts it, such as a proxy for the network, reaches the node's parts.
  exec env -i PATH="$PATH" HOME=/root FINELINE_NODE_DATA="$data" XDG_CACHE_HOME="$(dirname "$(dirname "$cache")")" \
    setsid unshare --mount --propagation private --pid --fork --kill-child --mount-proc --net --ipc --uts \
    "$here/inside.sh" "$state" "$data" "$binaries" "$images"
) </dev/null >"$state/log/node.log" 2>&1 &
outer=$!
init=
for _ in $(seq 200); do
  # What comes before `unshare` has children too.
  [[ $(cat "/proc/$outer/comm" 2>/dev/null) != unshare ]] || init=$(pgrep --parent "$outer" || true)
  [[ -z $init ]] || break
  sleep 0.05
done
[[ -n $init ]] || fail "the node's first process did not start: see $state/log/node.log"
echo "$init" >"$state/pid"

ip link add "$host_interface" type veth peer name eth0 netns "$init"
ip link set "$host_interface" alias "$node_name"
ip address add "$host_address/24" dev "$host_interface"
ip link set "$host_interface" up
for network in "$pod_network" "$service_network"; do ip route replace "$network" via "$node_address"; done

kubectl() { KUBECONFIG=$state/kubeconfig "$state/kubectl" "$@"; }
wait_for() { # WHAT COMMAND...
  local what=$1 end=$((SECONDS + 90))
  shift
  until "$@" >/dev/null 2>&1; do
    [[ ! -e $state/failed ]] || fail "$(<"$state/failed")"
    kill -0 "$init" 2>/dev/null || fail "the node's first process ended: see $state/log/node.log"
    ((SECONDS < end)) || fail "after 90 s $what: see $state/log"
    sleep 0.1
  done
}
wait_for "the API server does not answer" answers readyz
wait_for "the objects of kube-system could not be made" kubectl apply --server-side -f "$here/manifests"
touch "$state/applied"
wait_for "the node is not ready" kubectl wait --for=condition=Ready "node/$node_name" --timeout=10s
wait_for "cluster DNS is not ready" kubectl --namespace kube-system rollout status daemonset/coredns --timeout=10s
wait_for "network policies are not enforced" nsenter --net="/proc/$init/ns/net" nft list table inet fineline_policies
touch "$state/ready"
say "the node is ready after $((SECONDS - started)) s"
echo "$state/kubeconfig"
