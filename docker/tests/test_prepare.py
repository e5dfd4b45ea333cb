import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import DOCKER

SQLITE = (
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
    "INSTALLED_APPS = ['django.contrib.contenttypes']\n"
)
POSTGRESQL = (
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'shop',"
    " 'USER': 'shop', 'PASSWORD': 'hunter2', 'HOST': '127.0.0.1', 'PORT': '1'}}\n"
)
CLOSED_REDIS = "REDIS_URL = 'redis://:hunter2@127.0.0.1:1/3'\n"


def test_without_services_the_command_starts_at_once(prepare):
    result = prepare("worker", SQLITE, "echo", "two words")
    assert (result.returncode, result.stdout, result.stderr) == (0, "two words\n", "")


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (POSTGRESQL, "PostgreSQL at 127.0.0.1:1/shop"),
        (SQLITE + CLOSED_REDIS, "Redis at 127.0.0.1:1/3"),
    ],
)
def test_a_closed_port_is_waited_for_and_given_up(prepare, settings, place):
    result = prepare("web", settings, "echo", "started")
    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"entrypoint: waiting for {place}, 0.1 s left: ")
    assert lines[1].startswith(f"entrypoint: waiting for {place}, 0.05 s left: ")
    assert lines[2].startswith(f"entrypoint: gave up waiting for {place} after 0.15 s: ")
    assert "refused" in lines[2]
    assert "hunter2" not in result.stderr


def test_no_attempts_wait_for_nothing(prepare):
    settings = POSTGRESQL + CLOSED_REDIS
    result = prepare("web", settings, "echo", "started", WAIT_ATTEMPTS="0", MIGRATE="0")
    assert (result.returncode, result.stdout) == (0, "started\n")


@pytest.mark.parametrize("value", ["many", "-1", "nan"])
def test_a_wrong_number_is_refused(prepare, value):
    result = prepare("worker", POSTGRESQL, "echo", WAIT_ATTEMPTS=value)
    assert result.returncode == 64
    assert result.stderr == f"entrypoint: WAIT_ATTEMPTS must be a number, not '{value}'\n"


def test_a_wrong_url_is_refused_without_its_password(prepare):
    result = prepare("worker", SQLITE + "REDIS_URL = 'redis://:hunt/er2@redis'\n", "echo")
    assert (result.returncode, result.stderr) == (
        64,
        "entrypoint: REDIS_URL is no Redis URL\n",
    )


def serve_redis(answers):
    """A Redis that greets each client and gives its PING the next of the answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1000):
                    for command in re.findall(rb"\*\d+\r\n\$\d+\r\n(\w+)", data):
                        other = b"%1\r\n+proto\r\n:3\r\n" if command == b"HELLO" else b"+OK\r\n"
                        connection.sendall(answer if command == b"PING" else other)

    threading.Thread(target=serve, daemon=True).start()
    return f"REDIS_URL = 'redis://127.0.0.1:{listener.getsockname()[1]}/0'\n"


def test_a_service_that_comes_up_ends_the_wait(prepare):
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    settings = SQLITE + serve_redis([loading, b"+PONG\r\n"])
    result = prepare("worker", settings, "echo", "started", WAIT_ATTEMPTS="9")
    assert (result.returncode, result.stdout) == (0, "started\n"), result.stderr
    assert "waiting for Redis" in result.stderr


def test_a_wrong_password_fails_at_once(prepare):
    settings = SQLITE + serve_redis([b"-WRONGPASS invalid username-password pair\r\n"])
    result = prepare("worker", settings, "echo", WAIT_ATTEMPTS="9")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert " refuses: " in result.stderr


def test_web_migrates_before_it_starts(prepare):
    result = prepare("web", SQLITE, "echo", "started")
    assert (result.returncode, result.stdout) == (0, "started\n")
    assert "Applying contenttypes.0001_initial" in result.stderr
    assert "Applying" not in prepare("web", SQLITE, "echo", MIGRATE="0").stderr
    assert "Applying" not in prepare("worker", SQLITE, "echo").stderr


def test_a_failing_migration_stops_the_start(prepare):
    settings = SQLITE.replace(":memory:", "/no/such/folder/database")
    result = prepare("gunicorn", settings, "echo", "started")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("entrypoint: the migrations failed: ")


def test_a_mistake_in_the_settings_is_one_line(prepare):
    settings = (
        "from django.core.exceptions import ImproperlyConfigured\n"
        "raise ImproperlyConfigured('Set in the environment: SECRET_KEY')\n"
    )
    result = prepare("web", settings, "echo")
    assert result.returncode == 64
    assert result.stderr == ("entrypoint: prepare_settings: Set in the environment: SECRET_KEY\n")


def test_a_command_that_is_not_there(prepare):
    result = prepare("worker", SQLITE, "no-such-program")
    assert result.returncode == 127
    assert "can't run no-such-program" in result.stderr


def test_a_signal_ends_the_wait(tmp_path):
    (tmp_path / "prepare_settings.py").write_text("USE_TZ = True\n" + POSTGRESQL)
    process = subprocess.Popen(
        [sys.executable, str(DOCKER / "container/prepare.py"), "web", "echo"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "prepare_settings"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert "waiting for PostgreSQL" in process.stderr.readline()
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 128 + signal.SIGTERM
        assert time.monotonic() - start < 1
