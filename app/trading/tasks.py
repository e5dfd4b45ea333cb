import logging
from datetime import UTC, datetime, timedelta
from itertools import groupby

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from trading import broker, expiry, valuation
from trading.broker import cents
from trading.consumers import ALL_GROUP, group_of
from trading.live import send
from trading.models import Mark, Position, Underlying

logger = logging.getLogger(__name__)

HISTORY = timedelta(days=1)


def last_tick():
    """The start of the present interval, so that a mark of this interval is made once only."""
    now = timezone.now().timestamp()
    return datetime.fromtimestamp(now - now % settings.MARK_INTERVAL, UTC)


@shared_task(autoretry_for=(broker.Unavailable,), retry_backoff=True, max_retries=3)
def mark_to_market():
    """Values the open positions, settles the expired ones, and tells the pages that show them.

    It sends the time also where there is no position: a page shows by it that beat, worker, Redis
    and web reach one another.
    """
    tick = last_tick()
    positions = (
        Position.objects.open().with_legs().order_by("underlying__symbol", "opened_at", "pk")
    )
    marked, unavailable, incomplete = [], [], set()
    for underlying, own in groupby(positions, key=lambda position: position.underlying):
        own = list(own)
        # A failing symbol must not leave out the others.
        try:
            marked += mark(underlying, own, tick)
            continue
        except broker.Unavailable:
            unavailable.append(underlying.symbol)
        except Exception:
            logger.exception("The positions in %s are not marked", underlying)
        incomplete.update(position.owner_id for position in own)
    Mark.objects.filter(time__lt=tick - HISTORY).delete()

    for owner in sorted({position.owner_id for position, _, _ in marked}):
        own = [row for row in marked if row[0].owner_id == owner]
        tell(group_of(owner), update(tick, own, whole=owner not in incomplete))
    tell(ALL_GROUP, {"time": tick.isoformat()})
    if unavailable:
        raise broker.Unavailable(f"No price of {', '.join(unavailable)}")
    return {"time": tick.isoformat(), "positions": len(marked)}


@transaction.atomic
def mark(underlying, positions, tick):
    """The positions that are still open, each with its price and its numbers."""
    price = broker.price_at(underlying.symbol, tick)
    positions = [position for position in positions if not settle(position, tick)]
    numbers = valuation.numbers(positions, {underlying.symbol: price}, tick)
    Underlying.objects.filter(pk=underlying.pk).update(price=price)
    marks = [
        Mark(position_id=key, time=tick, value=cents(each.value), profit=cents(each.profit))
        for key, each in numbers.items()
    ]
    Mark.objects.bulk_create(marks, ignore_conflicts=True)
    return [(position, price, numbers[position.pk]) for position in positions]


def settle(position, tick):
    """Closes a position whose options have expired by then, at the price of that moment."""
    close = valuation.close_of(position.expires_on)
    if close > tick:
        return False
    price = broker.price_at(position.underlying.symbol, close)
    Position.objects.open().filter(pk=position.pk).update(
        closed_at=close,
        settlement_price=price,
        settled_profit=expiry.profit(position.expiry_legs(), price),
    )
    return True


def update(tick, marked, whole):
    """What a page needs to show one owner's positions at that time; `net` only if all are there."""
    found = {
        "time": tick.isoformat(),
        "positions": {
            str(position.pk): {"price": float(price), **numbers.rounded()}
            for position, price, numbers in marked
        },
    }
    if whole:
        found["net"] = valuation.net(numbers for _, _, numbers in marked).rounded()
    return found


def tell(group, message):
    send(group, {"type": "positions.marked", "update": message})
