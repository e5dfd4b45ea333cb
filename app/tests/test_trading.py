import re
from datetime import timedelta
from decimal import Decimal as D
from html.parser import HTMLParser

import msgpack
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from trading import broker, history, tasks, valuation
from trading.consumers import group_of
from trading.models import Mark, Underlying
from trading.tasks import mark_to_market

from .conftest import NOON, page_of

CONDOR = [("P", 560, 2, "2"), ("P", 570, -2, "4"), ("C", 630, -2, "4"), ("C", 640, 2, "2")]


@pytest.mark.django_db
def test_positions_are_valued_by_their_legs_together(ada, open_position):
    long = open_position(ada, [("C", 600, 1, "10")])
    short = open_position(ada, [("C", 600, -3, "10")])
    other = open_position(ada, [("P", 50, 2, "1")], symbol="XYZ", price=50)
    empty = open_position(ada, [])
    positions = [long, short, other, empty]
    found = valuation.numbers(positions, {"SPY": 600, "XYZ": 50}, NOON)
    for name, number in vars(found[long.pk]).items():
        assert getattr(found[short.pk], name) == pytest.approx(-3 * number), name
    # As each one alone.
    assert found[other.pk] == valuation.numbers([other], {"XYZ": 50}, NOON)[other.pk]
    assert set(vars(found[empty.pk]).values()) == {0}
    net = valuation.net(found.values())
    assert net.vega == pytest.approx(sum(each.vega for each in found.values()))
    assert valuation.numbers([], {}, NOON) == {}


@pytest.mark.django_db
def test_numbers_are_dollars_of_the_moves_that_the_page_names(ada, open_position):
    position = open_position(ada, CONDOR)

    def at(price=600, moment=NOON):
        return valuation.numbers([position], {"SPY": price}, moment)[position.pk]

    now = at()
    assert now.profit == pytest.approx(now.value + 2 * 100 * (4 - 2 + 4 - 2))
    step = 0.01
    slope = (at(600 * (1 + step / 100)).value - at(600 * (1 - step / 100)).value) / (2 * step)
    assert now.delta == pytest.approx(slope, rel=1e-4)
    bend = at(600 * (1 + step / 100)).value - 2 * now.value + at(600 * (1 - step / 100)).value
    assert now.gamma == pytest.approx(bend / step**2, rel=1e-3)
    minute = timedelta(minutes=1)
    decay = (at(moment=NOON + minute).value - at(moment=NOON - minute).value) * 720
    assert now.theta == pytest.approx(decay, rel=1e-4)
    rise = 1e-4
    Underlying.objects.update(volatility=0.2 + rise)
    position.underlying.refresh_from_db()
    assert now.vega == pytest.approx((at().value - now.value) / (100 * rise), rel=1e-2)


@pytest.mark.django_db
def test_the_curve_runs_through_the_present_profit(ada, open_position):
    position = open_position(ada, CONDOR)
    curve = valuation.curve(position, [550.0, 600.0, 650.0], NOON)
    now = valuation.numbers([position], {"SPY": 600}, NOON)[position.pk]
    assert curve[1] == pytest.approx(now.profit)
    # At its expiry it is what the straight lines say.
    late = NOON + timedelta(days=60)
    assert valuation.curve(position, [500.0, 600.0], late) == pytest.approx([-1200.0, 800.0])


@pytest.mark.django_db
def test_marks_are_made_once_in_an_interval(ada, open_position, noon):
    first, closed = open_position(ada, CONDOR), open_position(ada, CONDOR, closed_at=NOON)
    assert mark_to_market.delay().get() == {"time": NOON.isoformat(), "positions": 1}
    # The broker delivers some messages twice.
    mark_to_market.delay().get()
    mark = Mark.objects.get()
    assert (mark.position, mark.time) == (first, NOON)
    underlying = Underlying.objects.get()
    again = valuation.numbers([first], {"SPY": underlying.price}, NOON)[first.pk]
    assert (mark.value, mark.profit) == (broker.cents(again.value), broker.cents(again.profit))
    assert not closed.marks.exists()


@pytest.mark.django_db
def test_old_marks_go(ada, open_position, noon):
    position = open_position(ada)
    for age in (23, 25):
        time = NOON - timedelta(hours=age)
        Mark.objects.create(position=position, time=time, value=0, profit=0)
    mark_to_market.delay().get()
    ages = [NOON - time for time in position.marks.values_list("time", flat=True)]
    assert ages == [timedelta(hours=23), timedelta(0)]


@pytest.mark.parametrize("interval", [1.0, 7.0, 30.0, 3600.0])
def test_a_tick_is_the_start_of_its_interval(settings, monkeypatch, interval):
    settings.MARK_INTERVAL = interval
    monkeypatch.setattr(timezone, "now", lambda: NOON + timedelta(seconds=12.3456))
    tick = tasks.last_tick()
    assert tick.timestamp() % interval == 0
    assert timedelta(0) <= timezone.now() - tick < timedelta(seconds=interval)


@pytest.mark.django_db(transaction=True)
async def test_marks_reach_the_browser_of_their_owner_alone(client, ada, bob, open_position, noon):
    position = await sync_to_async(open_position)(ada, CONDOR)
    await sync_to_async(open_position)(bob, [("C", 600, 1, "10")])
    await sync_to_async(client.force_login)(ada)
    connection = page_of(client)
    assert (await connection.connect())[0]
    result = (await sync_to_async(mark_to_market.delay)()).get()
    update = await connection.receive_json_from()
    assert update["time"] == result["time"]
    assert list(update["positions"]) == [str(position.pk)]
    mark = await position.marks.aget()
    assert update["positions"][str(position.pk)]["profit"] == float(mark.profit)
    assert update["net"]["value"] == float(mark.value)
    # Redis' layer packs messages, and takes texts alone as keys.
    assert msgpack.unpackb(msgpack.packb(update)) == update
    # And the time, for everybody.
    assert await connection.receive_json_from() == {"time": result["time"]}
    assert await connection.receive_nothing()
    await connection.disconnect()


@pytest.mark.django_db(transaction=True)
async def test_the_time_comes_also_without_any_position(client, ada):
    await sync_to_async(client.force_login)(ada)
    connection = page_of(client)
    assert (await connection.connect())[0]
    # What a browser says is ignored, even if it is no JSON.
    await connection.send_to(text_data="{")
    result = (await sync_to_async(mark_to_market.delay)()).get()
    assert await connection.receive_json_from() == {"time": result["time"]}
    await connection.disconnect()


@pytest.mark.parametrize(
    ("origin", "cookie", "accepted"),
    [
        ("http://testserver", True, True),
        ("http://testserver", False, False),
        ("http://evil.example", True, False),
    ],
)
@pytest.mark.django_db(transaction=True)
async def test_positions_are_for_users_only(client, ada, origin, cookie, accepted):
    if cookie:
        await sync_to_async(client.force_login)(ada)
    page = page_of(client, origin)
    assert (await page.connect())[0] is accepted
    await page.disconnect()


def test_the_summary_of_marks():
    def at(minutes):
        return NOON + timedelta(minutes=minutes)

    # Out of order, as a database may give them.
    profits = [(1, 2, 30), (1, 0, 10), (1, 1, 50), (1, 3, 40), (2, 0, -5)]
    rows = history.summary([(key, at(minutes), D(profit)) for key, minutes, profit in profits])
    assert rows == {
        1: history.Summary(first=D(10), low=D(10), high=D(50), last=D(40), drawdown=D(20)),
        2: history.Summary(first=D(-5), low=D(-5), high=D(-5), last=D(-5)),
    }
    assert history.summary([]) == {}


class Page(HTMLParser):
    """What may not be in a page under our content security policy, and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.inline, self.references = [], []
        self.in_script = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.in_script = tag == "script"
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]
        self.references += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_data(self, data):
        if self.in_script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag):
        self.in_script = False


@pytest.mark.django_db
def test_the_page_shows_own_open_positions(client, ada, bob, open_position, noon):
    position = open_position(ada, CONDOR)
    open_position(ada, CONDOR, closed_at=NOON)
    open_position(bob, [("C", 123, 1, "10")])
    mark_to_market.delay().get()
    client.force_login(ada)
    response = client.get("/")
    text = response.content.decode()
    assert text.count("<svg") == 1 and "123" not in re.findall(r"<text[^>]*>(\d+)<", text)
    assert re.findall(r'<tr data-position="(\w+)"', text) == [str(position.pk), "net"]
    assert "-2 570.00 put" in text and "no limit" not in text
    # (4 - 2 + 4 - 2) of credit around the sold strikes.
    assert "566.00, 634.00" in text
    mark = position.marks.get()
    assert f"{mark.profit:.2f} → {mark.profit:.2f}" in text
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    page = Page(text)
    assert page.inline == []
    assert all(reference.startswith("/") for reference in page.references)


@pytest.mark.django_db
@pytest.mark.parametrize("error", [broker.Unavailable("no answer"), ZeroDivisionError()])
def test_a_symbol_that_fails_leaves_out_no_other(
    ada, bob, open_position, monkeypatch, caplog, noon, retries, error
):
    failing = open_position(ada, symbol="AAA")
    good = [open_position(owner, symbol=symbol) for owner, symbol in ((ada, "BBB"), (bob, "CCC"))]
    asked = []

    def price_at(symbol, moment):
        asked.append(symbol)
        if symbol == "AAA":
            raise error
        return D("600")

    told = []
    monkeypatch.setattr(broker, "price_at", price_at)
    monkeypatch.setattr(tasks, "tell", lambda group, message: told.append((group, message)))
    task = mark_to_market.delay()
    # No sum without the one that is missing.
    sums = {group: "net" in message for group, message in told[:2]}
    assert sums == {group_of(ada.pk): False, group_of(bob.pk): True}
    assert not failing.marks.exists() and all(position.marks.exists() for position in good)
    if isinstance(error, broker.Unavailable):
        # And again, a few times.
        assert asked.count("AAA") == 4 and "No price of AAA" in str(task.result)
    else:
        assert task.result["positions"] == 2
        assert "The positions in AAA are not marked" in caplog.text


@pytest.mark.django_db
def test_the_page_stands_without_any_position(client, ada):
    client.force_login(ada)
    response = client.get("/")
    assert response.status_code == 200
    assert "None yet." in response.content.decode()


@pytest.mark.django_db
def test_the_page_stands_with_a_position_that_has_no_leg_or_has_expired(client, ada, open_position):
    open_position(ada, [])
    open_position(ada, CONDOR, days=-400)
    client.force_login(ada)
    assert client.get("/").content.decode().count("<svg") == 2
