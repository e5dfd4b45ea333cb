"""A slow page and a slow task, which the smoke test has in flight while a container ends."""

import asyncio
import time

from celery import shared_task
from django.http import HttpResponse
from django.urls import path

from senex_trader import urls

SECONDS = 3


async def slow(request):
    await asyncio.sleep(SECONDS)
    return HttpResponse("answered")


@shared_task
def slow_task():
    time.sleep(SECONDS)


urlpatterns = [*urls.urlpatterns, path("slow/", slow)]
