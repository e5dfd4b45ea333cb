import sqlite3
import textwrap

import pytest
from settings_of_tests import SQLITE

COMMAND = ("celery", "-A", "shop")

# A server of its own to Django, and so to us; what is asked of it is a file all the same.
BACKEND = """
from django.db.backends.sqlite3 import base

class DatabaseWrapper(base.DatabaseWrapper):
    vendor = "server"
"""


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "backend"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "base.py").write_text(BACKEND)
    return SQLITE.replace("django.db.backends.sqlite3", "backend")


@pytest.fixture
def slow(tmp_path):
    """An application whose migration writes a row, says so, and doesn't end."""
    folder = tmp_path / "slow/migrations"
    folder.mkdir(parents=True)
    (tmp_path / "slow/__init__.py").touch()
    (folder / "__init__.py").touch()
    (folder / "0001_initial.py").write_text(
        textwrap.dedent(
            """
            import sys, time
            from django.db import migrations

            def run(apps, editor):
                editor.execute("CREATE TABLE half (id integer)")
                print("half", file=sys.stderr)
                time.sleep(20)

            class Migration(migrations.Migration):
                operations = [migrations.RunPython(run)]
            """
        )
    )
    return SQLITE + "INSTALLED_APPS += ['slow']\n"


def tables(folder):
    with sqlite3.connect(folder / "database") as connection:
        return [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]


@pytest.mark.parametrize("role", ["web", "gunicorn"])
def test_web_migrates_before_it_starts(serve, role):
    result = serve(SQLITE, role, *COMMAND)
    assert (result.returncode, "argv" in result.stdout) == (3, True)
    assert "Applying contenttypes.0001_initial" in result.stderr
    assert result.stdout.count("\n") == 1
    assert serve(SQLITE, role, *COMMAND).stderr == "entrypoint: nothing to migrate\n"


def test_only_web_migrates_and_only_if_it_may(serve, tmp_path):
    assert serve(SQLITE, "web", *COMMAND, MIGRATE="0").returncode == 3
    assert serve(SQLITE, "worker", *COMMAND).returncode == 3
    assert serve(SQLITE, "beat", *COMMAND).returncode == 3
    assert not (tmp_path / "database").exists()


def test_migrate_is_a_role_that_ends(serve, tmp_path):
    result = serve(SQLITE, "migrate", MIGRATE="0")
    assert (result.returncode, result.stdout) == (0, "")
    assert "Applying contenttypes.0001_initial" in result.stderr
    assert "django_migrations" in tables(tmp_path)
    result = serve(SQLITE, "migrate")
    assert (result.returncode, result.stderr) == (0, "entrypoint: nothing to migrate\n")


def test_migrate_does_not_wait_for_redis(serve):
    settings = SQLITE + "REDIS_URL = 'redis://127.0.0.1:1/0'\n"
    assert serve(settings, "migrate").returncode == 0


def test_without_a_database_there_is_nothing_to_migrate(serve):
    for role in ("web", "worker"):
        assert serve("DATABASES = {}\n", role, *COMMAND).returncode == 3
    assert serve("", "migrate").returncode == 0


@pytest.mark.parametrize("role", ["gunicorn", "migrate"])
def test_a_failing_migration_stops_the_start(serve, role):
    settings = SQLITE.replace("'database'", "'/no/such/folder/database'")
    result = serve(settings, role, *COMMAND)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("entrypoint: the migrations failed: ")


def test_a_signal_rolls_a_migration_back(start, slow, tmp_path):
    container = start(slow, "migrate")
    container.read_until("half")
    assert container.stop() == 143
    assert container.process.stderr.read().splitlines()[-1] == (
        "entrypoint: the migration was interrupted; what it had not committed is rolled back"
    )
    assert "half" not in tables(tmp_path) and "django_content_type" in tables(tmp_path)


@pytest.mark.parametrize(
    ("role", "environment"), [("worker", {}), ("beat", {}), ("web", {"MIGRATE": "0"})]
)
def test_a_service_is_refused_while_migrations_are_missing(serve, server, role, environment):
    result = serve(server, role, *COMMAND, **environment)
    assert (result.returncode, result.stdout) == (1, "")
    *waiting, gave_up, help = result.stderr.splitlines()
    missing = "contenttypes.0001_initial and 1 more to be applied"
    for line in waiting:
        assert line.startswith("entrypoint: waiting for the migrations, ")
        assert line.endswith(missing)
    assert gave_up == f"entrypoint: gave up waiting for the migrations after 0.3 s: {missing}"
    assert help == "entrypoint: migrate with the role 'migrate', or a web container"


def test_a_service_starts_when_the_migrations_are_there(start, serve, server):
    worker = start(server, "worker", *COMMAND, WAIT_ATTEMPTS="99")
    worker.read_until("waiting for the migrations")
    assert serve(server, "migrate").returncode == 0
    stdout, _ = worker.process.communicate(timeout=40)
    assert (worker.process.returncode, "argv" in stdout) == (3, True)
