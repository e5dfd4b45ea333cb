"""Is the process alive, and can it reach what it needs?"""

import logging

from django.conf import settings
from django.db import connection
from django.http import JsonResponse
from django.utils.deprecation import MiddlewareMixin
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

# A probe gives up sooner than whoever asks it.
TIMEOUT_SECONDS = 2


def check_database():
    # A connection of its own: a shared one may be in a transaction, and its timeouts are longer.
    probe = connection.copy()
    if probe.vendor == "postgresql":
        probe.settings_dict["OPTIONS"] = {
            **probe.settings_dict.get("OPTIONS", {}),
            "connect_timeout": TIMEOUT_SECONDS,
            "options": f"-c statement_timeout={TIMEOUT_SECONDS * 1000}",
        }
    try:
        with probe.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        probe.close()


def check_redis():
    with Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as client:
        client.ping()


def run_checks(checks):
    results = {}
    for name, check in checks.items():
        try:
            check()
            results[name] = "ok"
        except Exception:
            # The text may name hosts and users, so it goes to the log and not to whoever asks.
            logger.exception("The health check of %s failed", name)
            results[name] = "failed"
    healthy = all(result == "ok" for result in results.values())
    response = JsonResponse(
        {"status": "healthy" if healthy else "unhealthy", "checks": results},
        status=200 if healthy else 503,
    )
    response["Cache-Control"] = "no-store"
    return response


def live(request):
    return run_checks({})


def ready(request):
    return run_checks({"database": check_database, "redis": check_redis})


class HealthMiddleware(MiddlewareMixin):
    """Answers the health paths before any other middleware.

    A probe asks by an address, over plain HTTP. The check of the Host header would refuse it and
    the redirect to HTTPS would send it away.
    """

    views = {"/health/": ready, "/health/live/": live, "/health/ready/": ready}

    def process_request(self, request):
        view = self.views.get(request.path_info)
        return view(request) if view else None
