#!/bin/sh
# In a build: installs what the images are built with into /build/tools.
set -eu
. /build/images/index.sh

python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  fail "BUILDER has $(python3 --version); Fineline needs Python 3.11 to 3.13"
python3 -m venv /build/tools ||
  fail "BUILDER's Python can't make a virtual environment with pip (Debian: apt-get install python3-venv)"
/build/tools/bin/pip install --quiet --no-deps --require-hashes -r /build/locks/build.txt
