# shellcheck shell=bash
# The kernel's settings, which are the whole machine's. Sourced, never run.

# What a kubelet sets it finds set already, and so leaves the machine's own alone: over each of these files another is
# mounted, in the mounts of whoever calls this.
cover_kernel_settings() { # FOLDER
  local setting value
  mkdir -p "$1"
  while read -r setting value; do
    [[ -e /proc/sys/$setting ]] || continue
    echo "$value" >"$1/${setting##*/}"
    mount --bind "$1/${setting##*/}" "/proc/sys/$setting"
  done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS
}
