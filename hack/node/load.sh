#!/usr/bin/env bash
# Makes the images of docker archives known to the node of this machine's own: hack/node.sh load FILE... Those that it
# has already, as they are, are not unpacked again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
source "$here/settings.sh"
(($#)) || fail "which archives?"

of_node() { ctr --address "$state/containerd/sock" --namespace k8s.io "$@"; }

# The kubelet's interface names each image by its tag and by the digest of its configuration, which is that of all of it.
names() { # ARCHIVE
  tar -xOf "$1" manifest.json | python3 -c '
import json, re, sys
for image in json.load(sys.stdin):
    for tag in image["RepoTags"] or []:
        print(tag, "sha256:" + re.search("[0-9a-f]{64}", image["Config"])[0])'
}

for archive in "$@"; do
  [[ -r $archive ]] || fail "$archive is no file that can be read"
  named=$(names "$archive" 2>/dev/null) || fail "$archive is no docker archive (it has no manifest.json)"
  [[ -n $named ]] || fail "$archive names no image"
  known=$(of_node images list)
  while read -r tag digest; do
    targets=$(awk -v tag="$tag" -v digest="$digest" '$1 == tag || $1 == digest { print $3 }' <<<"$known")
    (($(wc -l <<<"$targets") == 2 && $(sort -u <<<"$targets" | wc -l) == 1)) || {
      of_node images import "$archive" >&2 || fail "$archive could not be loaded; what containerd says of it stands above"
      break
    }
  done <<<"$named"
done
