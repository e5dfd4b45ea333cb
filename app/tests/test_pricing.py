"""The sources of the published values:

Hull: John C. Hull, Options, Futures, and Other Derivatives, 9th edition
Haug: Espen G. Haug, The Complete Guide to Option Pricing Formulas, 2nd edition
"""

import numpy as np
import pytest

from trading import pricing
from trading.pricing import CALL, PUT

PUBLISHED = [
    # Hull, example 15.6
    (CALL, {"spot": 42, "strike": 40, "years": 0.5, "rate": 0.1, "volatility": 0.2}, 4.76, 2),
    (PUT, {"spot": 42, "strike": 40, "years": 0.5, "rate": 0.1, "volatility": 0.2}, 0.81, 2),
    # Hull, example 17.1: options on an index
    (
        CALL,
        {
            "spot": 930,
            "strike": 900,
            "years": 2 / 12,
            "rate": 0.08,
            "volatility": 0.2,
            "dividend_yield": 0.03,
        },
        51.83,
        2,
    ),
    # Haug, section 1.1.1
    (CALL, {"spot": 60, "strike": 65, "years": 0.25, "rate": 0.08, "volatility": 0.3}, 2.1334, 4),
    # Haug, section 1.1.2: on an index
    (
        PUT,
        {
            "spot": 100,
            "strike": 95,
            "years": 0.5,
            "rate": 0.1,
            "volatility": 0.2,
            "dividend_yield": 0.05,
        },
        2.4648,
        4,
    ),
]
# Hull, chapter 19, the option that its examples return to.
HULLS_CALL = {"spot": 49, "strike": 50, "years": 20 / 52, "rate": 0.05, "volatility": 0.2}
MARKETS = [
    {"spot": spot, "strike": 100, "years": years, "rate": 0.03, "volatility": 0.25}
    | {"dividend_yield": dividend_yield}
    for spot in (70, 100, 130)
    for years in (0.05, 2)
    for dividend_yield in (0, 0.04)
]


@pytest.mark.parametrize(("kind", "market", "price", "digits"), PUBLISHED)
def test_prices_are_the_published_ones(kind, market, price, digits):
    assert pricing.value(kind, **market).price == pytest.approx(price, abs=0.5 * 10**-digits)


@pytest.mark.parametrize(
    ("greek", "published", "digits"),
    [
        ("price", 2.40, 2),
        ("delta", 0.522, 3),
        ("theta", -4.31, 2),
        ("gamma", 0.066, 3),
        ("vega", 12.1, 1),
        ("rho", 8.91, 2),
    ],
)
def test_greeks_are_the_published_ones(greek, published, digits):
    found = getattr(pricing.value(CALL, **HULLS_CALL), greek)
    assert found == pytest.approx(published, abs=0.5 * 10**-digits)


@pytest.mark.parametrize("kind", [CALL, PUT])
@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize(
    ("greek", "of", "by", "step", "direction"),
    [
        ("delta", "price", "spot", 1e-3, 1),
        ("gamma", "delta", "spot", 1e-3, 1),
        ("theta", "price", "years", 1e-5, -1),
        ("vega", "price", "volatility", 1e-5, 1),
        ("rho", "price", "rate", 1e-6, 1),
    ],
)
def test_greeks_are_the_slopes_of_prices(kind, market, greek, of, by, step, direction):
    def at(shift):
        return getattr(pricing.value(kind, **{**market, by: market[by] + shift}), of)

    slope = direction * (at(step) - at(-step)) / (2 * step)
    assert getattr(pricing.value(kind, **market), greek) == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("market", MARKETS)
def test_a_call_less_a_put_is_the_forward(market):
    difference = pricing.value(CALL, **market).price - pricing.value(PUT, **market).price
    stock = market["spot"] * np.exp(-market["dividend_yield"] * market["years"])
    cash = market["strike"] * np.exp(-market["rate"] * market["years"])
    assert difference == pytest.approx(stock - cash, abs=1e-10)


def test_arrays_are_priced_as_their_elements():
    spots, strikes = np.array([[90.0], [100.0], [110.0]]), np.array([95.0, 105.0])
    together = pricing.value([CALL, PUT], spots, strikes, 0.5, 0.02, 0.3, 0.01)
    for field, array in zip(together._fields, together, strict=True):
        assert array.shape == (3, 2)
        for row in range(3):
            for column, kind in enumerate((CALL, PUT)):
                one = pricing.value(kind, spots[row, 0], strikes[column], 0.5, 0.02, 0.3, 0.01)
                assert array[row, column] == getattr(one, field), field


@pytest.mark.parametrize("years", [0, -1])
@pytest.mark.parametrize(
    ("kind", "spot", "price", "delta"),
    [
        (CALL, 105, 5, 1),
        (CALL, 95, 0, 0),
        (PUT, 95, 5, -1),
        (PUT, 105, 0, 0),
        (CALL, 100, 0, 1),
        (PUT, 100, 0, 0),
    ],
)
def test_after_expiry_only_exercising_counts(kind, spot, years, price, delta):
    found = pricing.value(kind, spot, 100, years, 0.05, 0.2, 0.01)
    assert (found.price, found.delta) == (price, delta)
    assert (found.gamma, found.theta, found.vega, found.rho) == (0, 0, 0, 0)


def test_without_volatility_the_forward_decides():
    found = pricing.value(CALL, 100, 100, 1, 0.05, 0)
    assert found.price == pytest.approx(100 - 100 * np.exp(-0.05))
    assert (found.delta, found.gamma, found.vega) == (1, 0, 0)
