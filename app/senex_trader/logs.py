"""What every line of a log carries beside its text: the request or the task that it belongs to."""

import logging
from contextvars import ContextVar

from celery import current_task

# Set by `middleware.number_requests`.
request_id = ContextVar("request_id", default=None)


class Belonging(logging.Filter):
    def filter(self, record):
        if request := request_id.get():
            record.request_id = request
        if current_task and current_task.request.id:
            record.task_id = current_task.request.id
            record.task = current_task.name
        return True
