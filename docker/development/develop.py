"""Starts a role again when a file is saved: `develop.py ROLE [COMMAND…]`, for development only.

It runs the command, or without one the role as production does. When that ends by itself, it waits
for the next saved file, and in place of web answers with what went wrong.
WATCHFILES_FORCE_POLLING=1 looks at the files themselves, where no events come from the machine that
the files are on.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque

try:
    import watchfiles
except ModuleNotFoundError:
    watchfiles = None

LIBRARY = os.path.dirname(os.path.abspath(__file__))
# A save is often several writes, and a change of branch many.
SETTLING_MILLISECONDS = 50
# Web comes first: somebody waits for it.
FOLLOWING_SECONDS = 2.0
ENDING_SECONDS = float(os.environ.get("STOP_GRACE_PERIOD") or 5)
LINES = 60
# Where `warm.py` finds what to load, and when the next one is made: the running one comes first.
MODULES = os.path.join(tempfile.gettempdir(), "develop-modules")
SPARE_SECONDS = 4.0
# Folders of the project that the site writes.
WRITTEN = ("logs", "media", "staticfiles")
# What a process wrote last, for the page in place of it.
last_lines = deque(maxlen=LINES)


def say(text):
    # One write: an engine would take two for two lines.
    sys.stderr.write(f"develop: {text}\n")
    sys.stderr.flush()


class Page(http.server.BaseHTTPRequestHandler):
    """The end of the log, to whatever was asked for."""

    def do_GET(self):
        text = "".join(last_lines) + "\nThe site starts again when a file is saved.\n"
        body = text.encode(errors="replace")
        self.send_response(500)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        # It comes by itself once the site is back.
        self.send_header("Refresh", "2")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    # The place is needed again at once.
    allow_reuse_address = True
    daemon_threads = True


def start_process(command, stdin=None):
    # A process group of its own: a worker has children.
    return subprocess.Popen(command, stdin=stdin, stderr=subprocess.PIPE, start_new_session=True)


def warm():
    script = os.path.join(LIBRARY, "warm.py")
    return start_process([sys.executable, script, MODULES], subprocess.PIPE)


class Role:
    def __init__(self, name, command):
        self.name = name
        self.command = command
        self.process = None
        self.server = None
        self.spare = None
        self.timer = None
        self.over = False
        self.lock = threading.Lock()

    def start(self):
        with self.lock:
            self.close_page()
            last_lines.clear()
            if self.command[0] == "python":
                self.process, self.spare = self.spare or warm(), None
                self.process.stdin.write(json.dumps(self.command[1:]).encode() + b"\n")
                self.process.stdin.close()
                self.timer = threading.Timer(SPARE_SECONDS, self.prepare)
                self.timer.daemon = True
                self.timer.start()
            else:
                self.process = start_process(self.command)
            threading.Thread(target=self.follow, args=[self.process], daemon=True).start()

    def prepare(self):
        with self.lock:
            if self.spare is None and not self.over:
                self.spare = warm()

    def finish(self):
        with self.lock:
            self.over = True
            spare, self.spare = self.spare, None
        if spare is not None:
            spare.kill()
            spare.wait()
        self.stop()
        self.close_page()

    def follow(self, process):
        for line in process.stderr:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
            last_lines.append(line.decode(errors="replace"))
        code = process.wait()
        with self.lock:
            if self.process is process:
                say(f"{self.name} ended with exit status {code}; it starts again at the next save")
                self.process = None
                if self.name == "web":
                    self.open_page()

    def open_page(self):
        try:
            self.server = Server(("0.0.0.0", int(os.environ.get("PORT") or 8000)), Page)
        except OSError as error:
            return say(f"no page says so: {error}")
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()

    def close_page(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def stop(self):
        with self.lock:
            if self.timer is not None:
                self.timer.cancel()
            process, self.process = self.process, None
        if process is None:
            return
        try:
            process.terminate()
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"{self.name} doesn't end")
        finally:
            # What is left of the group, too.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def changes(folder, name):
    """A list of changed files at a time."""
    events = watchfiles.watch(
        folder,
        watch_filter=watchfiles.PythonFilter(
            ignore_paths=[os.path.join(folder, other) for other in WRITTEN],
            # Templates are kept by the process that has read them.
            extra_extensions=(".html", ".txt", ".xml") if name == "web" else (),
        ),
        debounce=200,
        step=SETTLING_MILLISECONDS,
        poll_delay_ms=300,
        raise_interrupt=False,
    )
    for found in events:
        yield sorted({os.path.relpath(path, folder) for _, path in found})


def leave(number, _):
    raise SystemExit(128 + number)


def default_command(name):
    return [os.path.join(LIBRARY, "entrypoint.sh"), name]


def record_role(name):
    """As the entrypoint does, for `healthcheck`: a command of its own doesn't pass it."""
    folder = (os.environ.get("CONTAINER_RUN") or "/tmp").split()[0]
    with open(os.path.join(folder, "container-role"), "w") as file:
        file.write(name)


def main(words):
    name, *command = words
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    if command:
        record_role(name)
    command = command or default_command(name)
    if watchfiles is None:
        say("watchfiles isn't among the packages for development: only web sees a saved file")
        os.execvp(command[0], [word for word in command if word != "--noreload"])
    role = Role(name, command)
    role.start()
    try:
        for files in changes(os.getcwd(), name):
            if name != "web":
                threading.Event().wait(FOLLOWING_SECONDS)
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            say(f"{files[0]}{more} changed: starting {name} again")
            role.stop()
            role.start()
    finally:
        role.finish()


if __name__ == "__main__":
    main(sys.argv[1:])
