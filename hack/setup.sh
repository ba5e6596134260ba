#!/usr/bin/env bash
# Makes the virtual environment from the lock: hack/setup.sh PYTHON VENV. Quick where it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 venv=$2
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
  echo "setup: $("$python" --version) found; Fineline needs Python 3.11 to 3.13 (make PYTHON=python3.12 …)" >&2
  exit 1
}
# uv comes last: without one that runs, the environment is new, or its making was ended half-way. What is whole stays.
if ! "$venv/bin/uv" --version >/dev/null 2>&1; then
  "$python" -m venv "$venv"
  awk '/^[^ #]/ { wanted = /^uv==/ } wanted' locks/dev.txt >"$venv/uv.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --force-reinstall -r "$venv/uv.txt"
fi
echo "setup: installing the locked dependencies into $venv (about 6 GB with torch; a minute with a warm cache)" >&2
"$venv/bin/uv" pip sync --quiet --python "$venv/bin/python" --require-hashes locks/dev.txt
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
