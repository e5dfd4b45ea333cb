import socket
import threading
import time

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisConnectionError

from senex_trader import health
from senex_trader.health import Probe

PATHS = {
    "/health/": {"database", "redis"},
    "/health/live/": set(),
    "/health/ready/": {"database", "redis", "migrations"},
}
PROBES = ("database", "redis", "migrations")


def works():
    pass


def fails():
    raise OSError("secret text of the driver")


@pytest.fixture
def services(monkeypatch):
    """Sets what each check does; all work at first."""

    def set_check(name, check):
        monkeypatch.setattr(getattr(health, name.upper()), "check", check)

    for name in PROBES:
        set_check(name, works)
    return set_check


@pytest.mark.parametrize(("path", "names"), PATHS.items())
def test_each_path_names_what_it_asks(client, services, path, names):
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "healthy", "checks": dict.fromkeys(names, "ok")}
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("path", "names"), PATHS.items())
@pytest.mark.parametrize("broken", PROBES)
def test_a_broken_service_is_named_without_its_message(
    client, services, caplog, path, names, broken
):
    services(broken, fails)
    response = client.get(path)
    if broken not in names:
        assert response.status_code == 200
        return
    assert response.status_code == 503
    checks = dict.fromkeys(names, "ok") | {broken: "failed"}
    assert response.json() == {"status": "unhealthy", "checks": checks}
    assert b"secret" not in response.content
    assert "secret text of the driver" in caplog.text


def test_an_answer_comes_in_time_and_many_who_ask_make_one_thread(client, services, monkeypatch):
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.2)
    black_hole, started = threading.Event(), []

    def swallow():
        started.append(True)
        assert black_hole.wait(10)

    services("database", swallow)
    for _ in range(3):
        asked = time.monotonic()
        response = client.get("/health/")
        assert time.monotonic() - asked < 1
        assert response.json()["checks"] == {"database": "failed", "redis": "ok"}
    assert len(started) == 1
    black_hole.set()
    health.DATABASE.outcome.result(timeout=5)
    assert client.get("/health/").status_code == 200
    assert len(started) == 2


def test_a_check_asks_anew_each_time():
    asked = []
    probe = Probe(lambda: asked.append(True))
    for count in (1, 2, 3):
        probe.start().result(timeout=5)
        assert len(asked) == count


@pytest.mark.django_db(transaction=True)
def test_the_database_is_really_asked(monkeypatch):
    health.check_database()
    health.check_migrations()

    def refuse(self):
        raise OSError("no database")

    monkeypatch.setattr(BaseDatabaseWrapper, "connect", refuse)
    for check in (health.check_database, health.check_migrations):
        with pytest.raises(OSError, match="no database"):
            check()


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_not_applied_is_missed(client, services):
    services("migrations", health.check_migrations)
    assert client.get("/health/ready/").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET name = 'gone' WHERE app = 'trading'")
    try:
        with pytest.raises(RuntimeError, match=r"Not applied: trading\.0001_initial$"):
            health.check_migrations()
        response = client.get("/health/ready/")
        assert (response.status_code, response.json()["checks"]["migrations"]) == (503, "failed")
        assert client.get("/health/").status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET name = '0001_initial' WHERE name = 'gone'")


def test_redis_is_really_asked(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(RedisConnectionError) as failure:
        health.check_redis()
    assert "127.0.0.1:1" in str(failure.value)


def test_a_postgresql_that_accepts_and_says_nothing_does_not_hold_the_answer(
    client, services, monkeypatch, settings
):
    from django.db.backends.postgresql.base import DatabaseWrapper

    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings_dict = connection.settings_dict | {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "x",
            "USER": "x",
            "PASSWORD": "",
            "HOST": "127.0.0.1",
            "PORT": silent.getsockname()[1],
            "OPTIONS": {"connect_timeout": 60},
        }
        wrapper = DatabaseWrapper(settings_dict)
        monkeypatch.setattr(health, "connection", wrapper)
        services("database", health.check_database)
        asked = time.monotonic()
        response = client.get("/health/")
        assert response.json()["checks"]["database"] == "failed"
        assert time.monotonic() - asked < health.ANSWER_SECONDS + 1
        # Patience is the probe's alone.
        assert wrapper.settings_dict["OPTIONS"] == {"connect_timeout": 60}


@pytest.mark.parametrize("path", PATHS)
def test_neither_the_host_nor_plain_http_matters(client, services, settings, path):
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["trader.example"]
    assert client.get(path, headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_other_paths_are_redirected_to_https(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    response = client.get("/accounts/login/")
    assert response.status_code == 301
    assert response["Location"].startswith("https://")


@pytest.mark.parametrize(
    ("name", "path"),
    [("health", "/health/"), ("health-live", "/health/live/"), ("health-ready", "/health/ready/")],
)
def test_the_routes_have_their_names(name, path):
    assert reverse(name) == path
