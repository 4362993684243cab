# SPDX-License-Identifier: MIT
"""What the user sees: one progress line that is rewritten on a terminal, and tables."""

import os
import shutil
import sys


class Progress:
    """A line that says what is being done now, rewritten in place on a terminal; in a log every step is a line."""

    def __init__(self, stream=sys.stdout):
        self.stream = stream
        self.live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.shown = ""

    def step(self, text):
        if text == self.shown:
            return
        self.shown = text
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[K" + text[:width])
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def passing(self, text):
        """A step that is worth a line on a terminal only."""
        if self.live:
            self.step(text)

    def clear(self):
        if self.live and self.shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
        self.shown = ""

    def line(self, text):
        """A line that stays."""
        self.clear()
        self.stream.write(text + "\n")
        self.stream.flush()


def table(header, rows):
    """Columns as wide as their content; a column whose cells are all numbers is set flush right."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [all(is_number(row[i]) for row in cells[1:]) for i in range(len(header))]
    lines = []
    for row in cells:
        parts = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric)]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def is_number(text):
    first = text.split(" ")[0].replace(",", "").replace(".", "")
    return text == "-" or first.lstrip("-").isdigit()
