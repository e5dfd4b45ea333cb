import os
import signal
from threading import Timer

from celery import Celery
from celery.signals import worker_shutting_down

from senex_trader.environment import choose_settings

choose_settings()

application = Celery("senex_trader")
application.config_from_object("django.conf:settings", namespace="CELERY")
application.autodiscover_tasks()


@worker_shutting_down.connect
def put_back_what_takes_long(how, **_):
    """At SIGTERM a worker waits for its tasks, however long; an engine soon kills it.

    Then a task would be nobody's until Redis misses it. SIGQUIT puts it back at once.
    """
    if how == "Warm":
        from django.conf import settings

        patience = Timer(settings.WORKER_STOP_SECONDS, os.kill, [os.getpid(), signal.SIGQUIT])
        patience.daemon = True
        patience.start()
