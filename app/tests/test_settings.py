import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

APPLICATION = Path(__file__).resolve().parents[1]
KEYS = {"SECRET_KEY": "test-secret-key", "FIELD_ENCRYPTION_KEY": "test-encryption-key"}


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


def test_no_migration_is_missing():
    result = manage(["makemigrations", "--check", "--dry-run"], "test")
    assert result.returncode == 0, result.stdout


def test_production_logs_json():
    code = "import logging; logging.getLogger('trading').warning('a \\'quoted\\' word')"
    result = manage(["shell", "--no-imports", "--command", code], "production", **KEYS)
    assert result.returncode == 0, result.stderr
    entry = json.loads(result.stderr)
    assert (entry["level"], entry["message"]) == ("warning", "a 'quoted' word")
