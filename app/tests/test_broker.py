import time
from datetime import timedelta

import pytest

from senex_trader.celery import application
from senex_trader.encryption import Secret
from trading import broker
from trading.tasks import quote

from .conftest import NOON

LATENCY = 0.2


@pytest.mark.parametrize("symbol", ["SPY", "AAPL", "XYZ"])
def test_a_price_is_the_same_for_everybody_and_moves_with_the_clock(symbol):
    day = [broker.price_at(symbol, NOON + timedelta(seconds=5 * n)) for n in range(17_280)]
    assert broker.price_at(symbol, NOON) == day[0]
    assert all(price > 0 and round(price, 2) == price for price in day)
    # Someone who looks sees it move, and not jump.
    steps = [abs(b - a) / a for a, b in zip(day, day[1:], strict=False)]
    assert 0 < max(steps) < 0.002
    assert sum(step > 0 for step in steps) > 0.9 * len(steps)


def test_symbols_move_apart():
    assert broker.price_at("XYZ", NOON) != broker.price_at("XYA", NOON)


def test_the_broker_takes_its_time(settings, client):
    settings.PAPER_BROKER_LATENCY = LATENCY
    asked = {
        "the page": lambda: client.get("/quote/SPY/"),
        "the task": lambda: quote.delay("SPY").get(),
        "the balance": lambda: broker.balance(Secret.hide("word-1234")),
    }
    for name, ask in asked.items():
        started = time.monotonic()
        ask()
        assert LATENCY <= time.monotonic() - started < LATENCY + 1, name


def test_many_symbols_are_one_request(settings):
    settings.PAPER_BROKER_LATENCY = LATENCY
    started = time.monotonic()
    assert set(broker.prices(["SPY", "AAPL", "QQQ"], NOON)) == {"SPY", "AAPL", "QQQ"}
    assert time.monotonic() - started < 2 * LATENCY


def test_a_quote_needs_neither_a_login_nor_a_database(client):
    """Without the mark for the database, pytest-django would fail a query."""
    response = client.get("/quote/SPY/")
    assert response.status_code == 200
    assert response.json().keys() == quote.delay("SPY").get().keys() == {"symbol", "price", "time"}
    assert response.json()["symbol"] == "SPY"
    assert 400 < response.json()["price"] < 800


@pytest.mark.parametrize("symbol", ["spy", "TOOLONG", "SP1", "ÄÖ", "A B", "<b>"])
def test_no_symbol_is_not_found(client, symbol):
    assert client.get(f"/quote/{symbol}/").status_code == 404


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("accounts.tasks.refresh_balance", "accounts"),
        ("accounts.tasks.find_unreadable_secrets", "accounts"),
        ("trading.tasks.mark_to_market", "trading"),
        ("trading.tasks.quote", "trading"),
        ("senex_trader.tasks.ping", "celery"),
    ],
)
def test_tasks_exist_and_go_to_their_queues(task, queue):
    application.loader.import_default_modules()
    assert task in application.tasks
    route = application.amqp.router.route({}, task)
    assert getattr(route["queue"], "name", route["queue"]) == queue


def test_a_ping_is_answered():
    assert application.tasks["senex_trader.tasks.ping"].delay().get() == "pong"


def test_beat_schedules_tasks_that_exist_and_expire():
    application.loader.import_default_modules()
    for entry in application.conf.beat_schedule.values():
        assert entry["task"] in application.tasks
        assert entry["options"]["expires"] == entry["schedule"] == 30


def test_no_task_is_lost_with_its_worker():
    conf = application.conf
    assert conf.task_acks_late and conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    # No task runs twice at once because it takes long.
    assert conf.task_time_limit < conf.broker_transport_options["visibility_timeout"]
    # Engines kill after ten seconds.
    assert 0 < conf.worker_soft_shutdown_timeout < 8
