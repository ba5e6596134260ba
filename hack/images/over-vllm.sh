#!/bin/sh
# In a build on vLLM's image: makes /opt/fineline, a virtual environment that sees all that the image's Python has, and
# holds Fineline and what of its lock the image lacks: over-vllm.sh LOCK WHEEL
set -eu
. /build/images/index.sh

uv=/build/tools/bin/uv
command -v python3 >/dev/null || fail "VLLM_IMAGE has no python3"
$uv venv --quiet --python "$(command -v python3)" /opt/fineline
packages=$(echo /opt/fineline/lib/python3*/site-packages)
python3 /build/images/over_vllm.py see >"$packages/vllm-image.pth"
/opt/fineline/bin/python /build/images/over_vllm.py lacking "$1" >/build/lacking.txt
$uv pip install --quiet --python /opt/fineline/bin/python --no-deps --require-hashes -r /build/lacking.txt
$uv pip install --quiet --offline --no-index --no-deps --no-installer-metadata --python /opt/fineline/bin/python "$2"
rm -rf "$UV_CACHE_DIR"
/opt/fineline/bin/python /build/images/over_vllm.py check "$packages"
sh /build/images/make-ready.sh /opt/fineline
find /opt/fineline/bin -name 'fineline*' ! -name fineline-evaluator -delete
