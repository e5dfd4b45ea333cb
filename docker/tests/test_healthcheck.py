import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import DOCKER


class Answer(BaseHTTPRequestHandler):
    """/CODE/ is answered with that code."""

    def do_GET(self):
        self.send_response(int(self.path.strip("/")))
        self.send_header("Location", "/200/")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def port():
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield str(server.server_port)
    server.shutdown()
    server.server_close()


@pytest.fixture
def check(tmp_path):
    def run(role, heartbeat_age=None, **environment):
        if role:
            (tmp_path / "container-role").write_text(f"{role}\n")
        if heartbeat_age is not None:
            moment = time.time() - heartbeat_age
            (tmp_path / "container-heartbeat").touch()
            os.utime(tmp_path / "container-heartbeat", (moment, moment))
        return subprocess.run(
            [sys.executable, "-IS", str(DOCKER / "healthcheck")],
            env={"CONTAINER_RUN": f"/no/such {tmp_path}", **environment},
            capture_output=True,
            text=True,
            timeout=20,
        )

    return run


@pytest.mark.parametrize("role", ["web", "gunicorn"])
@pytest.mark.parametrize(("code", "exit_code"), [("200", 0), ("503", 1), ("302", 1), ("404", 1)])
def test_a_web_container_must_answer_200(check, port, role, code, exit_code):
    result = check(role, PORT=port, HEALTHCHECK_PATH=f"/{code}/")
    assert result.returncode == exit_code, result.stderr
    assert f"{role}: /{code}/ answers: HTTP/1.0 {code}" in result.stdout


def test_nobody_listens(check):
    result = check("web", PORT="1")
    assert result.returncode == 1
    assert "refused" in result.stdout


@pytest.mark.parametrize("role", ["worker", "beat"])
@pytest.mark.parametrize(("age", "exit_code"), [(5, 0), (59, 0), (61, 1), (None, 1)])
def test_a_heartbeat_must_be_young(check, role, age, exit_code):
    assert check(role, heartbeat_age=age).returncode == exit_code


def test_another_command_is_healthy_while_it_lives(check):
    assert check(None).returncode == 0


def test_it_starts_lightly(check):
    start = time.monotonic()
    check("worker", heartbeat_age=1)
    assert time.monotonic() - start < 1
