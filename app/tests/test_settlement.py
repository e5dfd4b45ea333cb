from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import pytest

from trading import broker, tasks, valuation
from trading.models import Mark, Position
from trading.tasks import mark_to_market

from .conftest import NOON

CONDOR = [("P", 560, 2, "2"), ("P", 570, -2, "4"), ("C", 630, -2, "4"), ("C", 640, 2, "2")]


@pytest.mark.parametrize(
    ("day", "hour"),
    [
        (date(2026, 1, 16), 21),
        (date(2026, 7, 17), 20),
        # The last days before the clocks change, and the first after it.
        (date(2026, 3, 6), 21),
        (date(2026, 3, 9), 20),
        (date(2026, 10, 30), 20),
        (date(2026, 11, 2), 21),
    ],
)
def test_options_expire_when_new_york_closes(day, hour):
    close = valuation.close_of(day)
    assert close == datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    assert valuation.years_until(day, close) == 0
    assert valuation.years_until(day, close - timedelta(days=365)) == 1


def mark_at(monkeypatch, moment):
    monkeypatch.setattr(tasks, "last_tick", lambda: moment)
    return mark_to_market.delay().get()


@pytest.mark.django_db
def test_a_position_settles_at_its_expiry(ada, open_position, monkeypatch):
    position = open_position(ada, CONDOR, days=-100)
    close = valuation.close_of(position.expires_on)
    prices = {close: D("572.50")}
    monkeypatch.setattr(broker, "price_at", lambda symbol, moment: prices.get(moment, D(9999)))
    mark_at(monkeypatch, NOON)
    position.refresh_from_db()
    # Between the sold strikes: the whole credit.
    assert (position.closed_at, position.settlement_price) == (close, D("572.50"))
    assert position.settled_profit == D("800.00")
    # It doesn't move any more, nor does the underlying's price go back to that day.
    mark_at(monkeypatch, NOON + timedelta(hours=1))
    assert not Mark.objects.exists()
    position.refresh_from_db()
    assert position.settled_profit == D("800.00")
    assert "Spread SPY" == str(position)


@pytest.mark.django_db
@pytest.mark.parametrize(("price", "profit"), [("555", -1200), ("600", 800), ("635", -200)])
def test_a_settled_position_is_worth_what_exercising_it_brings(
    ada, open_position, monkeypatch, price, profit
):
    position = open_position(ada, CONDOR, days=0)
    monkeypatch.setattr(broker, "price_at", lambda symbol, moment: D(price))
    mark_at(monkeypatch, valuation.close_of(position.expires_on))
    position.refresh_from_db()
    assert position.settled_profit == profit


@pytest.mark.django_db
def test_a_position_trades_until_the_exchange_closes(ada, open_position, monkeypatch):
    position = open_position(ada, CONDOR, days=0)
    close = valuation.close_of(position.expires_on)
    mark_at(monkeypatch, close - timedelta(seconds=30))
    assert Position.objects.open().exists()
    mark_at(monkeypatch, close)
    assert not Position.objects.open().exists()
    assert position.marks.count() == 1


@pytest.mark.django_db
def test_a_settled_position_is_listed_with_what_it_brought(client, ada, open_position, monkeypatch):
    open_position(ada, CONDOR, days=-100)
    monkeypatch.setattr(broker, "price_at", lambda symbol, moment: D("600"))
    mark_at(monkeypatch, NOON)
    client.force_login(ada)
    text = client.get("/").content.decode()
    assert "<svg" not in text and "800.00" in text and "2025-11-22" in text
