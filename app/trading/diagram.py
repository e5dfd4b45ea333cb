"""Where the lines of a payoff diagram go. The template draws them."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from trading import expiry, valuation

WIDTH, HEIGHT, MARGIN = 640, 260, 24
POINTS = 81


@dataclass
class Diagram:
    width: int
    height: int
    # The range of prices, for whoever moves the line of the present one.
    low: float
    high: float
    at_expiry: str
    now: str
    zero: float
    spot: float
    # Pairs of a place and what is written there.
    strikes: list
    break_evens: list


def payoff(position, break_evens, moment):
    legs = position.expiry_legs()
    spot = float(position.underlying.price)
    strikes = sorted({leg.strike for leg in legs})
    seen = [spot, *map(float, strikes), *map(float, break_evens)]
    space = max(max(seen) - min(seen), 0.05 * spot) * 0.3
    low, high = max(min(seen) - space, 0.0), max(seen) + space

    # The line bends at the strikes and nowhere else.
    corners = [Decimal(low), *strikes, Decimal(high)]
    at_expiry = np.array([float(expiry.profit(legs, corner)) for corner in corners])
    prices = np.linspace(max(low, 0.01), high, POINTS)
    now = valuation.curve(position, prices, moment)
    bottom = min(at_expiry.min(), now.min(), 0.0)
    top = max(at_expiry.max(), now.max(), 0.0)

    def x(price):
        return round(WIDTH * (float(price) - low) / (high - low), 1)

    def y(profit):
        room = HEIGHT - 2 * MARGIN
        return round(MARGIN + room * (top - float(profit)) / ((top - bottom) or 1), 1)

    def line(at, profits):
        return " ".join(
            f"{x(price)},{y(profit)}" for price, profit in zip(at, profits, strict=True)
        )

    return Diagram(
        width=WIDTH,
        height=HEIGHT,
        low=round(low, 2),
        high=round(high, 2),
        at_expiry=line(corners, at_expiry),
        now=line(prices, now),
        zero=y(0),
        spot=x(spot),
        strikes=[(x(strike), strike) for strike in strikes],
        break_evens=[(x(price), price) for price in break_evens],
    )
