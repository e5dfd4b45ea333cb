import json
import logging
import traceback

import pytest
from cryptography.fernet import Fernet
from django.contrib.admin import AdminSite, ModelAdmin
from django.core.checks import run_checks
from django.core.exceptions import FieldError
from django.core.management import CommandError, call_command
from django.db import connection
from django.forms import modelform_factory
from django.template import Context, Engine
from django.views.debug import ExceptionReporter

from accounts.models import BrokerCredential
from accounts.tasks import find_unreadable_secrets
from senex_trader.encryption import Secret, SecretUnreadable, cipher

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def stored(credential):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT secret FROM accounts_brokercredential WHERE id = %s", [credential.pk]
        )
        return cursor.fetchone()[0]


@pytest.mark.parametrize("text", ["word-1234", "", "a: 'quoted' word\n", "Schlüssel"])
def test_a_secret_comes_back_as_it_was(text):
    assert Secret.hide(text).reveal() == text


def test_a_secret_shows_nothing(caplog):
    secret = Secret.hide("word-1234")
    logging.getLogger("trading").warning("Asked with %s", secret)
    for shown in (repr(secret), str(secret), f"{secret:}", repr([secret]), caplog.text):
        assert "***" in shown
        assert "word-1234" not in shown and secret.encrypted not in shown


@pytest.mark.django_db
def test_a_secret_is_encrypted_before_it_is_saved(ada):
    credential = BrokerCredential(user=ada, name="Main", secret="word-1234")
    assert "word-1234" not in repr(vars(credential))
    assert credential.secret.reveal() == "word-1234"
    credential.secret = "word-5678"
    assert "word-5678" not in repr(vars(credential))
    credential.save()
    assert "word-5678" not in stored(credential)
    assert BrokerCredential.objects.get().secret.reveal() == "word-5678"


@pytest.mark.django_db
def test_an_update_and_bulk_create_encrypt_too(ada, credential):
    BrokerCredential.objects.update(secret="word-5678")
    assert "word-5678" not in stored(credential)
    assert BrokerCredential.objects.get().secret.reveal() == "word-5678"
    credential.secret = "word-9"
    BrokerCredential.objects.bulk_update([credential], ["secret"])
    assert BrokerCredential.objects.get().secret.reveal() == "word-9"


@pytest.mark.django_db
def test_a_secret_is_not_searched():
    """The query would show it to the database's log, and find nothing."""
    for lookup in ("secret", "secret__contains", "secret__in"):
        with pytest.raises(FieldError):
            BrokerCredential.objects.filter(**{lookup: "word-1234"})
    assert not BrokerCredential.objects.filter(secret__isnull=True).exists()


@pytest.mark.django_db
def test_a_dump_holds_the_encrypted_form_and_can_be_loaded(credential, capsys, tmp_path):
    call_command("dumpdata", "accounts")
    dump = capsys.readouterr().out
    assert "word-1234" not in dump
    (row,) = [row for row in json.loads(dump) if row["model"] == "accounts.brokercredential"]
    assert row["fields"]["secret"] == stored(credential)
    (tmp_path / "dump.json").write_text(dump)
    BrokerCredential.objects.all().delete()
    call_command("loaddata", str(tmp_path / "dump.json"), verbosity=0)
    assert BrokerCredential.objects.get().secret.reveal() == "word-1234"


@pytest.mark.django_db
def test_another_key_opens_nothing_and_tells_nothing(credential, settings, caplog):
    encrypted = stored(credential)
    assert find_unreadable_secrets.delay().get() == []
    settings.FIELD_ENCRYPTION_KEY = OTHER
    # Lists of accounts work all the same.
    assert str(BrokerCredential.objects.get()) == "Main"
    assert find_unreadable_secrets.delay().get() == [credential.pk]
    with pytest.raises(SecretUnreadable) as failure:
        BrokerCredential.objects.get().secret.reveal()
    shown = "".join(traceback.format_exception(failure.value)) + caplog.text
    assert "another FIELD_ENCRYPTION_KEY" in shown
    assert encrypted not in shown and OTHER not in shown


@pytest.mark.django_db
def test_djangos_error_page_shows_no_secret(credential, rf):
    """With DEBUG, it shows the variables of every frame."""

    def fail(opened):
        raise RuntimeError("a mistake")

    try:
        fail(credential)
    except RuntimeError as error:
        request = rf.get("/")
        reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
        page = reporter.get_traceback_html()
    assert "a mistake" in page and "opened" in page
    assert credential.secret.reveal() not in page


@pytest.mark.django_db
def test_rotation_from_an_old_key_to_a_new_one(ada, settings, capsys):
    settings.FIELD_ENCRYPTION_KEY = OLD
    credentials = [
        BrokerCredential.objects.create(user=ada, name=name, secret=f"word of {name}")
        for name in ("Main", "Second")
    ]
    before = [stored(credential) for credential in credentials]

    # All keys open, the first one encrypts.
    settings.FIELD_ENCRYPTION_KEY = f"{NEW}, {OLD}"
    assert BrokerCredential.objects.get(name="Main").secret.reveal() == "word of Main"
    call_command("rotate_keys")
    assert capsys.readouterr().out == "Rotated: 2\n"
    assert all(
        stored(credential) != old for credential, old in zip(credentials, before, strict=True)
    )

    settings.FIELD_ENCRYPTION_KEY = NEW
    for credential in BrokerCredential.objects.all():
        assert credential.secret.reveal() == f"word of {credential.name}"
    call_command("rotate_keys")


@pytest.mark.django_db
def test_rotation_names_what_it_cannot_open_and_does_the_rest(ada, credential, settings, capsys):
    settings.FIELD_ENCRYPTION_KEY = OTHER
    mine = BrokerCredential.objects.create(user=ada, name="Mine", secret="word-5678")
    settings.FIELD_ENCRYPTION_KEY = f"{NEW},{OTHER}"
    with pytest.raises(CommandError) as failure:
        call_command("rotate_keys")
    assert str(failure.value) == f"None of the keys opens: BrokerCredential {credential.pk}"
    assert capsys.readouterr().out == "Rotated: 1\n"
    settings.FIELD_ENCRYPTION_KEY = NEW
    assert BrokerCredential.objects.get(pk=mine.pk).secret.reveal() == "word-5678"


@pytest.mark.parametrize("text", [OLD, f"{OLD},{NEW}", f" {OLD} , {NEW} "])
def test_good_keys_pass_the_check(settings, text):
    settings.FIELD_ENCRYPTION_KEY = text
    assert service_errors() == []


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("test-encryption-key", "It is"),
        ("", "It is"),
        (OLD[:-2], "It is"),
        ("schlüssel", "It is"),
        (f"{OLD},test-encryption-key", "Key 2 of 2 is"),
        (f"{OLD},", "Key 2 of 2 is"),
    ],
)
def test_bad_keys_are_told_without_their_value(settings, text, which):
    settings.FIELD_ENCRYPTION_KEY = text
    (error,) = service_errors()
    assert error.id == "senex_trader.E001" and which in error.msg
    shown = f"{error} {error!r}"
    assert all(part not in shown for part in text.split(",") if part)
    # Nor by what a service would meet later.
    with pytest.raises(ValueError) as failure:
        cipher()
    shown = "".join(traceback.format_exception(failure.value))
    assert all(part not in shown for part in text.split(",") if part)


def service_errors():
    return run_checks(tags=["service"], include_deployment_checks=True)


def form_of_admin():
    return ModelAdmin(BrokerCredential, AdminSite()).get_form(None)


def standard_form():
    return modelform_factory(BrokerCredential, fields=["user", "name", "secret"])


forms_of_django = pytest.mark.parametrize("make", [form_of_admin, standard_form])


@forms_of_django
@pytest.mark.django_db
def test_a_form_that_saves_nothing_new_keeps_the_secret(make, ada, credential):
    before = stored(credential)
    form = make()({"user": ada.pk, "name": "Other", "secret": ""}, instance=credential)
    assert form.is_valid(), form.errors
    assert form.changed_data == ["name"]
    form.save()
    assert (stored(credential), BrokerCredential.objects.get().name) == (before, "Other")


@forms_of_django
@pytest.mark.django_db
@pytest.mark.parametrize("text", [" word-5678 ", "***"])
def test_a_form_replaces_the_secret(make, ada, credential, text):
    form = make()({"user": ada.pk, "name": "Main", "secret": text}, instance=credential)
    assert form.is_valid() and form.changed_data == ["secret"]
    form.save()
    assert BrokerCredential.objects.get().secret.reveal() == text


@forms_of_django
@pytest.mark.django_db
def test_no_form_shows_a_secret(make, ada, credential):
    typed = make()({"user": ada.pk, "name": "", "secret": "word-5678"}, instance=credential)
    for form in (make()(instance=credential), typed):
        page = str(form["secret"])
        assert 'type="password"' in page and "***" not in page
        assert "word-" not in page and credential.secret.encrypted not in page


@forms_of_django
@pytest.mark.django_db
def test_a_new_row_needs_a_secret(make, ada):
    form = make()({"user": ada.pk, "name": "Main", "secret": ""})
    assert list(form.errors) == ["secret"]


@pytest.mark.parametrize("name", ["reveal", "rotated.reveal"])
def test_a_template_prints_no_secret(name):
    template = Engine().from_string("<{{ credential.secret." + name + " }}>")
    credential = BrokerCredential(name="Main", secret="word-1234")
    assert template.render(Context({"credential": credential})) == "<>"


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("by_database", [False, True])
def test_an_empty_secret_is_dumped_and_loaded(ada, credential, tmp_path, form, by_database):
    if by_database:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_brokercredential SET secret = ''")
    else:
        BrokerCredential.objects.update(secret="")
    dump = tmp_path / f"dump.{form}"
    call_command("dumpdata", "accounts", format=form, output=str(dump))
    BrokerCredential.objects.all().delete()
    call_command("loaddata", str(dump))
    assert BrokerCredential.objects.get().secret.reveal() == ""


def test_what_has_no_secret_is_dumped_as_nothing():
    credential = BrokerCredential(name="Main")
    credential.secret = None
    assert BrokerCredential._meta.get_field("secret").value_to_string(credential) is None
