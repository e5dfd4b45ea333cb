"""Between the entrypoint and a service: waits for what the service needs, then becomes it.

    python prepare.py ROLE COMMAND [WORD...]

It reads PostgreSQL's and Redis' places from the Django settings, so that it can't differ from
the application. The exit code is 64 for a mistake in the settings, else 1.
"""

import os
import signal
import sys
import time
from urllib.parse import urlsplit

MIGRATING_ROLES = ("web", "gunicorn")

# What waiting can't mend. PostgreSQL gives no code before the connection stands, only its text.
HOPELESS_DATABASE = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
)


class Refusal(Exception):
    """Ends the container with one line."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


def say(message):
    print(f"entrypoint: {message}", file=sys.stderr, flush=True)


def number(name, default):
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e6:
        raise Refusal(f"{name} must be a number, not '{text}'", code=64)
    return value


def reason_of(error):
    """One line: the last attempt's where psycopg tried several addresses, without libpq's hints."""
    lines = [line for line in str(error).splitlines() if line.strip() and line[0] != "\t"]
    return lines[-1].lstrip("- ") if lines else type(error).__name__


def wait_for(what, attempt, hopeless, temporary):
    """Calls `attempt` every WAIT_INTERVAL seconds until it works, at most WAIT_ATTEMPTS times."""
    attempts = int(number("WAIT_ATTEMPTS", 30))
    interval = number("WAIT_INTERVAL", 2)
    start = time.monotonic()
    for count in range(1, attempts + 1):
        try:
            attempt()
            return
        except temporary as error:
            if hopeless(error):
                raise Refusal(f"{what} refuses: {reason_of(error)}") from None
            reason = reason_of(error)
        # By the clock: an attempt that hangs takes its time from the pause after it.
        left = (attempts - count) * interval
        if count < attempts:
            say(f"waiting for {what}, {left:g} s left: {reason}")
            time.sleep(max(0, start + count * interval - time.monotonic()))
    if attempts:
        raise Refusal(f"gave up waiting for {what} after {attempts * interval:g} s: {reason}")


def database_connection():
    """The default database's wrapper, or None where it isn't PostgreSQL."""
    from django.db import connection

    return connection if connection.vendor == "postgresql" else None


def connect(connection):
    import psycopg

    parameters = connection.get_connection_params()
    # libpq takes no less than two seconds.
    parameters["connect_timeout"] = max(2, int(number("WAIT_INTERVAL", 2)))
    return psycopg.connect(**parameters, autocommit=True)


def wait_for_database():
    connection = database_connection()
    if connection is None:
        return
    import psycopg

    place = connection.settings_dict
    host = place["HOST"] or "the local socket"
    what = f"PostgreSQL at {host}:{place['PORT'] or 5432}/{place['NAME']}"
    wait_for(
        what,
        attempt=lambda: connect(connection).close(),
        hopeless=lambda error: any(text in str(error) for text in HOPELESS_DATABASE),
        temporary=psycopg.OperationalError,
    )


def redis_url():
    from django.conf import settings

    for name in ("REDIS_URL", "CELERY_BROKER_URL"):
        url = getattr(settings, name, None) or ""
        if url.startswith(("redis://", "rediss://", "unix://")):
            return name, url
    return None, None


def wait_for_redis():
    name, url = redis_url()
    if url is None:
        return
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    timeout = max(2, number("WAIT_INTERVAL", 2))
    try:
        parts = urlsplit(url)
        what = f"Redis at {parts.hostname or ''}:{parts.port or 6379}{parts.path}"
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        # Not the text of the error: it may quote a piece of the password.
        raise Refusal(f"{name} is no Redis URL", code=64) from None
    with client:
        # A refusal is an answer, and the next one would be the same.
        refusals = (redis.AuthenticationError, redis.ResponseError)
        wait_for(
            what,
            attempt=client.ping,
            hopeless=lambda error: isinstance(error, refusals),
            temporary=redis.RedisError,
        )


def migrate():
    """One container migrates; others that start meanwhile wait, and then find nothing to do."""
    from django.core.management import call_command

    connection = database_connection()
    if connection is None:
        call_command("migrate", interactive=False, stdout=sys.stderr)
        return
    # A session of its own holds the lock, and loses it however this process ends. The key is the
    # name of what is locked; locks are apart for each database.
    with connect(connection) as session:
        key = int.from_bytes(b"migrate")
        if not session.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()[0]:
            say("another container migrates the database; waiting for it")
            session.execute("SELECT pg_advisory_lock(%s)", [key])
        call_command("migrate", interactive=False, stdout=sys.stderr)


def prepare(role):
    import django
    from django.core.exceptions import ImproperlyConfigured

    # As manage.py and the services do: the project is in the working folder.
    sys.path.insert(0, os.getcwd())
    try:
        django.setup()
        wait_for_database()
    except ImproperlyConfigured as error:
        raise Refusal(f"{os.environ['DJANGO_SETTINGS_MODULE']}: {error}", code=64) from None
    wait_for_redis()
    if role in MIGRATING_ROLES and os.environ.get("MIGRATE") != "0":
        try:
            migrate()
        except Exception as error:
            import traceback

            traceback.print_exc()
            raise Refusal(f"the migrations failed: {reason_of(error)}") from None


def leave(number, _):
    # The first process of a container gets only the signals that it handles.
    sys.exit(128 + number)


def become(command):
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores the latter two, and whoever comes after it would inherit that.
        signal.signal(name, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise Refusal(f"can't run {command[0]}: {error.strerror}", code=127) from None


def main():
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    role, *command = sys.argv[1:]
    try:
        prepare(role)
        become(command)
    except Refusal as refusal:
        say(refusal)
        return refusal.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
