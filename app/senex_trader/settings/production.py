"""Strict settings, behind a proxy that ends TLS. Importing them needs no service."""

from importlib.util import find_spec
from ipaddress import ip_network

from django.core.exceptions import ImproperlyConfigured

from senex_trader.settings.base import *

_missing = [name for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEY") if not globals()[name]]
if _missing:
    raise ImproperlyConfigured(f"Set in the environment: {', '.join(_missing)}")

STORAGES = MANIFEST_STATIC_STORAGES

# 0 is for a trial without a proxy, on the own machine.
_https = os.environ.get("HTTPS_ONLY") != "0"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = _https
SESSION_COOKIE_SECURE = _https
CSRF_COOKIE_SECURE = _https
# An hour, until a deployment is sure of itself; browsers take no preload of less than a year.
SECURE_HSTS_SECONDS = int(number("HSTS_SECONDS", 3600)) if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True


def _require(variable, package, extra):
    if not find_spec(package):
        raise ImproperlyConfigured(f"{variable} needs the extra `{extra}` of pyproject.toml")


# Where Prometheus may ask for /metrics from, such as 10.0.0.0/8; never through the proxy.
try:
    METRICS_NETWORKS = [ip_network(text) for text in words("METRICS_NETWORKS")]
except ValueError as error:
    raise ImproperlyConfigured(f"METRICS_NETWORKS: {error}") from None
if METRICS_NETWORKS:
    _require("METRICS_NETWORKS", "django_prometheus", "metrics")
    MIDDLEWARE = [
        "senex_trader.metrics.middleware",
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        *MIDDLEWARE,
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ]

if os.environ.get("SENTRY_DSN"):
    _require("SENTRY_DSN", "sentry_sdk", "sentry")
    import sentry_sdk

    try:
        # Variables of a frame may hold secrets.
        sentry_sdk.init(dsn=os.environ.get("SENTRY_DSN"), include_local_variables=False)
    except ValueError:
        raise ImproperlyConfigured("SENTRY_DSN is no DSN") from None
