"""For a developer's machine: the keys are known to everybody."""

from senex_trader.settings.base import *

DEBUG = True
SECRET_KEY = SECRET_KEY or "development-secret-key"
FIELD_ENCRYPTION_KEY = FIELD_ENCRYPTION_KEY or "development-encryption-key"
ALLOWED_HOSTS = ["*"]

# With it `runserver` serves WebSockets too. It must come before staticfiles.
INSTALLED_APPS = ["daphne", *INSTALLED_APPS]
