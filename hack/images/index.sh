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
# Not below /root: buildah 1.28 with its own storage there empties the image when it takes such a mount away.
export UV_CACHE_DIR=/build/cache/uv PIP_CACHE_DIR=/build/cache/pip
export UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
fail() {
  echo "$0: $*" >&2
  exit 1
}
