"""How positions did lately, from their marks."""

import pandas as pd

COLUMNS = ["position", "time", "profit"]


def summary(marks):
    """A row for each position, indexed by its key.

    `drawdown` is the deepest fall from a peak that came before it.
    """
    frame = pd.DataFrame(marks, columns=COLUMNS).astype({"profit": float}).sort_values("time")
    by_position = frame.groupby("position")["profit"]
    frame["drawdown"] = by_position.cummax() - frame["profit"]
    rows = by_position.agg(marks="count", first="first", low="min", high="max", last="last")
    rows["change"] = rows["last"] - rows["first"]
    rows["drawdown"] = frame.groupby("position")["drawdown"].max()
    return rows
