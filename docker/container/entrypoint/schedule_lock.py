"""One beat at a time sends the schedule; others stand by, and hear what it sends.

The lock is that of a session of PostgreSQL, which every service waits for anyway. It ends with the
process that holds it, at once, or 25 seconds after a host that has vanished; a process that is
only stopped keeps it. A lock in Redis would expire under a process that is slow, which would then
send what the next one has sent. The price: without PostgreSQL nothing is sent.
"""

import json
import logging
import os
import socket
from datetime import datetime, timezone

from entrypoint import postgres
from entrypoint.messages import reason_of
from entrypoint.patience import ATTEMPT_SECONDS, within

logger = logging.getLogger(__name__)

CHANNEL = "container_beat"


class ScheduleLock:
    def __init__(self, connect=postgres.connect):
        self.connect = connect
        self.session = None
        self.held = False
        # Since when another beat has been seen to hold the lock; what was due until then is sent.
        self.behind = None
        # What has been heard that another beat sent, by name.
        self.heard = {}
        self.complained = False
        # Whether something between us and PostgreSQL keeps no sessions, and so no locks.
        self.impossible = False

    def hold(self):
        """Whether the lock is ours, asked of PostgreSQL itself."""
        try:
            if self.session is None:
                self.begin()
            if self.impossible:
                self.held = True
            elif self.held:
                self.run("SELECT 1")
            else:
                self.try_lock()
        except Exception as error:
            self.lose(error)
        return self.held

    def begin(self):
        # Not in the thread that connects: it may be left behind, and end later.
        self.session, self.heard = within(ATTEMPT_SECONDS, self.listening_session)
        self.complained = False
        if self.behind is not None:
            # What was sent while we couldn't listen isn't known.
            self.behind = now()

    def listening_session(self):
        heard = {}

        def hear(text):
            sent = json.loads(text)
            heard[sent["name"]] = datetime.fromisoformat(sent["at"])

        session = self.connect(ATTEMPT_SECONDS)
        self.impossible = not postgres.keeps_sessions(session, self.connect)
        if self.impossible:
            return session, heard
        postgres.keep_alive(session)
        postgres.listen(session, CHANNEL, hear)
        return session, heard

    def try_lock(self):
        key = postgres.lock_key("beat")
        self.held = self.run("SELECT pg_try_advisory_lock(%s)", key)
        if self.held:
            # Nobody sends any more; with the answer comes the last that was heard.
            self.run(f"UNLISTEN {CHANNEL}")
        elif self.behind is None:
            logger.info("Another beat sends the schedule; standing by")
            self.behind = now()

    def announce(self, name, at):
        """Right before a task is sent. It raises where the lock can't be ours any more."""
        self.run("SELECT pg_notify(%s, %s)", CHANNEL, json.dumps({"name": name, "at": at}))

    def catch_up(self):
        """When an entry was sent at the latest, as a function of its name; None where nobody else
        was there."""
        behind, heard = self.behind, self.heard
        self.behind, self.heard = None, {}
        return behind and (lambda name: heard.get(name, behind))

    def run(self, statement, *values):
        session = self.session
        return within(ATTEMPT_SECONDS, lambda: postgres.run(session, statement, values))

    def lose(self, error):
        if self.held:
            logger.error(
                "The lock of the schedule is lost; nothing is sent without it: %s", reason_of(error)
            )
        elif not self.complained:
            logger.warning("The lock of the schedule can't be had: %s", reason_of(error))
        self.complained = True
        self.close()

    def close(self):
        session, self.session, self.held = self.session, None, False
        if session is None:
            return
        # Another thread may still wait for an answer, which must not find the session freed.
        try:
            with socket.socket(fileno=os.dup(session.fileno())) as connection:
                connection.shutdown(socket.SHUT_RDWR)
        except Exception as error:
            logger.debug("The session was closed already: %s", error)


def now():
    return datetime.now(timezone.utc)
