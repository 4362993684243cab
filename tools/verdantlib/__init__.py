# SPDX-License-Identifier: MIT
"""What ./verdant and the CMake targets share: building, QEMU's command lines, firmware, running to an end, tables."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LOGS = BUILD / "logs"


class Failure(Exception):
    """Something that the user can act on, said in one line."""
