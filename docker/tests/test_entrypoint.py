import os
import stat
import subprocess

import pytest
from conftest import DOCKER

WORKER = (
    "<celery><-A><shop><worker><--loglevel=info><--queues=celery,orders><--concurrency=4>"
    "<--max-tasks-per-child=100><--include=heartbeat>"
)
BEAT = (
    "<celery><-A><shop><beat><--loglevel=info><--pidfile=>"
    "<--schedule=/var/lib/shop/celerybeat-schedule><--scheduler=beat_schedule:Scheduler>"
)
WEB = "<daphne><-b><0.0.0.0><-p><8000><shop.asgi:application>"
GUNICORN = (
    "<gunicorn><shop.wsgi:application><--bind><0.0.0.0:8000><--workers><4><--timeout><120>"
    "<--max-requests><1000><--max-requests-jitter><50><--access-logfile><-><--error-logfile><->"
)
ROLES = {
    "web": ("web", WEB),
    "daphne": ("web", WEB),
    "gunicorn": ("gunicorn", GUNICORN),
    "celery-worker": ("worker", WORKER),
    "celery_worker": ("worker", WORKER),
    "worker": ("worker", WORKER),
    "celery-beat": ("beat", BEAT),
    "celery_beat": ("beat", BEAT),
    "beat": ("beat", BEAT),
}


@pytest.mark.parametrize("word", ROLES)
def test_each_role_starts_its_service(enter, tmp_path, word):
    role, command = ROLES[word]
    result = enter(word, "--extra", "two words")
    assert result.returncode == 0, result.stderr
    assert f"prepared prepare.py {role}\n" in result.stdout
    assert result.stdout.endswith(f"{command}<--extra><two words>\n")
    assert (tmp_path / "container-role").read_text() == f"{role}\n"


@pytest.mark.parametrize(
    ("word", "environment", "part"),
    [
        ("web", {"PORT": "9000", "WEB_BIND": "127.0.0.1"}, "<-b><127.0.0.1><-p><9000>"),
        ("gunicorn", {"PORT": "9000", "WEB_BIND": "127.0.0.1"}, "<--bind><127.0.0.1:9000>"),
        ("gunicorn", {"GUNICORN_WORKERS": "2"}, "<--workers><2>"),
        ("gunicorn", {"GUNICORN_TIMEOUT": "30"}, "<--timeout><30>"),
        ("gunicorn", {"GUNICORN_MAX_REQUESTS": "9"}, "<--max-requests><9>"),
        ("gunicorn", {"GUNICORN_MAX_REQUESTS_JITTER": "8"}, "<--max-requests-jitter><8>"),
        ("worker", {"CELERY_CONCURRENCY": "1"}, "<--concurrency=1>"),
        ("worker", {"CELERY_MAX_TASKS_PER_CHILD": "7"}, "<--max-tasks-per-child=7>"),
        ("beat", {"CELERY_LOGLEVEL": "debug"}, "<--loglevel=debug>"),
        ("beat", {"CELERY_SCHEDULE": "/data/schedule"}, "<--schedule=/data/schedule>"),
    ],
)
def test_variables_set_the_values(enter, word, environment, part):
    assert part in enter(word, **environment).stdout


def test_celery_finds_our_modules(enter):
    assert "path=/library\n" in enter("worker").stdout
    assert "path=/library:/mine\n" in enter("beat", PYTHONPATH="/mine").stdout
    assert "path=\n" in enter("web").stdout


def test_another_command_runs_untouched_and_unprepared(enter, tmp_path):
    result = enter("celery", "two words", "*", SECRET_KEY=None)
    assert result.returncode == 0
    assert "prepared" not in result.stdout
    assert result.stdout.endswith("<celery><two words><*>\n")
    assert result.stderr == ""
    assert not (tmp_path / "container-role").exists()


def test_the_exit_code_of_a_command_is_kept(enter):
    assert enter("sh", "-c", "exit 7").returncode == 7
    assert enter("no-such-program").returncode == 127
    assert enter().returncode == 64


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ("production", "shop.settings.production"),
        ("prod", "shop.settings.production"),
        ("development", "shop.settings.development"),
        ("dev", "shop.settings.development"),
        (None, "shop.settings.production"),
    ],
)
@pytest.mark.parametrize("word", ["web", "celery"])
def test_environment_chooses_the_settings(enter, word, environment, settings):
    assert f"settings={settings}\n" in enter(word, ENVIRONMENT=environment).stdout


def test_a_settings_module_wins_and_is_said(enter):
    result = enter("web", ENVIRONMENT="nonsense", DJANGO_SETTINGS_MODULE="mine")
    assert "settings=mine\n" in result.stdout
    assert "web with mine (from DJANGO_SETTINGS_MODULE)" in result.stderr


@pytest.mark.parametrize("word", ["web", "celery"])
def test_an_unknown_environment_is_refused(enter, word):
    result = enter(word, ENVIRONMENT="staging")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr == (
        "entrypoint: unknown ENVIRONMENT 'staging'; known: production (prod), development (dev)\n"
    )


def test_a_missing_key_is_refused_in_one_line(enter):
    result = enter("beat", SECRET_KEY="")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.splitlines()[1:] == [
        "entrypoint: SECRET_KEY is not set; give it with -e SECRET_KEY=… "
        "or SECRET_KEY_FILE=/run/secrets/…"
    ]


def test_all_missing_keys_are_named_at_once(enter):
    result = enter("web", SECRET_KEY=None, FIELD_ENCRYPTION_KEY=None)
    assert result.returncode == 64
    assert "SECRET_KEY, FIELD_ENCRYPTION_KEY are not set" in result.stderr
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "FIELD_ENCRYPTION_KEY", "DB_PASSWORD", "REDIS_URL", "LICENCE"]
)
def test_a_file_gives_a_variable(enter, tmp_path, name):
    value = "with 'quotes' $HOME `id` and  spaces"
    (tmp_path / "secret").write_text(value + "\n")
    result = enter(
        "sh",
        "-c",
        f'printf %s "${name}" "${{{name}_FILE:-}}"',
        REQUIRED_ENVIRONMENT="SECRET_KEY LICENCE",
        **{name: None, f"{name}_FILE": str(tmp_path / "secret")},
    )
    assert result.stdout == value, result.stderr


def test_mistakes_with_files_are_refused(enter, tmp_path):
    (tmp_path / "empty").write_text("\n")
    for environment, message in [
        (
            {"SECRET_KEY_FILE": "/x"},
            "SECRET_KEY and SECRET_KEY_FILE are both set; keep one",
        ),
        ({"DB_PASSWORD_FILE": "/no/such"}, "DB_PASSWORD_FILE: can't read /no/such"),
        ({"DB_PASSWORD_FILE": "/etc"}, "DB_PASSWORD_FILE: can't read /etc"),
        ({"REDIS_URL_FILE": f"{tmp_path}/empty"}, f"REDIS_URL_FILE: {tmp_path}/empty is empty"),
    ]:
        result = enter("celery", **environment)
        assert (result.returncode, result.stdout) == (64, "")
        assert result.stderr == f"entrypoint: {message}\n"


def test_a_folder_that_is_read_only_stops_nothing(enter, tmp_path):
    result = enter("web", CONTAINER_RUN="/proc /no/such")
    assert result.returncode == 0
    assert result.stderr == (
        "entrypoint: web with shop.settings.production (from ENVIRONMENT=production)\n"
    )


def test_home_is_somewhere_writable(enter):
    for home in (None, "/", "/no/such"):
        folder = enter("sh", "-c", 'echo "$HOME"', HOME=home).stdout.strip()
        assert folder != "/" and os.access(folder, os.W_OK)


@pytest.fixture
def as_root(enter, image, tmp_path):
    """Pretends to be root, by an `id` that says so until `setpriv` has run."""
    for name, text in {
        "id": 'echo "${FAKE_USER:-0}"',
        "setpriv": 'echo "setpriv $*" >&2\nwhile [ "${1#--}" != "$1" ]; do shift; done\n'
        'FAKE_USER=1 exec env FAKE_USER=1 sh "$@"',
    }.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    def run(*words, **environment):
        return enter(*words, **{"ALLOW_ROOT": None, **environment})

    return run


@pytest.mark.parametrize(
    ("environment", "numbers"),
    [
        ({}, "--reuid=1000 --regid=1000"),
        ({"PUID": "1234", "PGID": "1235"}, "--reuid=1234 --regid=1235"),
        ({"PUID": "1234", "ALLOW_ROOT": "1"}, "--reuid=1234 --regid=1000"),
    ],
)
def test_root_is_given_up_once(as_root, environment, numbers):
    result = as_root("web", **environment)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("setpriv ") == 1
    assert f"setpriv {numbers} --clear-groups" in result.stderr
    assert result.stdout.endswith(f"{WEB}\n")


@pytest.mark.parametrize("environment", [{}, {"PUID": "0"}])
def test_root_may_stay_root(as_root, environment):
    result = as_root("web", ALLOW_ROOT="1", **environment)
    assert result.returncode == 0
    assert "setpriv" not in result.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PUID": "me"}, "PUID must be a number, not 'me'"),
        ({"PGID": "-1"}, "PGID must be a number, not '-1'"),
        ({"PUID": "0"}, "PUID=0 is root; set ALLOW_ROOT=1 if that is meant"),
        ({"PGID": "00"}, "PGID=0 is root; set ALLOW_ROOT=1 if that is meant"),
    ],
)
def test_wrong_numbers_are_refused(as_root, environment, message):
    result = as_root("celery", **environment)
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr == f"entrypoint: {message}\n"


def test_the_programs_can_be_run():
    for name in ("entrypoint.sh", "healthcheck"):
        assert stat.S_IMODE((DOCKER / name).stat().st_mode) & 0o111 == 0o111
    modes = subprocess.run(
        ["git", "ls-files", "--stage", "entrypoint.sh", "healthcheck"],
        cwd=DOCKER,
        capture_output=True,
        text=True,
    )
    for line in modes.stdout.splitlines():
        assert line.startswith("100755")
