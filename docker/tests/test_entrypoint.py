import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from conftest import DOCKER

WORKER = (
    "<celery><-A><shop><worker><--loglevel=info><--queues=celery,orders><--concurrency=4>"
    "<--max-tasks-per-child=100><--include=entrypoint.worker>"
)
BEAT = (
    "<celery><-A><shop><beat><--loglevel=info><--pidfile=>"
    "<--schedule=/var/lib/shop/celerybeat-schedule>"
)
WEB = "<daphne><-b><0.0.0.0><-p><8000><shop.asgi:application>"
UVICORN = (
    "<uvicorn><--host><0.0.0.0><--port><8000><--timeout-graceful-shutdown><7><shop.asgi:application>"
)
GUNICORN = (
    "<gunicorn><shop.wsgi:application><--bind><0.0.0.0:8000><--workers><4><--timeout><120>"
    "<--max-requests><1000><--max-requests-jitter><50><--access-logfile><-><--error-logfile><->"
    "<--graceful-timeout><7>"
)
ROLES = {
    "web": ("web", WEB),
    "daphne": ("web", WEB),
    "uvicorn": ("web", UVICORN),
    "gunicorn": ("gunicorn", GUNICORN),
    "celery-worker": ("worker", WORKER),
    "celery_worker": ("worker", WORKER),
    "worker": ("worker", WORKER),
    "celery-beat": ("beat", BEAT),
    "celery_beat": ("beat", BEAT),
    "beat": ("beat", BEAT),
}


def test_web_is_what_web_server_names(enter):
    assert UVICORN in enter("web", WEB_SERVER="uvicorn").stdout
    assert WEB in enter("daphne", WEB_SERVER="uvicorn").stdout
    result = enter("web", WEB_SERVER="hypercorn")
    assert result.returncode == 64
    assert result.stderr == "entrypoint: unknown WEB_SERVER 'hypercorn'; known: daphne, uvicorn\n"


@pytest.mark.parametrize("word", ROLES)
def test_each_role_starts_its_service(enter, tmp_path, word):
    role, command = ROLES[word]
    result = enter(word, "--extra", "two words")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"prepared service.py {role} ")
    assert result.stdout.endswith(f"{command}<--extra><two words>\n")
    assert (tmp_path / "container-role").read_text() == f"{role}\n"


@pytest.mark.parametrize(
    ("word", "environment", "part"),
    [
        ("web", {"PORT": "9000", "WEB_BIND": "127.0.0.1"}, "<-b><127.0.0.1><-p><9000>"),
        ("gunicorn", {"PORT": "9000", "WEB_BIND": "127.0.0.1"}, "<--bind><127.0.0.1:9000>"),
        ("gunicorn", {"WEB_BIND": "::"}, "<--bind><[::]:8000>"),
        ("gunicorn", {"WEB_BIND": "[::1]"}, "<--bind><[::1]:8000>"),
        ("web", {"WEB_BIND": "::"}, "<-b><::><-p><8000>"),
        ("web", {"WEB_BIND": "[::1]", "PORT": "08080"}, "<-b><::1><-p><8080>"),
        ("gunicorn", {"GUNICORN_WORKERS": "2"}, "<--workers><2>"),
        ("gunicorn", {"GUNICORN_WORKERS": "02", "PORT": "09000"}, "<0.0.0.0:9000><--workers><2>"),
        ("gunicorn", {"GUNICORN_TIMEOUT": "30"}, "<--timeout><30>"),
        ("gunicorn", {"GUNICORN_MAX_REQUESTS": "9"}, "<--max-requests><9>"),
        ("gunicorn", {"GUNICORN_MAX_REQUESTS_JITTER": "8"}, "<--max-requests-jitter><8>"),
        ("gunicorn", {"STOP_GRACE_PERIOD": "60"}, "<--graceful-timeout><57>"),
        ("gunicorn", {"STOP_GRACE_PERIOD": "08"}, "<--graceful-timeout><5>"),
        ("gunicorn", {"STOP_GRACE_PERIOD": "4"}, "<--graceful-timeout><1>"),
        ("gunicorn", {"STOP_GRACE_PERIOD": "2"}, "<--graceful-timeout><1>"),
        ("gunicorn", {"STOP_GRACE_PERIOD": "000"}, "<--graceful-timeout><1>"),
        ("worker", {"CELERY_CONCURRENCY": "1"}, "<--concurrency=1>"),
        ("worker", {"CELERY_MAX_TASKS_PER_CHILD": "7"}, "<--max-tasks-per-child=7>"),
        ("beat", {"CELERY_LOGLEVEL": "debug"}, "<--loglevel=debug>"),
        ("beat", {"CELERY_SCHEDULE": "/data/schedule"}, "<--schedule=/data/schedule>"),
    ],
)
def test_variables_set_the_values(enter, word, environment, part):
    assert part in enter(word, **environment).stdout


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("web", "PORT", "http"),
        ("gunicorn", "PORT", "80; id"),
        ("gunicorn", "GUNICORN_WORKERS", "-1"),
        ("gunicorn", "STOP_GRACE_PERIOD", "10s"),
        ("worker", "CELERY_CONCURRENCY", "two"),
        ("worker", "CELERY_MAX_TASKS_PER_CHILD", "99999999999"),
        ("beat", "WAIT_ATTEMPTS", "1.5"),
    ],
)
def test_a_wrong_number_is_refused(enter, word, name, value):
    result = enter(word, **{name: value})
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.endswith(f"entrypoint: {name} must be a number, not '{value}'\n")


@pytest.mark.parametrize(
    ("word", "name", "value", "most"),
    [
        ("web", "PORT", "65536", "65535"),
        ("gunicorn", "PORT", "70000", "65535"),
        ("worker", "STOP_GRACE_PERIOD", "1000000", "999999"),
        ("beat", "WAIT_ATTEMPTS", "9999999999", "999999"),
    ],
)
def test_a_number_that_is_too_high_is_refused(enter, word, name, value, most):
    result = enter(word, **{name: value})
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.endswith(f"entrypoint: {name} must be at most {most}, not '{value}'\n")


@pytest.mark.parametrize("word", ["web", "celery"])
def test_values_that_end_in_a_carriage_return_are_named(enter, word):
    certificate = "-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n\r"
    result = enter(word, DB_HOST="db\r", DB_NAME="shop\r", CERTIFICATE=certificate, OTHER="a\rb")
    assert (result.returncode, result.stdout) == (64, "")
    said, end = result.stderr.split(" ends in a carriage return; ")
    assert sorted(said.removeprefix("entrypoint: the value of ").split()) == ["DB_HOST", "DB_NAME"]
    assert end == "write the file that sets it with Unix line ends\n"
    assert enter(word, CERTIFICATE=certificate, OTHER="a\rb", EMPTY="").returncode == 0


def test_no_signal_is_lost_while_python_starts(enter):
    # Two bits: SIGINT and SIGTERM.
    assert "SigBlk:\t0000000000004002\n" in enter("web").stdout


def test_migrate_is_a_role_without_words(enter, tmp_path):
    result = enter("migrate")
    assert (result.returncode, result.stdout.count("\n")) == (0, 1)
    assert result.stdout.startswith("prepared service.py migrate ")
    assert (tmp_path / "container-role").read_text() == "migrate\n"
    result = enter("migrate", "trading", "0001")
    assert (result.returncode, result.stdout) == (64, "")
    assert "run: python manage.py migrate trading 0001\n" in result.stderr


@pytest.mark.parametrize("word", ["wbe", "", "say", "cd", "--help", "/no/such", "/etc", "./web"])
def test_neither_role_nor_program_lists_the_roles(enter, word):
    result = enter(word, "--extra")
    assert (result.returncode, result.stdout) == (127, "")
    assert result.stderr == (
        f"entrypoint: '{word}' is no role and no program; roles: web (daphne, uvicorn), gunicorn, "
        "worker (celery-worker), beat (celery-beat), migrate\n"
    )


@pytest.mark.parametrize("word", ["sh", "/bin/sh"])
def test_a_program_is_found_as_the_shell_finds_it(enter, word):
    assert enter(word, "-c", "echo $0 $1", "a  b", "c").stdout == "a b c\n"


def test_another_command_runs_untouched_and_unprepared(enter, tmp_path):
    result = enter("celery", "two words", "*", SECRET_KEY=None)
    assert result.returncode == 0
    assert "prepared" not in result.stdout
    assert result.stdout.endswith("<celery><two words><*>\n")
    assert result.stderr == ""
    assert not (tmp_path / "container-role").exists()


def test_the_exit_code_of_a_command_is_kept(enter):
    assert enter("sh", "-c", "exit 7").returncode == 7
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


@pytest.mark.parametrize("environment", ["production", "dev", None])
def test_the_only_settings_serve_every_environment(enter, tmp_path, environment):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "settings.py").touch()
    result = enter("web", ENVIRONMENT=environment)
    assert "settings=shop.settings\n" in result.stdout
    assert "web with shop.settings (from shop/settings.py)" in result.stderr
    assert enter("web", ENVIRONMENT="staging").returncode == 64


def test_a_settings_module_wins_and_is_said(enter):
    result = enter("web", ENVIRONMENT="nonsense", DJANGO_SETTINGS_MODULE="mine")
    assert "settings=mine\n" in result.stdout
    assert "web with mine (from DJANGO_SETTINGS_MODULE)" in result.stderr


@pytest.mark.parametrize(
    ("modules", "environment", "settings"),
    [
        ("config.settings", "anything", "config.settings"),
        ("production=c.prod development=c.local", "dev", "c.local"),
        ("production=c.prod staging=c.stage", "staging", "c.stage"),
        ("production=c.prod staging=c.stage", "", "c.prod"),
    ],
)
def test_the_project_names_its_settings(enter, modules, environment, settings):
    result = enter("worker", ENVIRONMENT=environment, SETTINGS_MODULES=modules, CELERY_APP="c.tasks:app")
    assert f"settings={settings}\n" in result.stdout
    assert "<-A><c.tasks:app>" in result.stdout


def test_an_environment_without_settings_is_refused_with_those_that_have_some(enter):
    result = enter("web", ENVIRONMENT="dev", SETTINGS_MODULES="production=c.prod staging=c.stage")
    assert result.returncode == 64
    assert "unknown ENVIRONMENT 'dev'; known: production, staging\n" in result.stderr


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
    "name",
    ["SECRET_KEY", "FIELD_ENCRYPTION_KEY", "DB_PASSWORD", "REDIS_URL", "LICENCE", "BROKER_SECRET"],
)
def test_a_file_gives_a_variable(enter, tmp_path, name):
    value = "with 'quotes' $HOME `id` and  spaces"
    (tmp_path / "secret").write_text(value + "\n")
    result = enter(
        "sh",
        "-c",
        f'printf %s "${name}"',
        REQUIRED_ENVIRONMENT="SECRET_KEY LICENCE",
        **{name: None, f"{name}_FILE": str(tmp_path / "secret")},
    )
    assert result.stdout == value, result.stderr


def test_a_file_that_a_program_may_read_stays(enter, tmp_path):
    (tmp_path / "bundle").write_text("x" * 200_000)
    (tmp_path / "small").write_text("value")
    for file, value in [("bundle", ""), ("small", "value"), ("none", ""), (".", "")]:
        path = f"{tmp_path}/{file}"
        result = enter("sh", "-c", 'echo "$SSL_CERT_FILE $SSL_CERT"', SSL_CERT_FILE=path)
        assert (result.returncode, result.stdout) == (0, f"{path} {value}\n"), result.stderr
    result = enter("sh", "-c", "echo $LOG", LOG="own", LOG_FILE=f"{tmp_path}/small")
    assert result.stdout == "own\n"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_the_line_end_of_a_file_is_no_part_of_its_value(enter, tmp_path, end):
    (tmp_path / "secret").write_bytes(f"two words{end}".encode())
    file = str(tmp_path / "secret")
    result = enter("sh", "-c", 'printf "<%s>" "$DB_PASSWORD"', DB_PASSWORD_FILE=file)
    assert (result.returncode, result.stdout) == (0, "<two words>"), result.stderr


@pytest.mark.parametrize("value", ['"', "\\", "a\tb", "ü\n{}", "\\n\u2028"])
def test_a_line_is_an_object_where_the_log_is_json(enter, value):
    result = enter("web", LOG_FORMAT="json", PORT=f"x{value}")
    lines = [json.loads(line) for line in result.stderr.split("\n") if line]
    assert [line["level"] for line in lines] == ["ERROR"]
    assert lines[0]["logger"] == "entrypoint"
    assert lines[0]["message"].startswith("PORT must be a number, not 'x")
    assert datetime.fromisoformat(lines[0]["time"]).tzinfo


def test_mistakes_with_files_are_refused(enter, tmp_path):
    (tmp_path / "empty").write_text("\n")
    for environment, message in [
        (
            {"SECRET_KEY_FILE": "/x"},
            "SECRET_KEY and SECRET_KEY_FILE are both set; keep one",
        ),
        ({"DB_PASSWORD_FILE": "/no/such"}, "DB_PASSWORD_FILE: can't read /no/such"),
        ({"ANY_FILE": "/run/secrets/no"}, "ANY_FILE: can't read /run/secrets/no"),
        ({"DB_PASSWORD_FILE": "/etc"}, "DB_PASSWORD_FILE: can't read /etc"),
        ({"REDIS_URL_FILE": f"{tmp_path}/empty"}, f"REDIS_URL_FILE: {tmp_path}/empty is empty"),
    ]:
        result = enter("celery", **environment)
        assert (result.returncode, result.stdout) == (64, "")
        assert result.stderr == f"entrypoint: {message}\n"


def test_the_next_folder_serves_where_the_first_is_read_only(enter, tmp_path):
    result = enter("worker", CONTAINER_RUN=f"/proc {tmp_path}")
    assert result.returncode == 0
    assert f"temporary={tmp_path}\n" in result.stdout
    assert (tmp_path / "container-role").read_text() == "worker\n"


@pytest.mark.parametrize(("word", "code"), [("web", 0), ("gunicorn", 64), ("beat", 64)])
def test_without_a_folder_only_daphne_starts(enter, word, code):
    result = enter(word, CONTAINER_RUN="/proc /no/such")
    assert result.returncode == code
    assert result.stderr == (
        f"entrypoint: {word} with shop.settings.production (from ENVIRONMENT=production)\n"
        "entrypoint: no temporary folder can be written; mount one, such as --tmpfs /tmp\n"
    )


def test_a_heartbeat_of_an_earlier_run_is_removed(enter, tmp_path):
    (tmp_path / "container-heartbeat").touch()
    enter("worker")
    assert not (tmp_path / "container-heartbeat").exists()


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
        '[ -z "$FAKE_FAULT" ] || { echo "setpriv: $FAKE_FAULT" >&2; exit 127; }\n'
        'exec env FAKE_USER=1 "$@"',
        "stat": 'echo "${FAKE_OWNER:-1000}"',
        "chown": 'echo "chown $*" >&2',
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


def test_a_user_that_setpriv_can_not_give_is_no_missing_program(as_root):
    result = as_root("web", PUID="1234", FAKE_FAULT="setresuid failed: Operation not permitted")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.startswith("entrypoint: can't become user 1234:1000 (")
    assert "setresuid failed: Operation not permitted); give root the cap" in result.stderr


@pytest.fixture
def folders(tmp_path):
    """A folder that the application writes, and a module without one in /var/log."""
    state = tmp_path / "state"
    state.mkdir()
    return {"STATE_DIR": str(state), "APP_MODULE": "no-such-module"}


@pytest.mark.parametrize(
    ("environment", "handed_over"),
    [
        ({"PUID": "1234", "PGID": "1235"}, "chown 1234:1235 "),
        ({"PUID": "01234"}, "chown 1234:1000 "),
        # The image's own user has them already.
        ({}, None),
        ({"PGID": "1235"}, None),
        # A mounted folder keeps the owner that somebody gave it.
        ({"PUID": "1234", "FAKE_OWNER": "0"}, None),
        ({"PUID": "1234", "FAKE_OWNER": "1001"}, None),
    ],
)
def test_another_user_gets_the_folders_of_the_images_own(
    as_root, folders, environment, handed_over
):
    result = as_root("web", **folders, **environment)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("chown ")]
    # Those below / may be there on the machine of the test.
    lines = [line for line in lines if line.endswith(folders["STATE_DIR"])]
    assert lines == ([handed_over + folders["STATE_DIR"]] if handed_over else [])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("owner", "said"), [(1000, "4321\n1234\nwrote\n"), (1001, "4321\n1234\n")])
def test_the_folder_of_the_images_user_becomes_another_users(image, owner, said):
    """With real users and files, in a folder that every user can enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        script = shutil.copy(DOCKER / "entrypoint.sh", folder)
        state, old = folder / "state", folder / "state" / "old"
        state.mkdir(0o755)
        old.touch()
        for path in (state, old):
            os.chown(path, owner, owner)
        command = 'id -u; id -g; touch "$STATE_DIR/made" 2>/dev/null && echo wrote'
        environment = {"PUID": "4321", "PGID": "1234", "STATE_DIR": str(state), "ALLOW_ROOT": ""}
        result = subprocess.run(
            ["sh", script, "sh", "-c", command],
            env=image | environment | {"APP_MODULE": "no-such-module"},
            capture_output=True,
            text=True,
        )
        assert result.stdout == said, result.stderr
        # What is inside is the application's to take over, and a mount is its owner's.
        owners = [(path.stat().st_uid, path.stat().st_gid) for path in (state, old)]
        assert owners == [(4321, 1234) if owner == 1000 else (owner, owner), (owner, owner)]


def test_the_folders_of_the_image_are_those_of_the_entrypoint():
    """Each is made by the Dockerfile, and handed over by the entrypoint."""
    made = re.search(r"--mode=0775 \\\n\s+(.*?)\n", (DOCKER / "Dockerfile").read_text())[1]
    loop = re.search(r"for folder in (.*?); do\n\s+if \[ -d", (DOCKER / "entrypoint.sh").read_text())
    names = {"${STATE_DIR:?}": "/var/lib/${APP_MODULE}"}
    handed_over = [
        names.get(word, word.replace(":?", "")) for word in loop[1].replace('"', "").split()
    ]
    assert sorted(made.replace('"', "").split()) == sorted(handed_over)


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
        ({"PUID": "4294967295"}, "PUID must be at most 4294967294, not '4294967295'"),
        ({"PGID": "9999999999"}, "PGID must be at most 4294967294, not '9999999999'"),
        ({"PUID": "99999999999999999999"}, "PUID must be a number, not '99999999999999999999'"),
    ],
)
def test_wrong_numbers_are_refused(as_root, environment, message):
    result = as_root("celery", **environment)
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr == f"entrypoint: {message}\n"


def test_a_signal_ends_the_shell_with_its_code(image, tmp_path):
    # It waits for the program that it has just started, which ends after the signal.
    go = tmp_path / "go"
    wait = f'until [ -e "{go}" ]; do sleep 0.1; done'
    (tmp_path / "bin/id").write_text(f"#!/bin/sh\necho asked >&2\n{wait}\necho 0\n")
    (tmp_path / "bin/id").chmod(0o755)
    for number in (signal.SIGTERM, signal.SIGINT):
        go.unlink(missing_ok=True)
        process = subprocess.Popen(
            ["sh", str(DOCKER / "entrypoint.sh"), "web"],
            env=image,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background job has SIGINT ignored, and so has all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        with process:
            assert process.stderr.readline() == "asked\n"
            process.send_signal(number)
            go.touch()
            assert process.wait(timeout=40) == 128 + number


def test_a_user_that_can_not_be_had_is_said(enter, tmp_path):
    (tmp_path / "bin/id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bin/id").chmod(0o755)
    result = enter("celery", PUID="1234")
    assert result.returncode == 0
    assert result.stderr == (
        "entrypoint: PUID=1234 has no effect: the container was started as user 1000, not as root\n"
    )
    assert enter("celery", PUID="1000").stderr == ""


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
