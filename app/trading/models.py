from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from trading import expiry, pricing


class Underlying(models.Model):
    symbol = models.CharField(max_length=12, unique=True)
    # As of the last mark.
    price = models.DecimalField(max_digits=12, decimal_places=2)
    volatility = models.FloatField(validators=[MinValueValidator(0)])
    dividend_yield = models.FloatField(default=0)

    class Meta:
        ordering = ["symbol"]

    def __str__(self):
        return self.symbol


class PositionQuerySet(models.QuerySet):
    def open(self):
        return self.filter(closed_at=None)

    def settled(self):
        return self.exclude(settlement_price=None)

    def with_legs(self):
        return self.select_related("underlying").prefetch_related("legs")


class Position(models.Model):
    """Options on one underlying that expire together, such as an iron condor."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="positions"
    )
    underlying = models.ForeignKey(Underlying, on_delete=models.PROTECT)
    name = models.CharField(max_length=100)
    expires_on = models.DateField()
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    # Of the underlying when the options expired, and what they brought then.
    settlement_price = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, editable=False
    )
    settled_profit = models.DecimalField(max_digits=16, decimal_places=2, null=True, editable=False)

    objects = PositionQuerySet.as_manager()

    class Meta:
        ordering = ["opened_at", "pk"]

    def __str__(self):
        return f"{self.name} {self.underlying}"

    def expiry_legs(self):
        return [
            expiry.Leg(leg.sign, leg.strike, leg.quantity, leg.entry_price)
            for leg in self.legs.all()
        ]


class OptionLeg(models.Model):
    class Kind(models.TextChoices):
        CALL = "C", "call"
        PUT = "P", "put"

    position = models.ForeignKey(Position, on_delete=models.CASCADE, related_name="legs")
    kind = models.CharField(max_length=1, choices=Kind)
    strike = models.DecimalField(max_digits=12, decimal_places=2)
    # Contracts; less than nothing when sold.
    quantity = models.IntegerField()
    # Per share.
    entry_price = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["strike", "kind"]
        constraints = [
            models.CheckConstraint(condition=models.Q(strike__gt=0), name="strike_above_zero"),
            models.CheckConstraint(condition=~models.Q(quantity=0), name="quantity_not_zero"),
        ]

    def __str__(self):
        return f"{self.quantity:+d} {self.strike} {self.get_kind_display()}"

    @property
    def sign(self):
        return pricing.CALL if self.kind == self.Kind.CALL else pricing.PUT


class Mark(models.Model):
    """What a position was worth at one time."""

    position = models.ForeignKey(Position, on_delete=models.CASCADE, related_name="marks")
    time = models.DateTimeField(db_index=True)
    value = models.DecimalField(max_digits=16, decimal_places=2)
    profit = models.DecimalField(max_digits=16, decimal_places=2)

    class Meta:
        ordering = ["time"]
        constraints = [
            # A task that runs twice marks once.
            models.UniqueConstraint(fields=["position", "time"], name="one_mark_at_a_time"),
        ]

    def __str__(self):
        return f"{self.profit:+.2f} at {self.time:%Y-%m-%d %H:%M:%S}"
