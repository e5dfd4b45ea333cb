"""What `collectstatic` and `check` need while an image is built: no variable and no service.

They can't serve: there is no database and no host is allowed.
"""

from senex_trader.settings.base import *

SECRET_KEY = "build only"
FIELD_ENCRYPTION_KEY = "build only"
ALLOWED_HOSTS = []
DATABASES = {}
STORAGES = MANIFEST_STATIC_STORAGES
