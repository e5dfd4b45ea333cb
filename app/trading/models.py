from django.db import models

from accounts.models import BrokerAccount


class Position(models.Model):
    account = models.ForeignKey(BrokerAccount, on_delete=models.CASCADE, related_name="positions")
    symbol = models.CharField(max_length=32)
    quantity = models.IntegerField()
    opened_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["symbol", "pk"]

    def __str__(self):
        return f"{self.quantity} {self.symbol}"
