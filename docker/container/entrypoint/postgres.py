"""PostgreSQL as the Django settings name it: whether it answers, and sessions that hold a lock."""

from entrypoint.messages import Refusal, reason_of

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
    """That of the default database: "postgresql", "sqlite", …; "unknown" where there is none."""
    from django.db import connection

    return connection.vendor


def place():
    """For people: where it is, never the password."""
    from django.db import connection

    settings = connection.settings_dict
    host = settings["HOST"] or "the local socket"
    return f"PostgreSQL at {host}:{settings['PORT'] or 5432}/{settings['NAME']}"


def driver():
    try:
        import psycopg
    except ModuleNotFoundError:
        raise Refusal("the database is PostgreSQL, and psycopg 3 isn't installed", 64) from None
    return psycopg


def connect(seconds):
    """A session of its own. libpq takes no less than two seconds for a timeout."""
    from django.db import connection

    parameters = {f"keepalives_{name}": value for name, value in KEEPALIVES.items()}
    parameters |= connection.get_connection_params()
    parameters["connect_timeout"] = max(2, int(seconds))
    return driver().connect(**parameters, autocommit=True)


def keep_alive(session):
    """Lets the server end the session, and with it its locks, when our host has vanished."""
    for name, value in KEEPALIVES.items():
        session.execute(f"SET tcp_keepalives_{name} = {value}")


def lock_key(name):
    """The key of an advisory lock: its name. Locks are apart for each database."""
    return int.from_bytes(name.encode("ascii"), "big")


def wait(patience):
    patience.wait_for(
        place(),
        attempt=lambda: connect(patience.interval).close(),
        hopeless=lambda error: any(text in reason_of(error) for text in HOPELESS),
        temporary=(driver().OperationalError,),
    )
