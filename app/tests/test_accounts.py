import pytest
from django.contrib.auth.models import User

from accounts.models import BrokerCredential
from accounts.tasks import refresh_balance

pytestmark = pytest.mark.django_db


def test_pages_ask_for_a_login(client):
    for path in ("/", "/accounts/", "/accounts/statements/1/"):
        assert client.get(path).url == f"/accounts/login/?next={path}"
    for path in ("/accounts/add/", "/accounts/1/refresh/", "/accounts/statements/add/"):
        assert client.post(path).url == f"/accounts/login/?next={path}"


def test_a_login_leads_to_the_page_and_a_logout_away(client, ada):
    assert b"<form" in client.get("/accounts/login/").content
    wrong = client.post("/accounts/login/", {"username": "ada", "password": "wrong"})
    assert wrong.status_code == 200 and b"errorlist" in wrong.content
    response = client.post(
        "/accounts/login/", {"username": "ada", "password": "correct horse"}, follow=True
    )
    assert response.redirect_chain == [("/", 302)]
    assert b"trading/positions.js" in response.content
    assert client.post("/accounts/logout/").url == "/accounts/login/"
    assert client.get("/").status_code == 302


def test_an_account_is_added_and_its_secret_never_shown(client, ada, caplog):
    client.force_login(ada)
    response = client.post("/accounts/add/", {"name": "Main", "secret": " word-1234 "}, follow=True)
    assert response.redirect_chain == [("/accounts/", 302)]
    credential = BrokerCredential.objects.get()
    assert credential.user == ada
    assert credential.secret.reveal() == " word-1234 "
    page = response.content.decode()
    assert "Main" in page
    for shown in (page, caplog.text, repr(credential)):
        assert "word-1234" not in shown and credential.secret.encrypted not in shown


@pytest.mark.parametrize(
    ("name", "secret", "message"),
    [
        ("Main", "word-5678", "You have an account of this name."),
        ("", "word-5678", "This field is required."),
        ("Other", "", "This field is required."),
        ("x" * 101, "word-5678", "at most 100 characters"),
    ],
)
def test_a_wrong_form_is_told_without_the_secret(client, credential, name, secret, message):
    client.force_login(credential.user)
    response = client.post("/accounts/add/", {"name": name, "secret": secret})
    assert response.status_code == 400
    page = response.content.decode()
    assert message in page and "word-5678" not in page
    assert BrokerCredential.objects.count() == 1


def test_two_users_may_use_one_name(client, credential, bob):
    client.force_login(bob)
    client.post("/accounts/add/", {"name": credential.name, "secret": "word-5678"})
    assert bob.broker_credentials.get().name == credential.name
    assert User.objects.get(username="ada").broker_credentials.get() == credential


def test_the_broker_is_asked_for_the_balance(client, credential):
    client.force_login(credential.user)
    assert "never asked" in client.get("/accounts/").content.decode()
    response = client.post(f"/accounts/{credential.pk}/refresh/", follow=True)
    credential.refresh_from_db()
    assert 10_000 <= credential.balance <= 100_000
    assert str(credential.balance) in response.content.decode()
    # A task that runs twice finds the same.
    assert refresh_balance.delay(credential.pk).get() == float(credential.balance)


def test_a_balance_of_an_account_that_is_gone_is_nobodys(credential):
    assert refresh_balance.delay(credential.pk + 1).get() is None


def test_the_account_of_somebody_else_is_not_found(client, credential, bob):
    client.force_login(bob)
    assert client.post(f"/accounts/{credential.pk}/refresh/").status_code == 404
    assert "Main" not in client.get("/accounts/").content.decode()
    credential.refresh_from_db()
    assert credential.balance_at is None
