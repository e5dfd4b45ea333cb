from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from channels.testing import WebsocketCommunicator

from accounts.models import BrokerCredential, User
from senex_trader import asgi
from senex_trader.celery import application
from trading import tasks
from trading.models import OptionLeg, Position, Underlying

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def ada():
    return User.objects.create_user("ada", password="correct horse")


@pytest.fixture
def bob():
    return User.objects.create_user("bob", password="battery staple")


@pytest.fixture
def credential(ada):
    return BrokerCredential.objects.create(user=ada, name="Main", secret="word-1234")


def page_of(client, origin="http://testserver"):
    """The WebSocket of this browser's page."""
    cookies = [f"{name}={cookie.value}".encode() for name, cookie in client.cookies.items()]
    headers = [(b"origin", origin.encode()), (b"cookie", b"; ".join(cookies))]
    return WebsocketCommunicator(asgi.application, "/ws/positions/", headers=headers)


@pytest.fixture
def noon(monkeypatch):
    """The time of the next mark."""
    monkeypatch.setattr(tasks, "last_tick", lambda: NOON)


@pytest.fixture
def retries():
    """A task that isn't sent to a worker retries as well."""
    application.conf.task_eager_propagates = False
    yield
    application.conf.task_eager_propagates = True


@pytest.fixture
def open_position():
    """Makes positions: legs are kind, strike, contracts and entry price."""

    def make(owner, legs=(("C", 600, 1, "10"),), symbol="SPY", price=600, days=30, **options):
        underlying, _ = Underlying.objects.get_or_create(
            symbol=symbol, defaults={"price": price, "volatility": 0.2, "dividend_yield": 0.01}
        )
        position = Position.objects.create(
            owner=owner,
            underlying=underlying,
            name="Spread",
            expires_on=(NOON + timedelta(days=days)).date(),
            **options,
        )
        for kind, strike, quantity, entry_price in legs:
            OptionLeg.objects.create(
                position=position,
                kind=kind,
                strike=Decimal(strike),
                quantity=quantity,
                entry_price=Decimal(entry_price),
            )
        return position

    return make
