"""The file that `healthcheck` looks at: as old as the last turn of a loop."""

import os
from pathlib import Path


def touch(**_):
    path = os.environ.get("CONTAINER_HEARTBEAT")
    if not path:
        return
    try:
        Path(path).touch()
    except OSError:
        # The service still works.
        pass
