"""Redis as the Django settings name it, as broker or for itself: whether it answers."""

from urllib.parse import urlsplit

from entrypoint.messages import Refusal


def urls():
    """The settings' names and Redis URLs, each URL once. Another broker is not waited for."""
    from django.conf import settings

    found = {}
    for name in ("REDIS_URL", "CELERY_BROKER_URL"):
        url = getattr(settings, name, None)
        if isinstance(url, str) and url.startswith(("redis://", "rediss://", "unix://")):
            # Celery takes several, for when the first is gone.
            found.setdefault(url.split(";")[0], name)
    return [(name, url) for url, name in found.items()]


def place(url):
    """For people: where it is, never the password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"Redis at {parts.path}"
    return f"Redis at {parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"


def wait(patience):
    for name, url in urls():
        wait_for(patience, name, url)


def wait_for(patience, name, url):
    try:
        import redis
    except ModuleNotFoundError:
        raise Refusal(f"{name} is a Redis URL, and redis isn't installed", code=64) from None
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    timeout = max(2, patience.interval)

    def client():
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )

    def ask():
        with client() as connection:
            connection.ping()

    try:
        what = place(url)
        client().close()
    except ValueError:
        # Not the text of the error: it may quote a piece of the password.
        raise Refusal(f"{name} is no Redis URL", code=64) from None
    # A refusal is an answer, and the next one would be the same.
    refusals = (redis.AuthenticationError, redis.ResponseError)
    patience.wait_for(
        what,
        attempt=ask,
        hopeless=lambda error: isinstance(error, refusals),
        temporary=(redis.RedisError, OSError),
    )
