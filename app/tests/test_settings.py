import json
import os
import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from senex_trader.environment import number, text, words

APPLICATION = Path(__file__).resolve().parents[1]
KEYS = {"SECRET_KEY": "test-secret-key", "FIELD_ENCRYPTION_KEY": "test-encryption-key"}
GOOD_KEYS = {
    "SECRET_KEY": "a-good-secret-key-is-long-and-has-many-different-characters",
    "FIELD_ENCRYPTION_KEY": Fernet.generate_key().decode(),
}


def manage(command, settings=None, **environment):
    """Runs manage.py with these variables alone."""
    environment["PATH"] = os.environ["PATH"]
    if settings:
        environment["DJANGO_SETTINGS_MODULE"] = f"senex_trader.settings.{settings}"
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=APPLICATION,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_file_gives_a_variable(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("two words\r\n")
    monkeypatch.delenv("BROKER_SECRET", raising=False)
    assert text("BROKER_SECRET", "default") == "default"
    monkeypatch.setenv("BROKER_SECRET_FILE", str(tmp_path / "secret"))
    assert text("BROKER_SECRET") == "two words"
    monkeypatch.setenv("BROKER_SECRET", "own")
    assert text("BROKER_SECRET") == "own"
    monkeypatch.delenv("BROKER_SECRET")
    monkeypatch.setenv("BROKER_SECRET_FILE", "/no/such")
    with pytest.raises(ImproperlyConfigured, match="BROKER_SECRET_FILE: can't read /no/such"):
        text("BROKER_SECRET")


@pytest.mark.parametrize(
    ("settings", "environment"),
    [("production", KEYS), ("build", {}), ("development", {}), (None, KEYS)],
)
def test_check_needs_no_service(settings, environment):
    result = manage(["check"], settings, **environment)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("missing", sorted(KEYS))
def test_production_refuses_a_missing_key(missing):
    result = manage(["check"], "production", **{**KEYS, missing: ""})
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.endswith(f"ImproperlyConfigured: Set in the environment: {missing}")


def test_the_check_of_a_deployment_finds_nothing_with_good_keys():
    result = manage(["check", "--deploy", "--fail-level", "WARNING"], "production", **GOOD_KEYS)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    ("settings", "environment", "found"),
    [
        ("production", GOOD_KEYS, ""),
        ("production", KEYS, "E001"),
        ("development", {}, ""),
        ("build", {}, "E001 E002"),
    ],
)
def test_what_a_service_is_refused_for(settings, environment, found):
    result = manage(["check", "--deploy", "--tag", "service"], settings, **environment)
    ids = [word for word in ("E001", "E002") if f"(senex_trader.{word})" in result.stderr]
    assert " ".join(ids) == found, result.stderr
    assert (result.returncode == 0) == (not found)
    assert "test-encryption-key" not in result.stdout + result.stderr


@pytest.mark.parametrize("text", ["0.5", "soon", "-1", "nan", "inf", "1e9"])
def test_a_wrong_number_is_told_by_its_name(monkeypatch, text):
    monkeypatch.setenv("MARK_INTERVAL", text)
    with pytest.raises(ImproperlyConfigured) as failure:
        number("MARK_INTERVAL", 30, least=1)
    assert str(failure.value) == f"MARK_INTERVAL must be a number of at least 1, not '{text}'"


@pytest.mark.parametrize(("text", "expected"), [("", 30), ("1", 1), ("2.5", 2.5)])
def test_a_number_that_is_empty_is_missing(monkeypatch, text, expected):
    monkeypatch.setenv("MARK_INTERVAL", text)
    assert number("MARK_INTERVAL", 30, least=1) == expected


HTTPS = ["SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, dict.fromkeys(HTTPS, True) | {"SECURE_HSTS_SECONDS": 3600, "MARK_INTERVAL": 30.0}),
        ({"HSTS_SECONDS": "31536000", "HTTPS_ONLY": "no"}, dict.fromkeys(HTTPS, True)),
        ({"HTTPS_ONLY": "0"}, dict.fromkeys(HTTPS, False) | {"SECURE_HSTS_SECONDS": 0}),
        (
            {"HSTS_SECONDS": "31536000", "MARK_INTERVAL": "5"},
            {"SECURE_HSTS_SECONDS": 31_536_000, "MARK_INTERVAL": 5.0},
        ),
    ],
)
def test_settings_follow_the_environment(environment, expected):
    code = f"import json; print(json.dumps({{n: getattr(settings, n) for n in {[*expected]}}}))"
    result = run("production", f"from django.conf import settings; {code}", **environment)
    assert json.loads(result.stdout) == expected, result.stderr


def run(settings, code, **environment):
    return manage(["shell", "--no-imports", "--command", code], settings, **KEYS, **environment)


# As in an image that has none of the development tools, or not this extra.
WITHOUT = (
    "import importlib.util as util; find = util.find_spec; "
    "util.find_spec = lambda *words: words[0] != '{}' and find(*words); "
)


def python(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=APPLICATION,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


def test_a_service_of_the_production_image_refuses_development_settings():
    program = "; ".join(
        [
            "import django, manage; manage.choose_settings(); django.setup()",
            "from django.core.checks import run_checks",
            "print([e.id for e in run_checks(tags=['service'], include_deployment_checks=True)])",
        ]
    )
    result = python(WITHOUT.format("pytest") + program, ENVIRONMENT="dev")
    assert result.stdout == "['senex_trader.E003']\n", result.stderr


SLOW = """
from django.urls import resolve
from senex_trader.celery import application
application.loader.import_default_modules()
print(resolve("/slow/").func.__name__, "senex_trader.smoke.slow_task" in application.tasks)
"""


def test_only_the_smoke_test_finds_what_is_slow(client):
    assert run("smoke", SLOW).stdout == "slow True\n"
    assert client.get("/slow/").status_code == 404


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("10.1.2.3", {}, 200),
        ("fd00::1", {}, 200),
        ("192.168.1.1", {}, 404),
        ("10.1.2.3", {"X-Forwarded-For": "10.9.9.9"}, 404),
        ("10.1.2.3", {"X-Forwarded-Proto": "https"}, 404),
    ],
)
def test_metrics_are_for_their_networks_and_not_through_the_proxy(
    client, settings, address, headers, status
):
    assert Client().get("/metrics", REMOTE_ADDR=address).status_code == 404
    settings.METRICS_NETWORKS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    settings.MIDDLEWARE = ["senex_trader.metrics.middleware", *settings.MIDDLEWARE]
    # Asked by its address, over plain HTTP.
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["trader.example"], True
    response = client.get("/metrics", REMOTE_ADDR=address, headers=headers)
    assert response.status_code == status
    assert (b"python_info" in response.content) == (status == 200)


EXTRAS = [
    ("METRICS_NETWORKS", "10.0.0.0/8", "django_prometheus", "metrics"),
    ("SENTRY_DSN", "https://key@sentry.example/1", "sentry_sdk", "sentry"),
]


def test_extras_are_on_when_they_are_named():
    found = (
        "from django.conf import settings; import sentry_sdk; print(sentry_sdk.is_initialized())"
    )
    code = f"{found}; print(settings.MIDDLEWARE[0], settings.MIDDLEWARE[-1])"
    result = run("production", code, **{name: value for name, value, _, _ in EXTRAS})
    first, last = "senex_trader.metrics.middleware", "django_prometheus.middleware.Prometheus"
    assert result.stdout == f"True\n{first} {last}AfterMiddleware\n", result.stderr
    assert run("production", found).stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("METRICS_NETWORKS", "10.0.0.1/8", "METRICS_NETWORKS: 10.0.0.1/8 has host bits set"),
        ("SENTRY_DSN", "https://word-1234", "SENTRY_DSN is no DSN"),
    ],
)
def test_wrong_values_of_extras_are_told_in_one_line(name, value, message):
    result = python("import senex_trader.settings.production", **KEYS, **{name: value})
    last = result.stderr.strip().splitlines()[-1]
    assert last.endswith(f"ImproperlyConfigured: {message}") and "word-1234" not in last


@pytest.mark.parametrize(("name", "value", "package", "extra"), EXTRAS)
def test_an_extra_that_is_not_installed_is_named(name, value, package, extra):
    program = WITHOUT.format(package) + "import senex_trader.settings.production"
    result = python(program, **KEYS, **{name: value})
    assert result.stderr.endswith(f"{name} needs the extra `{extra}` of pyproject.toml\n")


def test_no_migration_is_missing():
    result = manage(["makemigrations", "--check", "--dry-run"], "test")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("text, expected", [("", ["a", "b"]), (" c,,d ", ["c", "d"])])
def test_a_list_that_is_set_to_nothing_is_missing(monkeypatch, text, expected):
    monkeypatch.setenv("ALLOWED_HOSTS", text)
    assert words("ALLOWED_HOSTS", "a,b") == expected


def test_applications_import_each_other_in_one_direction():
    files = list((APPLICATION / "trading").rglob("*.py"))
    found = [file for file in files if re.search(r"(from|import) accounts", file.read_text())]
    assert files and not found
