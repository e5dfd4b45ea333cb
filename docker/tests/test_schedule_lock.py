"""The lock of the schedule, with sessions of a PostgreSQL that is a few lines of Python."""

import json
import socket
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from entrypoint.schedule_lock import ScheduleLock

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


class Server:
    def __init__(self, kind):
        self.kind = kind
        self.sessions = []
        self.holder = None
        self.reachable = True
        self.pooled = None

    def connect(self, seconds):
        if not self.reachable:
            raise OSError("connection refused")
        self.sessions.append(self.kind(self))
        return self.sessions[-1]

    def end(self, session):
        session.alive = False
        if self.holder is session:
            self.holder = None

    def restart(self):
        for session in self.sessions:
            self.end(session)


class Session:
    """What psycopg 3 and psycopg2 have alike."""

    info = SimpleNamespace(backend_pid=1)

    def __init__(self, server):
        self.server = server
        self.alive, self.listening = True, False
        self.pending = []
        # The lock shuts the session's socket; PostgreSQL sees it.
        self.ours, self.socket = socket.socketpair()

    def close(self):
        self.server.end(self)

    def fileno(self):
        return self.ours.fileno()

    @contextmanager
    def cursor(self):
        yield SimpleNamespace(execute=self.execute, description=True, fetchone=self.fetchone)

    def fetchone(self):
        return [self.last]

    def execute(self, statement, values=()):
        if self.alive and self.was_shut():
            self.server.end(self)
        if not self.alive:
            raise OSError("the connection is lost")
        self.last = self.answer(statement, values)
        for payload in self.pending:
            self.tell(SimpleNamespace(payload=payload))
        self.pending.clear()

    def was_shut(self):
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False

    def answer(self, statement, values):
        if "pg_backend_pid" in statement:
            # A pooler's own number is another.
            return 1 if self.server.pooled is None else 2
        if "current_setting" in statement:
            return "" if self.server.pooled == "transaction" else "here"
        if statement.startswith("LISTEN"):
            self.listening = True
        elif statement.startswith("UNLISTEN"):
            self.listening = False
        elif "pg_try_advisory_lock" in statement:
            holder = self.server.holder
            if holder is not None and holder.was_shut():
                self.server.end(holder)
            self.server.holder = self.server.holder or self
            return self.server.holder is self
        elif "pg_notify" in statement:
            for session in self.server.sessions:
                if session.alive and session.listening:
                    session.pending.append(values[1])
        return 1


class Psycopg3(Session):
    def add_notify_handler(self, handler):
        self.tell = handler


class Psycopg2(Session):
    def __init__(self, server):
        super().__init__(server)
        self.notifies = []

    def tell(self, notification):
        self.notifies.append(notification)


@pytest.fixture(params=[Psycopg3, Psycopg2])
def server(request):
    return Server(request.param)


def test_one_holds_the_lock_until_it_ends(server, caplog):
    caplog.set_level("INFO")
    first, second = ScheduleLock(server.connect), ScheduleLock(server.connect)
    assert [first.hold(), second.hold(), first.hold(), second.hold()] == [True, False, True, False]
    assert caplog.text.count("standing by") == 1
    first.close()
    assert second.hold() and not first.hold()


@pytest.mark.parametrize("pooled", [None, "session", "transaction"])
def test_a_pooler_that_keeps_no_sessions_is_told(server, pooled):
    server.pooled = pooled
    lock = ScheduleLock(server.connect)
    assert lock.hold()
    assert lock.impossible == (pooled == "transaction")
    # Otherwise the next client of that server process would hold it.
    assert (server.holder is None) == lock.impossible


def test_the_first_has_nothing_to_catch_up_with(server):
    lock = ScheduleLock(server.connect)
    lock.hold()
    assert lock.catch_up() is None


def test_the_follower_knows_what_was_sent(server):
    first, second = ScheduleLock(server.connect), ScheduleLock(server.connect)
    first.hold()
    before = datetime.now(timezone.utc)
    second.hold()
    first.announce("count", NOON.isoformat())
    server.end(server.holder)
    assert second.hold()
    sent = second.catch_up()
    assert sent("count") == NOON
    # Of what it hasn't heard it knows that it was sent, if at all, before it stood by.
    assert timedelta() <= sent("other") - before < timedelta(seconds=10)
    assert second.catch_up() is None


def test_a_lost_session_is_noticed_and_opened_again(server, caplog):
    lock = ScheduleLock(server.connect)
    assert lock.hold()
    server.restart()
    server.reachable = False
    assert not lock.hold() and not lock.hold() and not lock.hold()
    assert caplog.text.count("is lost; nothing is sent without it") == 1
    assert caplog.text.count("can't be had") == 0
    server.reachable = True
    assert lock.hold()
    # Nobody else was there: it goes on with what it knows.
    assert lock.catch_up() is None


def test_who_lost_it_stands_by_for_who_took_it(server):
    first, second = ScheduleLock(server.connect), ScheduleLock(server.connect)
    first.hold()
    second.hold()
    server.restart()
    # The second notices, and is back before the first.
    assert [second.hold(), second.hold()] == [False, True]
    assert [first.hold(), first.hold()] == [False, False]
    second.announce("count", NOON.isoformat())
    second.close()
    assert first.hold()
    assert first.catch_up()("count") == NOON


def test_what_was_sent_while_it_could_not_listen_is_not_sent_again(server):
    first, second = ScheduleLock(server.connect), ScheduleLock(server.connect)
    first.hold()
    second.hold()
    first.announce("count", NOON.isoformat())
    second.hold()
    server.end(second.session)
    first.close()
    before = datetime.now(timezone.utc)
    assert [second.hold(), second.hold()] == [False, True]
    assert second.catch_up()("count") >= before


def test_to_announce_without_the_lock_fails(server):
    lock = ScheduleLock(server.connect)
    lock.hold()
    server.restart()
    with pytest.raises(OSError):
        lock.announce("count", NOON.isoformat())


def test_the_announcement_is_what_others_read(server):
    lock = ScheduleLock(server.connect)
    lock.hold()
    listener = server.connect(1)
    listener.execute("LISTEN container_beat")
    lock.announce("a 'quoted' name", NOON.isoformat())
    assert json.loads(listener.pending[0]) == {
        "name": "a 'quoted' name",
        "at": "2030-01-01T12:00:00+00:00",
    }
