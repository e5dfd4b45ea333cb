"""Where beat keeps when it sent what, over a restart: a file that is whole at any moment.

Celery's own is a `dbm`, whose kind depends on the base image's Python; cut short, some kinds end
the process that opens them.
"""

import logging
import os
import pickle
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)


class ScheduleFile(dict):
    """What Celery takes for a `shelve`. Where the file can't be written, another one is."""

    def __init__(self, path, **_):
        super().__init__()
        self.path = Path(path)
        self.others = [Path(tempfile.gettempdir()) / self.path.name]
        found = [path for path in (self.path, *self.others) if path.exists()]
        for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
            try:
                self.update(read(path))
                return
            except Exception as error:
                # Not only OSError: a pickle may name a class that is gone.
                set_aside(path, error)

    def sync(self):
        try:
            write(self.path, dict(self))
        except OSError as error:
            if not self.others:
                # Said when this file was chosen; beat goes on with what it knows.
                logger.debug("The schedule can't be kept: %s", error)
                return
            other = self.others.pop()
            if other != self.path:
                logger.error(
                    "The schedule %s can't be written (%s); it is kept in %s, no longer than this"
                    " container lives",
                    self.path,
                    error.strerror,
                    other,
                )
            self.path = other
            self.sync()

    def close(self):
        """Celery has called `sync` before, where it may."""


def open(path, writeback=True):
    """As `shelve.open`; the file is read once, and written by `sync`."""
    return ScheduleFile(path)


def read(path):
    content = pickle.loads(path.read_bytes())
    if not isinstance(content.get("entries", {}), dict):
        raise ValueError("it holds no entries")
    return content


def write(path, content):
    """Beside it, then renamed over it: a crash leaves the old one."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(pickle.dumps(content))
    os.replace(temporary, path)


def set_aside(path, error):
    """It may still tell somebody what happened."""
    logger.error("The schedule %s is corrupt, and not used: %r", path, error)
    try:
        os.replace(path, path.with_name(f"{path.name}.corrupt"))
    except OSError:
        # Then it is written over, or it is in a folder that can't be written.
        pass
