import signal
import textwrap

import pytest
from entrypoint.launch import needs_fresh_process
from entrypoint.messages import finishing_seconds
from settings_of_tests import SQLITE

@pytest.mark.parametrize(
    ("period", "seconds"), [("", 7), ("10", 7), ("60", 57), ("3", 0.1), ("1", 0.1), ("0", 0.1)]
)
def test_a_service_ends_three_seconds_before_the_engine_kills(monkeypatch, period, seconds):
    monkeypatch.setenv("STOP_GRACE_PERIOD", period)
    assert finishing_seconds() == seconds


DEFAULT = "argv ['-A', 'shop'] threads 1 django True blocked 0\n"


def test_the_service_runs_in_the_same_process(serve):
    result = serve(SQLITE, "worker", "celery", "-A", "shop")
    assert (result.returncode, result.stdout, result.stderr) == (3, DEFAULT, "")


def test_a_pool_of_green_threads_gets_a_process_without_django(serve):
    result = serve(SQLITE, "worker", "celery", "-A", "shop", "--pool=gevent")
    assert (result.returncode, result.stderr) == (3, "")
    assert result.stdout == (
        "argv ['-A', 'shop', '--pool=gevent'] threads 1 django False blocked 0\n"
    )


@pytest.mark.parametrize(
    ("command", "fresh"),
    [
        (["celery", "worker"], False),
        (["celery", "worker", "-P", "threads"], False),
        (["celery", "worker", "-P", "gevent"], True),
        (["celery", "worker", "--pool=eventlet"], True),
        (["gunicorn", "--worker-class", "gevent"], True),
        (["daphne", "shop.asgi:application"], False),
    ],
)
def test_when_a_fresh_process_is_needed(command, fresh):
    assert needs_fresh_process(command) is fresh


def test_an_unknown_service(serve):
    result = serve(SQLITE, "worker", "hypercorn")
    assert result.returncode == 64
    assert result.stderr.startswith("entrypoint: 'hypercorn' is no service; known: daphne, ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "from django.core.exceptions import ImproperlyConfigured\n"
            "raise ImproperlyConfigured('Set in the environment: SECRET_KEY')\n",
            "test_settings: Set in the environment: SECRET_KEY",
        ),
        (
            "DATABASES = {'default': {'ENGINE': 'no.such'}}\n",
            "test_settings: 'no.such' isn't an available database backend or couldn't be",
        ),
    ],
)
def test_a_mistake_in_the_settings_is_no_traceback(serve, settings, message):
    result = serve(settings, "web", "celery")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.startswith(f"entrypoint: {message}")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("module", ["no_such", "test_settings.no_such"])
def test_settings_that_are_not_there(serve, module):
    result = serve("", "web", "celery", DJANGO_SETTINGS_MODULE=module)
    assert result.returncode == 64
    assert result.stderr == f"entrypoint: {module}: there is no such module\n"


def test_a_module_that_the_settings_miss_is_shown_whole(serve):
    result = serve("import no_such_library\n", "web", "celery")
    assert result.returncode == 1
    assert "Traceback" in result.stderr and "no_such_library" in result.stderr


@pytest.mark.parametrize("word", ["no", "true", "2"])
def test_migrate_is_yes_or_no(serve, word):
    result = serve(SQLITE, "web", "celery", MIGRATE=word)
    assert result.returncode == 64
    assert result.stderr == f"entrypoint: MIGRATE must be 0 or 1, not '{word}'\n"


@pytest.fixture
def checked(tmp_path):
    """An application whose checks for a service answer with this."""

    def make(found):
        folder = tmp_path / "checked"
        folder.mkdir()
        (folder / "__init__.py").write_text(
            textwrap.dedent(
                f"""
                from django.apps import AppConfig
                from django.core.checks import Error, Warning, register

                class Checked(AppConfig):
                    name = "checked"

                    def ready(self):
                        register(lambda app_configs, **_: [{found}], "service", deploy=True)
                        register(lambda app_configs, **_: [Error("other", id="x.E9")], "other")
                """
            )
        )
        return SQLITE + "INSTALLED_APPS = ['checked.Checked']\n"

    return make


@pytest.mark.parametrize("role", ["web", "worker", "beat", "migrate"])
def test_a_service_that_is_not_fit_is_refused(serve, checked, role):
    found = "Error('The key is short.', 'Make one.', id='x.E1'), Error('No host.', id='x.E2')"
    result = serve(checked(found), role, "celery")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.splitlines() == [
        "entrypoint: x.E1: The key is short. (Make one.)",
        "entrypoint: x.E2: No host.",
        "entrypoint: test_settings is not fit for a service",
    ]


@pytest.mark.parametrize(
    ("found", "silenced", "lines"),
    [
        ("Warning('The key is old.', id='x.W1')", [], ["entrypoint: x.W1: The key is old."]),
        ("Error('The key is short.', id='x.E1')", ["x.E1"], []),
    ],
)
def test_what_is_no_error_stops_nothing(serve, checked, found, silenced, lines):
    settings = checked(found) + f"SILENCED_SYSTEM_CHECKS = {silenced}\n"
    result = serve(settings, "worker", "celery", "-A", "shop")
    assert (result.returncode, result.stdout) == (3, DEFAULT)
    assert result.stderr.splitlines() == lines


@pytest.mark.parametrize(
    ("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "SIGINT", 130)]
)
def test_a_signal_ends_what_the_settings_do(start, number, name, code):
    container = start("import sys, time\nprint('now', file=sys.stderr)\ntime.sleep(20)\n", "web")
    container.read_until("now")
    assert container.stop(number) == code
    assert container.process.stderr.read() == f"entrypoint: ended by {name}\n"
