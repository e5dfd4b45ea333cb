"""docker/dev/reload.py, which starts a command again when a file is saved."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import DOCKER

RELOAD = str(DOCKER / "dev" / "reload.py")
# It tells its start, and its end by SIGTERM.
SERVICE = "trap 'echo ended; exit 0' TERM; echo started; while :; do sleep 0.1; done"


@pytest.fixture
def reload(tmp_path):
    running = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, RELOAD, *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    (tmp_path / "a.py").write_text("1")
    yield start
    for process in running:
        process.kill()
        process.wait()


def lines_until(process, text):
    seen = []
    for line in process.stdout:
        seen.append(line.strip())
        if text in line:
            return seen
    raise AssertionError(f"no {text!r} in {seen}")


def test_a_saved_file_starts_the_command_again(reload, tmp_path):
    process = reload("sh", "-c", SERVICE)
    lines_until(process, "started")
    (tmp_path / "notes.txt").write_text("no Python")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.py").write_text("not ours")
    time.sleep(1.2)
    (tmp_path / "new.py").write_text("1")
    assert lines_until(process, "started") == [
        "reload: a file was saved: starting again",
        "ended",
        "started",
    ]
    (tmp_path / "new.py").unlink()
    assert "ended" in lines_until(process, "started")


def test_a_command_that_ended_waits_for_the_next_save(reload, tmp_path):
    process = reload("sh", "-c", "grep -q good a.py && echo fine || exit 3; exec sleep 60")
    told = lines_until(process, "ended with exit status 3")
    assert told == ["reload: ended with exit status 3; save a file to start it again"]
    (tmp_path / "a.py").write_text("good")
    lines_until(process, "fine")


def test_what_reloads_itself_is_left_alone_until_it_ends(reload, tmp_path):
    process = reload("--when-ended", "sh", "-c", "echo started $(cat a.py); sleep 4; exit 5")
    lines_until(process, "started 1")
    (tmp_path / "a.py").write_text("2")
    assert lines_until(process, "save a file")[-1].startswith("reload: ended with exit status 5")
    (tmp_path / "a.py").write_text("3")
    assert lines_until(process, "started")[-1] == "started 3"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_its_children(reload, tmp_path, number):
    process = reload("sh", "-c", "sleep 1234 & echo $! $$; wait")
    children = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(number)
    assert process.wait(10) == 0
    for child in children:
        with pytest.raises(ProcessLookupError):
            # Reaped, or with nobody to reap it: gone, or a zombie of the first process.
            os.kill(child, 0)
            if open(f"/proc/{child}/stat").read().rsplit(")")[-1].split()[0] == "Z":
                raise ProcessLookupError
