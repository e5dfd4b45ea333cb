"""Strict settings, behind a proxy that ends TLS. Importing them needs no service."""

from django.core.exceptions import ImproperlyConfigured

from senex_trader.settings.base import *

_missing = [name for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEY") if not globals()[name]]
if _missing:
    raise ImproperlyConfigured(f"Set in the environment: {', '.join(_missing)}")

STORAGES = MANIFEST_STATIC_STORAGES

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

# Only the console: the container's engine keeps the logs, and the file system may be read-only.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "senex_trader.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # Django's own handlers would write everything a second time.
    "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}},
}
