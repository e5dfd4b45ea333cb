#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["pyte==0.8.2", "rich==14.2.0"]
# ///
"""Records commands as a terminal shows them, and draws the end of it as an SVG:

    uv run xtask/proof/tools/session.py docs/images/session.svg 'cargo xtask' 'cargo xtask build'

The command's own output, with its colours; nothing is typed by hand. Only the path of the checkout is
shown as ~/senex_trader. Needs what the commands need.
"""

import os
import pty
import sys
import time

import pyte
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

NAME = "senex_trader"
COLUMNS = 100
LINES = 400
COLOURS = {"default": None, "brown": "yellow", "brightbrown": "bright_yellow"}


def record(screen, stream, command):
    """Runs the command in a terminal; the screen has what it shows. Ends if it fails."""
    stream.feed(f"\x1b[1m$ {command}\x1b[0m\r\n")
    begin = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES="60")
        os.execvp("sh", ["sh", "-c", f"stty cols {COLUMNS} rows 60; exec {command}"])
    shown = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    # Whole, so that no piece ends in the middle of the path.
    stream.feed(shown.replace(os.getcwd().encode(), f"~/{NAME}".encode()).decode(errors="replace"))
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"{command}: status {os.waitstatus_to_exitcode(status)}\n" + "\n".join(screen.display))
    stream.feed("\r\n")
    print(f"{command}: {time.monotonic() - begin:.1f} s", file=sys.stderr)


def line(screen, row):
    """A line of the screen with its colours."""
    text = Text()
    for column in range(COLUMNS):
        cell = screen.buffer[row][column]
        colour = COLOURS.get(cell.fg, cell.fg)
        colour = colour.replace("bright", "bright_") if colour and "_" not in colour else colour
        style = " ".join(filter(None, [cell.bold and "bold", cell.underscore and "underline", colour]))
        text.append(cell.data, style)
    text.rstrip()
    return text


def main(path, commands):
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    for command in commands:
        record(screen, stream, command)
    last = max(row for row, text in enumerate(screen.display) if text.strip())
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)
    for row in range(last + 1):
        console.print(line(screen, row))
    # Without an address that a browser would ask for a font.
    svg = console.export_svg(title=NAME, theme=MONOKAI, unique_id="session")
    start, end = svg.index("<style>"), svg.index(".session-matrix")
    svg = svg[: start + len("<style>")] + "\n    " + svg[end:]
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    with open(path, "w") as file:
        file.write(svg)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
