"""For a developer's machine: the keys are known to everybody."""

from senex_trader.settings.base import *

DEBUG = True
DEVELOPMENT = True
SECRET_KEY = SECRET_KEY or "development-secret-key"
FIELD_ENCRYPTION_KEY = FIELD_ENCRYPTION_KEY or "ZGV2ZWxvcG1lbnQtZW5jcnlwdGlvbi1rZXktLS0tLS0="
ALLOWED_HOSTS = ["*"]

# With it `runserver` serves WebSockets too. It must come before staticfiles.
INSTALLED_APPS = ["daphne", *INSTALLED_APPS]
