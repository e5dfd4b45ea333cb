import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest
from conftest import DOCKER


class Answer(BaseHTTPRequestHandler):
    """/CODE/ is answered with that code, plain http with a redirect."""

    def do_GET(self):
        https = self.headers["X-Forwarded-Proto"] == "https"
        self.send_response(int(self.path.strip("/")) if https else 301)
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
            timeout=60,
        )

    return run


@pytest.mark.parametrize("role", ["web", "gunicorn"])
@pytest.mark.parametrize(("code", "exit_code"), [("200", 0), ("503", 1), ("302", 1), ("404", 1)])
def test_a_web_container_must_answer_200(check, port, role, code, exit_code):
    result = check(role, PORT=port, HEALTHCHECK_PATH=f"/{code}/")
    assert result.returncode == exit_code, result.stderr
    assert f"{role}: /{code}/ answers: HTTP/1.0 {code}" in result.stdout


@pytest.mark.parametrize(
    ("family", "bound", "address"),
    [
        (socket.AF_INET, "127.0.0.2", "127.0.0.2"),
        (socket.AF_INET, "0.0.0.0", "0.0.0.0"),
        (socket.AF_INET6, "::", "::"),
        (socket.AF_INET6, "[::1]", "::1"),
    ],
)
def test_it_asks_where_the_server_listens(check, family, bound, address):
    with socket.create_server((address, 0), family=family) as server:

        def answer():
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        result = check("web", PORT=str(server.getsockname()[1]), WEB_BIND=bound)
    assert result.returncode == 0, result.stdout


def test_a_server_that_says_nothing_is_not_healthy(healthcheck, monkeypatch):
    monkeypatch.setattr(healthcheck, "TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PORT", str(server.getsockname()[1]))
        with pytest.raises(TimeoutError):
            healthcheck.check_web()


def test_nobody_listens(check):
    result = check("web", PORT="1")
    assert result.returncode == 1
    assert "refused" in result.stdout


@pytest.mark.parametrize("role", ["worker", "beat"])
@pytest.mark.parametrize(
    ("age", "exit_code"), [(5, 0), (55, 0), (61, 1), (-90, 1), (None, 1)]
)
def test_a_heartbeat_must_be_young(check, role, age, exit_code):
    assert check(role, heartbeat_age=age).returncode == exit_code


@pytest.mark.parametrize("role", [None, "migrate"])
def test_another_command_is_healthy_while_it_lives(check, role):
    result = check(role)
    assert (result.returncode, result.stdout) == (0, f"{role or 'other'}: the first process lives\n")


@pytest.fixture
def healthcheck():
    loader = SourceFileLoader("healthcheck", str(DOCKER / "healthcheck"))
    module = module_from_spec(spec_from_loader("healthcheck", loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def process(tmp_path):
    (tmp_path / "service.py").write_text("import time\ntime.sleep(60)\n")
    process = subprocess.Popen([sys.executable, str(tmp_path / "service.py"), "gunicorn", "x"])
    yield process
    process.kill()
    process.wait()


def wait_until(condition):
    for _ in range(2400):
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_process_that_is_stopped_is_seen(healthcheck, process):
    assert not healthcheck.is_stopped(process.pid)
    process.send_signal(signal.SIGSTOP)
    assert wait_until(lambda: healthcheck.is_stopped(process.pid))
    process.send_signal(signal.SIGCONT)
    assert wait_until(lambda: not healthcheck.is_stopped(process.pid))
    assert not healthcheck.is_stopped(2**31)


def test_the_first_process_tells_its_role(healthcheck, process):
    assert wait_until(lambda: healthcheck.role_of_process(process.pid) == "gunicorn")
    assert healthcheck.role_of_process(os.getpid()) == "other"
    assert healthcheck.role_of_process(2**31) == "other"


def test_it_only_reads(check, tmp_path):
    check("worker", heartbeat_age=5)
    before = [(path.name, path.stat().st_mtime_ns) for path in sorted(tmp_path.iterdir())]
    check(None)
    assert before == [(path.name, path.stat().st_mtime_ns) for path in sorted(tmp_path.iterdir())]


def test_it_starts_lightly():
    code = "import sys; exec(open(sys.argv[1]).read(), {'__name__': 'it'}); print(*sys.modules)"
    words = [sys.executable, "-IS", "-c", code, str(DOCKER / "healthcheck")]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert "socket" in loaded
    assert not {"django", "http", "json", "logging", "re", "ssl", "subprocess", "urllib"} & set(loaded)
