import stat
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import STATEMENT_MEGABYTES, Statement

pytestmark = pytest.mark.django_db
LIMIT = STATEMENT_MEGABYTES * 2**20


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def upload(client, credential):
    client.force_login(credential.user)

    def post(name, content, to=credential):
        file = SimpleUploadedFile(name, content)
        return client.post("/accounts/statements/add/", {"credential": to.pk, "file": file})

    return post


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_statement_is_kept_listed_and_given_back(client, upload, media):
    assert upload("January <1>.CSV", b"date,amount\n").status_code == 302
    (kept,) = files(media)
    assert kept.read_bytes() == b"date,amount\n"
    # Under a name that can't be guessed; group 0 may read it, nobody else.
    assert kept.parent == media / "statements" and kept.suffix == ".csv"
    assert "January" not in kept.name
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640

    page = client.get("/accounts/").content.decode()
    assert "January &lt;1&gt;.CSV" in page and kept.name not in page
    response = client.get(f"/accounts/statements/{Statement.objects.get().pk}/")
    assert b"".join(response.streaming_content) == b"date,amount\n"
    assert response["Content-Disposition"] == 'attachment; filename="January <1>.CSV"'


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("page.html", 10, "File extension “html” is not allowed"),
        ("image.svg", 10, "File extension “svg” is not allowed"),
        ("statement", 10, "is not allowed"),
        ("statement.csv.exe", 10, "is not allowed"),
        ("empty.csv", 0, "The submitted file is empty."),
        ("big.pdf", LIMIT + 1, f"A statement may have {STATEMENT_MEGABYTES} MB at most."),
    ],
)
def test_what_is_no_statement_is_refused(upload, media, name, size, message):
    response = upload(name, b"x" * size)
    assert response.status_code == 400
    assert message in response.content.decode()
    assert not files(media) and not Statement.objects.exists()


def test_the_limit_itself_is_allowed(upload, media):
    assert upload("big.pdf", b"x" * LIMIT).status_code == 302
    assert [path.stat().st_size for path in files(media)] == [LIMIT]


@pytest.mark.parametrize("name", ["../../escape.csv", "/etc/escape.csv", "..\\escape.csv"])
def test_no_name_leads_out_of_the_folder(upload, media, name):
    assert upload(name, b"x").status_code == 302
    (kept,) = files(media)
    assert kept.parent == media / "statements"
    assert not list(Path(media).parent.glob("escape*"))


def test_only_the_owner_gets_a_statement(client, upload, bob):
    upload("January.csv", b"date,amount\n")
    path = f"/accounts/statements/{Statement.objects.get().pk}/"
    client.logout()
    assert client.get(path).status_code == 302
    client.force_login(bob)
    assert client.get(path).status_code == 404
    assert "January" not in client.get("/accounts/").content.decode()


def test_a_statement_goes_to_no_account_of_somebody_else(client, upload, credential, bob, media):
    client.force_login(bob)
    response = upload("January.csv", b"x", to=credential)
    assert response.status_code == 400
    assert not files(media)


def test_a_file_that_is_gone_is_not_found(client, upload, media):
    upload("January.csv", b"x")
    files(media)[0].unlink()
    assert client.get(f"/accounts/statements/{Statement.objects.get().pk}/").status_code == 404


def test_a_statement_is_replaced_and_its_old_file_goes(
    client, upload, media, credential, django_capture_on_commit_callbacks
):
    upload("January.csv", b"old")
    path = f"/accounts/statements/{Statement.objects.get().pk}/change/"
    assert "statements/" not in client.get(path).content.decode().split("<form", 2)[-1]
    # Without a file, the one that is there stays.
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(path, {"credential": credential.pk}).status_code == 302
    assert [file.read_bytes() for file in files(media)] == [b"old"]
    file = SimpleUploadedFile("February.csv", b"new")
    with django_capture_on_commit_callbacks(execute=True):
        client.post(path, {"credential": credential.pk, "file": file})
    assert [file.read_bytes() for file in files(media)] == [b"new"]
    assert Statement.objects.get().name == "February.csv"


@pytest.mark.parametrize("what", ["statement", "account", "user"])
def test_a_file_goes_with_its_statement(
    client, upload, media, credential, what, django_capture_on_commit_callbacks
):
    upload("January.csv", b"x")
    with django_capture_on_commit_callbacks(execute=True):
        if what == "statement":
            client.post(f"/accounts/statements/{Statement.objects.get().pk}/delete/")
        elif what == "account":
            client.post(f"/accounts/{credential.pk}/delete/")
        else:
            credential.user.delete()
    assert not files(media) and not Statement.objects.exists()


def test_nobody_changes_or_deletes_the_statement_of_another(client, upload, bob, media):
    upload("January.csv", b"x")
    client.force_login(bob)
    for path in ("change", "delete"):
        assert (
            client.post(f"/accounts/statements/{Statement.objects.get().pk}/{path}/").status_code
            == 404
        )
    assert files(media)
