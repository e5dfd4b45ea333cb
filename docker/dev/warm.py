"""A Python that has loaded the packages and waits for its command: most of a start is over by then.

python warm.py LIST     a line on standard input is the command, as JSON: ["manage.py", "runserver", …]

LIST names the modules that the command before this one had loaded, those of the current folder left
out: they must be read anew. While the rest is loaded, that folder isn't on the path.
"""

import contextlib
import importlib
import json
import os
import runpy
import sys
import threading

# When a command has loaded what it needs.
LOADED = 3
# Which reactor there is, is the server's choice.
CHOSEN_LATER = {"__main__", "twisted.internet.reactor"}


def recorded(place):
    # Before the first command there is none.
    with contextlib.suppress(OSError, ValueError), open(place) as file:
        return json.load(file)
    return []


def record(place):
    own = os.getcwd() + os.sep
    # Some load themselves once they are looked at: not while the list is read.
    found = [(name, getattr(module, "__file__", None)) for name, module in [*sys.modules.items()]]
    names = [name for name, file in found if file and not file.startswith(own)]
    with open(place + ".new", "w") as file:
        json.dump([name for name in names if name not in CHOSEN_LATER], file)
    os.replace(place + ".new", place)


def forget_halves():
    """A package that failed is gone, and its modules stay: the next import wouldn't make them its own."""
    for name in sorted(sys.modules):
        package = name.rpartition(".")[0]
        if package and package not in sys.modules:
            del sys.modules[name]


def main(place):
    for name in recorded(place):
        # Many need settings, which aren't there yet; those are loaded by the command.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    forget_halves()
    line = sys.stdin.readline()
    if not line:
        # No command needed it.
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # As `python manage.py …` would have it.
    sys.argv = json.loads(line)
    sys.path[0] = os.getcwd()
    importlib.invalidate_caches()
    timer = threading.Timer(LOADED, record, [place])
    timer.daemon = True
    timer.start()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
