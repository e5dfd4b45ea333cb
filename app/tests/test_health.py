import pytest
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisConnectionError

from senex_trader import health


def works():
    pass


def fails():
    raise OSError("secret text of the driver")


@pytest.fixture
def reachable(monkeypatch):
    monkeypatch.setattr(health, "check_database", works)
    monkeypatch.setattr(health, "check_redis", works)


@pytest.mark.parametrize("path", ["/health/", "/health/ready/"])
def test_ready_names_each_service(client, reachable, path):
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "healthy", "checks": {"database": "ok", "redis": "ok"}}


@pytest.mark.parametrize("broken", ["database", "redis"])
def test_a_broken_service_is_named_without_its_message(
    client, reachable, monkeypatch, caplog, broken
):
    monkeypatch.setattr(health, f"check_{broken}", fails)
    response = client.get("/health/")
    assert response.status_code == 503
    assert response.json()["status"] == "unhealthy"
    assert response.json()["checks"][broken] == "failed"
    assert b"secret" not in response.content
    assert "secret text of the driver" in caplog.text


def test_live_asks_no_service(client, monkeypatch):
    monkeypatch.setattr(health, "check_database", fails)
    assert client.get("/health/live/").json() == {"status": "healthy", "checks": {}}


@pytest.mark.django_db
def test_the_database_is_really_asked():
    health.check_database()


def test_redis_is_really_asked(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(RedisConnectionError) as failure:
        health.check_redis()
    assert "127.0.0.1:1" in str(failure.value)


@pytest.mark.parametrize("path", ["/health/", "/health/live/", "/health/ready/"])
def test_neither_the_host_nor_plain_http_matters(client, reachable, settings, path):
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["trader.example"]
    assert client.get(path, headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_other_paths_are_redirected_to_https(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    response = client.get("/accounts/login/")
    assert response.status_code == 301
    assert response["Location"].startswith("https://")


def test_the_route_has_its_name():
    assert reverse("health") == "/health/"
