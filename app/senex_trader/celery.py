from celery import Celery

from senex_trader.environment import choose_settings

choose_settings()

application = Celery("senex_trader")
application.config_from_object("django.conf:settings", namespace="CELERY")
application.autodiscover_tasks()
