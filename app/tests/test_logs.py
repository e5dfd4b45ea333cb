"""A line of the log in production: an object that says which request or task it belongs to."""

import json
import logging
import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet
from django.http import HttpResponse

from senex_trader.celery import application
from senex_trader.logs import Belonging, request_id
from senex_trader.middleware import number_requests

SCRIPT = """
import logging, django
django.setup()
logger = logging.getLogger("shop")
from senex_trader.celery import application
from senex_trader.logs import request_id
request_id.set("r1")
logger.info("ünder %s", "way", extra={"order": 7})
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("failed")
"""


def lines(**environment):
    environment = {
        "DJANGO_SETTINGS_MODULE": "senex_trader.settings.production",
        "SECRET_KEY": "x" * 50,
        "FIELD_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        **environment,
    }
    folder = Path(__file__).resolve().parents[1]
    words = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_a_line_is_an_object():
    first, second = [json.loads(line) for line in lines(LOG_FORMAT="json")]
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "INFO",
        "logger": "shop",
        "message": "ünder way",
        "order": 7,
        "request_id": "r1",
    }
    assert second["level"] == "ERROR"
    assert second["exception"].endswith("ZeroDivisionError: division by zero")


def test_text_is_for_people():
    assert lines()[0].endswith("INFO shop: ünder way")


def test_a_request_has_the_proxys_id_or_a_new_one(rf):
    seen = []
    view = number_requests(lambda request: seen.append(request_id.get()) or HttpResponse())
    for given, kept in [("abc-1", True), ("", False), ("a b\n", False), ("x" * 65, False)]:
        response = view(rf.get("/", headers={"X-Request-ID": given}))
        assert response.headers["X-Request-ID"] == seen[-1] and seen[-1]
        assert (seen[-1] == given) is kept
    assert request_id.get() is None


def test_a_task_is_named():
    @application.task(name="tests.named")
    def named():
        record = logging.makeLogRecord({})
        Belonging().filter(record)
        return record.task, record.task_id

    assert named.apply(task_id="t1").get() == ("tests.named", "t1")
