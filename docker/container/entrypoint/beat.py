"""Beat, one at a time: the others stand by. Celery's scheduler sends, or the one that the project
names (django-celery-beat, redbeat).

The lock belongs to a session of PostgreSQL, which every service waits for anyway. It ends with the
process that holds it, or 25 seconds after its host has vanished; a process that is only stopped
keeps it. A lock in Redis would expire under a slow process, which would then send twice.
"""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from celery.app.utils import find_app
from celery.signals import beat_init, before_task_publish

from entrypoint import postgres
from entrypoint.heartbeat import touch
from entrypoint.messages import reason_of, say
from entrypoint.patience import ATTEMPT_SECONDS, InProgress, Patience, within

# `healthcheck` allows 60 seconds; beat would sleep for up to five minutes.
LONGEST_SLEEP_SECONDS = 20

UNLOCKED = "nothing keeps a second beat from sending as well"

# Celery's own, which has a file. It is a `dbm` of the kind that the base image's Python has; some
# kinds end the process that opens a damaged one, so another process looks at it first.
WITH_FILE = "celery.beat:PersistentScheduler"
LOOK = """import shelve, sys
with shelve.open(sys.argv[1]) as file:
    {**dict(file).get("entries", {})}
"""
LOOK_SECONDS = 30
OPTION = "--schedule="
STOPS = {signal.SIGTERM, signal.SIGINT}
# What an empty one takes, several times over.
ROOM = 2**18


def prepare(words):
    """Waits for the lock; then the words of a command line on which beat can start."""
    session = take_turn()
    if session is not None:
        before_task_publish.connect(lambda **_: check(session), weak=False)
    beat_init.connect(lambda sender, **_: watch(sender.scheduler, session), weak=False)
    conf = find_app(words[words.index("-A") + 1]).conf
    # What was sent is written at once, so that a crash doesn't send it again.
    conf.beat_sync_every = conf.beat_sync_every or 1
    paths = [word.removeprefix(OPTION) for word in words if word.startswith(OPTION)]
    if conf.beat_scheduler == WITH_FILE and paths:
        words = [*words, f"{OPTION}{usable(Path(paths[-1]))}"]
    # Celery's handler closes the scheduler: in the middle of its making, it would make a second.
    # `watch` lets them in.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    return words


def take_turn():
    """The session that holds the lock; None if there can be no lock."""
    if postgres.vendor() != "postgresql":
        say(f"the database isn't PostgreSQL: {UNLOCKED}", "WARNING")
        return None

    def lock():
        touch()
        if not postgres.locks(session, "beat"):
            raise InProgress("it sends the schedule; standing by")

    try:
        session = within(ATTEMPT_SECONDS, lambda: postgres.connect(ATTEMPT_SECONDS))
        if not postgres.keeps_sessions(session, postgres.connect):
            say(f"a pooler in transaction mode holds no lock: {UNLOCKED}", "WARNING")
            return None
        postgres.keep_alive(session)
        Patience().wait_for("another beat", lock, lambda _: False, (InProgress,))
    except Exception as error:
        begin_again(f"the lock of the schedule can't be had: {reason_of(error)}")
    return session


def watch(scheduler, session):
    """Each turn of the loop is a heartbeat, looks at the lock, and isn't far from the next. A volume
    that is full by now doesn't stop it."""
    own_tick = scheduler.tick

    def tick(*arguments, **options):
        touch()
        check(session)
        return min(own_tick(*arguments, **options), LONGEST_SLEEP_SECONDS)

    def said(keep):
        try:
            keep()
        except OSError as error:
            say(f"the schedule isn't kept: {reason_of(error)}", "ERROR")

    scheduler.tick = tick
    scheduler.sync, scheduler.close = partial(said, scheduler.sync), partial(said, scheduler.close)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def check(session):
    """Also right before a task is sent: connecting to the broker may have taken long."""
    try:
        if session is not None:
            within(ATTEMPT_SECONDS, lambda: postgres.run(session, "SELECT 1"))
    except Exception as error:
        begin_again(f"the lock of the schedule is lost, nothing is sent: {reason_of(error)}")


def begin_again(why):
    """As a container that has just started: it waits for PostgreSQL, and for its turn."""
    say(why, "ERROR")
    time.sleep(1)
    # Blocked until `start.main` handles them.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    words = [word for word in sys.orig_argv[1:] if word != "--prepared"]
    os.execv(sys.executable, [sys.executable, *words])


def usable(path):
    """This path, if a schedule can be kept there. A damaged file is set aside."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        reason, path = error.strerror, Path(tempfile.gettempdir()) / path.name
        say(f"{reason}: the schedule is kept in {path}, no longer than this container lives", "ERROR")
    reason = damage(path)
    if reason is not None:
        say(f"the schedule {path} can't be read, and is set aside: {reason}", "ERROR")
        for suffix in ("", ".db", ".dat", ".dir", ".bak"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                os.replace(part, free(path.with_name(f"{path.name}.corrupt{suffix}")))
    return path


def damage(path):
    """Why the schedule can't be read, if it can't."""
    command = [sys.executable, "-c", LOOK, path]
    try:
        looked = subprocess.run(command, capture_output=True, text=True, timeout=LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it isn't read in {LOOK_SECONDS} s"
    if looked.returncode == 0:
        return None
    return reason_of(looked.stderr) if looked.stderr else f"exit {looked.returncode}"


def free(path):
    """This name, or one with a number if a folder has it."""
    names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(name for name in itertools.chain([path], names) if not name.is_dir())
