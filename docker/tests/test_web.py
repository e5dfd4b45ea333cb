"""The web role for real: a server on a free port."""

import http.client
import socket
import time

import pytest
from settings_of_tests import SQLITE

APPLICATION = """
import asyncio, time
from asgiref.sync import sync_to_async

async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    _, kind, seconds = scope["path"].split("/")
    if kind == "thread":
        await sync_to_async(time.sleep, thread_sensitive=False)(float(seconds))
    else:
        await asyncio.sleep(float(seconds))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
"""


def words_of(server, port):
    address = {
        "daphne": ["-b", "127.0.0.1", "-p", str(port)],
        "uvicorn": ["--host=127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown=4"],
    }[server]
    return [server, *address, "site_of_tests:application"]


@pytest.fixture
def web(start, tmp_path):
    (tmp_path / "site_of_tests.py").write_text(APPLICATION)

    def run(server="daphne", **environment):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        container = start(SQLITE, "web", *words_of(server, port), MIGRATE="0", **environment)
        for _ in range(2400):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return container, port
            except OSError:
                time.sleep(0.05)
        raise AssertionError("it doesn't listen")

    return run


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    # The server has it before the signal comes.
    time.sleep(0.3)
    return connection


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_requests_in_flight_are_answered(web, server):
    container, port = web(server)
    connections = [ask(port, "/loop/1"), ask(port, "/thread/1")]
    container.process.terminate()
    time.sleep(0.2)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port))
    for connection in connections:
        assert connection.getresponse().read() == b"done"
        # Kept alive before, it takes no further request.
        assert connection.sock is None or connection.sock.recv(1) == b""
    # Uvicorn ends by the signal that it got.
    assert container.process.wait(timeout=40) == (0 if server == "daphne" else 143)


@pytest.mark.parametrize("kind", ["loop", "thread"])
def test_a_request_that_takes_too_long_is_given_up(web, kind):
    container, port = web(STOP_GRACE_PERIOD="3")
    connection = ask(port, f"/{kind}/300")
    assert container.stop() in (0, 143)
    with pytest.raises(OSError):
        connection.getresponse()
    assert "requests that weren't done in time: 1" in container.process.stderr.read()


def test_without_requests_it_ends_at_once(web):
    container, port = web(STOP_GRACE_PERIOD="300")
    connection = ask(port, "/loop/0")
    assert connection.getresponse().read() == b"done"
    # The connection is idle, and open.
    assert container.stop() == 0


def test_a_websocket_is_closed_so_that_its_client_comes_again(web):
    container, port = web(STOP_GRACE_PERIOD="300")
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
    assert container.stop() == 0
    frame = client.recv(1000)
    # A close frame, then its code.
    assert frame[0] == 0x88 and int.from_bytes(frame[2:4], "big") == 1012


def test_a_port_that_is_taken_is_no_success(web, start):
    _, port = web()
    container = start(SQLITE, "web", *words_of("daphne", port), MIGRATE="0")
    assert container.process.wait(timeout=40) == 1
