"""What must hold before a service starts, but not for `manage.py check` in a build.

Run with `manage.py check --deploy --tag service`; `check --deploy` includes them.
"""

from importlib.util import find_spec

from django.conf import settings
from django.core.checks import Error, register
from django.db import connection

from senex_trader.encryption import cipher


@register("service", deploy=True)
def check_field_encryption_key(app_configs, **options):
    try:
        cipher()
    except ValueError as error:
        hint = (
            "Make one with: python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'"
        )
        return [Error(f"FIELD_ENCRYPTION_KEY can't be used. {error}", hint, id="senex_trader.E001")]
    return []


@register("service", deploy=True)
def check_database_is_named(app_configs, **options):
    if connection.vendor == "unknown":
        return [Error("These settings name no database.", id="senex_trader.E002")]
    return []


@register("service", deploy=True)
def check_development_settings_are_at_home(app_configs, **options):
    """They show code to visitors and have known keys; pytest is in the development image only."""
    if settings.DEVELOPMENT and not find_spec("pytest"):
        hint = "Leave ENVIRONMENT unset, or use the development image."
        message = "The development settings are not for a production image."
        return [Error(message, hint, id="senex_trader.E003")]
    return []
