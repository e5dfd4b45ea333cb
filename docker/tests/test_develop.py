"""What starts a role again when a file is saved."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

DEVELOP = os.path.join(os.path.dirname(__file__), "..", "development", "develop.py")
# A site of one page, as `runserver` would be one.
SITE = """
import http.server, os, sys
import json.tool
import page

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(page.TEXT.encode())

assert sys.argv == ["manage.py", "runserver"], sys.argv
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


class Site:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        (folder / "manage.py").write_text(SITE)
        self.save("TEXT = 'first'")
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "TMPDIR": str(folder),
            "CONTAINER_RUN": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, DEVELOP, "web", "python", "manage.py", "runserver"],
            cwd=folder,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def save(self, text):
        (self.folder / "page.py").write_text(text + "\n")

    def get(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait(self, status, text):
        """Until that is the answer."""
        found, end = None, time.monotonic() + 20
        while time.monotonic() < end:
            found = self.get()
            if found[0] == status and text in found[1]:
                return
            time.sleep(0.05)
        pytest.fail(f"{status} {text!r} never came, but {found}")

    def end(self):
        self.process.terminate()
        _, log = self.process.communicate(timeout=20)
        return log


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    if site.process.poll() is None:
        site.end()


def test_a_saved_file_is_answered_by_the_new_code(site):
    site.wait(200, "first")
    site.save("TEXT = 'second'")
    site.wait(200, "second")
    # By a process that had loaded the packages before, and nothing of the project.
    end = time.monotonic() + 20
    while not (site.folder / "develop-modules").exists() and time.monotonic() < end:
        time.sleep(0.1)
    modules = (site.folder / "develop-modules").read_text()
    assert "json.tool" in modules and "page" not in modules.split('"')
    time.sleep(2)
    site.save("TEXT = 'third'")
    site.wait(200, "third")
    log = site.end()
    assert log.count("develop: page.py changed: starting web again\n") == 2, log


def test_a_syntax_error_keeps_the_site_up_with_the_error_shown(site):
    site.wait(200, "first")
    site.save("TEXT = (")
    site.wait(500, "SyntaxError: '(' was never closed")
    site.save("TEXT = 'repaired'")
    site.wait(200, "repaired")
    assert "web ended with exit status 1; it starts again at the next save" in site.end()


def test_nothing_is_left_when_it_is_told_to_end(site):
    site.wait(200, "first")
    assert (site.folder / "container-role").read_text() == "web"
    site.end()
    assert site.get() == (0, "")


def test_other_files_start_nothing(site):
    site.wait(200, "first")
    (site.folder / "media").mkdir()
    (site.folder / "media" / "upload.py").write_text("x")
    (site.folder / "data.csv").write_text("x")
    time.sleep(1)
    assert "changed" not in site.end()
