"""What the container says before its service speaks, and the numbers it is told."""

import io
import json
import os
import sys
import traceback
from datetime import datetime, timezone


class Refusal(Exception):
    """Ends the container. 64: it was started wrongly, and starting it again won't help."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


def is_json():
    return os.environ.get("LOG_FORMAT") == "json"


def say(message, level="INFO", **fields):
    """On stderr: stdout belongs to the service."""
    for line in str(message).splitlines():
        if is_json():
            time = datetime.now(timezone.utc).isoformat()
            entry = {"level": level, "logger": "entrypoint", "message": line, "time": time}
            line = json.dumps({**entry, **fields}, ensure_ascii=False)
        else:
            line = f"entrypoint: {line}"
        print(line, file=sys.stderr, flush=True)


def show_crash(kind, error, trace):
    """As `sys.excepthook`."""
    if is_json():
        text = "".join(traceback.format_exception(kind, error, trace))
        say(" ".join(f"{kind.__name__}: {error}".split()), "ERROR", exception=text)
    else:
        sys.__excepthook__(kind, error, trace)


class Lines(io.TextIOBase):
    """A stream that says each line that is written to it."""

    def __init__(self):
        self.begun = ""

    def write(self, text):
        *lines, self.begun = (self.begun + text).split("\n")
        say("\n".join(lines))
        return len(text)


def number(name, default):
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e6:
        raise Refusal(f"{name} must be a number, not '{text}'", code=64)
    return value


def reason_of(error):
    """One line: the last attempt's where psycopg tried several addresses, without libpq's hints."""
    lines = [line for line in str(error).splitlines() if line.strip() and line[0] != "\t"]
    return lines[-1].lstrip("- ") if lines else type(error).__name__


def finishing_seconds():
    """How long a service may finish what it has begun. The rest of the engine's patience is for
    ending: it kills what is still there then."""
    return max(number("STOP_GRACE_PERIOD", 10) - 3, 0.1)
