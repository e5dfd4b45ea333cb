"""Which settings a process runs with, where nobody has said so."""

import os


def choose_settings():
    """Follow ENVIRONMENT, as the container does; without it, the strict settings.

    A process that `exec` starts in a running container hasn't passed the entrypoint.
    """
    name = os.environ.get("ENVIRONMENT") or "production"
    name = {"prod": "production", "dev": "development"}.get(name, name)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"senex_trader.settings.{name}")
