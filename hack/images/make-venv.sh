#!/bin/sh
# In a build: makes /opt/fineline of a lock, and of nothing that it does not name: make-venv.sh LOCK [IMAGE]
# IMAGE is the section of unused.txt that tells what its program never loads.
set -eu
. /build/images/index.sh

/build/tools/bin/uv venv --quiet --python "$(command -v python3)" /opt/fineline
/build/tools/bin/uv pip sync --quiet --python /opt/fineline/bin/python --require-hashes "$1"
rm -rf "$UV_CACHE_DIR"
sh /build/images/make-ready.sh /opt/fineline "${2:-}"
