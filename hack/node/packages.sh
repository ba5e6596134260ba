#!/usr/bin/env bash
# Prints the Debian packages that a node needs and this machine lacks, one a line; nothing where it has all. That decides
# what hack/node.sh check asks for, and what CI installs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"

{
  while read -r package programs; do
    for program in $programs; do command -v "$program" >/dev/null || echo "$package"; done
  done <<'PACKAGES'
containerd containerd ctr
runc runc
iptables iptables iptables-save
nftables nft
iproute2 ip
openssl openssl
util-linux unshare flock nsenter setsid
curl curl
procps pgrep
python3 python3
PACKAGES
  for plugin in ptp host-local portmap; do
    [[ -x $(cni_folder)/$plugin ]] || echo containernetworking-plugins
  done
} | sort -u
