"""What collects static files in a build, run in a folder of the test."""

import base64
import re
import subprocess

import pytest
from conftest import DOCKER

MANAGE = """
import os, pathlib, sys
print({name: os.environ.get(name) for name in ("DJANGO_SETTINGS_MODULE", "KEY")})
for name in ("logs", "media/uploads"):
    pathlib.Path(name).mkdir(parents=True, exist_ok=True)
pathlib.Path("logs/django.log").touch()
print(sys.argv)
sys.exit(int(os.environ.get("FAULT", "0")))
"""


@pytest.fixture
def collect(tmp_path):
    application = tmp_path / "app"
    (application / "shop/settings").mkdir(parents=True)
    (application / "manage.py").write_text(MANAGE)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text("#!/bin/sh\nexec python3 \"$@\"\n")
    # It needs root for an owner.
    (programs / "install").write_text('#!/bin/sh\necho "install $*"\n')
    for program in programs.iterdir():
        program.chmod(0o755)

    def run(**environment):
        words = {"APP_MODULE": "shop", "REQUIRED_ENVIRONMENT": "KEY", **environment}
        return subprocess.run(
            [DOCKER / "collect.sh", tmp_path],
            env={"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", **words},
            capture_output=True,
            text=True,
        )

    return run


def test_folders_that_the_settings_create_do_not_hide_the_writable_ones(collect, tmp_path):
    result = collect()
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "app/logs").exists() and not (tmp_path / "app/media").exists()
    assert "install" not in result.stdout


def test_folders_of_the_source_keep_their_files_and_can_be_written(collect, tmp_path):
    (tmp_path / "app/logs").mkdir()
    (tmp_path / "app/logs/apps.py").write_text("x = 1\n")
    result = collect()
    assert result.returncode == 0, result.stderr
    left = [path.name for path in (tmp_path / "app/logs").iterdir() if path.is_file()]
    assert left == ["apps.py"]
    assert "install --directory --owner=1000 --group=0 --mode=0775 logs\n" in result.stdout
    assert not (tmp_path / "app/media").exists()


def test_what_the_settings_require_is_a_valid_key(collect):
    key = re.search(r"'KEY': '(.*?)'", collect().stdout)[1]
    assert len(base64.urlsafe_b64decode(key)) == 32


@pytest.mark.parametrize(
    ("files", "settings"), [(["production"], "production"), (["production", "build"], "build")]
)
def test_a_failure_names_the_settings_and_the_way_out(collect, tmp_path, files, settings):
    for name in files:
        (tmp_path / f"app/shop/settings/{name}.py").touch()
    result = collect(FAULT="3")
    assert result.returncode == 1
    assert f"collectstatic failed with shop.settings.{settings}; " in result.stderr
    assert "[app.environment]" in result.stderr and "settings_build" in result.stderr


def test_commands_come_before_and_after(collect):
    words = {"BEFORE_COLLECTSTATIC": "css; js --all", "AFTER_COLLECTSTATIC": "compress --force"}
    said = collect(**words).stdout
    begins = [said.index(f"'{name}'") for name in ("css", "js", "collectstatic", "compress")]
    assert begins == sorted(begins) and "'--all'" in said and "'--force'" in said
    result = collect(**words, FAULT="3")
    assert result.returncode == 1
    assert "manage.py css failed: before_collectstatic in docker/image.toml" in result.stderr


def test_no_lock_file_of_the_installer_stays():
    script = (DOCKER / "install.sh").read_text()
    removed = re.search(r"^rm -rf (/tmp/installer .*)$", script, re.MULTILINE)[1].split()
    assert {"/opt/venv/.lock", "/tmp/uv-*.lock"} <= set(removed)
    # Nothing of uv runs after it.
    assert "/bin/uv " not in script.split("rm -rf /tmp/installer")[1]


def test_translations_are_compiled_but_for_those_that_are(collect, tmp_path):
    program = tmp_path / "bin/msgfmt"
    program.write_text('#!/bin/sh\ncp "$2" "${1#--output-file=}"\n')
    program.chmod(0o755)
    folder = tmp_path / "app/shop/locale/a b"
    folder.mkdir(parents=True)
    (folder / "new.po").write_text("new")
    (folder / "old.po").write_text("new")
    (folder / "old.mo").write_text("old")
    assert collect().returncode == 0
    assert (folder / "new.mo").read_text() == "new"
    assert (folder / "old.mo").read_text() == "old"
    program.write_text("#!/bin/sh\nexit 3\n")
    (folder / "new.mo").unlink()
    assert collect().returncode != 0
