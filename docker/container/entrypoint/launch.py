"""Becoming the service: in this process, so that Python and Django are loaded once.

Signals are handled without a gap: until the service sets its own handlers, ours stay.
"""

import gc
import logging
import os
import pkgutil
import shutil
import signal
import sys
import threading

from entrypoint.messages import Refusal, is_json

# What the console script of each command calls; ours call those of daphne and uvicorn.
MAINS = {
    "daphne": "entrypoint.web:main",
    "uvicorn": "entrypoint.launch:run_uvicorn",
    "gunicorn": "gunicorn.app.wsgiapp:run",
    "celery": "celery.__main__:main",
}

# Pools of Celery and workers of gunicorn that replace parts of Python before all else is loaded.
GREEN = ("eventlet", "gevent")


def needs_fresh_process(command):
    """A thread that was left behind (`patience.within`) must not be there when a service forks."""
    return threading.active_count() > 1 or any(
        word in text for text in (*command, *gunicorn_settings()) for word in GREEN
    )


def gunicorn_settings():
    """What gunicorn reads in addition to its command line."""
    try:
        with open("gunicorn.conf.py") as file:
            text = file.read()
    except OSError:
        text = ""
    return text, os.environ.get("GUNICORN_CMD_ARGS") or ""


def run_uvicorn():
    import uvicorn

    if is_json():
        # Its lines are the root logger's, as Django's LOGGING sets it.
        uvicorn.config.LOGGING_CONFIG.update(handlers={}, loggers={})
    return uvicorn.main()


def become(role, command):
    from django.db import connections

    connections.close_all()
    if needs_fresh_process(command):
        # Blocked until `start.main` handles them: nothing is lost on the way.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, sys.argv[0], "--prepared", role, *command])
    return serve(command)


def serve(command):
    """Runs the service to its end; its exit code."""
    name, *words = command
    try:
        main = pkgutil.resolve_name(MAINS[name])
    except KeyError:
        raise Refusal(f"'{name}' is no service; known: {', '.join(MAINS)}", code=64) from None
    if name == "celery" and "beat" in words:
        from entrypoint import beat

        words = beat.prepare(words)
    if is_json():
        # Neither Python's warnings nor Celery's banner are lines of such a log.
        logging.captureWarnings(True)
        words = ["--quiet", *words] if name == "celery" else words
    # As the console script would have it; what restarts itself runs that script.
    sys.argv = [shutil.which(name) or name, *words]
    # What is loaded stays: it needs no collection, and children share its memory.
    gc.freeze()
    gc.enable()
    return main()
