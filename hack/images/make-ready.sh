#!/bin/sh
# In a build: leaves out of a folder of installed packages what no program loads, compiles the rest, and gives every
# file the same time: make-ready.sh FOLDER
set -eu

for packages in "$1"/lib/python3*/site-packages; do
  # The packages' own tests; headers and sources for those who compile against pyarrow; its RPC libraries, which nothing
  # else in it is linked to.
  find "$packages" -type d -name tests -prune -exec rm -rf {} +
  rm -rf "$packages"/pyarrow/include "$packages"/pyarrow/includes "$packages"/pyarrow/src \
    "$packages"/pyarrow/libarrow_flight.* "$packages"/pyarrow/libarrow_python_flight.* "$packages"/pyarrow/_flight.*
  # Pods start from bytecode: the root file system can't be written to. Never checked against the sources, which
  # don't change in an image. Packages ship templates and tests of syntax that don't compile: no harm.
  /opt/fineline/bin/python -m compileall -q -j 2 --invalidation-mode unchecked-hash "$packages" >/dev/null || :
done
# uv's, which anybody may write to.
rm -f "$1/.lock"
# The earliest that every archive format knows, so that equal content makes equal layers.
find "$1" -exec touch --no-dereference --date=1980-01-01T00:00:00Z {} +
