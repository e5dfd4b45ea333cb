import shelve
import sys

import celery
import pytest
from conftest import DOCKER


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """Makes a scheduler on the test's file, as beat does."""
    monkeypatch.syspath_prepend(str(DOCKER / "container"))
    monkeypatch.setenv("CONTAINER_HEARTBEAT", str(tmp_path / "heartbeat"))
    for name in ("beat_schedule", "heartbeat"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    from beat_schedule import Scheduler

    application = celery.Celery("shop", broker="memory://", set_as_current=False)
    application.conf.beat_schedule = {"count": {"task": "shop.count", "schedule": 3600}}
    schedulers = []

    def make():
        schedulers.append(Scheduler(application, schedule_filename=str(tmp_path / "schedule")))
        return schedulers[-1]

    yield make
    # Else it would write its file when the interpreter ends.
    schedulers[-1].close()


def test_each_tick_is_a_heartbeat_and_none_is_far(scheduler, tmp_path):
    assert 0 <= scheduler().tick() <= 20
    assert (tmp_path / "heartbeat").exists()


def test_the_schedule_survives_a_restart(scheduler, tmp_path):
    first = scheduler()
    first.schedule["count"].total_run_count = 7
    first.close()
    assert scheduler().schedule["count"].total_run_count == 7
    assert not list(tmp_path.glob("*.corrupt"))


def test_a_file_that_is_no_database_is_moved_aside(scheduler, tmp_path):
    (tmp_path / "schedule").write_bytes(b"\0broken\xff" * 100)
    assert "count" in scheduler().schedule
    assert (tmp_path / "schedule.corrupt").read_bytes().startswith(b"\0broken")


def test_entries_that_can_not_be_read_are_moved_aside(scheduler, tmp_path):
    store = shelve.open(str(tmp_path / "schedule"))
    # A pickle of a class that is gone.
    store.dict[b"entries"] = b"cno_such_module\nThing\n."
    store.close()
    assert "count" in scheduler().schedule
    assert list(tmp_path.glob("*.corrupt"))
