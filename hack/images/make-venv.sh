#!/bin/sh
# In a build: installs a lock, and nothing that it does not name, into /opt/fineline: make-venv.sh LOCK
set -eu
. /build/images/index.sh

/build/tools/bin/uv pip sync --quiet --python /opt/fineline/bin/python --require-hashes "$1"
sh /build/images/make-ready.sh /opt/fineline
