"""Beat: its lock, its schedule and its heartbeat, with a PostgreSQL that is a few lines of Python."""

import os
import shelve
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from types import SimpleNamespace

import celery
import pytest
from celery.signals import beat_init, before_task_publish
from entrypoint import beat, heartbeat
from settings_of_tests import SQLITE


class Session:
    """What psycopg 3 and psycopg2 have alike."""

    info = SimpleNamespace(backend_pid=1)

    def __init__(self, *answers, pooled=None):
        self.answers, self.pooled = list(answers), pooled
        self.statements = []

    @contextmanager
    def cursor(self):
        yield SimpleNamespace(execute=self.execute, description=True, fetchone=lambda: [self.last])

    def close(self):
        pass

    def execute(self, statement, values=()):
        self.statements.append(statement)
        self.last = 1
        if "pg_backend_pid" in statement:
            # A pooler's own number is another.
            self.last = 2 if self.pooled else 1
        elif "current_setting" in statement:
            self.last = "" if self.pooled == "transaction" else "here"
        elif "pg_try_advisory_lock" in statement or statement == "SELECT 1":
            self.last = self.answers.pop(0)
            if isinstance(self.last, Exception):
                raise self.last


class Again(BaseException):
    """In place of a process that replaces itself."""


@pytest.fixture
def postgres(tmp_path, monkeypatch):
    """A function that lets `take_turn` connect to the session."""
    monkeypatch.setenv("CONTAINER_HEARTBEAT", str(tmp_path / "heartbeat"))
    monkeypatch.setenv("WAIT_INTERVAL", "0.1")

    def begin_again(why):
        raise Again(why)

    monkeypatch.setattr(beat, "begin_again", begin_again)

    def serve(session):
        monkeypatch.setattr("entrypoint.postgres.vendor", lambda: "postgresql")
        monkeypatch.setattr("entrypoint.postgres.connect", lambda seconds: session)
        return session

    return serve


@pytest.fixture
def undo_signals():
    before = [(signal, list(signal.receivers)) for signal in (beat_init, before_task_publish)]
    yield
    for signal_of_celery, receivers in before:
        signal_of_celery.receivers = receivers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, beat.STOPS)


def test_it_stands_by_until_the_lock_is_its_own(postgres, tmp_path, capsys):
    session = postgres(Session(False, False, True))
    assert beat.take_turn() is session
    assert capsys.readouterr().err.count("it sends the schedule; standing by") == 1
    assert (tmp_path / "heartbeat").exists()
    assert any("tcp_keepalives_idle" in statement for statement in session.statements)


@pytest.mark.parametrize("pooled", ["session", "transaction"])
def test_a_pooler_that_keeps_no_sessions_is_told(postgres, pooled, capsys):
    session = postgres(Session(*[True] * 2, pooled=pooled))
    assert beat.take_turn() is (None if pooled == "transaction" else session)
    told = "a pooler in transaction mode holds no lock: nothing keeps a second beat"
    assert (told in capsys.readouterr().err) == (pooled == "transaction")


def test_without_postgresql_it_is_said_that_nothing_is_locked(monkeypatch, capsys):
    monkeypatch.setattr("entrypoint.postgres.vendor", lambda: "sqlite")
    assert beat.take_turn() is None
    assert "nothing keeps a second beat" in capsys.readouterr().err


def test_a_session_that_is_lost_while_it_stands_by_begins_again(postgres):
    postgres(Session(False, OSError("the server is gone")))
    with pytest.raises(Again, match="can't be had: the server is gone"):
        beat.take_turn()


def test_each_turn_of_any_scheduler_looks_at_the_lock_and_is_a_heartbeat(postgres, tmp_path):
    turns = []
    scheduler = SimpleNamespace(tick=lambda: turns.append(1) or 300, sync=None, close=None)
    beat.watch(scheduler, Session(1, OSError("the connection is lost")))
    assert scheduler.tick() == 20
    assert (tmp_path / "heartbeat").exists()
    with pytest.raises(Again, match="is lost, nothing is sent: the connection is lost"):
        scheduler.tick()
    assert turns == [1]


def test_a_lock_that_is_lost_right_before_the_sending_stops_it(
    postgres, tmp_path, monkeypatch, undo_signals
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "publisher.py").write_text(
        "import celery\napp = celery.Celery(broker='memory://')\n"
        "@app.task\ndef count():\n    pass\n"
    )
    postgres(Session(True, 1, OSError("gone")))
    beat.prepare(["-A", "publisher", "beat"])
    from publisher import count

    count.delay()
    with pytest.raises(Again):
        count.delay()


@pytest.mark.parametrize(
    ("line", "checked", "every"),
    [
        ("", True, 1),
        ("app.conf.beat_sync_every = 5", True, 5),
        ("app.conf.beat_scheduler = 'django'", False, 1),
    ],
)
def test_a_project_may_name_another_scheduler(
    tmp_path, monkeypatch, undo_signals, line, checked, every
):
    name = f"project{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(f"import celery\napp = celery.Celery()\n{line}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(beat, "take_turn", lambda: None)
    words = ["-A", name, "beat", "--schedule=/other", f"--schedule={tmp_path}/schedule"]
    added = [f"--schedule={tmp_path}/schedule"] if checked else []
    assert beat.prepare(words) == [*words, *added]
    assert celery.app.utils.find_app(name).conf.beat_sync_every == every


def test_a_heartbeat_that_can_not_be_written_stops_nothing(monkeypatch):
    monkeypatch.setenv("CONTAINER_HEARTBEAT", "/proc/no-such")
    heartbeat.touch()
    monkeypatch.delenv("CONTAINER_HEARTBEAT")
    heartbeat.touch()


def write_pickle_of_a_class_that_is_gone(path):
    with shelve.open(str(path.with_name("schedule"))) as file:
        file.dict[b"entries"] = b"cno_such_module\nThing\n."


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"\0broken\xff" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5]),
        lambda path: path.write_bytes(b"N."),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink() or path.mkdir(),
        write_pickle_of_a_class_that_is_gone,
    ],
)
def test_a_damaged_file_is_set_aside(tmp_path, capsys, damage):
    path = tmp_path / "schedule"
    with shelve.open(str(path)) as file:
        file["entries"] = {"count": 1}
    # Some kinds of `dbm` add to the name.
    found = next(each for each in tmp_path.iterdir() if not each.name.endswith((".dir", ".bak")))
    damage(found)
    assert beat.usable(path) == path
    assert f"the schedule {path} can't be read, and is set aside" in capsys.readouterr().err
    assert (tmp_path / found.name.replace("schedule", "schedule.corrupt")).exists()
    with shelve.open(str(path)) as file:
        assert not list(file)


def test_a_name_that_a_folder_has_is_left_to_it(tmp_path):
    (tmp_path / "schedule.corrupt" / "full").mkdir(parents=True)
    (tmp_path / "schedule").write_bytes(b"no schedule")
    assert beat.usable(tmp_path / "schedule") == tmp_path / "schedule"
    assert (tmp_path / "schedule.corrupt.1").read_bytes() == b"no schedule"


def test_a_file_that_takes_too_long_to_read_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(beat, "LOOK", "import time; time.sleep(60)")
    monkeypatch.setattr(beat, "LOOK_SECONDS", 0.1)
    assert beat.damage(tmp_path / "schedule") == "it isn't read in 0.1 s"


def test_a_good_file_is_kept(tmp_path, capsys):
    path = tmp_path / "schedule"
    for _ in range(2):
        assert beat.usable(path) == path
    with shelve.open(str(path)) as file:
        file["entries"] = {"count": 1}
    assert beat.usable(path) == path
    with shelve.open(str(path)) as file:
        assert file["entries"] == {"count": 1}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("file", ["/proc/schedule", "/no/such/folder/schedule"])
def test_a_file_that_can_not_be_written_is_replaced(tmp_path, monkeypatch, capsys, file):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert beat.usable(beat.Path(file)) == tmp_path / "schedule"
    assert f": the schedule is kept in {tmp_path}/schedule" in capsys.readouterr().err


BEAT = ("celery", "-A", "shop", "beat", "--pidfile=", "--schedule=schedule", "--loglevel=info")
SHOP = """
import celery
app = celery.Celery("shop", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control",
}
app.conf.beat_schedule = {"often": {"task": "a", "schedule": 3}, "hourly": {"task": "b", "schedule": 3600}}
"""


def test_what_was_sent_is_kept_over_a_crash_and_a_stop(start, tmp_path):
    """Celery's beat for real, with a broker that is a folder."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "queue").mkdir()
    (tmp_path / "control").mkdir()
    container = start(SQLITE, "beat", *BEAT)
    container.read_until("Sending due task often")
    # Not while it writes.
    time.sleep(1)
    container.process.kill()
    container.process.wait()
    with shelve.open(str(tmp_path / "schedule")) as file:
        assert file["entries"]["often"].total_run_count >= 1
    container = start(SQLITE, "beat", *BEAT)
    container.read_until("Sending due task often")
    assert container.stop() == 0
    with shelve.open(str(tmp_path / "schedule")) as file:
        assert file["entries"]["often"].total_run_count >= 2


def test_a_stop_while_the_scheduler_is_made_is_an_end_like_any_other(start, tmp_path):
    scheduler = (
        "import celery.beat, os, signal\n"
        "class Slow(celery.beat.PersistentScheduler):\n"
        "    def setup_schedule(self):\n"
        "        print('made')\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        super().setup_schedule()\n"
    )
    (tmp_path / "slow.py").write_text(scheduler)
    (tmp_path / "shop.py").write_text(SHOP)
    container = start(SQLITE, "beat", *BEAT, "--scheduler=slow:Slow")
    _, stderr = container.process.communicate(timeout=60)
    assert (container.process.returncode, stderr.count("] made")) == (0, 1), stderr
    assert "Traceback" not in stderr


def test_a_volume_that_is_full_stops_nothing(start, tmp_path):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    (tmp_path / "shop.py").write_text(
        f"import resource, celery.signals\n{SHOP}\n"
        'app.conf.broker_url = "memory://"\n'
        f"celery.signals.beat_init.connect(lambda **_: {limit}, weak=False)\n"
    )
    container = start(SQLITE, "beat", *BEAT)
    container.read_until("Sending due task often")
    container.read_until("the schedule isn't kept: ")
    container.read_until("Sending due task often")
    assert container.stop() == 0


def test_without_room_it_is_kept_elsewhere(tmp_path):
    """Each process has its limit, and pytest's is for good."""
    (tmp_path / "volume").mkdir()
    script = (
        "import resource, sys, tempfile\n"
        f"sys.path.insert(0, {str(os.path.dirname(os.path.dirname(beat.__file__)))!r})\n"
        "from entrypoint import beat\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"print(beat.usable(beat.Path({str(tmp_path / 'volume/schedule')!r})).parent)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == f"{tempfile.gettempdir()}\n"
    assert done.stderr.startswith("entrypoint: File too large: the schedule is kept in ")


def test_it_begins_again_as_it_was_started(tmp_path):
    """With its words, and signals kept back until they are handled; what was done counts no more."""
    script = tmp_path / "again.py"
    script.write_text(
        "import os, signal, sys, time\n"
        f"sys.path.insert(0, {str(os.path.dirname(os.path.dirname(beat.__file__)))!r})\n"
        "if 'again' in os.environ:\n"
        "    print(sys.argv[1:], len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))\n"
        "    sys.exit()\n"
        "os.environ['again'] = '1'\n"
        "from entrypoint import beat\n"
        "beat.begin_again('the lock is lost')\n"
    )
    start = time.monotonic()
    words = [sys.executable, str(script), "--prepared", "beat", "a b"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout == "['beat', 'a b'] 2\n"
    assert done.stderr == "entrypoint: the lock is lost\n"
    assert time.monotonic() - start > 1
