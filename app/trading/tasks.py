from datetime import UTC, datetime, timedelta
from itertools import groupby

from asgiref.sync import async_to_sync
from celery import shared_task
from channels.layers import get_channel_layer
from django.conf import settings
from django.utils import timezone

from trading import broker, valuation
from trading.consumers import ALL_GROUP, group_of
from trading.models import Mark, Position, Underlying

HISTORY = timedelta(days=1)


def last_tick():
    """The start of the present interval, so that a mark of this interval is made once only."""
    now = timezone.now().timestamp()
    return datetime.fromtimestamp(now - now % settings.MARK_INTERVAL, UTC)


@shared_task
def quote(symbol):
    """What the broker says now. It needs nothing but a worker."""
    now = timezone.now()
    price = broker.prices([symbol], now)[symbol]
    return {"symbol": symbol, "price": price, "time": now.isoformat()}


@shared_task
def mark_to_market():
    """Values the open positions and tells the pages that show them.

    It sends the time also where there is no position: a page shows by it that beat, worker, Redis
    and web reach one another.
    """
    tick = last_tick()
    positions = list(Position.objects.open().with_legs().order_by("owner", "opened_at", "pk"))
    underlyings = {position.underlying.symbol: position.underlying for position in positions}
    prices = broker.prices(sorted(underlyings), tick)
    numbers = valuation.numbers(positions, prices, tick)

    for symbol, underlying in underlyings.items():
        Underlying.objects.filter(pk=underlying.pk).update(price=prices[symbol])
    marks = [
        Mark(position_id=key, time=tick, value=each.value, profit=each.profit)
        for key, each in numbers.items()
    ]
    Mark.objects.bulk_create(marks, ignore_conflicts=True)
    Mark.objects.filter(time__lt=tick - HISTORY).delete()

    for owner, own in groupby(positions, key=lambda position: position.owner_id):
        tell(group_of(owner), update(tick, list(own), prices, numbers))
    tell(ALL_GROUP, {"time": tick.isoformat()})
    return {"time": tick.isoformat(), "positions": len(positions)}


def update(tick, positions, prices, numbers):
    """What a page needs to show one owner's positions as of that time."""
    return {
        "time": tick.isoformat(),
        "positions": {
            str(position.pk): {
                "price": prices[position.underlying.symbol],
                **numbers[position.pk].rounded(),
            }
            for position in positions
        },
        "net": valuation.net(numbers[position.pk] for position in positions).rounded(),
    }


def tell(group, message):
    send = async_to_sync(get_channel_layer().group_send)
    send(group, {"type": "positions.marked", "update": message})
