"""docker/dev/reload.py, which starts a command again when a file is saved."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from conftest import DOCKER

RELOAD = str(DOCKER / "dev" / "reload.py")
# It tells its start, and its end by SIGTERM.
SERVICE = "trap 'echo ended; exit 0' TERM; echo started; while :; do sleep 0.1; done"


@pytest.fixture
def reload(tmp_path):
    running = []

    def start(*words, environment=None):
        process = subprocess.Popen(
            [sys.executable, RELOAD, *words],
            cwd=tmp_path,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    (tmp_path / "a.py").write_text("1")
    (tmp_path / "a.html").write_text("1")
    yield start
    for process in running:
        # Not killed at once: what it started has its own session.
        process.terminate()
        try:
            process.wait(20)
        finally:
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


def test_a_server_that_cannot_start_shows_why_until_a_save_mends_it(reload, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = "grep -q good a.html && exec sleep 60; echo the reason >&2; exit 1"
    process = reload("--web", str(port), "sh", "-c", script)
    told = lines_until(process, "save a file")
    assert told == ["the reason", "reload: ended with exit status 1; save a file to start it again"]
    for _ in range(20):
        try:
            urlopen(f"http://127.0.0.1:{port}/any/", timeout=5)
        except HTTPError as answer:
            assert (answer.code, answer.read()) == (500, b"the reason")
            break
        except OSError:
            time.sleep(0.1)
    else:
        raise AssertionError("no answer")
    (tmp_path / "a.html").write_text("good")
    lines_until(process, "starting again")
    time.sleep(1)
    # The port is the server's again.
    socket.create_server(("127.0.0.1", port)).close()


def test_the_next_python_has_loaded_the_packages_and_not_the_project(
    reload, tmp_path, tmp_path_factory
):
    package = tmp_path_factory.mktemp("packages")
    (package / "slow_package.py").write_text("import sys; print('loaded', flush=True)")
    (tmp_path / "own.py").write_text("NUMBER = 1")
    server = "import own, slow_package, sys, time\nprint(own.NUMBER, sys.argv, flush=True)\n"
    (tmp_path / "server.py").write_text(server + "time.sleep(60)")
    environment = {"PYTHONPATH": str(package), "TMPDIR": str(package)}
    process = reload("--web", "1", "python", "server.py", "word", environment=environment)
    shown = "['server.py', 'word']"
    assert lines_until(process, shown) == ["loaded", f"1 {shown}"]
    # The next one is there before anything is saved.
    assert lines_until(process, "loaded") == ["loaded"]
    (tmp_path / "own.py").write_text("NUMBER = 2")
    assert lines_until(process, shown) == ["reload: a file was saved: starting again", f"2 {shown}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_its_children(reload, tmp_path, number):
    process = reload("sh", "-c", "sleep 1234 & echo $! $$; wait")
    children = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(number)
    assert process.wait(10) == 0
    for child in children:
        assert is_over(child), child


def is_over(process):
    """Reaped, or a zombie of a first process that doesn't reap."""
    for _ in range(50):
        try:
            if Path(f"/proc/{process}/stat").read_text().rsplit(")")[-1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_a_package_that_fails_while_it_is_warmed_up_is_whole_for_the_command(tmp_path):
    library = tmp_path / "library"
    (library / "half").mkdir(parents=True)
    # As a package that reads the settings when it is imported, after one of its modules.
    (library / "half/__init__.py").write_text("import half.inside, os\nos.environ['SETTINGS']\n")
    (library / "half/inside.py").write_text("x = 1\n")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "manage.py").write_text(
        "import os; os.environ['SETTINGS'] = '1'\nimport half\nprint(half.inside.x)\n"
    )
    (tmp_path / "list").write_text('["half.inside", "half"]')
    result = subprocess.run(
        [sys.executable, str(DOCKER / "dev/warm.py"), str(tmp_path / "list")],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(library)},
        input='["manage.py"]\n',
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == "1\n", result.stderr
