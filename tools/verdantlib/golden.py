# SPDX-License-Identifier: MIT
"""Compares what a machine printed with a file of what all machines must print, line by line."""

from . import ROOT

MARK = "ev "        # how the lines begin on the console; in the file they do not
CONTEXT_LINES = 8
DIFFERENT_LINES = 4


def read(path):
    """The lines of a golden file, a path inside the repository. Lines that begin with # are about the file."""
    return [line for line in (ROOT / path).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def printed(console):
    """The lines of a console that are compared."""
    return [line.rstrip()[len(MARK):] for line in console if line.startswith(MARK)]


def problems(wanted, got):
    """Nothing if both are equal; otherwise the first line that differs, after the equal ones before it."""
    if wanted == got:
        return []
    pairs = enumerate(zip(wanted, got))
    first = next((number for number, (want, have) in pairs if want != have), min(len(wanted), len(got)))
    return [f"event {first + 1} differs ({len(wanted)} expected, {len(got)} printed)",
            *(f"    {line}" for line in wanted[max(0, first - CONTEXT_LINES):first]),
            *(f"  - {line}" for line in wanted[first:first + DIFFERENT_LINES]),
            *(f"  + {line}" for line in got[first:first + DIFFERENT_LINES])]
