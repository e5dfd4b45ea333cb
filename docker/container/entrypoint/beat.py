"""Celery's own scheduler with three habits more: it shows that it lives, it outlives its file, and
it leaves the schedule alone while another beat sends it."""

import logging

from celery.beat import PersistentScheduler

from entrypoint import postgres, schedule_file
from entrypoint.heartbeat import touch
from entrypoint.schedule_lock import ScheduleLock

logger = logging.getLogger(__name__)

# `healthcheck` allows 60 seconds; beat would sleep up to five minutes where little is due.
LONGEST_SLEEP_SECONDS = 20
# How soon another beat is followed.
STANDBY_SECONDS = 2


class LockLost(Exception):
    """Between the look at the lock and the sending."""


def schedule_lock():
    """None where the database has no such lock."""
    if postgres.vendor() == "postgresql":
        return ScheduleLock()
    logger.warning("The database isn't PostgreSQL: nothing keeps a second beat from sending, too")
    return None


class Scheduler(PersistentScheduler):
    persistence = schedule_file

    def __init__(self, *arguments, lazy=False, **options):
        # Celery makes a lazy one to show its name.
        self.lock = None if lazy else schedule_lock()
        super().__init__(*arguments, lazy=lazy, **options)
        # What was sent is written down at once, so that a crash doesn't send it again.
        self.sync_every_tasks = self.sync_every_tasks or 1

    def setup_schedule(self):
        """Not yet: only with the lock the file, too, is nobody else's."""

    def tick(self, *arguments, **options):
        touch()
        if self.lock and not self.lock.hold():
            return STANDBY_SECONDS
        if self._store is None:
            super().setup_schedule()
        if self.lock:
            self.follow()
        try:
            seconds = super().tick(*arguments, **options)
        except LockLost as lost:
            self.lock.lose(lost.__cause__)
            return STANDBY_SECONDS
        return min(seconds, LONGEST_SLEEP_SECONDS)

    def follow(self):
        """Goes on where another beat has ended."""
        sent = self.lock.catch_up()
        if sent is None:
            return
        logger.info("The other beat has ended; sending the schedule from here on")
        for name, entry in self.schedule.items():
            entry.last_run_at = sent(name).astimezone(entry.last_run_at.tzinfo)
        # Celery orders the entries anew.
        self._heap = None

    def apply_entry(self, entry, producer=None):
        """The last moment: connecting to the broker may have taken long."""
        if self.lock:
            try:
                self.lock.announce(entry.name, entry.default_now().isoformat())
            except Exception as error:
                # As if its turn hadn't come.
                self.schedule[entry.name] = entry
                self._heap = None
                raise LockLost from error
        super().apply_entry(entry, producer=producer)

    def get_schedule(self):
        return {} if self._store is None else super().get_schedule()

    schedule = property(get_schedule, PersistentScheduler.set_schedule)

    def sync(self):
        # Another beat may have the same file.
        if self.lock is None or self.lock.held:
            super().sync()

    def close(self):
        super().close()
        if self.lock:
            self.lock.close()
