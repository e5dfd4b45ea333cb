"""Loaded into a Celery worker (`--include`): shows that its loop turns, and ends it in time.

The worker sends a heartbeat to the broker every two seconds, from its main loop. A worker that
hangs, or has lost the broker, doesn't; then the file grows old and `healthcheck` says so. What
its processes are busy with doesn't matter.
"""

import os
import signal

from celery import current_app
from celery.signals import heartbeat_sent, worker_ready, worker_shutting_down

from entrypoint.heartbeat import touch
from entrypoint.messages import finishing_seconds, say


def end_in_time(how, **_):
    """SIGTERM lets tasks end. What isn't done before the engine's SIGKILL goes back to its queue.

    Celery itself would wait without end, be killed, and leave the task to whatever the broker does
    about a consumer that has vanished.
    """
    if how == "Warm":
        signal.signal(signal.SIGALRM, put_back)
        signal.setitimer(signal.ITIMER_REAL, finishing_seconds())


def put_back(*_):
    say("tasks that aren't done go back to their queues")
    # The time that Celery would give them once more is over.
    current_app.conf.worker_soft_shutdown_timeout = 0
    current_app.conf.worker_enable_soft_shutdown_on_idle = False
    os.kill(os.getpid(), signal.SIGQUIT)


# Not weakly: nothing else holds on to the functions by itself.
worker_ready.connect(touch, weak=False)
heartbeat_sent.connect(touch, weak=False)
worker_shutting_down.connect(end_in_time, weak=False)
