"""Migrations of the default database: made once, by one container, and there before a service."""

import gc
import sys

from entrypoint import postgres
from entrypoint.messages import Lines, Refusal, is_json, reason_of, say, show_crash
from entrypoint.patience import InProgress


class NotYet(Exception):
    """Another container must do something first."""


def pending():
    """What is left to apply, as `app.name`."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def migrate(patience):
    """Applies what is pending. Containers that start together take turns, and find nothing left."""
    try:
        if postgres.vendor() == "unknown" or not pending():
            say("nothing to migrate")
            return
        if postgres.vendor() == "postgresql":
            take_turn(patience)
        # Another container may have done it meanwhile.
        if pending():
            run()
    except Refusal:
        raise
    except Exception as error:
        show_crash(*sys.exc_info())
        raise Refusal(f"the migrations failed: {reason_of(error)}") from None


def run():
    from django.core.management import call_command

    # `start` has turned it off; a migration may handle more data than is good without. What is
    # loaded by now it needn't look at.
    gc.freeze()
    gc.enable()
    try:
        stream = Lines() if is_json() else sys.stderr
        call_command("migrate", interactive=False, stdout=stream)
    except SystemExit:
        # By `start.leave`; the database drivers cancel what runs.
        say("the migration was interrupted; what it had not committed is rolled back")
        raise


def take_turn(patience):
    """Locks on the session that migrates: no other begins while it lives, however this process
    ends. Who closes the connection gives the lock back."""
    from django.db import connection

    connection.ensure_connection()
    # The driver's own connection: Django's can't be used by the thread that asks.
    session = connection.connection
    if not postgres.keeps_sessions(session, postgres.connect):
        say(
            "a pooler in transaction mode holds no lock: let one container migrate, others with MIGRATE=0"
        )
        return
    postgres.keep_alive(session)

    def lock():
        if not postgres.locks(session, "migrate"):
            raise InProgress("it migrates the database")

    patience.wait_for("another container", lock, lambda _: False, (InProgress,))


def wait_until_applied(patience):
    """For roles that don't migrate. A SQLite file is the container's own: no other one would."""
    from django.db import OperationalError, connections

    if postgres.vendor() in ("unknown", "sqlite"):
        return

    def look():
        try:
            names = pending()
            if names and postgres.vendor() == "postgresql" and postgres.is_locked("migrate"):
                raise InProgress("another container applies them")
        finally:
            # They belong to the thread that asks.
            connections.close_all()
        if names:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            raise NotYet(f"{names[0]}{more} to be applied")

    try:
        temporary = (InProgress, NotYet, OperationalError)
        patience.wait_for("the migrations", look, lambda _: False, temporary)
    except Refusal as refusal:
        raise Refusal(f"{refusal}\nmigrate with the role 'migrate', or a web container") from None
