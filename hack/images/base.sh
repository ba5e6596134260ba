#!/usr/bin/env bash
# Makes the root file system of a stand-in for the base image, where no registry can be reached: Debian bookworm with
# its Python 3.11, by debootstrap. Needs root. For tests: no security updates, and nobody keeps it. Holds nothing of this
# machine's, and what Debian has signed.
#   hack/images/base.sh FILE.tar
set -euo pipefail

fail() {
  echo "hack/images/base.sh: $*" >&2
  exit 1
}

file=$1
[[ $EUID == 0 ]] || fail "debootstrap needs root; name a base image that can be reached: BASE=IMAGE hack/images.sh …"
command -v debootstrap >/dev/null || fail "debootstrap has to be installed (Debian: apt-get install debootstrap)"
# Where this machine gets Debian from itself; a mirror may stand in.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep '/debian/*$' | head -1)} ||
  mirror=http://deb.debian.org/debian

root=$(mktemp -d "$(dirname "$file")/.base-XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
echo "hack/images/base.sh: debootstrap of bookworm (a minute)" >&2
nice -n 15 debootstrap --force-check-gpg --variant=minbase --include=ca-certificates,libnuma1,python3,python3-venv bookworm "$root" "$mirror" >"$file.log" 2>&1 ||
  fail "debootstrap failed; $file.log says why: $(tail -1 "$file.log")"
# What a slim image leaves out. Devices are the runtime's.
rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
  "$root"/usr/share/{doc,man,locale,info} "$root"/dev/*
# Where this machine gets Debian, maybe with a password, its name, and whom it asks for names.
echo "deb http://deb.debian.org/debian bookworm main" >"$root/etc/apt/sources.list"
echo localhost >"$root/etc/hostname"
rm -f "$root/etc/resolv.conf"
: >"$root/etc/resolv.conf"
chmod 755 "$root"
tar --create --file "$file.part" --directory "$root" --numeric-owner --sort=name .
mv "$file.part" "$file"
rm "$file.log"
