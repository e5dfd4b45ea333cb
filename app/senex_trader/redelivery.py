from celery import Task
from django.core.cache import cache

# Each is the end of a worker, or of its connection, while the task ran.
REDELIVERIES = 3
# Seconds: longer than all of them take.
REMEMBERED = 86_400


class GivenUp(Exception):
    pass


class BoundedTask(Task):
    """Given up with an error when it keeps coming back: it may be what kills its worker.

    The first delivery isn't counted, so that other tasks ask nobody.
    """

    def before_start(self, task_id, args, kwargs):
        if not (self.request.delivery_info or {}).get("redelivered"):
            return
        key = f"redelivered-{task_id}"
        cache.add(key, 0, REMEMBERED)
        count = cache.incr(key)
        if count > REDELIVERIES:
            raise GivenUp(f"{self.name}[{task_id}] was redelivered {count} times")
