"""PostgreSQL as the Django settings name it: whether it answers, and sessions that hold a lock."""

from entrypoint.messages import reason_of

# What waiting can't mend. PostgreSQL gives no code before the connection stands, only its text.
HOPELESS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied for database",
    "is not permitted to log in",
)

# A host that vanished keeps nothing for longer than 25 seconds: both ends ask for the other.
KEEPALIVES = {"idle": 10, "interval": 5, "count": 3}


def vendor():
    """That of the default database: "postgresql", "sqlite", …; "unknown" if there is none."""
    from django.db import connection

    return connection.vendor


def place():
    """For people: where it is, never the password."""
    from django.db import connection

    settings = connection.settings_dict
    host = settings["HOST"] or "the local socket"
    return f"PostgreSQL at {host}:{settings['PORT'] or 5432}/{settings['NAME']}"


def driver():
    """The one that Django has chosen: psycopg 3, or psycopg2 in a project that locks that."""
    from django.db import connection

    return connection.Database


def connect(seconds):
    """A new session. libpq takes no less than two seconds for a timeout."""
    from django.db import connection

    parameters = {f"keepalives_{name}": value for name, value in KEEPALIVES.items()}
    parameters |= connection.get_connection_params()
    parameters["connect_timeout"] = max(2, int(seconds))
    session = driver().connect(**parameters)
    session.autocommit = True
    return session


def run(session, statement, values=()):
    """The first value of the answer, if there is one."""
    with session.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0] if cursor.description else None


def keeps_sessions(session, connect):
    """Whether each statement of a session reaches the same server process, as a lock needs. Through
    PgBouncer in transaction mode it reaches any that is free.
    """
    # Behind a pooler the session has another process ID.
    if run(session, "SELECT pg_backend_pid()") == session.info.backend_pid:
        return True
    run(session, "SELECT set_config('container.mark', 'here', false)")
    other = connect(2)
    try:
        # Its transaction takes the process that is free: the one that has the mark.
        other.autocommit = False
        run(other, "SELECT 1")
        return run(session, "SELECT current_setting('container.mark', true)") == "here"
    finally:
        other.close()


def keep_alive(session):
    """Lets the server end the session, and with it its locks, when our host has vanished."""
    for name, value in KEEPALIVES.items():
        run(session, f"SET tcp_keepalives_{name} = {value}")


def lock_key(name):
    """The key of an advisory lock: its name. Locks are apart for each database."""
    return int.from_bytes(name.encode("ascii"), "big")


def locks(session, name):
    """Whether the session could take the lock."""
    return run(session, "SELECT pg_try_advisory_lock(%s)", [lock_key(name)])


def is_locked(name):
    """Whether any session on the default database holds the lock."""
    from django.db import connection

    key = lock_key(name)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE datname = current_database() AND locktype = 'advisory' AND granted"
            " AND objsubid = 1 AND classid = %s AND objid = %s",
            [key >> 32, key & 0xFFFFFFFF],
        )
        return cursor.fetchone()[0] > 0


def wait(patience):
    patience.wait_for(
        place(),
        attempt=lambda: connect(patience.interval).close(),
        hopeless=lambda error: any(text in reason_of(error) for text in HOPELESS),
        temporary=(driver().OperationalError,),
    )
