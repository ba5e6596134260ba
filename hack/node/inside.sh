#!/usr/bin/env bash
# The node's process 1: hack/node/up.sh starts it in mounts, processes and a network of its own, so that all that it and
# its pods ever start, mount or write into iptables ends with it. It starts the parts of a node and keeps them running.
#   inside.sh STATE DATA BINARIES IMAGES
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
# shellcheck source=kernel.sh
source "$here/kernel.sh"
state=$1 data=$2 binaries=$3 images=$4
pki=$state/pki

# Starts a part, and again a second after it ended, as a service manager would.
keep() { # NAME COMMAND...
  local name=$1
  shift
  while true; do
    "$@" >>"$state/log/$name.log" 2>&1 || echo "ended with $?" >>"$state/log/$name.log"
    sleep 1
  done &
}

until_true() { # WHAT COMMAND...
  local what=$1 end=$((SECONDS + 180)) # on a busy disk, after gigabytes of images were taken away
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > end)); then
      echo "$what" >"$state/failed"
      exit 1
    fi
    sleep 0.1
  done
}

of_containerd() { ctr --address "$state/containerd/sock" --namespace k8s.io "$@"; }

# What an earlier node left beside the images: containers whose processes ended with it, the layers that these wrote to,
# and images whose tag has gone to another. In a containerd without the kubelet's interface, which would keep them in mind.
tidy_images() {
  local alone
  # What was being loaded when a node ended: the next archive's layer of the same name would be taken for the rest of it.
  rm -rf "$images_store"/io.containerd.content.v1.content/ingest/*
  containerd --config "$state/containerd-alone.toml" >>"$state/log/containerd-alone.log" 2>&1 &
  alone=$!
  until_true "containerd did not start: see $state/log/containerd-alone.log" of_containerd version
  of_containerd containers list --quiet |
    xargs --no-run-if-empty ctr --address "$state/containerd/sock" --namespace k8s.io containers delete || true
  of_containerd snapshots list | awk '$3 == "Active" { print $1 }' |
    xargs --no-run-if-empty ctr --address "$state/containerd/sock" --namespace k8s.io snapshots remove || true
  of_containerd images list | awk 'NR > 1 && $1 !~ /^sha256:/ { tagged[$3] } NR > 1 && $1 ~ /^sha256:/ { target[$1] = $3 }
    END { for (name in target) if (!(target[name] in tagged)) print name }' |
    xargs --no-run-if-empty ctr --address "$state/containerd/sock" --namespace k8s.io images remove || true
  kill "$alone"
  wait "$alone" || true
  rm -rf "$images_store"/io.containerd.grpc.v1.cri "$images_store"/io.containerd.runtime.v2.task
}

asked() { curl -fs --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" "https://127.0.0.1:6443/$1"; }

mount --make-rshared /
# Paths that are written into the programs, and that must not be the machine's own.
for folder in /run/containerd /var/lib/cni /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
cover_kernel_settings "$state/kernel"

until_true "the node's end of the cable did not come up" ip link show dev eth0
ip link set lo up
ip address add "$node_address/24" dev eth0
ip link set eth0 up
# To the other end of the cable and no further. A service's address has to lead somewhere before kube-proxy's rules turn
# to a pod what the node's own parts send there.
ip route add unreachable default
ip route add "$service_network" via "$host_address"
echo 1 >/proc/sys/net/ipv4/ip_forward

keep etcd "$binaries/etcd" --data-dir "$data/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
keep kube-apiserver "$binaries/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 \
  --advertise-address "$node_address" --service-cluster-ip-range "$service_network" --allow-privileged \
  --tls-cert-file "$pki/api-server.crt" --tls-private-key-file "$pki/api-server.key" --client-ca-file "$pki/ca.crt" \
  --kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
  --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --service-account-issuer https://kubernetes.default.svc.cluster.local \
  --service-account-key-file "$pki/accounts.pub" --service-account-signing-key-file "$pki/accounts.key" \
  --audit-policy-file "$state/audit-policy.yaml" --audit-log-path "$state/log/audit.log" \
  --audit-log-maxsize 50 --audit-log-maxbackup 2

# The API server takes longer than this.
tidy_images >>"$state/log/containerd-alone.log" 2>&1
keep containerd containerd --config "$state/containerd.toml"
until_true "containerd did not start: see $state/log/containerd.log" of_containerd version
until_true "the node's own images could not be loaded: see $state/log/containerd.log" \
  "$here/load.sh" "$images/box.tar" "$images/dns.tar"
until_true "the API server did not start: see $state/log/kube-apiserver.log" asked readyz

keep kube-controller-manager "$binaries/kube-controller-manager" --kubeconfig "$pki/controller-manager.kubeconfig" \
  --leader-elect=false --use-service-account-credentials --service-account-private-key-file "$pki/accounts.key" \
  --root-ca-file "$pki/ca.crt" --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
  --flex-volume-plugin-dir "$data/kubelet/volume-plugins"
keep kube-scheduler "$binaries/kube-scheduler" --kubeconfig "$pki/scheduler.kubeconfig" --leader-elect=false
keep kubelet "$binaries/kubelet" --config "$state/kubelet.yaml" --kubeconfig "$pki/kubelet.kubeconfig" \
  --root-dir "$data/kubelet" --hostname-override "$node_name" --node-ip "$node_address"
# What it would set about connections is not for a network namespace to set.
keep kube-proxy "$binaries/kube-proxy" --kubeconfig "$pki/proxy.kubeconfig" --cluster-cidr "$pod_network" \
  --hostname-override "$node_name" --proxy-mode iptables --conntrack-max-per-core 0 \
  --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
# Before it may read what it needs, it would wait for longer and longer between two looks.
until_true "the objects of kube-system were not made" test -e "$state/applied"
keep policies "$images/policies" --kubeconfig "$pki/policies.kubeconfig"

# As process 1 it also buries the processes that others left.
while true; do wait -n || true; done
