import importlib
import logging
import os
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import celery
import pytest
from celery.signals import beat_init
from entrypoint import beat, heartbeat
from entrypoint.beat import Scheduler


class Lock:
    """The lock as `hold` finds it, one answer a turn; then it stays."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.held = False
        self.announced = []
        self.sent = None
        self.fails = False
        self.closed = self.impossible = False

    def hold(self):
        if self.answers:
            self.held = self.answers.pop(0)
        return self.held

    def announce(self, name, at):
        if self.fails:
            raise OSError("the session is gone")
        self.announced.append((name, datetime.fromisoformat(at)))

    def catch_up(self):
        sent, self.sent = self.sent, None
        return sent

    def lose(self, error):
        self.held, self.lost = False, error

    def close(self):
        self.closed, self.held = True, False


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """Makes a scheduler on the test's file, as beat does, with one entry that is due each hour."""
    monkeypatch.setenv("CONTAINER_HEARTBEAT", str(tmp_path / "heartbeat"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    application = celery.Celery("shop", broker="memory://", set_as_current=False)
    application.conf.beat_schedule = {"count": {"task": "shop.count", "schedule": 3600}}
    sent = []
    monkeypatch.setattr(Scheduler, "apply_async", lambda self, entry, **_: sent.append(entry.name))

    def make(lock=None, file=tmp_path / "schedule"):
        monkeypatch.setattr(beat, "schedule_lock", lambda: lock)
        made = Scheduler(application, schedule_filename=str(file))
        made.sent_names = sent
        return made

    return make


def set_last_run(scheduler, hours_ago):
    scheduler.schedule["count"].last_run_at = datetime.now(timezone.utc) - timedelta(
        hours=hours_ago
    )
    scheduler._heap = None


def test_each_tick_of_any_scheduler_is_a_heartbeat_and_none_is_far(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTAINER_HEARTBEAT", str(tmp_path / "heartbeat"))

    class Service:
        scheduler = SimpleNamespace(tick=lambda: 300)

    service = Service()
    beat_init.send(sender=service)
    assert service.scheduler.tick() == 20
    assert (tmp_path / "heartbeat").exists()


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        ("", "entrypoint.beat:Scheduler"),
        ("app.conf.beat_scheduler = 'django'", "django"),
        ("app.conf.beat_scheduler = 'shop:Own'", "shop:Own"),
    ],
)
def test_the_scheduler_that_a_project_names_is_used(tmp_path, monkeypatch, named, chosen):
    name = f"project{abs(hash(named))}"
    (tmp_path / f"{name}.py").write_text(f"import celery\napp = celery.Celery()\n{named}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    beat.choose_scheduler(name)
    assert importlib.import_module(name).app.conf.beat_scheduler == chosen


def test_the_schedule_survives_a_restart(scheduler):
    first = scheduler()
    first.tick()
    first.schedule["count"].total_run_count = 7
    first.close()
    second = scheduler()
    second.tick()
    assert second.schedule["count"].total_run_count == 7


def test_what_was_sent_survives_a_crash(scheduler):
    first = scheduler()
    first.tick()
    set_last_run(first, hours_ago=2)
    first.tick()
    assert first.sent_names == ["count"]
    # It isn't closed.
    second = scheduler()
    second.tick()
    assert second.sent_names == ["count"]


def test_without_the_lock_nothing_is_read_written_or_sent(scheduler, tmp_path):
    (tmp_path / "schedule").write_bytes(b"another beat writes here")
    lock = Lock(False, False)
    standing_by = scheduler(lock)
    assert standing_by.tick() == standing_by.tick() == 2
    assert standing_by.schedule == {}
    standing_by.close()
    assert (tmp_path / "schedule").read_bytes() == b"another beat writes here"
    assert (lock.announced, standing_by.sent_names, lock.closed) == ([], [], True)


def test_where_no_lock_can_be_held_it_sends_all_the_same(scheduler, caplog):
    lock = Lock(True)
    lock.impossible = True
    alone = scheduler(lock)
    alone.tick()
    set_last_run(alone, hours_ago=2)
    alone.tick()
    assert (alone.sent_names, lock.announced, lock.closed) == (["count"], [], True)
    assert caplog.text.count("A pooler in transaction mode holds no lock: nothing keeps") == 1


def test_it_goes_on_where_the_other_has_ended(scheduler):
    minutes_ago = datetime.now(timezone.utc) - timedelta(minutes=10)
    lock = Lock(False, True)
    lock.sent = lambda name: minutes_ago
    follower = scheduler(lock)
    follower.tick()
    follower.tick()
    assert follower.schedule["count"].last_run_at == minutes_ago
    assert follower.sent_names == []
    # An hour after the other has sent it, not after this one has started.
    due = follower.schedule["count"].is_due()
    assert 49 * 60 < due.next < 51 * 60


def test_what_is_sent_is_announced_before(scheduler):
    lock = Lock(True)
    leader = scheduler(lock)
    leader.tick()
    set_last_run(leader, hours_ago=2)
    leader.tick()
    assert leader.sent_names == ["count"]
    name, at = lock.announced[0]
    assert name == "count" and abs(at - datetime.now(timezone.utc)) < timedelta(seconds=10)


def test_a_lock_that_is_lost_before_the_sending_stops_it(scheduler):
    lock = Lock(True)
    leader = scheduler(lock)
    leader.tick()
    set_last_run(leader, hours_ago=2)
    lock.fails = True
    assert leader.tick() == 2
    assert leader.sent_names == [] and str(lock.lost) == "the session is gone"
    # Its turn is still to come.
    lock.fails, lock.answers = False, [True]
    leader.tick()
    assert leader.sent_names == ["count"]


def test_without_postgresql_it_is_said_that_nothing_is_locked(monkeypatch, caplog):
    monkeypatch.setattr("entrypoint.postgres.vendor", lambda: "sqlite")
    assert beat.schedule_lock() is None
    assert "nothing keeps a second beat" in caplog.text


def test_a_heartbeat_that_can_not_be_written_stops_nothing(monkeypatch):
    monkeypatch.setenv("CONTAINER_HEARTBEAT", "/proc/no-such")
    heartbeat.touch()
    monkeypatch.delenv("CONTAINER_HEARTBEAT")
    heartbeat.touch()


def broken_pickle(path):
    # Of a class that is gone.
    path.write_bytes(b"cno_such_module\nThing\n.")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"\0broken\xff" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"N."),
        broken_pickle,
    ],
)
def test_a_corrupt_file_is_moved_aside(scheduler, tmp_path, damage):
    path = tmp_path / "schedule"
    first = scheduler()
    first.tick()
    first.close()
    damage(path)
    damaged = path.read_bytes()
    second = scheduler()
    second.tick()
    assert "count" in second.schedule
    assert (tmp_path / "schedule.corrupt").read_bytes() == damaged
    second.close()
    assert len(path.read_bytes()) > 100


@pytest.mark.parametrize("file", ["/proc/schedule", "/no/such/folder/schedule"])
def test_a_file_that_can_not_be_written_is_replaced(scheduler, tmp_path, caplog, file):
    first = scheduler(file=file)
    first.tick()
    first.schedule["count"].total_run_count = 7
    first.sync()
    first.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert f"The schedule {file} can't be written" in caplog.text
    second = scheduler(file=file)
    second.tick()
    assert second.schedule["count"].total_run_count == 7


def test_without_any_folder_it_goes_on(scheduler, tmp_path, caplog):
    (tmp_path / "temporary").rmdir()
    alone = scheduler(file="/proc/schedule")
    alone.tick()
    set_last_run(alone, hours_ago=2)
    alone.tick()
    alone.close()
    assert alone.sent_names == ["count"]


def test_a_folder_in_its_place_is_moved_aside(scheduler, tmp_path):
    (tmp_path / "schedule").mkdir()
    scheduler().tick()
    assert (tmp_path / "schedule").is_file() and (tmp_path / "schedule.corrupt").is_dir()


def test_the_schedule_is_written_beside_and_then_put_in_its_place(tmp_path):
    """A crash while it is written leaves the old one: the old file itself is not written to."""
    from entrypoint import schedule_file

    path, old = tmp_path / "schedule", tmp_path / "old"
    schedule_file.write(path, {"entries": {"a": 1}})
    os.link(path, old)
    schedule_file.write(path, {"entries": {"b": 2}})
    assert schedule_file.read(old) == {"entries": {"a": 1}}
    assert schedule_file.read(path) == {"entries": {"b": 2}}
