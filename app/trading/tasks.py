from asgiref.sync import async_to_sync
from celery import shared_task
from channels.layers import get_channel_layer
from django.utils import timezone

from trading.consumers import TICKS_GROUP


@shared_task
def send_tick(symbol, price):
    tick = {"symbol": symbol, "price": price, "time": timezone.now().isoformat()}
    async_to_sync(get_channel_layer().group_send)(TICKS_GROUP, {"type": "tick", "tick": tick})
    return tick


@shared_task
def heartbeat():
    """Beat sends it: a tick in the browser shows that beat, worker and web reach one another."""
    return send_tick("HEARTBEAT", None)
