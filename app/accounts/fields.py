from django import forms
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from senex_trader.encryption import Secret


class SecretAttribute(DeferredAttribute):
    """A text that is assigned is hidden at once."""

    def __set__(self, instance, value):
        instance.__dict__[self.field.attname] = hidden(value)


def hidden(value):
    return Secret.hide(value) if isinstance(value, str) else value


class SecretFormField(forms.CharField):
    """Write-only: no form shows a secret. Left empty, the one that is there stays."""

    def __init__(self, **options):
        # The admin asks for the widget of a long text, which would show what was typed.
        options["widget"] = forms.PasswordInput(attrs={"autocomplete": "off"})
        super().__init__(**{"strip": False, **options})

    def get_bound_field(self, form, field_name):
        instance = getattr(form, "instance", None)
        if instance is not None and not instance._state.adding:
            self.required = self.widget.is_required = False
        return super().get_bound_field(form, field_name)

    def prepare_value(self, value):
        return ""

    def has_changed(self, initial, data):
        return bool(data)


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
        return self.get_prep_value(self.value_from_object(obj))

    def formfield(self, **options):
        return models.Field.formfield(self, **{"form_class": SecretFormField, **options})

    def save_form_data(self, instance, data):
        if data:
            super().save_form_data(instance, data)

    def get_lookup(self, lookup_name):
        """Each time it is encrypted it looks new, so a search would find nothing."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None
