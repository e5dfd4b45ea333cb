"""How positions did lately, from their marks."""

from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter

COLUMNS = ["position", "time", "profit"]


@dataclass
class Summary:
    """`drawdown` is the deepest fall from a peak that came before it."""

    first: Decimal
    low: Decimal
    high: Decimal
    last: Decimal
    drawdown: Decimal = Decimal(0)

    def add(self, profit):
        self.low = min(self.low, profit)
        self.high = max(self.high, profit)
        self.last = profit
        self.drawdown = max(self.drawdown, self.high - profit)


def summary(marks):
    """A summary for each position, by its key."""
    found = {}
    for position, _, profit in sorted(marks, key=itemgetter(1)):
        found.setdefault(position, Summary(profit, profit, profit, profit)).add(profit)
    return found
