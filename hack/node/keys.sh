#!/usr/bin/env bash
# Makes the node's certificates and kubeconfigs, signed by an authority of its own:
#   hack/node/keys.sh FOLDER
# FOLDER/kubeconfig is the administrator's; FOLDER/pki holds one pair of key and certificate for each part.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
folder=$1
umask 077
mkdir -p "$folder/pki"
cd "$folder/pki"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

signed() { # NAME SUBJECT EXTENSIONS
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days 365 -out "$1.crt" -extfile <(
    echo "keyUsage=critical,digitalSignature"
    echo "$3"
  ) 2>/dev/null
  rm "$1.csr"
}

kubeconfig() { # NAME FILE
  cat >"$2" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: fineline-node
    cluster:
      server: https://$node_address:6443
      certificate-authority-data: $(base64 -w0 <ca.crt)
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w0 <"$1.crt")
      client-key-data: $(base64 -w0 <"$1.key")
contexts:
  - name: fineline-node
    context:
      cluster: fineline-node
      user: $1
current-context: fineline-node
YAML
}

key ca
openssl req -x509 -new -key ca.key -days 365 -subj /CN=fineline-node -out ca.crt \
  -addext keyUsage=critical,digitalSignature,keyCertSign
key accounts
openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null

client=extendedKeyUsage=clientAuth
names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost
signed api-server /CN=kube-apiserver "extendedKeyUsage=serverAuth
subjectAltName=$names,IP:127.0.0.1,IP:$node_address,IP:$api_address"
signed kubelet-server "/CN=$node_name" "extendedKeyUsage=serverAuth
subjectAltName=DNS:$node_name,IP:$node_address"
signed kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client "$client"
signed admin /O=system:masters/CN=admin "$client"
signed controller-manager /CN=system:kube-controller-manager "$client"
signed scheduler /CN=system:kube-scheduler "$client"
signed proxy /CN=system:kube-proxy "$client"
signed policies /CN=fineline-node:policies "$client"
signed kubelet "/O=system:nodes/CN=system:node:$node_name" "$client"

for part in controller-manager scheduler proxy policies kubelet; do kubeconfig "$part" "$part.kubeconfig"; done
kubeconfig admin ../kubeconfig
