"""Who is logged in, and what ends with a session."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.utils import timezone

from senex_trader.tasks import clear_sessions
from trading.tasks import mark_to_market

from .conftest import page_of


def log_out(client, user):
    client.post("/accounts/logout/")


def change_password(client, user):
    client.force_login(user)
    new = "quite another 1"
    data = {"old_password": "correct horse", "new_password1": new, "new_password2": new}
    assert client.post("/accounts/password/", data).status_code == 302


def change_password_in_code(client, user):
    user.set_password("quite another 1")
    user.save()


def block(client, user):
    user.is_active = False
    user.save()


def delete_user(client, user):
    user.delete()


ENDS = [log_out, change_password, change_password_in_code, block, delete_user]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ENDS)
async def test_a_websocket_closes_with_its_session(client, ada, bob, end):
    await sync_to_async(client.force_login)(ada)
    page = page_of(client)
    assert (await page.connect())[0]
    await sync_to_async(end)(client, ada)
    assert (await page.receive_output())["type"] == "websocket.close"


@pytest.mark.django_db(transaction=True)
async def test_a_session_that_ends_unheard_gets_no_more_marks(client, ada):
    await sync_to_async(client.force_login)(ada)
    page = page_of(client)
    assert (await page.connect())[0]
    # As `clearsessions`, or another Redis: no signal comes.
    await Session.objects.all().adelete()
    await sync_to_async(mark_to_market.delay)()
    assert (await page.receive_output())["type"] == "websocket.close"


@pytest.mark.django_db(transaction=True)
async def test_other_sessions_go_on(client, ada, bob, async_client):
    for user, browser in ((ada, client), (ada, async_client)):
        await sync_to_async(browser.force_login)(user)
    page = page_of(client)
    assert (await page.connect())[0]
    # A login is no change of the user, nor is another's logout.
    await sync_to_async(client.__class__().post)(
        "/accounts/login/", {"username": "ada", "password": "correct horse"}
    )
    await async_client.post("/accounts/logout/")
    await sync_to_async(change_password_in_code)(client, bob)
    await sync_to_async(mark_to_market.delay)()
    assert "time" in await page.receive_json_from()
    await page.disconnect()


@pytest.mark.django_db
def test_a_logout_works_without_redis(client, ada, settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    client.force_login(ada)
    assert client.post("/accounts/logout/").status_code == 302
    assert client.get("/").status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["short 1", "password1", "839204716358", "ada.lovelace"])
def test_weak_passwords_are_refused(password):
    user = get_user_model()(username="ada.lovelace")
    with pytest.raises(ValidationError):
        validate_password(password, user)


def test_strong_passwords_are_not():
    validate_password("correct horse battery", get_user_model()(username="ada.lovelace"))


@pytest.mark.django_db
def test_a_password_is_changed(client, ada):
    client.force_login(ada)
    assert b"new_password1" in client.get("/accounts/password/").content
    data = {"old_password": "correct horse", "new_password1": "ada", "new_password2": "ada"}
    assert client.post("/accounts/password/", data).status_code == 200
    change_password(client, ada)
    assert client.get("/accounts/").status_code == 200
    ada.refresh_from_db()
    assert ada.check_password("quite another 1")


def attempt(client, password, address, username="ada"):
    data = {"username": username, "password": password}
    headers = {"x-forwarded-for": f"6.6.6.6, {address}"}
    return client.post("/accounts/login/", data, headers=headers).status_code


@pytest.mark.django_db
def test_guessing_a_password_is_stopped_and_shuts_nobody_else_out(client, ada, bob):
    answers = [attempt(client, "wrong", "10.1.2.3") for _ in range(6)]
    assert answers[0] == 200 and answers[-1] == 429
    assert attempt(client, "correct horse", "10.1.2.3") == 429
    assert attempt(client, "battery staple", "10.1.2.3", "bob") == 302
    client.post("/accounts/logout/")
    # The owner, from elsewhere.
    assert attempt(client, "correct horse", "10.1.2.4") == 302


@pytest.mark.django_db
def test_a_stopped_guesser_may_try_again_later(client, ada, monkeypatch):
    for _ in range(6):
        attempt(client, "wrong", "10.1.2.3")
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    monkeypatch.setattr("axes.handlers.proxy.now", lambda: later)
    assert attempt(client, "correct horse", "10.1.2.3") == 302


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["no address", "", "1.2.3.4.5"])
def test_a_forwarded_address_that_is_none_is_ignored(client, ada, address):
    assert attempt(client, "wrong", address) == 200


@pytest.mark.django_db
def test_old_sessions_go(client, ada):
    client.force_login(ada)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    client.get("/accounts/login/")
    clear_sessions.delay().get()
    assert not Session.objects.exists()


@pytest.mark.django_db
def test_the_admin_is_for_staff(client, ada):
    client.force_login(ada)
    assert client.get("/admin/").status_code == 302
    call_command("createsuperuser", "--noinput", username="root", email="root@example.com")
    client.force_login(get_user_model().objects.get(username="root"))
    page = client.get("/admin/").content.decode()
    for path in ("accounts/user", "accounts/brokercredential", "trading/position"):
        assert f"/admin/{path}/" in page
        assert client.get(f"/admin/{path}/add/").status_code == 200
