"""With LOG_FORMAT=json each line of each role is a JSON object."""

import json
import socket
import sys
import time
import urllib.error
import urllib.request

import pytest
from settings_of_tests import SQLITE

LOGGING = """
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": ["levelname", "name", "message"],
            "timestamp": "time",
            "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "exception"},
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
"""
ASGI = """
async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
"""
WSGI = """
def application(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("what Django lets through")
    start_response("201 Created", [])
    return [b"done"]
"""
CELERY = """
from celery import Celery
from celery.signals import setup_logging
setup_logging.connect(lambda **_: None, weak=False)
app = Celery("shop", broker="memory://")
"""


def lines_of(container):
    """All that it has written, its end awaited."""
    text = "".join(container.process.communicate(timeout=40))
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys(), line
    return lines


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.mark.parametrize("server", ["daphne", "uvicorn", "gunicorn"])
def test_a_server(start, tmp_path, port, server):
    (tmp_path / "site_of_tests.py").write_text(WSGI if server == "gunicorn" else ASGI)
    words = {
        "daphne": ["-b", "127.0.0.1", "-p", str(port), "site_of_tests:application"],
        "uvicorn": ["--port", str(port), "--lifespan=off", "site_of_tests:application"],
        "gunicorn": ["site_of_tests:application", "--bind", f"127.0.0.1:{port}"],
    }[server]
    arguments = "--logger-class=entrypoint.access.AccessLogger --access-logfile=-"
    container = start(
        SQLITE + LOGGING,
        "gunicorn" if server == "gunicorn" else "web",
        server,
        *words,
        LOG_FORMAT="json",
        GUNICORN_CMD_ARGS=arguments,
    )
    for _ in range(2400):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/a?b=c", timeout=10).read()
            break
        except OSError:
            time.sleep(0.05)
    else:
        raise AssertionError("it doesn't answer")
    if server == "gunicorn":
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/fails", timeout=10)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"no request\r\n\r\n")
            assert b" 400 " in connection.recv(100)
    container.process.terminate()
    lines = lines_of(container)
    loggers = {line["logger"] for line in lines}
    if server == "uvicorn":
        assert {"uvicorn.access", "uvicorn.error"} <= loggers
        return
    access = [line for line in lines if line["logger"] == "access"]
    assert [line["status"] for line in access] == ([201, 500] if server == "gunicorn" else [201])
    assert access[0]["message"].startswith("GET /a") and access[0]["seconds"] >= 0
    assert ("gunicorn.error" if server == "gunicorn" else "daphne.cli") in loggers


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_celery(start, tmp_path, role):
    (tmp_path / "shop.py").write_text(CELERY)
    words = {
        "worker": ["--pool=solo", "--include=entrypoint.worker"],
        "beat": [f"--schedule={tmp_path}/schedule"],
    }[role]
    loglevel = "--loglevel=info"
    container = start(
        SQLITE + LOGGING, role, "celery", "-A", "shop", role, loglevel, *words, LOG_FORMAT="json"
    )
    mark = "ready" if role == "worker" else "Starting"
    begun = [json.loads(line) for line in container.read_until(mark)]
    assert any(line["logger"].startswith("celery") for line in begun)
    container.process.terminate()
    lines_of(container)


def test_a_migration(start):
    container = start(SQLITE + LOGGING, "migrate", LOG_FORMAT="json")
    lines = lines_of(container)
    assert any("Applying contenttypes.0001_initial" in line["message"] for line in lines)
    assert container.process.returncode == 0


def test_a_crash_is_one_line(start):
    container = start("raise RuntimeError('one\\ntwo')", "web", "daphne", "x", LOG_FORMAT="json")
    (line,) = lines_of(container)
    assert (line["level"], line["message"]) == ("ERROR", "RuntimeError: one two")
    assert "Traceback" in line["exception"] and "one\ntwo" in line["exception"]


def test_a_refusal(start):
    container = start("from nowhere import x", "web", "daphne", "x", LOG_FORMAT="json")
    assert container.process.wait(timeout=40) == 1
    lines_of(container)
