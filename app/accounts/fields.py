from django.db import models
from django.db.models.query_utils import DeferredAttribute

from senex_trader.encryption import Secret


class SecretAttribute(DeferredAttribute):
    """A text that is assigned is hidden at once."""

    def __set__(self, instance, value):
        instance.__dict__[self.field.attname] = hidden(value)


def hidden(value):
    return Secret.hide(value) if isinstance(value, str) else value


class SecretField(models.TextField):
    """A `Secret`. The database, and what `dumpdata` writes, hold its encrypted form."""

    descriptor_class = SecretAttribute

    def from_db_value(self, value, expression, connection):
        return None if value is None else Secret(value)

    def get_prep_value(self, value):
        # A text comes from `QuerySet.update`, which passes the attribute by.
        value = hidden(value)
        return value.encrypted if isinstance(value, Secret) else value

    def to_python(self, value):
        # A text comes from `loaddata`.
        return Secret(value) if isinstance(value, str) else value

    def value_to_string(self, obj):
        return self.value_from_object(obj).encrypted

    def get_lookup(self, lookup_name):
        """Each time it is encrypted it looks new, so a search would find nothing."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None
