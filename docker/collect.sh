#!/bin/sh
# Makes what the image has of the application: translations, static files and bytecode.
#
#   collect.sh FOLDER   the application is in FOLDER/app; FOLDER/staticfiles is made next to it
#
# docker/Dockerfile runs it, with what docker/image.toml says in the environment:
#   APP_MODULE            the project's package
#   SETTINGS_BUILD        the settings; else those for a build, those of production, or the only ones
#   REQUIRED_ENVIRONMENT  names that get a value here alone
#   COLLECTED             STATIC_ROOT, unless it is staticfiles
#   BEFORE_COLLECTSTATIC  management commands that come first, with `;` between them
#   AFTER_COLLECTSTATIC   those that follow
#   RUNTIME_FILES         where the image's own files are, if the application is at the top
set -eu
build=$1
cd "$build/app"

# No part of the application: the lock and its project file, and the image's own files.
rm -f pyproject.toml uv.lock
if [ -n "${RUNTIME_FILES:-}" ]; then
    (
        cd "$RUNTIME_FILES"
        rm -rf entrypoint.sh healthcheck container install.sh installer.txt collect.sh
    )
    rmdir --parents "$RUNTIME_FILES" 2>/dev/null || true
fi

# A *.mo that is there stays. build_packages in docker/image.toml names gettext.
if command -v msgfmt >/dev/null; then
    # The inner shell's.
    # shellcheck disable=SC2016
    find . -name '*.po' -exec sh -ec 'for po; do
        [ -e "${po%.po}.mo" ] || msgfmt --output-file="${po%.po}.mo" "$po"
    done' sh {} +
fi

# "build only build only build only": 32 bytes in base64, which a Fernet key must be.
for name in ${REQUIRED_ENVIRONMENT:-}; do
    export "$name=YnVpbGQgb25seSBidWlsZCBvbmx5IGJ1aWxkIG9ubHk="
done
settings=settings
for name in production build; do
    if [ -f "$APP_MODULE/settings/$name.py" ]; then settings="settings.$name"; fi
done
export DJANGO_SETTINGS_MODULE="${SETTINGS_BUILD:-$APP_MODULE.$settings}"
collected=${COLLECTED:-staticfiles}

# Settings may make logs/ and media/ as they are imported, and open files there: root's, they would
# take the place of the image's writable folders.
touch "$build/begun"
made=
for folder in logs media; do
    [ -e "$folder" ] || made="$made $folder"
done
commands() {
    printf '%s\n' "$2" | tr ';' '\n' | while read -r command; do
        # Unquoted: it has arguments.
        # shellcheck disable=SC2086
        [ -z "$command" ] || python manage.py $command || {
            echo "manage.py $command failed: $1 in docker/image.toml asks for it" >&2
            exit 1
        }
    done
}
commands before_collectstatic "${BEFORE_COLLECTSTATIC:-}"
python manage.py collectstatic --noinput --verbosity 0 || {
    echo "collectstatic failed with $DJANGO_SETTINGS_MODULE; what they need of their environment" \
        "stands below [app.environment] in docker/image.toml; settings that can't be used in a" \
        "build need others, settings_build (docs/adopting.md)" >&2
    exit 1
}
commands after_collectstatic "${AFTER_COLLECTSTATIC:-}"
if [ ! -d "$collected" ] && [ -d "/app/$collected" ]; then
    mkdir -p "$collected"
    cp -a "/app/$collected/." "$collected"
fi
if [ ! -d "$collected" ]; then
    root=$(python -c 'from django.conf import settings; print(settings.STATIC_ROOT)' 2>/dev/null || true)
    if [ -d "$root" ]; then
        echo "collectstatic wrote to ${root#"$build/app/"}: write that as static_root below [app] in" \
            "docker/image.toml, then run cargo xtask init" >&2
        exit 1
    fi
    echo "collectstatic wrote nothing to $collected, the static_root of docker/image.toml" >&2
fi
# Unquoted: it is a list of names.
# shellcheck disable=SC2086
rm -rf $made
for folder in logs media; do
    if [ -d "$folder" ]; then
        find "$folder" -type f -cnewer "$build/begun" -delete
        install --directory --owner=1000 --group=0 --mode=0775 "$folder"
    fi
done

# Tracebacks show the paths of the image.
python -m compileall -q -s "$build" -p / --invalidation-mode unchecked-hash "$build/app"

# All files but the code get the time of this step: a file that is served as it is must look new when
# it changed, and the times of `cargo xtask build` are made of what is in the files. That of a static
# file is made of its content: the same files are the same layer in every build, and another content
# has another ETag.
find . -type f ! -name '*.py' ! -name '*.pyc' -exec touch {} +
mkdir -p "$collected"
mv "$collected" "$build/staticfiles"
python -c 'import hashlib, os, pathlib, sys
for file in pathlib.Path(sys.argv[1]).rglob("*"):
    if file.is_file():
        digits = hashlib.sha1(file.read_bytes()).hexdigest()[:7]
        os.utime(file, (10**9 + int(digits, 16),) * 2)
' "$build/staticfiles"
find "$build/staticfiles" -type d -exec touch -d @1000000000 {} +
