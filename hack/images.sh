#!/usr/bin/env bash
# Builds Fineline's images from the Dockerfile with docker, podman or buildah, whichever is there:
#   hack/images.sh build TARGET…    operator, analysis, evaluator, evaluator-cpu; prints `TARGET ARCHIVE.tar`, a line each
#   hack/images.sh base             the stand-in base image of where no registry can be reached; prints its name
#   hack/images.sh sbom TARGET      CycloneDX, of the Python packages in the image; prints the file's path
#   hack/images.sh audit TARGET     known vulnerabilities of the lock's versions (pip-audit)
#   hack/images.sh sizes TARGET…    what each image adds to its base
# BASE, BUILDER, VLLM_IMAGE: the Dockerfile's arguments. FINELINE_ENGINE: docker, podman or buildah. docs/images.md has more.
# What is made lies under ${XDG_CACHE_HOME:-$HOME/.cache}/fineline/images, named by the digest of all that it is made of.
set -euo pipefail
# What fails in a $(…) ends it, and so the script.
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

images=${XDG_CACHE_HOME:-$HOME/.cache}/fineline/images
default_base=$(sed -n 's/^ARG BASE=//p' Dockerfile)
default_vllm=$(sed -n 's/^ARG VLLM_IMAGE=//p' Dockerfile)
cyclonedx=cyclonedx-bom==7.5.0
pip_audit=pip-audit==2.10.1

say() { echo "hack/images.sh: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

# shellcheck source=images/engine.sh
. hack/images/engine.sh

temporary=() alone=
tidy() {
  rm -rf "${temporary[@]}"
  [[ -z $alone ]] || leave_nothing_mounted
}
trap tidy EXIT

# What a run left behind that was killed: gigabytes, and how to reach the index. With the lock, none of it is anyone's.
sweep() {
  unmount_below "$images/."
  rm -rf --one-file-system "$images"/.{building,sbom,secrets,base,probe}-* "$images"/base-*.part
  forget_mounts_of_before
}

check_target() {
  case ${1:-} in
    operator | analysis | evaluator | evaluator-cpu) ;;
    *) fail "${1:-nothing}: no such image; one of operator, analysis, evaluator, evaluator-cpu" ;;
  esac
}

# All that the image is made of, but its base. What else lies in hack/images doesn't change it.
inputs_of() { # TARGET
  echo Dockerfile .dockerignore hack/images/{engine,index,make-*}.sh hack/images/{leave_out,strip}.py hack/images/unused.txt \
    locks/build.txt "locks/$1.txt" pyproject.toml README.md LICENSE core operator evaluator analysis cli
  case $1 in
    evaluator) echo hack/images/over{-vllm.sh,_vllm.py} ;;
    *) echo hack/images/without_pip.py ;;
  esac
}

digest_of() { # PATH…
  find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16
}

stand_in_archive() { echo "$images/base-$(digest_of hack/images/base.sh)-$(uname -m).tar"; }

make_stand_in() { # prints the image's name
  local archive name
  archive=$(stand_in_archive)
  name=localhost/fineline/base:$(digest_of hack/images/base.sh)
  [[ -f $archive ]] || hack/images/base.sh "$archive"
  engine_has "$name" || engine_import "$archive" "$name" >/dev/null
  echo "$name"
}

have_image() { # ARGUMENT IMAGE: there, or fetched now
  engine_has "$2" || engine_pull "$2" 3600 >&2 || fail "$1: the image $2 is not here and can't be fetched"
}

# What BASE says; else the Dockerfile's own where it is here or can be fetched; else the stand-in, from then on, and told.
choose_base() {
  if [[ -n ${BASE:-} ]]; then
    have_image BASE "$BASE"
    echo "$BASE"
  elif engine_has "$default_base"; then
    echo "$default_base"
  elif [[ ! -f $(stand_in_archive) ]] && engine_pull "$default_base" 60 >/dev/null 2>&1; then
    echo "$default_base"
  else
    say "the base is a stand-in, for tests alone: $default_base could not be fetched within a minute (BASE=$default_base takes the time it takes, BASE=IMAGE another)"
    make_stand_in
  fi
}

# How this machine reaches the package index, for the build: never in a layer, nor in the digest.
write_secrets() { # FOLDER
  local name value certificates
  : >"$1/index"
  for name in UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL PIP_INDEX_URL PIP_EXTRA_INDEX_URL; do
    [[ -z ${!name:-} ]] || printf '%s=%q\n' "$name" "${!name}" >>"$1/index"
  done
  if value=$(python3 -m pip config get global.index-url 2>/dev/null); then
    [[ -n ${PIP_INDEX_URL:-} ]] || printf 'PIP_INDEX_URL=%q\n' "$value" >>"$1/index"
    [[ -n ${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-} ]] || printf 'UV_DEFAULT_INDEX=%q\n' "$value" >>"$1/index"
  fi
  for certificates in "${SSL_CERT_FILE:-}" "${PIP_CERT:-}" "${REQUESTS_CA_BUNDLE:-}" /etc/ssl/certs/ca-certificates.crt; do
    [[ ! -s $certificates ]] || break
  done
  cp "${certificates:-/dev/null}" "$1/ca" 2>/dev/null || : >"$1/ca"
}

# Of the last commit that changed what the image is made of: the same sources, the same labels.
read_revision() { # PATH…: sets revision and committed
  revision=unknown committed=0
  if git rev-parse --git-dir >/dev/null 2>&1; then
    read -r revision committed < <(git log -1 --format='%H %ct' -- "$@") || true
    [[ -z $(git status --porcelain -- "$@") ]] || revision+=-dirty
  fi
}

archive_of() { # TARGET: sets base, above, builder, revision, committed, archive
  local target=$1 inputs layers image
  mapfile -t inputs < <(inputs_of "$target" | tr ' ' '\n')
  if [[ $target == evaluator ]]; then
    have_image VLLM_IMAGE "${VLLM_IMAGE:-$default_vllm}"
    above=${VLLM_IMAGE:-$default_vllm}
  fi
  base=${base:-$(choose_base)}
  [[ $target == evaluator ]] || above=$base
  builder=${BUILDER:-$base}
  [[ $builder == "$base" ]] || have_image BUILDER "$builder"
  layers=$(for image in "$base" "$above" "$builder"; do engine_layers "$image"; echo; done)
  # The labels have the revision: what was built of changed sources and committed then is built again, of the same layers.
  read_revision "${inputs[@]}"
  archive=$images/$({
    digest_of "${inputs[@]}"
    echo "$layers" "$engine" "$revision" "$committed"
  } | sha256sum | cut -c1-16)/$target.tar
}

build() { # TARGET
  local target=$1 folder secrets started=$SECONDS
  archive_of "$target"
  if [[ ! -f $archive ]]; then
    folder=$(mktemp -d "$images/.building-XXXXXX")
    secrets=$(mktemp -d "$images/.secrets-XXXXXX")
    temporary+=("$folder" "$secrets")
    write_secrets "$secrets"
    say "building $target with $engine on $above (its output: $images/$target.log)"
    engine_build "localhost/fineline/$target:dev" "$folder/$target.tar" \
      --target "$target" \
      --build-arg "BASE=$base" --build-arg "BUILDER=$builder" --build-arg "VLLM_IMAGE=$above" \
      --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" --build-arg "REVISION=$revision" \
      --build-arg "CREATED=$(date -u -d "@$committed" +%Y-%m-%dT%H:%M:%SZ)" \
      --secret "id=index,src=$secrets/index" --secret "id=ca,src=$secrets/ca" \
      >"$images/$target.log" 2>&1 || fail "$target could not be built; the end of $images/$target.log: $(grep -v '^$' "$images/$target.log" | tail -3)"
    engine_layers "$above" | wc -l >"$folder/$target.base-layers"
    mkdir -p "$(dirname "$archive")"
    mv "$folder/$target.base-layers" "$(dirname "$archive")/"
    mv "$folder/$target.tar" "$archive"
    rm -rf "$secrets"
    forget_older "$target"
    say "$target was built in $((SECONDS - started)) s"
  fi
  # When it was asked for last.
  touch "$(dirname "$archive")"
  echo "$target $archive"
}

# The archive that was asked for before this one stays for a day: somebody may read it still, or have another checkout. Not
# more, for those of evaluators take gigabytes.
forget_older() { # TARGET
  local folder before=
  for folder in "$images"/*/; do
    [[ -f $folder$1.tar && $folder != "${archive%/*}/" ]] || continue
    if [[ -z $before ]]; then
      before=$folder
    elif [[ $folder -nt $before ]]; then
      rm -rf "$before"
      before=$folder
    else
      rm -rf "$folder"
    fi
  done
  [[ -z $before || -z $(find "$before" -maxdepth 0 -mmin +1440) ]] || rm -rf "$before"
}

sbom() { # TARGET
  local target=$1 root packages file
  command -v "$uv" >/dev/null || fail "uv has to be there: make setup, or https://docs.astral.sh/uv"
  build "$target" >/dev/null
  file=${archive%.tar}.cdx.json
  if [[ ! -f $file ]]; then
    root=$(mktemp -d "$images/.sbom-XXXXXX")
    temporary+=("$root")
    python3 hack/images/metadata.py "$archive" "$root"
    packages=$(find "$root" -type d -name site-packages)
    # The tool asks a Python where its packages are; the image's may not run here, so its answer is given.
    printf '#!/bin/sh\necho '\''["%s"]'\''\n' "$packages" >"$root/python"
    chmod +x "$root/python"
    "$uv" tool run --quiet --from "$cyclonedx" cyclonedx-py environment --output-reproducible \
      --pyproject pyproject.toml -o "$file.part" "$root/python" >&2 || fail "$cyclonedx could not be run; its words stand above"
    mv "$file.part" "$file"
  fi
  echo "$file"
}

audit() { # TARGET: fails where something is found
  local report status=0
  command -v "$uv" >/dev/null || fail "uv has to be there: make setup, or https://docs.astral.sh/uv"
  report=$("$uv" tool run --quiet --from "$pip_audit" pip-audit --strict --progress-spinner off --disable-pip \
    --require-hashes -r "locks/$1.txt" 2>&1) || status=$?
  case $report in
    *"not found on PyPI and could not be audited"*)
      fail "$1 was not audited: the package index here has no data of vulnerabilities, which PyPI itself has" ;;
  esac
  echo "$report"
  [[ $status == 0 ]] || say "$1: pip-audit found something, or could not look; its words stand above"
  return "$status"
}

sizes() { # TARGET…
  local target arguments=()
  for target in "$@"; do
    build "$target" >/dev/null
    arguments+=("$archive" "$(cat "${archive%.tar}.base-layers")")
  done
  python3 hack/images/sizes.py "${arguments[@]}"
}

command=${1:-}
[[ $# == 0 ]] || shift
uv=.venv/bin/uv
[[ -x $uv ]] || uv=uv
mkdir -p "$images/tmp"
case $command in
  build | sbom | audit | sizes)
    [[ $# -gt 0 ]] || fail "$command: which image? operator, analysis, evaluator, evaluator-cpu"
    for target in "$@"; do check_target "$target"; done
    ;;
  base) ;;
  *) fail "${command:-nothing}: no such command; one of build, base, sbom, audit, sizes" ;;
esac
if [[ $command != audit ]]; then
  # Whoever comes second waits, instead of building the same at the same time.
  exec 9>"$images/.lock"
  if command -v flock >/dev/null; then
    flock 9
    sweep
  fi
  pick_engine
  alone=yes
fi
case $command in
  audit)
    found=no
    for target in "$@"; do audit "$target" || found=yes; done
    [[ $found == no ]]
    ;;
  build | sbom) for target in "$@"; do "$command" "$target"; done ;;
  sizes) sizes "$@" ;;
  base) make_stand_in ;;
esac
