# shellcheck shell=bash
# Sourced by hack/images.sh: the program that builds images, whichever is there, behind a few functions. Buildah keeps
# its layers under $images; docker and podman where they always do.

# The time of every file and of the image itself, in seconds: that of hack/images/make-ready.sh. When the sources were
# committed is told by a label: were it the files' time, each commit would make all layers anew.
times=315532800

pick_engine() {
  local name
  if [[ -n ${FINELINE_ENGINE:-} ]]; then
    case $FINELINE_ENGINE in
      docker | podman | buildah) ;;
      *) fail "FINELINE_ENGINE=$FINELINE_ENGINE: one of docker, podman, buildah" ;;
    esac
    command -v "$FINELINE_ENGINE" >/dev/null || fail "FINELINE_ENGINE=$FINELINE_ENGINE: not installed"
    engine=$FINELINE_ENGINE
  else
    for name in docker podman buildah; do
      # A client alone builds nothing: docker's must reach its daemon.
      if command -v "$name" >/dev/null && { [[ $name != docker ]] || docker info >/dev/null 2>&1; }; then
        engine=$name
        break
      fi
    done
    [[ -n ${engine:-} ]] || fail "docker, podman or buildah has to be there (Debian: apt-get install buildah)"
  fi
  limits=()
  # Both raise the limits of what they start, which takes a right that containers are often without (CAP_SYS_RESOURCE).
  may_raise_limits || limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
  if [[ $engine == buildah ]]; then
    storage=(--root "$images/storage" --runroot "$images/run" --storage-driver "$(driver)")
  fi
}

may_raise_limits() {
  local rights
  rights=$(awk '$1 == "CapEff:" { print $2 }' /proc/self/status 2>/dev/null) || return 0
  [[ -z $rights ]] || (((16#$rights >> 24) & 1))
}

# The storage of before goes on; else overlay where this file system can be a layer of one, else copies.
driver() {
  local name probe
  for name in overlay vfs; do
    if [[ -d $images/storage/$name-layers ]]; then
      echo "$name"
      return
    fi
  done
  probe=$(mktemp -d "$images/.probe-XXXXXX")
  mkdir "$probe"/{lower,upper,work,merged}
  if mount -t overlay overlay -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" 2>/dev/null; then
    umount "$probe/merged"
    echo overlay
  else
    echo vfs
  fi
  rm -rf "$probe"
}

run_buildah() { TMPDIR=$images/tmp nice -n 15 buildah "${storage[@]}" "$@"; }

engine_has() { # IMAGE
  case $engine in
    docker) docker image inspect "$1" >/dev/null 2>&1 ;;
    podman) podman image exists "$1" ;;
    buildah) run_buildah inspect --type image "$1" >/dev/null 2>&1 ;;
  esac
}

engine_pull() { # IMAGE SECONDS
  case $engine in
    buildah) TMPDIR=$images/tmp timeout "$2" buildah "${storage[@]}" pull -q "$1" ;;
    *) timeout "$2" "$engine" pull -q "$1" ;;
  esac
}

engine_import() { # ROOT-FILE-SYSTEM.tar IMAGE
  local path='PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' container
  case $engine in
    docker | podman) $engine import --change "ENV $path" --change 'CMD ["python3"]' "$1" "$2" ;;
    buildah)
      container=$(run_buildah from scratch)
      run_buildah add -q "$container" "$1" /
      run_buildah config --env "$path" --cmd python3 "$container"
      run_buildah commit -q --rm --timestamp 0 "$container" "$2"
      ;;
  esac
}

# What a build argument can't say: the digests of an image's layers, a line each.
engine_layers() { # IMAGE
  case $engine in
    docker | podman) $engine image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" ;;
    buildah) run_buildah inspect --type image --format '{{range .OCIv1.RootFS.DiffIDs}}{{println .}}{{end}}' "$1" ;;
  esac | sed '/^$/d'
}

engine_build() { # IMAGE FILE.tar ARGUMENT…: ends with the first failure's status, `set -e` or not
  local image=$1 file=$2
  shift 2
  case $engine in
    docker)
      # Podman and buildah hand these in by themselves. Of an argument without a value docker takes that of this shell.
      local name proxies=()
      for name in {HTTP,HTTPS,FTP,NO,ALL}_PROXY {http,https,ftp,no,all}_proxy; do
        [[ -z ${!name:-} ]] || proxies+=(--build-arg "$name")
      done
      # BuildKit takes the argument for itself: the times in the image's own description.
      DOCKER_BUILDKIT=1 docker build "${proxies[@]}" --build-arg "SOURCE_DATE_EPOCH=$times" -t "$image" "$@" . &&
        docker save -o "$file" "$image"
      ;;
    podman)
      nice -n 15 podman build --format docker --layers "${limits[@]}" --timestamp "$times" -t "$image" "$@" . &&
        podman save -q --format docker-archive -o "$file" "$image"
      ;;
    buildah)
      run_buildah bud --isolation chroot --format docker --layers "${limits[@]}" --timestamp "$times" -t "$image" "$@" . &&
        run_buildah push -q "$image" "docker-archive:$file:$image"
      ;;
  esac
}

# A build that was interrupted leaves a container mounted, and buildah's overlay its own folder.
leave_nothing_mounted() {
  [[ $engine == buildah ]] || return 0
  rm -rf "$images"/tmp/*
  [[ -z $(run_buildah containers -q) ]] || run_buildah rm --all >/dev/null
  unmount_below "$images/storage/"
}

mounted_below() { # PREFIX: the innermost first
  awk -v at="$1" 'index($2, at) == 1 { print $2 }' /proc/self/mounts | tac
}

unmount_below() { # PREFIX
  local place
  while read -r place; do umount "$place"; done < <(mounted_below "$1")
}

# Buildah counts what is mounted, and does so in a folder that a machine's start doesn't empty.
forget_mounts_of_before() {
  [[ -n $(mounted_below "$images/storage/") ]] || rm -rf "$images/run"
}
