#!/bin/sh
# Prints the path of a Chromium that the report's tests can start. Installs Debian's where this is root and apt has it.
set -eu

find_chromium() {
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name"; then return 0; fi
    done
    return 1
}

find_chromium && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium with apt-get" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >&2 || true
    find_chromium && exit 0
fi
echo "no chromium: the report's tests in a browser are skipped. Install it (Debian: apt-get install chromium)." >&2
exit 1
