#!/bin/sh
# In a build: leaves out of a folder of installed packages what the image's program never loads, compiles the rest, for
# pods have a root file system that can't be written to, and gives every file the same time: make-ready.sh FOLDER [IMAGE]
set -eu

for packages in "$1"/lib/python3*/site-packages; do
  /opt/fineline/bin/python -B /build/images/leave_out.py /build/images/unused.txt "${2:-}" "$packages"
done
# Locks of uv and of what it built, which anybody may write to.
rm -f "$1/.lock" /tmp/uv-*.lock
# The earliest that every archive format knows, so that equal content makes equal layers.
find "$1" -exec touch --no-dereference --date=1980-01-01T00:00:00Z {} +
