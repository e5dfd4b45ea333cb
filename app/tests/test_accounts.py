from decimal import Decimal as D

import pytest

from accounts.models import BrokerCredential, User
from accounts.tasks import refresh_balance
from trading import broker

pytestmark = pytest.mark.django_db


PAGES = ["/", "/accounts/", "/accounts/password/"]
PAGES += [f"/accounts/{path}" for path in ("1/change/", "1/delete/")]
PAGES += [f"/accounts/statements/1/{path}" for path in ("", "change/", "delete/")]


def test_pages_ask_for_a_login(client):
    for path in PAGES:
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
    # A task that runs twice finds the same, and tells it to the database alone.
    balance = credential.balance
    assert refresh_balance.delay(credential.pk).get() is None
    credential.refresh_from_db()
    assert credential.balance == balance


def test_a_broker_that_is_away_is_asked_again(credential, monkeypatch, retries):
    answers = [broker.Unavailable(), broker.Unavailable(), D("12.34")]

    def balance(secret):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(broker, "balance", balance)
    refresh_balance.delay(credential.pk)
    credential.refresh_from_db()
    assert credential.balance == D("12.34")


def test_a_balance_of_an_account_that_is_gone_is_nobodys(credential):
    assert refresh_balance.delay(credential.pk + 1).get() is None


def test_the_account_of_somebody_else_is_not_found(client, credential, bob):
    client.force_login(bob)
    assert client.post(f"/accounts/{credential.pk}/refresh/").status_code == 404
    assert "Main" not in client.get("/accounts/").content.decode()
    credential.refresh_from_db()
    assert credential.balance_at is None


def test_a_secret_is_replaced(client, credential):
    client.force_login(credential.user)
    refresh_balance.delay(credential.pk)
    path = f"/accounts/{credential.pk}/change/"
    page = client.get(path).content.decode()
    assert "word-1234" not in page and credential.secret.encrypted not in page
    # Left empty, it stays, and so does the balance.
    assert client.post(path, {"name": "Second", "secret": ""}).url == "/accounts/"
    credential.refresh_from_db()
    assert (credential.name, credential.secret.reveal()) == ("Second", "word-1234")
    assert credential.balance is not None
    client.post(path, {"name": "Second", "secret": "word-5678"})
    credential.refresh_from_db()
    assert (credential.secret.reveal(), credential.balance) == ("word-5678", None)


def test_an_account_keeps_its_name_and_takes_no_other(client, credential):
    client.force_login(credential.user)
    BrokerCredential.objects.create(user=credential.user, name="Second", secret="word-5678")
    path = f"/accounts/{credential.pk}/change/"
    assert client.post(path, {"name": "Main", "secret": "word-9"}).status_code == 302
    response = client.post(path, {"name": "Second", "secret": "word-9"})
    assert "You have an account of this name." in response.content.decode()


def test_an_account_is_deleted(client, credential):
    client.force_login(credential.user)
    path = f"/accounts/{credential.pk}/delete/"
    client.get(path)
    assert BrokerCredential.objects.exists()
    assert client.post(path).url == "/accounts/"
    assert not BrokerCredential.objects.exists()


def test_nobody_changes_or_deletes_the_account_of_another(client, credential, bob):
    client.force_login(bob)
    for path in ("change", "delete"):
        for ask in (client.get, client.post):
            assert ask(f"/accounts/{credential.pk}/{path}/").status_code == 404
