"""Celery's own scheduler with two habits more: it outlives its file, and it leaves the schedule
alone while another beat sends it. A project may name another; any shows that it lives.
"""

import logging

from celery.app.utils import find_app
from celery.beat import PersistentScheduler
from celery.signals import beat_init

from entrypoint import postgres, schedule_file
from entrypoint.heartbeat import touch
from entrypoint.schedule_lock import ScheduleLock

logger = logging.getLogger(__name__)

# `healthcheck` allows 60 seconds; beat would sleep up to five minutes where little is due.
LONGEST_SLEEP_SECONDS = 20
# How soon another beat is followed.
STANDBY_SECONDS = 2


UNLOCKED = "%s: nothing keeps a second beat from sending, too"

# The name of Celery's own, where a project names none.
DEFAULT = "celery.beat:PersistentScheduler"


def choose_scheduler(application):
    """Ours, unless the project names one, such as that of django-celery-beat or redbeat."""
    conf = find_app(application).conf
    if conf.beat_scheduler == DEFAULT:
        conf.beat_scheduler = f"{__name__}:Scheduler"


def show_life(sender, **_):
    """Each turn of any scheduler is a heartbeat, and none is far from the next."""
    scheduler = sender.scheduler
    own = scheduler.tick
    scheduler.tick = lambda: touch() or min(own(), LONGEST_SLEEP_SECONDS)


# Not weakly: nothing else holds on to the function.
beat_init.connect(show_life, weak=False)


class LockLost(Exception):
    """Between the look at the lock and the sending."""


def schedule_lock():
    """None where the database has no such lock."""
    if postgres.vendor() == "postgresql":
        return ScheduleLock()
    logger.warning(UNLOCKED, "The database isn't PostgreSQL")
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
        if self.lock and not self.lock.hold():
            return STANDBY_SECONDS
        if self.lock and self.lock.impossible:
            logger.warning(UNLOCKED, "A pooler in transaction mode holds no lock")
            self.lock.close()
            self.lock = None
        if self._store is None:
            super().setup_schedule()
        if self.lock:
            self.follow()
        try:
            return super().tick(*arguments, **options)
        except LockLost as lost:
            self.lock.lose(lost.__cause__)
            return STANDBY_SECONDS

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
