#!/usr/bin/env bash
# Makes the images of docker archives known to the node of this machine's own: hack/node.sh load FILE... Those that it
# has already, as they are, are not unpacked again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
(($#)) || fail "which archives?"

of_node() { ctr --address "$state/containerd/sock" --namespace k8s.io "$@"; }

# What an archive names: each tag with the digest of the image's configuration, which is that of all of it.
names() { # ARCHIVE
  tar -xOf "$1" manifest.json | python3 -c '
import json, re, sys
for image in json.load(sys.stdin):
    for tag in image["RepoTags"] or []:
        print(tag, "sha256:" + re.search("[0-9a-f]{64}", image["Config"])[0])'
}

# Whether a tag is that of this image and its layers are unpacked. Both stand in the labels of what containerd keeps: the
# manifest's names the configuration, the configuration's its last layer.
known() { # TAG DIGEST
  awk -v tag="$1" -v digest="$2" '
    NR == FNR { if ($1 == tag) target = $3; next }
    $1 == target { named = index($0, "gc.ref.content.config=" digest) }
    $1 == digest { unpacked = index($0, "gc.ref.snapshot.") }
    END { exit !(named && unpacked) }' <(of_node images list) <(of_node content ls)
}

for archive in "$@"; do
  [[ -r $archive ]] || fail "$archive is no file that can be read"
  named=$(names "$archive" 2>/dev/null) || fail "$archive is no docker archive (it has no manifest.json)"
  [[ -n $named ]] || fail "$archive names no image"
  while read -r tag digest; do
    known "$tag" "$digest" || {
      of_node images import "$archive" >&2 || fail "$archive could not be loaded; what containerd says of it stands above"
      break
    }
  done <<<"$named"
done
