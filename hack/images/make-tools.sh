#!/bin/sh
# In a build: installs what the images are built with into /build/tools, and tells by /build/made-with what that is.
set -eu
. /build/images/index.sh

python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  fail "BUILDER has $(python3 --version); Fineline needs Python 3.11 to 3.13"
python3 -m venv /build/tools ||
  fail "BUILDER's Python can't make a virtual environment with pip (Debian: apt-get install python3-venv)"
/build/tools/bin/pip install --quiet --no-deps --require-hashes -r /build/locks/build.txt

{
  python3 --version
  sha256sum /build/locks/build.txt /build/images/*
} >/build/made-with
touch --date=1980-01-01T00:00:00Z /build/made-with
