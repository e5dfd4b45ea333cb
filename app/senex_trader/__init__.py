# Celery's @shared_task finds its application through this import.
from senex_trader.celery import application as celery_application

__all__ = ["celery_application"]
