"""A Python that has loaded the packages and waits for its command: most of a start is over by then.

    warm.py LIST     a line on standard input is the command, as JSON: ["manage.py", "runserver", …]

LIST names the modules that the last command loaded, the project's own left out: those must be read
anew. While they are loaded the project isn't on the path, so nothing of it can come along.
"""

import contextlib
import importlib
import json
import os
import runpy
import sys
import threading

# When a command has loaded what it needs.
LOADED_SECONDS = 3


def load(names):
    # As the project sets it before numpy is loaded: else OpenBLAS starts a thread for each core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in names:
        # Many need settings, which aren't there yet; they come later.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def loaded(folder):
    """Modules of packages, in the order in which they were loaded."""
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None)
        # Which reactor there is, is the server's choice.
        if place and not place.startswith(folder + os.sep) and name != "twisted.internet.reactor":
            yield name


def record(path):
    names = [name for name in loaded(os.getcwd()) if name != "__main__"]
    with open(path + ".new", "w") as file:
        json.dump(names, file)
    os.replace(path + ".new", path)


def recorded(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return []


def main(path):
    load(recorded(path))
    line = sys.stdin.readline()
    if not line:
        # Nobody needed it.
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # As `python manage.py …` would have it.
    sys.argv = json.loads(line)
    sys.path[0] = os.getcwd()
    importlib.invalidate_caches()
    timer = threading.Timer(LOADED_SECONDS, record, [path])
    timer.daemon = True
    timer.start()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
