from decimal import Decimal as D

import pytest

from trading.diagram import payoff
from trading.expiry import Leg, outcome, profit
from trading.pricing import CALL, PUT

from .conftest import NOON


def legs(*rows):
    return [Leg(kind, D(strike), quantity, D(price)) for kind, strike, quantity, price in rows]


LONG_CALL = legs((CALL, 100, 1, "2.50"))
SHORT_CALL = legs((CALL, 100, -1, "2.50"))
LONG_PUT = legs((PUT, 100, 1, "3.10"))
BULL_CALL_SPREAD = legs((CALL, 100, 3, "4"), (CALL, 110, -3, "1"))
STRADDLE = legs((CALL, 50, 1, "2.25"), (PUT, 50, 1, "1.75"))
IRON_CONDOR = legs(
    (PUT, 90, 1, "0.50"), (PUT, 95, -1, "1.20"), (CALL, 105, -1, "1.30"), (CALL, 110, 1, "0.40")
)
RATIO_SPREAD = legs((CALL, 100, 1, "5"), (CALL, 110, -2, "2"))
# At best nothing is lost, at 100 and nowhere else.
BUTTERFLY_AT_ZERO = legs((CALL, 90, 1, "11"), (CALL, 100, -2, "1"), (CALL, 110, 1, "1"))
# Bought back at the price: whatever happens, nothing is won or lost.
NOTHING = legs((CALL, 100, 1, "2"), (CALL, 100, -1, "2"))
THIRDS = legs((CALL, 100, 3, "1"), (CALL, 104, -2, "1"))


@pytest.mark.parametrize(
    ("position", "break_evens", "greatest_profit", "greatest_loss"),
    [
        (LONG_CALL, ["102.50"], None, 250),
        (SHORT_CALL, ["102.50"], 250, None),
        (LONG_PUT, ["96.90"], 9690, 310),
        (BULL_CALL_SPREAD, ["103"], 2100, 900),
        (STRADDLE, ["46", "54"], None, 400),
        (IRON_CONDOR, ["93.40", "106.60"], 160, 340),
        (RATIO_SPREAD, ["101", "119"], 900, None),
        (BUTTERFLY_AT_ZERO, ["100"], 0, 1000),
        (NOTHING, ["0", "100"], 0, 0),
    ],
)
def test_outcomes(position, break_evens, greatest_profit, greatest_loss):
    found = outcome(position)
    assert found.break_evens == [D(price) for price in break_evens]
    assert (found.greatest_profit, found.greatest_loss) == (greatest_profit, greatest_loss)


@pytest.mark.parametrize(
    "position",
    [LONG_CALL, SHORT_CALL, LONG_PUT, BULL_CALL_SPREAD, STRADDLE, IRON_CONDOR, RATIO_SPREAD],
)
def test_break_evens_are_where_the_profit_changes_its_sign(position):
    for price in outcome(position).break_evens:
        assert profit(position, price) == 0
        assert profit(position, price - D("0.01")) * profit(position, price + D("0.01")) < 0


def test_a_break_even_that_is_no_decimal_is_found_as_near_as_decimals_come():
    found = outcome(THIRDS).break_evens
    assert [round(price, 6) for price in found] == [D("100.333333")]


@pytest.mark.django_db
def test_a_diagram_shows_the_break_evens_where_the_line_crosses_zero(ada, open_position):
    position = open_position(ada, [("P", 580, -1, "4"), ("C", 620, 1, "5")])
    found = outcome(position.expiry_legs())
    diagram = payoff(position, found.break_evens, NOON)
    assert diagram.low < 580 and diagram.high > 621
    points = [tuple(map(float, pair.split(","))) for pair in diagram.at_expiry.split()]
    assert [x for x, _ in points][1:3] == [x for x, _ in diagram.strikes]
    assert points[0][0] == 0 and points[-1][0] == diagram.width
    for x, price in diagram.break_evens:
        # Between the two corners around it, by similar triangles.
        (x1, y1), (x2, y2) = next(
            (a, b) for a, b in zip(points, points[1:], strict=False) if a[0] <= x <= b[0]
        )
        assert y1 + (y2 - y1) * (x - x1) / (x2 - x1) == pytest.approx(diagram.zero, abs=0.3), price
    assert all(0 <= y <= diagram.height for _, y in points)
    assert len(diagram.now.split()) == 81
