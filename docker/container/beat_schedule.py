"""Celery's own scheduler with two habits more: it shows that it lives, and it outlives its file."""

import logging
import os

from celery.beat import PersistentScheduler
from heartbeat import touch

logger = logging.getLogger(__name__)

# `healthcheck` allows 60 seconds; beat would sleep up to five minutes where little is due.
LONGEST_SLEEP_SECONDS = 20


class Scheduler(PersistentScheduler):
    def tick(self, *arguments, **options):
        seconds = super().tick(*arguments, **options)
        touch()
        return min(seconds, LONGEST_SLEEP_SECONDS)

    def setup_schedule(self):
        """Start with an empty schedule where the file can't be used.

        Celery notices a file that isn't a database, but not every entry that can't be read: it
        may have been cut short, or name a class that is gone.
        """
        try:
            super().setup_schedule()
        except PermissionError:
            raise
        except Exception as error:
            logger.error("The schedule %s is corrupt: %r", self.schedule_filename, error)
            if self._store is not None:
                self._store.close()
            self._remove_db()
            super().setup_schedule()

    def _remove_db(self):
        """Celery removes a corrupt file; it may still tell somebody what happened."""
        for suffix in self.known_suffixes:
            path = self.schedule_filename + suffix
            if os.path.exists(path):
                os.replace(path, path + ".corrupt")
                logger.error("Moved %s aside, to %s.corrupt", path, path)
