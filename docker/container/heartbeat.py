"""Loaded into a Celery worker (`--include`): shows that its loop turns.

The worker sends a heartbeat to the broker every two seconds, from its main loop. A worker that
hangs, or has lost the broker, doesn't; then the file grows old and `healthcheck` says so.
"""

import os
from pathlib import Path

from celery.signals import heartbeat_sent, worker_ready


def touch(**_):
    path = os.environ.get("CONTAINER_HEARTBEAT")
    if not path:
        return
    try:
        Path(path).touch()
    except OSError:
        # The worker works all the same.
        pass


# Not weakly: nothing else holds on to the function by itself.
worker_ready.connect(touch, weak=False)
heartbeat_sent.connect(touch, weak=False)
