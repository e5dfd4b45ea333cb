"""The worker role for real: Celery with a broker that is a folder."""

import os
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
    task_acks_late=True,
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

    def begin(seconds, **environment):
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
    for _ in range(400):
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
    code, seconds = container.stop()
    assert code == 0 and seconds < 30
    assert (tmp_path / "long-done").exists()
    assert not list((tmp_path / "queue").iterdir())


def test_a_task_that_takes_too_long_goes_back_to_its_queue(worker, tmp_path):
    container = worker(60, STOP_GRACE_PERIOD="4")
    assert not list((tmp_path / "queue").iterdir())
    code, seconds = container.stop()
    assert code == 0 and seconds < 30
    assert len(list((tmp_path / "queue").iterdir())) == 1
    assert "tasks that aren't done go back" in container.process.stderr.read()
