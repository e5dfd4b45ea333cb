import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).resolve().parents[1]

# It prints its variables that matter and its own command line, or becomes the rest of it.
FAKE_PYTHON = """#!/bin/sh
echo "prepared $(basename "$1") $2"
shift 2
exec "$@"
"""
FAKE_SERVICE = """#!/bin/sh
echo "settings=$DJANGO_SETTINGS_MODULE"
echo "path=${PYTHONPATH:-}"
for word in "$(basename "$0")" "$@"; do printf '<%s>' "$word"; done
echo
"""


@pytest.fixture
def image(tmp_path):
    """What the image bakes into the environment, with programs that only tell how they ran."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("daphne", "gunicorn", "celery", "python"):
        program = programs / name
        program.write_text(FAKE_PYTHON if name == "python" else FAKE_SERVICE)
        program.chmod(0o755)
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "APP_MODULE": "shop",
        "ASGI_APPLICATION": "shop.asgi:application",
        "WSGI_APPLICATION": "shop.wsgi:application",
        "CELERY_QUEUES": "celery,orders",
        "REQUIRED_ENVIRONMENT": "SECRET_KEY FIELD_ENCRYPTION_KEY",
        "STATE_DIR": "/var/lib/shop",
        "ENVIRONMENT": "production",
        "SECRET_KEY": "one",
        "FIELD_ENCRYPTION_KEY": "two",
        "ALLOW_ROOT": "1",
        "CONTAINER_LIBRARY": "/library",
        "CONTAINER_RUN": str(tmp_path),
    }


@pytest.fixture
def enter(image):
    """Runs the entrypoint; a variable that is None is left out."""

    def run(*words, **environment):
        merged = {**image, **environment}
        return subprocess.run(
            ["sh", str(DOCKER / "entrypoint.sh"), *words],
            env={name: value for name, value in merged.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=20,
        )

    return run


@pytest.fixture
def prepare(tmp_path):
    """Runs prepare.py for real, with settings from a module that the test writes."""

    def run(role, settings, *command, **environment):
        (tmp_path / "prepare_settings.py").write_text("USE_TZ = True\n" + settings)
        variables = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "prepare_settings",
            "WAIT_ATTEMPTS": "3",
            "WAIT_INTERVAL": "0.05",
        }
        return subprocess.run(
            [sys.executable, str(DOCKER / "container/prepare.py"), role, *command],
            cwd=tmp_path,
            env=variables | environment,
            capture_output=True,
            text=True,
            timeout=20,
        )

    return run
