from celery import Task
from django.core.cache import cache

# After each a worker, or its connection to the broker, died while the task ran.
REDELIVERIES = 3
# In seconds; longer than all redeliveries take.
REMEMBERED = 86_400


class GivenUp(Exception):
    pass


class BoundedTask(Task):
    """Fails once it has been redelivered too often: it may be what kills its worker.

    The first delivery isn't counted, so that a task usually costs no request to Redis.
    """

    def before_start(self, task_id, args, kwargs):
        if not (self.request.delivery_info or {}).get("redelivered"):
            return
        key = f"redelivered-{task_id}"
        cache.add(key, 0, REMEMBERED)
        count = cache.incr(key)
        if count > REDELIVERIES:
            raise GivenUp(f"{self.name}[{task_id}] was redelivered {count} times")
