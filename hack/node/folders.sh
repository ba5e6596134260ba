# shellcheck shell=bash
# The folder of the node's data, which the user may name: `up` makes and marks it, `down` deletes it where it is marked.
# Sourced, never run.
mark=.made-by-hack-node-up

# Whether something is there that `up` did not make; an empty folder is nobody's.
theirs() { # FOLDER
  [[ -e $1 && ! -e $1/$mark ]] && [[ ! -d $1 || -n $(ls -A "$1") ]]
}

claim() { # FOLDER
  mkdir -p "$1"
  touch "$1/$mark"
}

# The mark goes last: what a `down` left that was killed can still be told from what is somebody's.
remove() { # FOLDER
  [[ -e $1/$mark ]] || return 0
  find "$1" -xdev -mindepth 1 ! -path "$1/$mark" -delete
  rm "$1/$mark"
  rmdir "$1"
}
