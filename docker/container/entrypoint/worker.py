"""Loaded into a Celery worker (`--include`): shows that its loop turns, and ends it in time.

The worker sends a heartbeat to the broker every two seconds, from its main loop. A worker that
hangs, or has lost the broker, doesn't; then the file grows old and `healthcheck` says so. What
its processes are busy with doesn't matter.
"""

import os
import signal

import celery.apps.worker
from celery import current_app
from celery.signals import heartbeat_sent, worker_ready, worker_shutting_down
from celery.worker import state

from entrypoint.heartbeat import touch
from entrypoint.messages import finishing_seconds, is_json, say

# To end its processes takes Celery up to two seconds.
PUTTING_BACK_SECONDS = 1


def end_in_time(how, **_):
    """SIGTERM lets tasks end, however long they take: that is Celery's own, and loses none.

    Only who has said when the engine sends SIGKILL gets an end before that: Celery would be killed,
    and leave late-acknowledged tasks to whatever the broker does about a consumer that has vanished.
    """
    if how != "Warm":
        return
    if os.environ.get("STOP_GRACE_PERIOD"):
        handler = signal.getsignal(signal.SIGQUIT)
        signal.signal(signal.SIGALRM, lambda *_: give_up(handler))
        signal.setitimer(signal.ITIMER_REAL, max(finishing_seconds() - PUTTING_BACK_SECONDS, 0.1))


def give_up(handler):
    if signal.getsignal(signal.SIGQUIT) is not handler:
        # Celery changes it once SIGQUIT has come: another signal was earlier.
        return
    for request in state.active_requests:
        # With early acknowledgement the message has left the queue before the task began.
        fate = "goes back to its queue" if request.task.acks_late else "is lost"
        say(f"not done in time: {request.name}[{request.id}] {fate}")
    # The time that Celery would give them once more is over.
    current_app.conf.worker_soft_shutdown_timeout = 0
    current_app.conf.worker_enable_soft_shutdown_on_idle = False
    os.kill(os.getpid(), signal.SIGQUIT)


if is_json():
    # Where Celery prints what it says of its end, from a handler of signals. A private name: without
    # it a line of text comes back, which `test_logs` sees.
    celery.apps.worker.safe_say = lambda message, *_: say(message)

# Not weakly: nothing else holds on to the functions.
worker_ready.connect(touch, weak=False)
heartbeat_sent.connect(touch, weak=False)
worker_shutting_down.connect(end_in_time, weak=False)
