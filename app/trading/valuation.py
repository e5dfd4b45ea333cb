"""What open positions are worth, and how that moves with the market: all legs in one go."""

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import numpy as np

from trading import pricing
from trading.expiry import SHARES_PER_CONTRACT

# The paper broker's. A real one would come from the market, by term.
RATE = 0.04
DAYS = 365
# Options are exercised when the exchange closes: 21:00 UTC in winter, 20:00 in summer.
CLOSE = time(16, tzinfo=ZoneInfo("America/New_York"))


@dataclass
class Numbers:
    """In dollars, so that they add up over underlyings."""

    value: float = 0.0
    profit: float = 0.0
    # When the underlying rises by 1 %, and how much that itself changes with the next 1 %.
    delta: float = 0.0
    gamma: float = 0.0
    # By a day that passes, and by a point more of volatility.
    theta: float = 0.0
    vega: float = 0.0

    def rounded(self):
        return {name: round(number, 2) for name, number in asdict(self).items()}


def close_of(date):
    return datetime.combine(date, CLOSE).astimezone(UTC)


def years_until(date, moment):
    return (close_of(date) - moment).total_seconds() / (DAYS * 86_400)


def numbers(positions, prices, moment):
    """Each position's numbers by its key. `prices` are the underlyings' by symbol."""
    positions = list(positions)
    legs = [(row, leg) for row, position in enumerate(positions) for leg in position.legs.all()]
    if not legs:
        return {position.pk: Numbers() for position in positions}
    rows = np.array([row for row, _ in legs])

    def of_position(read):
        return np.array([float(read(position)) for position in positions])[rows]

    def of_leg(read):
        return np.array([float(read(leg)) for _, leg in legs])

    spot = of_position(lambda position: prices[position.underlying.symbol])
    valued = pricing.value(
        kind=of_leg(lambda leg: leg.sign),
        spot=spot,
        strike=of_leg(lambda leg: leg.strike),
        years=of_position(lambda position: years_until(position.expires_on, moment)),
        rate=RATE,
        volatility=of_position(lambda position: position.underlying.volatility),
        dividend_yield=of_position(lambda position: position.underlying.dividend_yield),
    )
    shares = SHARES_PER_CONTRACT * of_leg(lambda leg: leg.quantity)
    per_share = Numbers(
        value=valued.price,
        profit=valued.price - of_leg(lambda leg: leg.entry_price),
        delta=valued.delta * spot / 100,
        gamma=valued.gamma * (spot / 100) ** 2,
        theta=valued.theta / DAYS,
        vega=valued.vega / 100,
    )
    sums = {
        name: np.bincount(rows, shares * each, minlength=len(positions)).tolist()
        for name, each in asdict(per_share).items()
    }
    return {
        position.pk: Numbers(**{name: sums[name][row] for name in sums})
        for row, position in enumerate(positions)
    }


def net(each):
    each = list(each)
    return Numbers(
        **{field.name: sum(getattr(one, field.name) for one in each) for field in fields(Numbers)}
    )


def curve(position, prices, moment):
    """The position's profit at that moment, were the underlying at each of these prices."""
    columns = ("sign", "strike", "quantity", "entry_price")
    legs = [[float(getattr(leg, name)) for name in columns] for leg in position.legs.all()]
    # A row for each leg, a column for each price.
    kind, strike, quantity, entry_price = np.reshape(legs, (-1, len(columns))).T[:, :, None]
    price = pricing.value(
        kind,
        np.asarray(prices),
        strike,
        years_until(position.expires_on, moment),
        RATE,
        position.underlying.volatility,
        position.underlying.dividend_yield,
    ).price
    return SHARES_PER_CONTRACT * (quantity * (price - entry_price)).sum(axis=0)
