import uuid
from pathlib import PurePath

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.core.validators import FileExtensionValidator
from django.db import models
from django.db.models.signals import post_delete
from django.db.transaction import on_commit
from django.dispatch import receiver

from accounts.fields import SecretField

STATEMENT_EXTENSIONS = ["csv", "pdf", "txt"]
STATEMENT_MEGABYTES = 2


class User(AbstractUser):
    """Like Django's for now, but a model of the project can be changed later."""


class BrokerCredential(models.Model):
    """What opens one account at a broker."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="broker_credentials"
    )
    name = models.CharField(max_length=100)
    secret = SecretField()
    # As the broker said last.
    balance = models.DecimalField(max_digits=14, decimal_places=2, null=True, editable=False)
    balance_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="unique_name_of_user"),
        ]

    def __str__(self):
        return self.name


def statement_path(statement, filename):
    """Of the user's name for the file only its kind: it can't be guessed, nor lead astray."""
    return f"statements/{uuid.uuid4()}{PurePath(filename).suffix.lower()}"


def check_statement_size(file):
    if file.size > STATEMENT_MEGABYTES * 2**20:
        raise ValidationError(f"A statement may have {STATEMENT_MEGABYTES} MB at most.")


class Statement(models.Model):
    """A file that a broker sent, kept with the account."""

    credential = models.ForeignKey(
        BrokerCredential, on_delete=models.CASCADE, related_name="statements"
    )
    file = models.FileField(
        upload_to=statement_path,
        validators=[FileExtensionValidator(STATEMENT_EXTENSIONS), check_statement_size],
    )
    name = models.CharField(max_length=255, editable=False)
    uploaded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-uploaded_at", "-pk"]

    def __str__(self):
        return self.name


@receiver(post_delete, sender=Statement)
def delete_file(instance, **_):
    """A signal, because deleting an account or a user calls no `Statement.delete`."""
    on_commit(lambda: instance.file.delete(save=False))
