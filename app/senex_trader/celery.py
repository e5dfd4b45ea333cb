import logging

from celery import Celery
from celery.signals import setup_logging

from senex_trader.environment import choose_settings

choose_settings()

application = Celery("senex_trader", task_cls="senex_trader.redelivery:BoundedTask")
application.config_from_object("django.conf:settings", namespace="CELERY")
application.autodiscover_tasks()


@setup_logging.connect
def keep_logging(loglevel, **_):
    """Celery's own set-up would take the place of the settings' LOGGING."""
    logging.getLogger("celery").setLevel(loglevel)
