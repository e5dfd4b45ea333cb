"""What a process reads from its environment, and which settings it runs with."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

# Before numpy is imported: its OpenBLAS starts a thread for each core of the host, in each process,
# and fails where a container may not have so many. Nothing here needs one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def choose_settings():
    """Follow ENVIRONMENT, as the container does; without it, the strict settings.

    A process that `exec` starts in a running container hasn't passed the entrypoint.
    """
    name = os.environ.get("ENVIRONMENT") or "production"
    name = {"prod": "production", "dev": "development"}.get(name, name)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"senex_trader.settings.{name}")


def text(name, default=""):
    """A variable, or what is in the file that NAME_FILE names.

    The entrypoint has read these files; what `exec` starts hasn't passed it.
    """
    file = os.environ.get(f"{name}_FILE")
    if file and not os.environ.get(name):
        try:
            return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise ImproperlyConfigured(f"{name}_FILE: can't read {file}: {error}") from None
    return os.environ.get(name) or default


def words(name, default=""):
    """A variable that is set to nothing counts as missing, as everywhere."""
    text = os.environ.get(name) or default
    return [word.strip() for word in text.split(",") if word.strip()]


def number(name, default, least=0):
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value < 1e9:
        raise ImproperlyConfigured(f"{name} must be a number of at least {least}, not '{text}'")
    return value
