import re

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from trading.models import Position

pytestmark = pytest.mark.django_db


def test_the_demo_needs_a_password(settings):
    settings.DEMO_PASSWORD = ""
    with pytest.raises(CommandError, match="DEMO_PASSWORD"):
        call_command("demo")
    assert not User.objects.exists()


def test_the_demo_run_twice_is_the_demo(client, settings, capsys):
    settings.DEMO_PASSWORD = "first password"
    call_command("demo")
    positions = list(Position.objects.values_list("pk", "name", "underlying__symbol"))
    assert [row[1:] for row in positions] == [("Iron condor", "SPY"), ("Bull call spread", "AAPL")]
    settings.DEMO_PASSWORD = "second password"
    call_command("demo")
    assert list(Position.objects.values_list("pk", "name", "underlying__symbol")) == positions
    user = User.objects.get()
    assert user.broker_credentials.count() == 1
    assert capsys.readouterr().out.splitlines() == [
        "User demo; positions opened: 2",
        "User demo; positions opened: 0",
    ]

    for password, status in (("first password", 200), ("second password", 302)):
        data = {"username": "demo", "password": password}
        assert client.post("/accounts/login/", data).status_code == status
    page = client.get("/").content.decode()
    assert page.count("<svg") == 2
    # What is paid is what it is worth, up to a cent a share: nobody profits from opening.
    profits = map(float, re.findall(r'data-field="profit">([-\d.]+)<', page))
    assert all(abs(profit) < 10 for profit in profits)


def test_the_demo_opens_anew_what_has_expired(settings):
    settings.DEMO_PASSWORD = "a password"
    call_command("demo")
    Position.objects.filter(name="Iron condor").update(expires_on="2020-01-17")
    call_command("demo")
    assert Position.objects.count() == 3
    names = sorted(Position.objects.open().values_list("name", flat=True))
    assert names == ["Bull call spread", "Iron condor"]
