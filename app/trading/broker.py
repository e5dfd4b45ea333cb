"""A broker on paper: prices and balances without a network, the same for everybody who asks.

A price is a function of the symbol and the clock, so that it moves while somebody looks, and a
task that runs twice sees the same market twice.
"""

import hashlib
import math
from decimal import Decimal

FAMILIAR_PRICES = {"AAPL": 230.0, "QQQ": 520.0, "SPY": 600.0}
# Period in seconds, and how far the price swings by it.
WAVES = ((47.0, 0.0015), (660.0, 0.004), (21_600.0, 0.015), (2_592_000.0, 0.05))


class Unavailable(Exception):
    """No answer for now: worth a retry. This broker never raises it, one behind a network does."""


def _seed(text, count):
    """Numbers between 0 and 1 that only the text decides."""
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 256 for byte in digest[:count]]


def cents(number):
    return Decimal(f"{number:.2f}")


def price_at(symbol, moment):
    start = FAMILIAR_PRICES.get(symbol) or 20 + 400 * _seed(f"price {symbol}", 1)[0]
    phases = _seed(f"waves {symbol}", len(WAVES))
    seconds = moment.timestamp()
    swing = sum(
        size * math.sin(math.tau * (seconds / period + phase))
        for (period, size), phase in zip(WAVES, phases, strict=True)
    )
    return cents(start * math.exp(swing))


def balance(secret):
    """What the account behind these credentials holds."""
    return cents(10_000 + 90_000 * _seed(secret.reveal(), 1)[0])
