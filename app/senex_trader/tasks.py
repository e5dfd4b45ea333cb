from celery import shared_task


@shared_task
def ping():
    """For the default queue, as Celery's own `ping` asks a worker and not a queue."""
    return "pong"
