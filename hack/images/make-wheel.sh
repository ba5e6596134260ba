#!/bin/sh
# In a build: makes the wheel of /build/sources and installs it below /build/programs/opt/fineline, for the Python of
# /opt/fineline, with its bytecode.
set -eu
. /build/images/index.sh

cd /build/sources
/build/tools/bin/hatchling build -t wheel -d /build/wheel >/dev/null
/build/tools/bin/uv venv --quiet --python "$(command -v python3)" /opt/fineline
# Without uv's own notes, which are of when and where it was done.
/build/tools/bin/uv pip install --quiet --offline --no-index --no-deps --no-installer-metadata \
  --python /opt/fineline/bin/python --prefix /build/programs/opt/fineline /build/wheel/*.whl
sh /build/images/make-ready.sh /build/programs/opt/fineline
