#!/bin/sh
# The first process of every container: prepares the environment, then becomes what was asked for.
#
#   web | daphne | uvicorn                      HTTP and WebSockets; web is what WEB_SERVER names
#   gunicorn                                    HTTP
#   celery-worker | celery_worker | worker      tasks
#   celery-beat | celery_beat | beat            the schedule of tasks
#   migrate                                     the migrations, and then it ends
#   any program                                 is run unchanged, at once
#
# Words after a role are added to the command line of its service. docs/environment.md lists the
# variables. Exit codes before the service runs: 64, the container was started wrongly, and starting
# it again won't help; 127, there is neither such a role nor such a program; 1, something it needs
# is missing or failed; 130 and 143, a signal.
set -eu

# A first process gets only the signals that it handles.
trap 'exit 130' INT
trap 'exit 143' TERM

LIBRARY=${CONTAINER_LIBRARY:-/usr/local/lib/container}

say() {
    if [ "${LOG_FORMAT:-}" != json ]; then
        printf 'entrypoint: %s\n' "$*" >&2
        return 0
    fi
    text=$(printf %s "$*" | tr '\000-\037' ' ' | sed 's/[\\"]/\\&/g')
    printf '{"level": "%s", "logger": "entrypoint", "message": "%s", "time": "%s"}\n' \
        "${level:-INFO}" "$text" "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)" >&2
}

# 64 is EX_USAGE.
refuse() {
    level=ERROR say "$*"
    exit 64
}

# At most ten digits, so that shell arithmetic can't overflow.
is_number() {
    case $1 in
        '' | *[!0-9]* | ???????????*) return 1 ;;
    esac
}

# Without leading zeros afterwards: shell arithmetic would take 08 for an octal number.
require_numbers() {
    most=$1
    shift
    for name in "$@"; do
        text=$(value_of "$name")
        [ -n "$text" ] || continue
        is_number "$text" || refuse "$name must be a number, not '$text'"
        number=${text#"${text%%[!0]*}"}
        number=${number:-0}
        [ "$number" -le "$most" ] || refuse "$name must be at most $most, not '$text'"
        export "$name=$number"
    done
}

# The value of the variable with this name.
value_of() {
    case $1 in
        '' | [0-9]* | *[!A-Za-z0-9_]*) refuse "'$1' is no name of a variable" ;;
    esac
    eval "printf '%s' \"\${$1:-}\""
}

# An environment file with the line ends of Windows puts a CR at the end of each value. Values of
# several lines, such as certificates, may have them.
refuse_carriage_returns() {
    end=$(printf '\r')
    names=$(env -0 | tr '\n\0' '\001\n' \
        | sed -n "s/^\([A-Za-z_][A-Za-z0-9_]*\)=[^$(printf '\001')]*$end\$/\1/p")
    # Unquoted: it is a list of words.
    # shellcheck disable=SC2086
    set -- $names
    [ $# -eq 0 ] || refuse "the value of $* ends in a carriage return; write the file that sets it with Unix line ends"
}

# Every NAME that a NAME_FILE stands for.
names_of_files() {
    env -0 | tr '\n\0' '\001\n' | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)_FILE=.*/\1/p'
}

# A program may read such a file itself (SSL_CERT_FILE, LOG_FILE): these are secrets for sure.
is_secret() {
    case $2 in
        /run/secrets/* | /var/run/secrets/*) return 0 ;;
    esac
    case " SECRET_KEY FIELD_ENCRYPTION_KEY DB_PASSWORD REDIS_URL ${REQUIRED_ENVIRONMENT:-} " in
        *" $1 "*) return 0 ;;
    esac
    return 1
}

# The kernel takes no variable of 128 KiB, such as a bundle of certificates.
is_value() {
    [ -f "$1" ] && [ -r "$1" ] && [ -s "$1" ] && [ "$(wc -c <"$1")" -lt 65536 ]
}

# Before root is given up: a mounted secret may be readable by root alone.
read_files() {
    for name in $(names_of_files); do
        file=$(value_of "${name}_FILE")
        [ -n "$file" ] || { unset "${name}_FILE" && continue; }
        if is_secret "$name" "$file"; then
            unset "${name}_FILE"
            [ -z "$(value_of "$name")" ] || refuse "$name and ${name}_FILE are both set; keep one"
            [ -f "$file" ] && [ -r "$file" ] || refuse "${name}_FILE: can't read $file"
            is_value "$file" || [ ! -s "$file" ] || refuse "${name}_FILE: $file has 64 KiB or more"
        elif [ -n "$(value_of "$name")" ] || ! is_value "$file"; then
            continue
        fi
        value=$(cat "$file")
        value=${value%"$(printf '\r')"}
        [ -n "$value" ] || refuse "${name}_FILE: $file is empty"
        export "$name=$value"
    done
}

# The folders that the application writes are the image's user's; another user gets them. A folder
# that is mounted with another owner is left alone, and so is what is inside.
hand_over_folders() {
    for folder in "${STATE_DIR:?}" "/var/log/${APP_MODULE:?}" /app/logs /app/media; do
        if [ -d "$folder" ] && [ "$PUID" -ne 1000 ] && [ "$(stat -c %u "$folder")" = 1000 ]; then
            chown "$PUID:$PGID" "$folder" || say "$folder stays user 1000's"
        fi
    done
}

# Runs a program as PUID:PGID. No capability is left, and no program can gain any.
drop_privileges() {
    exec setpriv --reuid="$PUID" --regid="$PGID" --clear-groups --inh-caps=-all --no-new-privs "$@"
}

# Only if the container was started as root; the image itself starts as 1000:1000.
become_user() {
    user=$(id -u)
    if [ "$user" != 0 ]; then
        [ "${PUID:-$user}" = "$user" ] \
            || say "PUID=$PUID has no effect: the container was started as user $user, not as root"
        return 0
    fi
    if [ "${ALLOW_ROOT:-}" = 1 ] && [ "${PUID:-0}" = 0 ]; then
        return 0
    fi
    PUID=${PUID:-1000}
    PGID=${PGID:-1000}
    # One more is -1 to the kernel: it changes nothing, and the container would stay root.
    require_numbers 4294967294 PUID PGID
    for name in PUID PGID; do
        if [ "$(value_of "$name")" = 0 ] && [ "${ALLOW_ROOT:-}" != 1 ]; then
            refuse "$name=0 is root; set ALLOW_ROOT=1 if that is meant"
        fi
    done
    [ "$PUID" -ne 0 ] || return 0
    # Tried first: setpriv's own failure is exit 127, which means something else here.
    if ! reason=$(drop_privileges true 2>&1); then
        refuse "can't become user $PUID:$PGID ($reason); give root the capabilities SETUID and SETGID, or start as --user $PUID:$PGID"
    fi
    hand_over_folders
    drop_privileges "$0" "$@"
}

# Root's home, or `/` from an unknown number, is nothing the user can write.
choose_home() {
    if [ -n "${HOME:-}" ] && [ "$HOME" != / ] && [ -d "$HOME" ] && [ -w "$HOME" ]; then
        return 0
    fi
    user=$(id -u)
    HOME=/tmp
    while IFS=: read -r _ _ number _ _ folder _; do
        if [ "$number" = "$user" ] && [ -d "$folder" ] && [ -w "$folder" ]; then
            HOME=$folder
        fi
    done </etc/passwd
    export HOME
}

choose_settings() {
    if [ -n "${DJANGO_SETTINGS_MODULE:-}" ]; then
        SETTINGS_FROM=DJANGO_SETTINGS_MODULE
        return 0
    fi
    settings=${ENVIRONMENT:-production}
    case $settings in
        prod) settings=production ;;
        dev) settings=development ;;
    esac
    SETTINGS_FROM="ENVIRONMENT=${ENVIRONMENT:-production}"
    # What docker/image.toml names: NAME=MODULE for each, or one module for all.
    known=
    for word in ${SETTINGS_MODULES:-}; do
        if [ "${word%%=*}" = "$settings" ] || [ "$word" = "${word#*=}" ]; then
            export DJANGO_SETTINGS_MODULE="${word#*=}"
            return 0
        fi
        known="${known:+$known, }${word%%=*}"
    done
    case $known$settings in
        production | development) ;;
        *)
            known=${known:-production (prod), development (dev)}
            refuse "unknown ENVIRONMENT '${ENVIRONMENT:-}'; known: $known"
            ;;
    esac
    if [ -f "$APP_MODULE/settings.py" ]; then
        # The project's only ones; they may read ENVIRONMENT themselves.
        SETTINGS_FROM="$APP_MODULE/settings.py"
        export DJANGO_SETTINGS_MODULE="$APP_MODULE.settings"
        return 0
    fi
    export DJANGO_SETTINGS_MODULE="$APP_MODULE.settings.$settings"
}

# All that are missing in one line, so that they aren't met one by one.
require_environment() {
    missing=
    for name in ${REQUIRED_ENVIRONMENT:-}; do
        [ -n "$(value_of "$name")" ] || missing="$missing $name"
    done
    # Unquoted: it is a list of words.
    # shellcheck disable=SC2086
    set -- $missing
    case $# in
        0) ;;
        1) refuse "$1 is not set; give it with -e $1=… or $1_FILE=/run/secrets/…" ;;
        *) refuse "$(printf '%s, ' "$@" | sed 's/, $//') are not set; give each with -e $1=… or $1_FILE=/run/secrets/…" ;;
    esac
}

# Services only: `exec` of this script in a running container must not change its role. It is for
# `healthcheck`, which the engine starts in this container. /tmp can be read-only; then it is /dev/shm, also
# for other temporary files. Without either only Daphne works, and the others show no life.
record_role() {
    for folder in ${CONTAINER_RUN:-/tmp /dev/shm}; do
        if rm -f "$folder/container-heartbeat" 2>/dev/null \
            && { printf '%s\n' "$1" >"$folder/container-role"; } 2>/dev/null; then
            [ "$folder" = /tmp ] || export TMPDIR="${TMPDIR:-$folder}"
            export CONTAINER_HEARTBEAT="$folder/container-heartbeat"
            return 0
        fi
    done
    message="no temporary folder can be written; mount one, such as --tmpfs /tmp"
    case $1 in
        web | migrate) say "$message" ;;
        *) refuse "$message" ;;
    esac
}

# One process waits, migrates, and then becomes the service: nothing stands between the engine's
# signals and the service, and Python and Django are loaded once. Signals wait until it handles
# them: until then the first process would lose them.
run_service() {
    role=$1
    shift
    say "$role with $DJANGO_SETTINGS_MODULE (from $SETTINGS_FROM)"
    require_environment
    require_numbers 65535 PORT
    require_numbers 999999 WAIT_ATTEMPTS STOP_GRACE_PERIOD
    record_role "$role"
    exec env --block-signal=INT,TERM python "$LIBRARY/service.py" "$role" "$@"
}

# Sets `host`, without the brackets of an IPv6 address, and `finishing`: a server's own patience with
# requests is longer than the engine's with it.
prepare_web() {
    require_numbers 65535 PORT
    require_numbers 999999 STOP_GRACE_PERIOD
    host=${WEB_BIND:-0.0.0.0}
    host=${host#[}
    host=${host%]}
    grace=${STOP_GRACE_PERIOD:-10}
    finishing=$((grace > 3 ? grace - 3 : 1))
}

run_web() {
    prepare_web
    case ${1:-} in
        daphne | uvicorn) server=$1 && shift ;;
        *) server=${WEB_SERVER:-daphne} ;;
    esac
    case $server in
        daphne) run_service web daphne -b "$host" -p "${PORT:-8000}" "$ASGI_APPLICATION" "$@" ;;
        uvicorn)
            run_service web uvicorn --host "$host" --port "${PORT:-8000}" \
                --timeout-graceful-shutdown "$finishing" "$ASGI_APPLICATION" "$@"
            ;;
        *) refuse "unknown WEB_SERVER '$server'; known: daphne, uvicorn" ;;
    esac
}

run_gunicorn() {
    prepare_web
    require_numbers 9999999999 GUNICORN_WORKERS GUNICORN_TIMEOUT \
        GUNICORN_MAX_REQUESTS GUNICORN_MAX_REQUESTS_JITTER
    case $host in *:*) host="[$host]" ;; esac
    [ "${LOG_FORMAT:-}" != json ] || export \
        GUNICORN_CMD_ARGS="--logger-class=entrypoint.access.AccessLogger ${GUNICORN_CMD_ARGS:-}"
    run_service gunicorn gunicorn "$WSGI_APPLICATION" \
        --bind "$host:${PORT:-8000}" \
        --workers "${GUNICORN_WORKERS:-4}" \
        --timeout "${GUNICORN_TIMEOUT:-120}" \
        --max-requests "${GUNICORN_MAX_REQUESTS:-1000}" \
        --max-requests-jitter "${GUNICORN_MAX_REQUESTS_JITTER:-50}" \
        --access-logfile - --error-logfile - \
        --graceful-timeout "$finishing" "$@"
}

run_worker() {
    require_numbers 9999999999 CELERY_CONCURRENCY CELERY_MAX_TASKS_PER_CHILD
    run_service worker celery -A "${CELERY_APP:-$APP_MODULE}" worker \
        --loglevel="${CELERY_LOGLEVEL:-info}" \
        --queues="$CELERY_QUEUES" \
        --concurrency="${CELERY_CONCURRENCY:-4}" \
        --max-tasks-per-child="${CELERY_MAX_TASKS_PER_CHILD:-100}" \
        --include=entrypoint.worker "$@"
}

# No pid file: a container has one beat, and a file that a crash left would keep it from starting.
run_beat() {
    run_service beat celery -A "${CELERY_APP:-$APP_MODULE}" beat \
        --loglevel="${CELERY_LOGLEVEL:-info}" \
        --pidfile= \
        --schedule="${CELERY_SCHEDULE:-$STATE_DIR/celerybeat-schedule}" "$@"
}

run_migrate() {
    [ $# -eq 0 ] || refuse "migrate takes no words; for others run: python manage.py migrate $*"
    run_service migrate
}

ROLES='web (daphne, uvicorn), gunicorn, worker (celery-worker), beat (celery-beat), migrate'

is_program() {
    case $1 in
        '') return 1 ;;
        */*) [ -f "$1" ] && [ -x "$1" ] && return 0 || return 1 ;;
    esac
    IFS=:
    for folder in $PATH; do
        if [ -f "${folder:-.}/$1" ] && [ -x "${folder:-.}/$1" ]; then
            unset IFS
            return 0
        fi
    done
    unset IFS
    return 1
}

run_program() {
    if ! is_program "$1"; then
        say "'$1' is no role and no program; roles: $ROLES"
        exit 127
    fi
    exec "$@"
}

main() {
    [ $# -gt 0 ] || refuse "nothing to run; roles: $ROLES"
    refuse_carriage_returns
    read_files
    become_user "$@"
    choose_home
    choose_settings
    case $1 in
        web) shift && run_web "$@" ;;
        daphne | uvicorn) run_web "$@" ;;
        gunicorn) shift && run_gunicorn "$@" ;;
        celery-worker | celery_worker | worker) shift && run_worker "$@" ;;
        celery-beat | celery_beat | beat) shift && run_beat "$@" ;;
        migrate) shift && run_migrate "$@" ;;
        *) run_program "$@" ;;
    esac
}

main "$@"
