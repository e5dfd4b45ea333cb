"""Is the process alive, and can it reach what it needs?"""

import logging
import time
from concurrent.futures import Future
from functools import cache
from threading import Lock, Thread

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import JsonResponse
from django.utils.deprecation import MiddlewareMixin
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

# What one step of a check may take, and what an answer may take in all: a host with several
# addresses, or a name server that is silent, would stretch the former.
STEP_SECONDS = 2
ANSWER_SECONDS = 4


def probe_connection():
    """A connection of its own: a shared one may be in a transaction, and is more patient."""
    probe = connection.copy()
    if probe.vendor == "postgresql":
        probe.settings_dict["OPTIONS"] = {
            **probe.settings_dict.get("OPTIONS", {}),
            "connect_timeout": STEP_SECONDS,
            "tcp_user_timeout": STEP_SECONDS * 1000,
            "keepalives_idle": STEP_SECONDS,
            "keepalives_interval": 1,
            "keepalives_count": 2,
            "options": f"-c statement_timeout={STEP_SECONDS * 1000}",
        }
    return probe


def check_database():
    probe = probe_connection()
    try:
        with probe.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        probe.close()


@cache
def known_migrations():
    """Those of this code, read from its files once."""
    return frozenset(MigrationLoader(None).graph.nodes)


def check_migrations():
    probe = probe_connection()
    try:
        missing = known_migrations() - MigrationRecorder(probe).applied_migrations().keys()
    finally:
        probe.close()
    if missing:
        raise RuntimeError(f"Not applied: {', '.join(map('.'.join, sorted(missing)))}")


def check_redis():
    with Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=STEP_SECONDS,
        socket_connect_timeout=STEP_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as client:
        client.ping()


class Probe:
    """One check, in a thread that nobody waits for longer than he likes.

    Whoever asks while it runs gets the same outcome, so that many who ask make no more threads
    and no more connections.
    """

    def __init__(self, check):
        self.check = check
        self.lock = Lock()
        self.outcome = None

    def start(self):
        with self.lock:
            if self.outcome is None or self.outcome.done():
                self.outcome = Future()
                Thread(target=self.run, args=[self.outcome], daemon=True).start()
            return self.outcome

    def run(self, outcome):
        try:
            outcome.set_result(self.check())
        except Exception as error:
            outcome.set_exception(error)


def answer(probes):
    started = time.monotonic()
    outcomes = {name: probe.start() for name, probe in probes.items()}
    results = {}
    for name, outcome in outcomes.items():
        left = max(0, started + ANSWER_SECONDS - time.monotonic())
        try:
            outcome.result(timeout=left)
            results[name] = "ok"
        except Exception as error:
            # The text may name hosts and users, so it goes to the log and not to whoever asks.
            logger.error("The health check of %s failed", name, exc_info=error)
            results[name] = "failed"
    healthy = all(result == "ok" for result in results.values())
    response = JsonResponse(
        {"status": "healthy" if healthy else "unhealthy", "checks": results},
        status=200 if healthy else 503,
    )
    response["Cache-Control"] = "no-store"
    return response


DATABASE, MIGRATIONS, REDIS = (
    Probe(check) for check in (check_database, check_migrations, check_redis)
)


def live(request):
    """The process answers."""
    return answer({})


def health(request):
    """What it needs answers, too."""
    return answer({"database": DATABASE, "redis": REDIS})


def ready(request):
    """And the database is as this code expects it."""
    return answer({"database": DATABASE, "redis": REDIS, "migrations": MIGRATIONS})


class HealthMiddleware(MiddlewareMixin):
    """Answers the health paths before any other middleware.

    A probe asks by an address, over plain HTTP. The check of the Host header would refuse it and
    the redirect to HTTPS would send it away.
    """

    views = {"/health/": health, "/health/live/": live, "/health/ready/": ready}

    def process_request(self, request):
        view = self.views.get(request.path_info)
        return view(request) if view else None
