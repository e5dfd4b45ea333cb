import re
import stat

import pytest
from django.core.management import call_command
from django.templatetags.static import static


@pytest.fixture
def collected(settings, tmp_path):
    settings.STORAGES = settings.MANIFEST_STATIC_STORAGES
    settings.STATIC_ROOT = tmp_path
    call_command("collectstatic", interactive=False, verbosity=0)
    return tmp_path


NAMES = ["senex_trader/page.css", "senex_trader/icon.svg", "trading/positions.js"]


@pytest.mark.parametrize("name", NAMES)
def test_static_files_are_named_by_their_content(collected, name):
    stem, end = name.split(".")
    address = static(name)
    assert re.fullmatch(rf"/static/{stem}\.[0-9a-f]{{12}}\.{end}", address)
    assert (collected / address.removeprefix("/static/")).exists()


def test_static_files_are_readable_by_whoever_runs_the_image(collected):
    files = [path for path in collected.rglob("*") if path.is_file()]
    assert (collected / "staticfiles.json") in files
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444, path
