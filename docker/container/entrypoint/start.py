"""From the first instruction to the service: settings, waiting, migrations, launch."""

import gc
import os
import signal
import sys

from entrypoint import migrations, postgres
from entrypoint.messages import Refusal, say, show_crash
from entrypoint.patience import Patience


def leave(number, _):
    """The first process of a container gets only the signals that it handles."""
    say(f"ended by {signal.Signals(number).name}")
    sys.exit(128 + number)


def load_settings():
    """One line for each mistake, and no traceback: it would hide it."""
    import django
    from django.core import checks
    from django.core.exceptions import ImproperlyConfigured

    module = os.environ["DJANGO_SETTINGS_MODULE"]
    try:
        django.setup()
        found = checks.run_checks(tags=["service"], include_deployment_checks=True)
        require_database_port(module)
    except ImproperlyConfigured as error:
        raise Refusal(f"{module}: {error}", code=64) from None
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise Refusal(f"{module}: there is no such module", code=64) from None
    found = [message for message in found if not message.is_silenced()]
    lines = [f"{item.id}: {item.msg}{f' ({item.hint})' if item.hint else ''}" for item in found]
    if any(item.is_serious() for item in found):
        raise Refusal("\n".join([*lines, f"{module} is not fit for a service"]), code=64)
    say("\n".join(lines))


def require_database_port(module):
    """Kubernetes sets DB_PORT to `tcp://ADDRESS:PORT` in each pod next to a service named `db`."""
    from django.db import connection

    # libpq takes several, with commas.
    port = str(connection.settings_dict.get("PORT") or "")
    if not all(part.isascii() and part.isdigit() for part in port.split(",") if part):
        hint = "set it in the deployment, or enableServiceLinks: false" if "://" in port else "set it"
        raise Refusal(
            f"{module}: the port of the database must be a number, not '{port}'; {hint}", code=64
        )


def migrates(role):
    word = os.environ.get("MIGRATE") or "1"
    if word not in ("0", "1"):
        raise Refusal(f"MIGRATE must be 0 or 1, not '{word}'", code=64)
    return role == "migrate" or (role in ("web", "gunicorn") and word == "1")


def prepare(role):
    # As manage.py and the services have it: the project is in the working folder.
    sys.path.insert(0, os.getcwd())
    here = migrates(role)
    load_settings()
    patience = Patience()
    if patience.seconds:
        wait_for_services(role, patience)
    if here:
        migrations.migrate(patience)
    elif patience.seconds:
        migrations.wait_until_applied(patience)


def wait_for_services(role, patience):
    if postgres.vendor() == "postgresql":
        postgres.wait(patience)
    if role != "migrate":
        from entrypoint import broker

        broker.wait(patience)


def main(words):
    sys.excepthook = show_crash
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    # entrypoint.sh, or `launch`, has kept them back until here.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    # Everything that is loaded now stays loaded; `launch` turns it on again.
    gc.disable()
    prepared = words[0] == "--prepared"
    role, *command = words[prepared:]
    try:
        if prepared:
            sys.path.insert(0, os.getcwd())
        else:
            prepare(role)
        if role == "migrate":
            return 0
        from entrypoint import launch

        return launch.serve(command) if prepared else launch.become(role, command)
    except Refusal as refusal:
        say(refusal, "ERROR")
        return refusal.code
