from celery import shared_task
from django.core.management import call_command


@shared_task
def ping():
    """For the default queue, as Celery's own `ping` asks a worker and not a queue."""
    return "pong"


@shared_task
def clear_sessions():
    call_command("clearsessions")
