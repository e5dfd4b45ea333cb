#!/bin/sh
# Installs the locked packages into /opt/venv, with the words given for uv: --no-dev for production.
#
# Both Dockerfiles run it in one RUN, so that the installer (pip from the base, then uv) and its open
# lock file leave no layer. It takes from the build, if they are there:
#   secret `ca`     the certificates of an intercepting proxy; in no layer
#   secret `index`  another index of packages; in no layer. The lock holds the addresses of PyPI's
#                   files, so that `uv sync` would still fetch from there: what is in the lock is
#                   installed by name, version and hash instead
set -eu

cd /opt/dependencies
if [ -s /run/secrets/ca ]; then
    export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca
fi
if [ -s /run/secrets/index ]; then
    UV_DEFAULT_INDEX=$(cat /run/secrets/index)
    export UV_DEFAULT_INDEX PIP_INDEX_URL="$UV_DEFAULT_INDEX"
fi
export UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON=python3 UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy

python3 -m venv /tmp/installer
/tmp/installer/bin/python -m pip install --quiet --disable-pip-version-check \
    --require-hashes --only-binary=:all: --requirement installer.txt

# Exactly the lock, with its hashes. No wheel is built, so no compiler is needed.
if [ -s /run/secrets/index ]; then
    /tmp/installer/bin/uv export --quiet --frozen --no-emit-project "$@" \
        --output-file /tmp/installer/lock.txt
    /tmp/installer/bin/uv venv --quiet /opt/venv
    /tmp/installer/bin/uv pip install --python /opt/venv/bin/python \
        --no-build --require-hashes --requirement /tmp/installer/lock.txt
else
    /tmp/installer/bin/uv sync --frozen --no-build --no-install-project "$@"
fi
rm -rf /tmp/installer /opt/venv/.lock /tmp/uv-*.lock

# Tests are a quarter of numpy and a third of Twisted. (A folder `test` can be part of a package, as
# django/test is.) *.po and *.pyi are what translations and types are made of: gettext reads *.mo.
find /opt/venv/lib -type d \( -name tests \
    -o -name test \( -path '*/twisted/*' -o -path '*/autobahn/*' \) \) -prune -exec rm -rf {} +
find /opt/venv/lib -type f \( -name '*.po' -o -name '*.pyi' \) -delete

# Compiled here by content, not by time: a copied file would look newer than its bytecode, and every
# start would compile everything again. Some packages ship templates that are no Python;
# `cargo xtask smoke-test` counts what has no bytecode.
/opt/venv/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/venv/lib || true
