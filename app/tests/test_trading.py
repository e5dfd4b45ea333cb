import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, User

from accounts.models import BrokerAccount
from senex_trader.celery import application
from trading.consumers import TickConsumer
from trading.models import Position
from trading.tasks import heartbeat, send_tick


def communicator(user):
    connection = WebsocketCommunicator(TickConsumer.as_asgi(), "/ws/ticks/")
    connection.scope["user"] = user
    return connection


async def test_a_tick_reaches_the_browser():
    connection = communicator(User(username="ada"))
    assert (await connection.connect())[0]
    sent = await sync_to_async(send_tick.delay)("SPY", 512.5)
    assert await connection.receive_json_from() == sent.get()
    await connection.disconnect()


async def test_ticks_are_for_users_only():
    assert not (await communicator(AnonymousUser()).connect())[0]


def test_the_heartbeat_is_a_tick():
    assert heartbeat.delay().get()["symbol"] == "HEARTBEAT"


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("accounts.tasks.find_unreadable_tokens", "accounts"),
        ("trading.tasks.heartbeat", "trading"),
        ("celery.ping", "celery"),
    ],
)
def test_tasks_go_to_their_queues(task, queue):
    route = application.amqp.router.route({}, task)
    assert getattr(route["queue"], "name", route["queue"]) == queue


def test_beat_schedules_a_task_that_exists():
    application.loader.import_default_modules()
    for entry in application.conf.beat_schedule.values():
        assert entry["task"] in application.tasks


@pytest.mark.django_db
def test_the_page_lists_positions(client):
    user = User.objects.create_user("ada")
    account = BrokerAccount.objects.create(user=user, name="Main", token="token")
    Position.objects.create(account=account, symbol="SPY", quantity=-2)
    client.force_login(user)
    assert "-2 SPY (Main)" in client.get("/").content.decode()
