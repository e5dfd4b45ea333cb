"""The worker role for real: Celery with a broker that is a folder."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from settings_of_tests import SQLITE

TASKS = """
import os, time
import celery

application = celery.Celery("work", broker="filesystem://")
application.conf.update(
    broker_transport_options={
        "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control",
        "polling_interval": 0.1,
    },
    task_acks_late=os.environ.get("LATE") != "no",
    # As a project may have them: they must not lengthen the end.
    worker_soft_shutdown_timeout=60,
    worker_enable_soft_shutdown_on_idle=True,
)

@application.task
def work(name, seconds):
    open(f"{name}-begun", "w").close()
    time.sleep(seconds)
    open(f"{name}-done", "w").close()
"""
CELERY = (
    *("celery", "-A", "work", "worker", "--include=entrypoint.worker", "--concurrency=1"),
    *("--without-gossip", "--without-mingle", "--heartbeat-interval=1"),
)


@pytest.fixture
def worker(start, tmp_path):
    (tmp_path / "work.py").write_text(TASKS)
    (tmp_path / "queue").mkdir()
    (tmp_path / "control").mkdir()

    def begin(seconds, late=True, **environment):
        environment["LATE"] = "yes" if late else "no"
        container = start(SQLITE, "worker", *CELERY, **environment)
        wait_for(tmp_path / "container-heartbeat")
        send(tmp_path, "long", seconds)
        wait_for(tmp_path / "long-begun")
        return container

    return begin


def send(folder, name, seconds):
    line = f"import work; work.work.delay({name!r}, {seconds})"
    subprocess.run([sys.executable, "-c", line], cwd=folder, check=True)


def wait_for(path):
    for _ in range(2400):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {path.name}")


def test_a_busy_worker_shows_that_it_lives_and_finishes_its_task(worker, tmp_path):
    container = worker(2.5)
    heartbeat = tmp_path / "container-heartbeat"
    os.utime(heartbeat, (0, 0))
    time.sleep(1.3)
    assert time.time() - heartbeat.stat().st_mtime < 10
    assert not (tmp_path / "long-done").exists()
    assert container.stop() == 0
    assert (tmp_path / "long-done").exists()
    assert not list((tmp_path / "queue").iterdir())


def test_a_task_that_takes_too_long_goes_back_to_its_queue(worker, tmp_path):
    container = worker(60, STOP_GRACE_PERIOD="4")
    assert not list((tmp_path / "queue").iterdir())
    assert container.stop() == 0
    assert len(list((tmp_path / "queue").iterdir())) == 1
    said = container.process.stderr.read()
    assert re.search(r"not done in time: work.work\[\S+\] goes back to its queue\n", said)
    assert "is lost" not in said


def test_an_early_acknowledged_task_that_takes_too_long_is_said_to_be_lost(worker, tmp_path):
    container = worker(60, late=False, STOP_GRACE_PERIOD="4")
    assert container.stop() == 0
    assert not list((tmp_path / "queue").iterdir()) and not (tmp_path / "long-done").exists()
    said = container.process.stderr.read()
    assert re.search(r"not done in time: work.work\[\S+\] is lost\n", said)
    assert "goes back" not in said


@pytest.mark.parametrize("late", [True, False])
def test_without_a_grace_period_a_task_may_take_as_long_as_it_does(worker, tmp_path, late):
    # Longer than the 6 seconds that a grace period of 10 would leave.
    container = worker(9, late=late, STOP_GRACE_PERIOD="")
    assert container.stop() == 0
    assert (tmp_path / "long-done").exists()
    assert not list((tmp_path / "queue").iterdir())
    assert "not done in time" not in container.process.stderr.read()


@pytest.mark.parametrize(
    ("period", "seconds"), [("10", 6), ("30", 26), ("4", 0.1), ("1", 0.1), ("", None)]
)
def test_the_end_of_tasks_comes_before_the_engines(monkeypatch, period, seconds):
    """Whatever is left ends a second before the service's own three."""
    from entrypoint import worker

    monkeypatch.setenv("STOP_GRACE_PERIOD", period)
    before = signal.getsignal(signal.SIGALRM)
    try:
        worker.end_in_time("Warm")
        left = signal.setitimer(signal.ITIMER_REAL, 0)[0]
        assert left == (0 if seconds is None else pytest.approx(seconds, abs=0.1))
        worker.end_in_time("Cold")
        assert signal.setitimer(signal.ITIMER_REAL, 0)[0] == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
