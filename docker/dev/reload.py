"""Runs a command, and starts it again when a file below the current folder is saved.

python reload.py [--web PORT] COMMAND WORD...

With --web the command is a server on that port: it is started again at once, also for a template,
and what it said last is shown there while it can't start. Where it is a Python, the next one has
loaded the packages before a file is saved (warm.py).

Django's own reloading loses a file that is saved while it starts, and doesn't watch what it could
not import. Times of files are compared, twice a second: events of the kernel don't cross into the
virtual machine of Docker Desktop or `podman machine`. `cargo xtask dev` mounts this file; no image
has it.
"""

import collections
import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

PAUSE = 0.2
# Web comes first, a person waits for it; and a change of branch saves many files.
QUIET = 1.5
QUIET_WEB = 0.1
# Between SIGTERM and SIGKILL; the engine leaves 10 s for all.
PATIENCE = 5
# After the start of a server, which comes first, and before the next one is prepared.
PREPARED = 4
WARM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "warm.py")
MODULES = os.path.join(tempfile.gettempdir(), "reload-modules")
SKIPPED = {"__pycache__", "logs", "media", "node_modules", "static", "staticfiles", "tests"}
PYTHON = (".py",)
# Django keeps what it has read of templates and translations.
WEB = (".py", ".html", ".txt", ".xml", ".mo")


# The signals that asked us to end.
asked_to_end = []


def say(text):
    print(f"reload: {text}", file=sys.stderr, flush=True)


def times(ends, folder="."):
    found = {}
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and name not in SKIPPED]
        for name in files:
            if name.endswith(ends):
                # An editor may have it away for a moment.
                with contextlib.suppress(OSError):
                    file = os.path.join(path, name)
                    found[file] = os.stat(file).st_mtime_ns
    return found


def settled(ends, quiet):
    """The times, once no file was saved for so long."""
    known, since = times(ends), time.monotonic()
    while time.monotonic() - since < quiet and not asked_to_end:
        time.sleep(0.05)
        now = times(ends)
        if now != known:
            known, since = now, time.monotonic()
    return known


class Page(http.server.BaseHTTPRequestHandler):
    """What the server said last, and again until a save has mended it."""

    def do_GET(self):
        body = "\n".join(self.server.lines).encode(errors="replace")
        self.send_response(500)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Refresh", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET

    def log_message(self, *_):
        pass


def prepare():
    """A Python that has loaded the packages, and is told its command later."""
    words = [sys.executable, WARM, MODULES]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, start_new_session=True, stdin=pipe, stderr=pipe)


class Command:
    """A process, with the last lines that it said where it is a server; `warm` may become it."""

    def __init__(self, words, port, warm):
        self.port, self.page, self.lines = port, None, collections.deque(maxlen=60)
        if warm:
            self.process = warm
            # One that has ended says why by its standard error.
            with contextlib.suppress(OSError), warm.stdin as told:
                told.write(json.dumps(words[1:]).encode() + b"\n")
        else:
            pipe = subprocess.PIPE if port else None
            self.process = subprocess.Popen(words, start_new_session=True, stderr=pipe)
        if port:
            self.reader = threading.Thread(target=self.read, daemon=True)
            self.reader.start()

    def read(self):
        for line in self.process.stderr:
            text = line.decode(errors="replace")
            sys.stderr.write(text)
            sys.stderr.flush()
            self.lines.append(text.rstrip("\n"))

    def tell_end(self):
        if self.port:
            # What it said last comes first. One of its children may hold the pipe open.
            self.reader.join(5)
        say(f"ended with exit status {self.process.returncode}; save a file to start it again")
        if not self.port:
            return
        with contextlib.suppress(OSError):
            self.page = http.server.ThreadingHTTPServer(("", self.port), Page)
            self.page.lines = list(self.lines)
            threading.Thread(target=self.page.serve_forever, args=(0.05,), daemon=True).start()

    def end(self):
        """Its children first hear of it from itself; what is left of them then goes with it."""
        if self.page:
            self.page.shutdown()
            self.page.server_close()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        # As first process of the container we inherit them.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def main(words):
    port, ends, quiet = 0, PYTHON, QUIET
    if words[0] == "--web":
        port, ends, quiet, words = int(words[1]), WEB, QUIET_WEB, words[2:]
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only noted: raised in the middle of a start, it would leave the command behind.
        signal.signal(number, lambda number, _: asked_to_end.append(number))
    known, warm, is_python = times(ends), None, port and words[0] == "python"
    while not asked_to_end:
        if is_python and (warm is None or warm.poll() is not None):
            warm = prepare()
        command, warm, told = Command(words, port, warm), None, False
        again = time.monotonic() + PREPARED
        try:
            while times(ends) == known and not asked_to_end:
                if not told and command.process.poll() is not None:
                    told = True
                    command.tell_end()
                if is_python and warm is None and time.monotonic() > again:
                    warm = prepare()
                time.sleep(PAUSE)
            if not asked_to_end:
                known = settled(ends, quiet)
                say("a file was saved: starting again")
        finally:
            command.end()
    if warm:
        warm.kill()
        warm.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
