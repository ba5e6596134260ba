# Sourced in a build. How the package index is reached is given from outside, as the build's secrets: `index`, lines of
# NAME=VALUE as UV_DEFAULT_INDEX and PIP_INDEX_URL, and `ca`, certificates to trust. Nothing of either stays in a layer.
# Without them pip's and uv's own defaults hold.
if [ -s /run/secrets/index ]; then
  set -a
  . /run/secrets/index
  set +a
fi
if [ -s /run/secrets/ca ]; then
  export SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca
fi
# Beside what is installed, so that files are linked and not copied, and gone when it is: a build takes no more disk than
# the image, and its layers are the cache.
export UV_CACHE_DIR=/opt/.uv-cache PIP_NO_CACHE_DIR=1
export UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
fail() {
  echo "$0: $*" >&2
  exit 1
}
