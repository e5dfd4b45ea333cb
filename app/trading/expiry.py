"""What a position brings at its expiry: straight lines between the strikes, so nothing is guessed.

Prices and strikes are decimals, so that a profit of exactly nothing is found as such.
"""

from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from trading.pricing import CALL

SHARES_PER_CONTRACT = 100


class Leg(NamedTuple):
    kind: int
    strike: Decimal
    quantity: int
    entry_price: Decimal


class Outcome(NamedTuple):
    """None: there is no limit."""

    break_evens: list[Decimal]
    greatest_profit: Decimal | None
    greatest_loss: Decimal | None


def profit(legs, price):
    return SHARES_PER_CONTRACT * sum(
        leg.quantity * (max(leg.kind * (price - leg.strike), Decimal(0)) - leg.entry_price)
        for leg in legs
    )


def outcome(legs):
    corners = sorted({Decimal(0), *(leg.strike for leg in legs)})
    profits = [profit(legs, corner) for corner in corners]
    # Above the last strike only the calls move.
    slope = SHARES_PER_CONTRACT * sum(leg.quantity for leg in legs if leg.kind == CALL)

    zeros = [corner for corner, level in zip(corners, profits, strict=True) if level == 0]
    for (left, low), (right, high) in pairwise(zip(corners, profits, strict=True)):
        if low * high < 0:
            zeros.append(left + (right - left) * low / (low - high))
    if profits[-1] * slope < 0:
        zeros.append(corners[-1] - profits[-1] / slope)
    return Outcome(
        break_evens=sorted(zeros),
        greatest_profit=None if slope > 0 else max(profits),
        greatest_loss=None if slope < 0 else -min(profits),
    )
