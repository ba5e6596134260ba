# shellcheck shell=bash disable=SC2154
# The node's control group: all of its processes, those of its pods included, are in it and below it. With cgroup v2 there
# is one hierarchy; with v1 one for each controller, and one of v2 without any may be mounted beside them, of which runc
# makes use. Sourced after settings.sh, never run.
cgroup=fineline-node
cgroup_root=/sys/fs/cgroup
mount_table=/proc/mounts

unified() { [[ -e $cgroup_root/cgroup.controllers ]]; }

# The folder of each hierarchy.
cgroup_hierarchies() {
  if unified; then
    echo "$cgroup_root"
  else
    awk -v below="$cgroup_root/" '$3 ~ /^cgroup2?$/ && index($2, below) == 1 { print $2 }' "$mount_table"
  fi
}

cgroup_folders() { cgroup_hierarchies | sed "s|\$|/$cgroup|"; }

# The ids of the node's processes, as this machine counts them.
node_processes() {
  local folder
  for folder in $(cgroup_folders); do
    [[ ! -d $folder ]] || find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done | sort -nu
}

# The same, each with its program, for whoever has to look after those that did not end.
processes_left() {
  local process words
  for process in $(node_processes); do
    # One that has ended meanwhile is not left.
    words=$({ tr '\0' ' ' <"/proc/$process/cmdline" | cut -c1-60; } 2>/dev/null) || continue
    echo "process $process ($words)"
  done
}

# What the kernel says to a word for a file of its own, such as "Device or resource busy"; nothing where it took it.
tell() { # FILE WORD
  local said
  said=$( (LC_ALL=C && echo "$2" >"$1") 2>&1) || echo "${said##*: }"
}

# Says what a kubelet will miss here; nothing where it has all. What it makes to find out, it takes away again.
cgroups_lack() {
  local controller folder said
  if [[ -z $(cgroup_hierarchies) ]]; then
    echo "no control groups are mounted at $cgroup_root"
    return
  fi
  for controller in cpu cpuset memory pids $(unified || echo cpuacct); do
    if unified; then
      grep -qw "$controller" "$cgroup_root/cgroup.controllers"
    else
      awk -v wanted="$controller" '$3 == "cgroup" { split($4, options, ","); for (i in options) found = found || options[i] == wanted }
        END { exit !found }' "$mount_table"
    fi || {
      echo "the cgroup controller $controller is not mounted below $cgroup_root: a kubelet can't do without"
      return
    }
  done
  for folder in $(cgroup_hierarchies); do
    said=$(mkdir "$folder/fineline-check-$$" 2>&1) || {
      echo "no control group can be made in $folder (${said##*: }): a container would have to be privileged"
      return
    }
    rmdir "$folder/fineline-check-$$"
  done
  if unified && ! grep -qw memory "$cgroup_root/cgroup.subtree_control"; then
    said=$(tell "$cgroup_root/cgroup.subtree_control" +memory)
    case $said in
      '') tell "$cgroup_root/cgroup.subtree_control" -memory >/dev/null ;;
      *busy*) ;; # processes are in it: `hand_down` moves them
      *) echo "the control group $cgroup_root hands no controller down ($said): a container would have to be privileged" ;;
    esac
  fi
}

# With cgroup v2 a group has the controllers that its parent hands down. One that is not the machine's first, such as a
# container's own that it sees as the first, hands down none while processes are in it: these go to a group beside the
# node's. Both stay so when the node is gone: they change nothing for those processes, and the next node needs them.
hand_down() { # FOLDER CONTROLLER
  local process said
  grep -qw "$2" "$1/cgroup.controllers" || return 0
  said=$(tell "$1/cgroup.subtree_control" "+$2")
  [[ $said == *busy* ]] || return 0
  mkdir -p "$1/others"
  # One that has ended meanwhile can't be moved.
  for process in $(<"$1/cgroup.procs"); do tell "$1/others/cgroup.procs" "$process" >/dev/null; done
  tell "$1/cgroup.subtree_control" "+$2" >/dev/null
}

# Makes the node's control groups, and in each the group `node` for its own parts. Says why it could not.
make_cgroups() {
  local folder child file controller
  for folder in $(cgroup_folders); do
    mkdir -p "$folder/node" || return 1
    if unified; then
      for controller in cpu cpuset memory pids hugetlb io; do
        hand_down "$cgroup_root" "$controller"
        hand_down "$folder" "$controller"
      done
      for controller in cpu cpuset memory pids; do
        grep -qw "$controller" "$folder/node/cgroup.controllers" || {
          echo "the control group $cgroup_root hands no $controller down" >&2
          return 1
        }
      done
    else
      # With cgroup v1 a new set of processors is empty, and nothing can run on it.
      for file in cpuset.cpus cpuset.mems; do
        for child in "$folder" "$folder/node"; do
          [[ ! -e $child/$file || -n $(<"$child/$file") ]] || cat "$(dirname "$child")/$file" >"$child/$file" || return 1
        done
      done
    fi
  done
}

# Puts the calling process into them.
enter_cgroups() {
  local folder
  for folder in $(cgroup_folders); do echo "$BASHPID" >"$folder/node/cgroup.procs"; done
}
