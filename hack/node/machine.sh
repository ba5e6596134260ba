# shellcheck shell=bash disable=SC2154
# What the machine has that a node could meet: networks, an interface, a file system. Sourced after settings.sh, never run.

# The first route that has a network, or a part of it; nothing where there is none. What leads everywhere (a VPN may have
# it in two halves) takes no network away, and the node's own cable is no stranger.
network_in_use() { # NETWORK
  { ip -4 route show match "$1" && ip -4 route show root "$1"; } |
    awk -v own="$host_interface" '
      { to = $1 ~ /^(unreachable|blackhole|prohibit)$/ ? $2 : $1
        device = ""
        for (i = 1; i < NF; i++) if ($i == "dev") device = $(i + 1) }
      to !~ /^(default|0[.]0[.]0[.]0\/1|128[.]0[.]0[.]0\/1)$/ && device != own && !said++'
}

# Whether the interface of the cable's name is one that `up` made.
cable_is_ours() { [[ $(cat "/sys/class/net/$host_interface/ifalias" 2>/dev/null) == "$node_name" ]]; }

# Says why containers can't write to layers in a folder, as where it lies on layers itself; nothing where they can.
overlay_lacks() { # FOLDER
  local trial said
  trial=$(mktemp -d "$1/.check-XXXXXX")
  mkdir "$trial"/{lower,upper,work,merged}
  said=$(cd "$trial" && unshare --mount mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged 2>&1) ||
    echo "images can't be unpacked in $1 (overlay: ${said##*: }): set XDG_CACHE_HOME to a folder on a disk"
  rm -rf "$trial"
}
