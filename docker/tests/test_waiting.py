import re
import socket
import threading
import time

import pytest
from entrypoint.messages import Refusal
from entrypoint.patience import InProgress, Patience, within
from settings_of_tests import SQLITE, postgresql, redis

COMMAND = ("celery", "-A", "shop")


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (postgresql(1), "PostgreSQL at 127.0.0.1:1/shop"),
        (SQLITE + redis(1), "Redis at 127.0.0.1:1/3"),
    ],
)
def test_a_closed_port_is_waited_for_and_given_up(serve, settings, place):
    result = serve(settings, "web", *COMMAND, WAIT_INTERVAL="0.3")
    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    *waiting, last = lines
    # A busy machine spends the budget on the first attempt; `test_a_signal_ends_the_wait` waits.
    assert len(waiting) <= 2
    left = [
        float(re.fullmatch(rf"entrypoint: waiting for {place}, (.*) s left: .*", line)[1])
        for line in waiting
    ]
    assert sorted(left, reverse=True) == left and all(0 < seconds <= 0.9 for seconds in left)
    assert last.startswith(f"entrypoint: gave up waiting for {place} after 0.9 s: ")
    assert "refused" in last
    assert "hunter2" not in result.stderr


def test_no_attempts_wait_for_nothing(serve):
    settings = postgresql(1) + redis(1)
    result = serve(settings, "web", *COMMAND, WAIT_ATTEMPTS="0", MIGRATE="0")
    assert (result.returncode, result.stderr) == (3, "")


@pytest.mark.parametrize("value", ["many", "-1", "nan"])
def test_a_wrong_number_is_refused(serve, value):
    result = serve(postgresql(1), "worker", *COMMAND, WAIT_INTERVAL=value)
    assert result.returncode == 64
    assert result.stderr == f"entrypoint: WAIT_INTERVAL must be a number, not '{value}'\n"


def test_a_wrong_url_is_refused_without_its_password(serve):
    result = serve(SQLITE + "REDIS_URL = 'redis://:hunt/er2@redis'\n", "worker", *COMMAND)
    assert (result.returncode, result.stderr) == (64, "entrypoint: REDIS_URL is no Redis URL\n")


def test_a_redis_without_its_library_is_refused(serve, tmp_path):
    # Found before the library itself.
    (tmp_path / "redis.py").write_text("raise ModuleNotFoundError(name='redis')")
    result = serve(SQLITE + redis(1, "CELERY_BROKER_URL"), "worker", *COMMAND)
    expected = "entrypoint: CELERY_BROKER_URL is a Redis URL, and redis isn't installed\n"
    assert (result.returncode, result.stderr) == (64, expected)


def serve_redis(answers, name="REDIS_URL"):
    """A Redis that greets each client and gives its PING the next of the answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1000):
                    for command in re.findall(rb"\*\d+\r\n\$\d+\r\n(\w+)", data):
                        other = b"%1\r\n+proto\r\n:3\r\n" if command == b"HELLO" else b"+OK\r\n"
                        connection.sendall(answer if command == b"PING" else other)

    threading.Thread(target=run, daemon=True).start()
    return f"{name} = 'redis://127.0.0.1:{listener.getsockname()[1]}/0'\n"


LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


def test_a_service_that_comes_up_ends_the_wait(serve):
    settings = SQLITE + serve_redis([LOADING, b"+PONG\r\n"])
    result = serve(settings, "worker", *COMMAND, WAIT_ATTEMPTS="20")
    assert result.returncode == 3, result.stderr
    assert "waiting for Redis" in result.stderr


@pytest.mark.parametrize(
    "answer", [b"-WRONGPASS invalid username-password pair\r\n", b"-ERR DB index is out of range\r\n"]
)
def test_a_refusal_ends_the_wait_at_once(serve, answer):
    settings = SQLITE + serve_redis([answer])
    result = serve(settings, "worker", *COMMAND, WAIT_ATTEMPTS="99", WAIT_INTERVAL="2")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert " refuses: " in result.stderr


def serve_postgresql(message):
    """A PostgreSQL that refuses each client with this message."""
    listener = socket.create_server(("127.0.0.1", 0))
    fields = b"SFATAL\0VFATAL\0C28000\0M" + message.encode() + b"\0\0"
    error = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields

    def run():
        while True:
            connection, _ = listener.accept()
            with connection:
                # Neither TLS nor GSSAPI; then the client says who it is.
                while len(request := connection.recv(1000)) == 8:
                    connection.sendall(b"N")
                if request:
                    connection.sendall(error)

    threading.Thread(target=run, daemon=True).start()
    return postgresql(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("message", "hopeless"),
    [
        ('password authentication failed for user "shop"', True),
        ('database "shop" does not exist', True),
        ('no pg_hba.conf entry for host "127.0.0.1"', True),
        ('role "shop" is not permitted to log in', True),
        ("the database system is starting up", False),
        ("sorry, too many clients already", False),
    ],
)
def test_postgresql_refuses(serve, message, hopeless):
    # On a busy machine an attempt gets no answer in a tenth of a second, and the last one never can.
    result = serve(serve_postgresql(message), "web", *COMMAND, WAIT_INTERVAL="1")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert message in (lines[-1] if hopeless else result.stderr)
    assert (" refuses: " in lines[-1]) is hopeless
    assert len(lines) == 1 or not hopeless


@pytest.mark.parametrize("settings", [postgresql, lambda port: SQLITE + redis(port)])
def test_a_host_that_drops_packets_does_not_stretch_the_wait(serve, silent_port, settings):
    result = serve(settings(silent_port), "web", *COMMAND, WAIT_ATTEMPTS="10")
    assert result.returncode == 1
    # The imports of a driver come before the attempt, and take some of it. On a busy machine the
    # driver's own limit may have passed, too.
    reason = r"(no answer in (1|0\.\d) s|Timeout connecting to server|.*timeout expired)"
    assert re.search(rf" after 1 s: {reason}\n", result.stderr), result.stderr


def test_all_services_share_one_budget(serve, silent_port):
    # The first takes some of it, the second what is left.
    settings = SQLITE + serve_redis([LOADING] * 4 + [b"+PONG\r\n"])
    settings += redis(silent_port, "CELERY_BROKER_URL")
    result = serve(settings, "worker", *COMMAND, WAIT_ATTEMPTS="45")
    assert result.returncode == 1
    left = [float(each) for each in re.findall(r", (.*) s left: ", result.stderr)]
    last = result.stderr.splitlines()[-1]
    # On a busy machine the driver's own limit may have passed.
    reason = r"(?:no answer in (.*) s|Timeout connecting to server)"
    found = re.fullmatch(rf".* Redis at .*/3 after 4.5 s: {reason}", last)
    assert len(left) >= 4 and found, result.stderr
    assert 0 < float(found[1] or 0.1) <= left[3], result.stderr


def test_what_is_left_too_short_for_an_answer_is_no_attempt(monkeypatch):
    monkeypatch.setenv("WAIT_ATTEMPTS", "20")
    monkeypatch.setenv("WAIT_INTERVAL", "0.1")
    patience = Patience()

    def attempt():
        # As one that took longer than the interval, and nearly all there was.
        time.sleep(0.2)
        patience.end = time.monotonic() + 0.05
        raise OSError("refused")

    with pytest.raises(Refusal, match="gave up waiting for it after 2 s: refused"):
        patience.wait_for("it", attempt, lambda _: False, (OSError,))


@pytest.mark.parametrize("settings", [postgresql, lambda port: SQLITE + redis(port)])
def test_a_signal_ends_the_wait(start, settings):
    container = start(settings(1), "web", *COMMAND, WAIT_ATTEMPTS="600")
    container.read_until("waiting for")
    assert container.stop() == 143


def test_a_signal_ends_the_wait_for_a_host_that_drops_packets(start, silent_port):
    words = {"WAIT_ATTEMPTS": "3", "WAIT_INTERVAL": "20"}
    container = start(postgresql(silent_port) + "print('now')\n", "web", *COMMAND, **words)
    assert container.process.stdout.readline() == "now\n"
    # By then it waits; there is nothing to be seen before the attempt ends.
    time.sleep(1)
    assert container.stop() == 143


@pytest.mark.parametrize("attempts", ["0", "2"])
def test_what_another_container_works_on_is_waited_for_without_a_bound(
    monkeypatch, capsys, attempts
):
    monkeypatch.setenv("WAIT_ATTEMPTS", attempts)
    monkeypatch.setenv("WAIT_INTERVAL", "0.1")
    patience = Patience()
    answers = [InProgress("it migrates")] * 8

    def attempt():
        if answers:
            raise answers.pop()
        return "done"

    found = patience.wait_for("another container", attempt, lambda _: False, (InProgress,))
    assert found == "done"
    # Of 0.8 seconds, with a budget of 0.2; a line now and then, not one for each look.
    assert capsys.readouterr().err == "entrypoint: waiting for another container: it migrates\n"
    # What comes after it has the whole budget.
    assert patience.left() > patience.seconds / 2 or attempts == "0"


@pytest.mark.parametrize("port", ["tcp://10.0.0.5:5432", "54x2", "5432\\r", "-1"])
@pytest.mark.parametrize("attempts", ["0", "30"])
def test_a_port_that_is_no_number_is_refused_at_once(serve, port, attempts):
    result = serve(postgresql(port), "worker", *COMMAND, WAIT_ATTEMPTS=attempts, WAIT_INTERVAL="2")
    assert (result.returncode, result.stdout) == (64, "")
    said = "entrypoint: test_settings: the port of the database must be a number, not "
    assert result.stderr.startswith(said)
    assert ("enableServiceLinks" in result.stderr) is ("tcp" in port)


def test_a_thread_that_hangs_is_left_behind():
    hang = threading.Event()
    with pytest.raises(TimeoutError, match="no answer in 0.1 s"):
        within(0.1, hang.wait)
    hang.set()
    with pytest.raises(ZeroDivisionError):
        within(1, lambda: 1 / 0)
    assert within(1, lambda: 7) == 7
