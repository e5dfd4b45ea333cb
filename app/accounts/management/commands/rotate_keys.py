from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.fields import SecretField
from senex_trader.encryption import SecretUnreadable


class Command(BaseCommand):
    help = (
        "Encrypts every stored secret with the first key of FIELD_ENCRYPTION_KEY. "
        "Put a new key first, run this, then take the old one away."
    )

    def handle(self, **options):
        rotated, unreadable = 0, []
        for model, field in secret_fields():
            for key in model.objects.order_by("pk").values_list("pk", flat=True):
                try:
                    rotated += rotate(model, field, key)
                except SecretUnreadable:
                    unreadable.append(f"{model.__name__} {key}")
        self.stdout.write(f"Rotated: {rotated}")
        if unreadable:
            raise CommandError(f"None of the keys opens: {', '.join(unreadable)}")


def secret_fields():
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, SecretField):
                yield model, field.attname


@transaction.atomic
def rotate(model, field, key):
    """Row by row, each locked for the moment: somebody may be changing it."""
    row = model.objects.select_for_update().filter(pk=key).first()
    if row is None:
        return 0
    setattr(row, field, getattr(row, field).rotated())
    row.save(update_fields=[field])
    return 1
