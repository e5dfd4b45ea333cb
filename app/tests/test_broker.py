from datetime import timedelta

import pytest
from celery.app.trace import build_tracer

from senex_trader.celery import application
from senex_trader.redelivery import REDELIVERIES, BoundedTask
from trading import broker

from .conftest import NOON


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


def test_strangers_get_no_quotes(client):
    assert client.get("/quote/SPY/").status_code == 404


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("accounts.tasks.refresh_balance", "accounts"),
        ("accounts.tasks.find_unreadable_secrets", "accounts"),
        ("trading.tasks.mark_to_market", "trading"),
        ("senex_trader.tasks.clear_sessions", "celery"),
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
        assert entry["options"]["expires"] > 0
    marks = application.conf.beat_schedule["mark-to-market"]
    assert marks["options"]["expires"] == marks["schedule"] == 30


def test_no_task_is_lost_with_its_worker():
    conf = application.conf
    assert conf.task_acks_late and conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    # No task runs twice at once because it takes long.
    assert conf.task_time_limit < conf.broker_transport_options["visibility_timeout"]
    # Engines kill after ten seconds.
    assert 0 < conf.worker_soft_shutdown_timeout < 8


def deliver(task, redelivered):
    """As a worker does with a message."""
    delivery = {"redelivered": redelivered}
    request = {"id": "one", "delivery_info": delivery, "retries": 0, "is_eager": False}
    trace = build_tracer(task.name, task, app=application)
    return trace("one", [], {}, request).info


def test_a_task_that_keeps_coming_back_is_given_up(settings, caplog):
    ran = []

    @application.task(name="tests.poison")
    def task():
        ran.append(True)

    assert deliver(task, redelivered=False) is None
    for _ in range(REDELIVERIES):
        assert deliver(task, redelivered=True) is None
    assert len(ran) == 1 + REDELIVERIES
    info = deliver(task, redelivered=True)
    assert info.state == "FAILURE" and len(ran) == 1 + REDELIVERIES
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "tests.poison[one] was redelivered 4 times" in record.getMessage()


@pytest.mark.parametrize("name", ["trading.tasks.mark_to_market", "accounts.tasks.refresh_balance"])
def test_every_task_is_bounded(name):
    application.loader.import_default_modules()
    assert isinstance(application.tasks[name], BoundedTask)
