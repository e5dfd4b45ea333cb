"""Runs a command, and starts it again when a Python file below the current folder is saved.

python reload.py [--when-ended] COMMAND WORD...

With --when-ended the command loads saved files itself, and is started again only once it ended.

Times of files are compared, twice a second: events of the kernel don't cross into the virtual
machine of Docker Desktop or `podman machine`. `cargo xtask dev` mounts this file; no image has it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

PAUSE = 0.5
# Between SIGTERM and SIGKILL; the engine leaves 10 s for all.
PATIENCE = 5
# Web comes first, somebody waits for it; and a change of branch saves many files.
QUIET = 1.5
# A command that ended so soon after a file was saved may not have seen the last save.
RECENT = 3
SKIPPED = {"__pycache__", "logs", "media", "node_modules", "staticfiles"}


def say(text):
    print(f"reload: {text}", file=sys.stderr, flush=True)


def times(folder="."):
    found = {}
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and name not in SKIPPED]
        for name in files:
            if name.endswith(".py"):
                # An editor may have it away for a moment.
                with contextlib.suppress(OSError):
                    file = os.path.join(path, name)
                    found[file] = os.stat(file).st_mtime_ns
    return found


def settled(quiet):
    """The times, once no file was saved for so long."""
    known, since = times(), time.monotonic()
    while time.monotonic() - since < quiet:
        time.sleep(0.1)
        now = times()
        if now != known:
            known, since = now, time.monotonic()
    return known


def until_due(process, known, when_ended):
    """Waits until the command is to be started again; gives the times that it will see."""
    changed, told = None, False
    while True:
        time.sleep(PAUSE)
        ended = process.poll() is not None
        now = times()
        if now != known:
            changed = time.monotonic()
            if ended or not when_ended:
                return settled(0 if when_ended else QUIET)
            known = now
        elif ended and when_ended and changed and time.monotonic() - changed < RECENT:
            return known
        elif ended and not told:
            told = True
            say(f"ended with exit status {process.returncode}; save a file to start it again")


def end(process):
    """Its children first hear of it from itself; what is left of them then goes with it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # As first process of the container we inherit them.
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(words):
    when_ended = words[0] == "--when-ended"
    command = words[when_ended:]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    known = times()
    while True:
        process = subprocess.Popen(command, start_new_session=True)
        try:
            known = until_due(process, known, when_ended)
            say("a file was saved: starting again")
        finally:
            end(process)


if __name__ == "__main__":
    main(sys.argv[1:])
