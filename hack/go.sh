# shellcheck shell=bash
# What the scripts that build from Go modules ask first; sourced, never run.

# Says why Go can't build the module in a folder; nothing where it can. Go fetches a newer self where it may; one from
# before it could, and one that may not, are too old.
go_lacks() { # FOLDER
  local wanted version
  if ! command -v go >/dev/null; then
    echo "go is not installed: get it from https://go.dev/dl/"
    return
  fi
  wanted=$(awk '$1 == "go" { print $2 }' "$1/go.mod")
  if ! version=$(cd "$1" && go version 2>&1); then
    echo "go $wanted is needed: ${version##*$'\n'}"
    return
  fi
  version=$(awk '{ print substr($3, 3) }' <<<"$version")
  [[ $(printf '%s\n' "$wanted" "$version" | sort -V | head -1) == "$wanted" ]] ||
    echo "go $version is too old, $wanted is needed: get it from https://go.dev/dl/"
}
