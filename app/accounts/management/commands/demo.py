from datetime import timedelta

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from accounts.models import BrokerCredential, User
from trading import broker, pricing, valuation
from trading.models import OptionLeg, Position, Underlying

UNDERLYINGS = {
    "SPY": {"volatility": 0.16, "dividend_yield": 0.012},
    "AAPL": {"volatility": 0.27, "dividend_yield": 0.004},
}
# The strikes as parts of the price: kind, strike, contracts.
POSITIONS = [
    (
        "Iron condor",
        "SPY",
        45,
        [("P", 0.93, 2), ("P", 0.95, -2), ("C", 1.05, -2), ("C", 1.07, 2)],
    ),
    ("Bull call spread", "AAPL", 73, [("C", 0.98, 3), ("C", 1.08, -3)]),
]


class Command(BaseCommand):
    help = (
        "Makes the user `demo`, with the password DEMO_PASSWORD, an account at the paper broker "
        "and two positions. Run again, it adds only what is missing."
    )

    @transaction.atomic
    def handle(self, **options):
        if not settings.DEMO_PASSWORD:
            raise CommandError("Set in the environment: DEMO_PASSWORD")
        user, _ = User.objects.get_or_create(username="demo")
        user.set_password(settings.DEMO_PASSWORD)
        user.save()
        if not user.broker_credentials.exists():
            secret = get_random_string(32)
            BrokerCredential.objects.create(user=user, name="Paper broker", secret=secret)
        now = timezone.now()
        opened = [add_position(user, now, *row) for row in POSITIONS]
        self.stdout.write(f"User demo; positions opened: {sum(opened)}")


def add_position(user, now, name, symbol, days, legs):
    price = float(broker.price_at(symbol, now))
    underlying, _ = Underlying.objects.get_or_create(
        symbol=symbol, defaults={"price": price, **UNDERLYINGS[symbol]}
    )
    existing = user.positions.open().filter(name=name, underlying=underlying)
    if existing.filter(expires_on__gt=now.date()).exists():
        return False
    existing.update(closed_at=now)
    position = Position.objects.create(
        owner=user, underlying=underlying, name=name, expires_on=now.date() + timedelta(days=days)
    )
    years = valuation.years_until(position.expires_on, now)
    for kind, part, quantity in legs:
        leg = OptionLeg(position=position, kind=kind, strike=round(price * part), quantity=quantity)
        paid = pricing.value(
            leg.sign, price, leg.strike, years, valuation.RATE, **UNDERLYINGS[symbol]
        )
        leg.entry_price = broker.cents(paid.price)
        leg.save()
    return True
