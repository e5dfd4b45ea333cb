#!/bin/sh
# Installs the locked packages into /opt/venv.
#
#   --packages="NAME …"            Debian packages of the image
#   --build-packages="NAME …"      Debian packages that are there only while this runs
#   --build-from-source="NAME …"   Python packages without a wheel
#   --tools="NAME …"               Debian packages of a stage that isn't the image, and nothing else
#   --upgrade                      Debian's fixes since the base was made, and nothing else
#   --unhashed                     the list of requirements may come without hashes
# Other words are uv's: --no-default-groups for production.
#
# Both Dockerfiles run it in one RUN, so that the installer (pip from the base, then uv), its open
# lock file and a compiler leave no layer. It takes from the build, if they are there:
#   secret `ca`      the certificates of an intercepting proxy; in no layer
#   secret `debian`  the address of another Debian mirror; in no layer
#   secret `versions`  lines NAME=VERSION: Debian packages get these versions; in no layer
#   secret `index`   another index of packages; in no layer. The lock holds the addresses of PyPI's
#                    files, so that `uv sync` would still fetch from there: what is in the lock is
#                    installed by name, version and hash instead
set -eu

packages='' build_packages='' from_source='' tools='' upgrade='' hashes=--require-hashes
for word in "$@"; do
    shift
    case $word in
        --packages=*) packages=${word#*=} ;;
        --build-packages=*) build_packages=${word#*=} ;;
        --build-from-source=*) from_source=${word#*=} ;;
        --tools=*) tools=${word#*=} ;;
        --upgrade) upgrade=yes ;;
        --unhashed) hashes=--no-verify-hashes ;;
        *) set -- "$@" "$word" ;;
    esac
done

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

debian() {
    set -- --quiet=2 -o Dpkg::Use-Pty=0 -o DPkg::Options::=--force-confold \
        -o APT::Update::Error-Mode=any "$@"
    if [ -s /run/secrets/ca ]; then set -- -o Acquire::https::CAInfo=/run/secrets/ca "$@"; fi
    if [ -s /run/secrets/debian ]; then
        set -- -o Dir::Etc::SourceList=/tmp/debian.list -o Dir::Etc::SourceParts=/dev/null "$@"
    fi
    if [ -s /run/secrets/versions ]; then
        # The archive of a day that is over says that it has expired.
        set -- -o Dir::Etc::Preferences=/tmp/debian.pins -o Acquire::Check-Valid-Until=false "$@"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get "$@"
}

forget_debian() {
    rm -rf /tmp/before /tmp/debian.list /tmp/debian.pins /var/lib/apt/lists/* \
        /var/cache/apt/*.bin /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache \
        /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
}

if [ -n "$upgrade$tools$packages$build_packages" ]; then
    if [ -s /run/secrets/debian ]; then
        suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
        mirror=$(cat /run/secrets/debian)
        printf 'deb %s %s main\n' "$mirror" "$suite" "$mirror" "$suite-updates" >/tmp/debian.list
        [ -z "$upgrade" ] || echo "deb $mirror $suite-security main" |
            sed 's#/debian\([/ ]\)#/debian-security\1#' >>/tmp/debian.list
    fi
    debian update
    if [ -s /run/secrets/versions ]; then
        # Pins pass over a version that the archive has no more; this names it.
        # shellcheck disable=SC2046
        debian install --simulate --only-upgrade $(cat /run/secrets/versions) >/dev/null || {
            echo "Debian's archive has other versions now: name one of that day, such as" \
                "http://snapshot.debian.org/archive/debian/20261130T000000Z, in XTASK_DEBIAN_MIRROR" >&2
            exit 1
        }
        sed 's/\(.*\)=\(.*\)/Package: \1\nPin: version \2\nPin-Priority: 1001\n/' \
            /run/secrets/versions >/tmp/debian.pins
    fi
    if [ -n "$upgrade" ]; then
        debian upgrade
        forget_debian
        exit
    fi
    # Unquoted here and below: they are lists of words.
    if [ -n "$tools" ]; then
        # shellcheck disable=SC2086
        debian install --no-install-recommends --yes $tools
        exit
    fi
    # shellcheck disable=SC2086
    [ -z "$packages" ] || debian install --no-install-recommends --yes $packages
    dpkg-query --show --showformat '${binary:Package}\n' >/tmp/before
    # A Python that Debian has packaged comes without what extensions are compiled with.
    header=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
    [ -z "$build_packages" ] || [ -f "$header" ] || build_packages="$build_packages python3-dev"
    # shellcheck disable=SC2086
    [ -z "$build_packages" ] || debian install --no-install-recommends --yes $build_packages
fi

python3 -m venv /tmp/installer
/tmp/installer/bin/python -m pip install --quiet --disable-pip-version-check \
    --require-hashes --only-binary=:all: --requirement installer.txt

without_wheel() {
    [ -z "$from_source" ] || echo "if one of build_from_source ($from_source) doesn't compile: name what" \
        "it needs in build_packages in docker/image.toml, such as gcc and libc6-dev" >&2
    echo "if a package has no wheel: name it in build_from_source in docker/image.toml; if it isn't for" \
        "this Python: python = \"…\" below [variant.prod] and [variant.dev] names another" >&2
    exit 1
}

# Exactly the lock, with its hashes. No wheel is built but those of the named packages.
sync='' pip=''
for name in $from_source; do
    sync="$sync --no-binary-package $name" pip="$pip --no-binary $name"
done
# shellcheck disable=SC2086
if [ -f uv.lock ] && [ ! -s /run/secrets/index ]; then
    /tmp/installer/bin/uv sync --frozen --no-build $sync --no-install-project "$@" || without_wheel
else
    list=/tmp/installer/lock.txt
    if [ -f uv.lock ]; then
        /tmp/installer/bin/uv export --quiet --frozen --no-emit-project "$@" --output-file "$list"
    else
        find . -name '*.txt' ! -name installer.txt -exec cat {} + >"$list"
    fi
    /tmp/installer/bin/uv venv --quiet /opt/venv
    /tmp/installer/bin/uv pip install --python /opt/venv/bin/python \
        --only-binary :all: $pip "$hashes" --requirement "$list" || without_wheel
fi
rm -rf /tmp/installer /opt/venv/.lock /tmp/uv-*.lock

if [ -n "$packages$build_packages" ]; then
    if [ -n "$build_packages" ]; then
        # All that wasn't there before. (An autoremove keeps what anything else only suggests.)
        # shellcheck disable=SC2046
        debian purge --yes \
            $(dpkg-query --show --showformat '${binary:Package}\n' | grep -vxFf /tmp/before)
    fi
    forget_debian
fi

# Tests are a quarter of numpy and a third of Twisted. (A folder `test` can be part of a package, as
# django/test is.) *.po and *.pyi are what translations and types are made of: gettext reads *.mo.
find /opt/venv/lib -type d \( -name tests \
    -o -name test \( -path '*/twisted/*' -o -path '*/autobahn/*' \) \) -prune -exec rm -rf {} +
find /opt/venv/lib -type f \( -name '*.po' -o -name '*.pyi' \) -delete

# Compiled here by content, not by time: a copied file would look newer than its bytecode, and every
# start would compile everything again. Some packages ship templates that are no Python;
# `cargo xtask smoke-test` counts what has no bytecode.
/opt/venv/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/venv/lib || true
