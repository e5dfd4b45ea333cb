from django.conf import settings
from django.db import models

from accounts.fields import EncryptedTextField


class BrokerAccount(models.Model):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="broker_accounts"
    )
    name = models.CharField(max_length=100)
    token = EncryptedTextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="unique_account_name_of_user")
        ]

    def __str__(self):
        return self.name
