import pytest
from django.contrib.auth.models import User
from django.db import connection

from accounts.models import BrokerAccount
from accounts.tasks import find_unreadable_tokens

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    user = User.objects.create_user("ada", password="correct horse")
    return BrokerAccount.objects.create(user=user, name="Main", token="token-1234")


def stored_token(account):
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM accounts_brokeraccount WHERE id = %s", [account.pk])
        return cursor.fetchone()[0]


def test_a_token_is_encrypted_in_the_database_only(account):
    assert "token-1234" not in stored_token(account)
    assert BrokerAccount.objects.get().token == "token-1234"


def test_an_update_encrypts_too(account):
    BrokerAccount.objects.update(token="token-5678")
    assert "token-5678" not in stored_token(account)
    assert BrokerAccount.objects.get().token == "token-5678"


def test_another_key_does_not_open_a_token(account, settings):
    assert find_unreadable_tokens.delay().get() == []
    settings.FIELD_ENCRYPTION_KEY = "another key"
    with pytest.raises(ValueError, match="another FIELD_ENCRYPTION_KEY"):
        BrokerAccount.objects.get()
    assert find_unreadable_tokens.delay().get() == [account.pk]


def test_pages_ask_for_a_login(client):
    for path in ("/", "/accounts/brokers/"):
        assert client.get(path).url == f"/accounts/login/?next={path}"


def test_a_login_leads_to_the_page(client, account):
    assert b"<form" in client.get("/accounts/login/").content
    response = client.post(
        "/accounts/login/", {"username": "ada", "password": "correct horse"}, follow=True
    )
    assert response.redirect_chain == [("/", 302)]
    assert b"trading/ticks.js" in response.content


def test_accounts_are_listed_without_tokens(client, account):
    client.force_login(account.user)
    response = client.get("/accounts/brokers/")
    assert response.json() == {"accounts": ["Main"]}
