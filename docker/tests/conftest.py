import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).resolve().parents[1]
LIBRARY = DOCKER / "container"
sys.path.insert(0, str(LIBRARY))

# It prints what it was asked to prepare and which signals are kept back, or becomes the service.
FAKE_PYTHON = """#!/bin/sh
echo "prepared $(basename "$1") $2 $(grep SigBlk /proc/self/status)"
shift 2
[ $# -eq 0 ] || exec "$@"
"""
FAKE_SERVICE = """#!/bin/sh
echo "settings=$DJANGO_SETTINGS_MODULE"
echo "temporary=${TMPDIR:-}"
for word in "$(basename "$0")" "$@"; do printf '<%s>' "$word"; done
echo
"""


@pytest.fixture
def image(tmp_path):
    """What the image bakes into the environment, with programs that only tell how they ran."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("daphne", "uvicorn", "gunicorn", "celery", "python"):
        program = programs / name
        program.write_text(FAKE_PYTHON if name == "python" else FAKE_SERVICE)
        program.chmod(0o755)
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "APP_MODULE": "shop",
        "ASGI_APPLICATION": "shop.asgi:application",
        "WSGI_APPLICATION": "shop.wsgi:application",
        "CELERY_QUEUES": "celery,orders",
        "REQUIRED_ENVIRONMENT": "SECRET_KEY FIELD_ENCRYPTION_KEY",
        "STATE_DIR": "/var/lib/shop",
        "ENVIRONMENT": "production",
        "SECRET_KEY": "one",
        "FIELD_ENCRYPTION_KEY": "two",
        "ALLOW_ROOT": "1",
        "CONTAINER_LIBRARY": "/library",
        "CONTAINER_RUN": str(tmp_path),
    }


@pytest.fixture
def enter(image, tmp_path):
    """Runs the entrypoint; a variable that is None is left out."""

    def run(*words, **environment):
        merged = {**image, **environment}
        return subprocess.run(
            ["sh", str(DOCKER / "entrypoint.sh"), *words],
            env={name: value for name, value in merged.items() if value is not None},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


class Container:
    """A service that runs, as the first process of a container would."""

    def __init__(self, words, folder, environment):
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(LIBRARY / "service.py"), *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # Bounds in the tests catch what hangs: a machine may have other work.
    def stop(self, number=signal.SIGTERM):
        """Its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=40)

    def read_until(self, text):
        """Lines of stderr until one holds the text."""
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if text in line:
                return lines
        raise AssertionError(f"it ended without {text!r}: {''.join(lines)}")


@pytest.fixture
def start(tmp_path, tmp_path_factory):
    """Starts service.py with settings from a module that the test writes."""
    containers = []

    def run(settings, *words, **environment):
        (tmp_path / "test_settings.py").write_text("USE_TZ = True\nSECRET_KEY = 'x'\n" + settings)
        variables = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "test_settings",
            "CONTAINER_HEARTBEAT": str(tmp_path / "container-heartbeat"),
            # Without bytecode each container would compile Django.
            "PYTHONPYCACHEPREFIX": str(tmp_path_factory.getbasetemp() / "bytecode"),
            "PYTHONUNBUFFERED": "1",
            "WAIT_ATTEMPTS": "3",
            "WAIT_INTERVAL": "0.1",
        }
        containers.append(Container(words, tmp_path, variables | environment))
        return containers[-1]

    yield run
    for container in containers:
        if container.process.poll() is None:
            container.process.kill()
        container.process.communicate()


@pytest.fixture
def serve(start, tmp_path):
    """Runs service.py to its end, with a `celery` that only tells how it was called."""
    folder = tmp_path / "celery"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "__main__.py").write_text(
        "import signal, sys, threading\n"
        "def main():\n"
        "    print('argv', sys.argv[1:], 'threads', threading.active_count(),\n"
        "          'django', 'django.apps' in sys.modules,\n"
        "          'blocked', len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))\n"
        "    return 3\n"
    )

    def run(settings, *words, **environment):
        container = start(settings, *words, **environment)
        stdout, stderr = container.process.communicate(timeout=40)
        return subprocess.CompletedProcess(words, container.process.returncode, stdout, stderr)

    return run


@pytest.fixture
def silent_port():
    """A port whose packets are dropped: it listens, and its queue is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    clients = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        clients.append(client)
    yield listener.getsockname()[1]
    for client in (*clients, listener):
        client.close()
