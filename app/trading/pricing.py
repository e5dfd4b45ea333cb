"""European options by Black, Scholes and Merton, with a continuous dividend yield.

Every argument may be a number or an array; years and rates are per 1, so 5 % is 0.05.
"""

import math
from typing import NamedTuple

import numpy as np

CALL, PUT = 1, -1

_error_function = np.vectorize(math.erf, otypes=[float])


class Valued(NamedTuple):
    """Per share. Theta is per year, vega per 1 of volatility, rho per 1 of the rate."""

    price: np.ndarray
    delta: np.ndarray
    gamma: np.ndarray
    theta: np.ndarray
    vega: np.ndarray
    rho: np.ndarray


def normal_cdf(x):
    return (1 + _error_function(x / math.sqrt(2))) / 2


def normal_pdf(x):
    return np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)


def value(kind, spot, strike, years, rate, volatility, dividend_yield=0.0):
    """`kind` is CALL or PUT. From its expiry on, an option is worth what exercising it brings."""
    kind, spot, strike, years, rate, volatility, dividend_yield = np.broadcast_arrays(
        kind,
        *(np.asarray(x, float) for x in (spot, strike, years, rate, volatility, dividend_yield)),
    )
    years = np.maximum(years, 0)
    deviation = volatility * np.sqrt(years)
    # Without any uncertainty left, the option is surely in the money or surely out of it.
    certain = deviation == 0
    deviation = np.where(certain, 1, deviation)
    moneyness = np.log(spot / strike) + (rate - dividend_yield) * years
    d1 = np.where(certain, np.copysign(np.inf, moneyness), moneyness / deviation + deviation / 2)
    d2 = np.where(certain, d1, d1 - deviation)

    stock = spot * np.exp(-dividend_yield * years)
    cash = strike * np.exp(-rate * years)
    stock_held, cash_owed = stock * normal_cdf(kind * d1), cash * normal_cdf(kind * d2)
    density = stock * normal_pdf(d1)
    return Valued(
        price=kind * (stock_held - cash_owed),
        delta=kind * stock_held / spot,
        gamma=density / (spot**2 * deviation),
        theta=-density * volatility**2 / (2 * deviation)
        + kind * (years > 0) * (dividend_yield * stock_held - rate * cash_owed),
        vega=density * np.sqrt(years),
        rho=kind * cash_owed * years,
    )
