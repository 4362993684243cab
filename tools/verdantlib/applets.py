# SPDX-License-Identifier: MIT
"""What busybox's applets print on Linux, where user/applets/applets.sh is run by the same busybox as on Verdant:
test/boot/applets.golden, which `python3 tools/verdantlib/applets.py --write` makes anew."""

import pathlib
import platform
import subprocess
import sys
import tempfile

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from verdantlib import ROOT, Failure, programs, report

SCRIPT = programs.USER / "applets" / "applets.sh"
GOLDEN = "test/boot/applets.golden"
SECONDS = 120   # a detector of hangs
HEAD = """# SPDX-License-Identifier: MIT
# What user/applets/applets.sh prints on Linux, without blanks at the ends of lines. Made by:
# python3 tools/verdantlib/applets.py --write
"""


def on_linux(progress):
    """Its lines here, on a Linux of an ISA that there is a busybox for; Failure: this is none, or it cannot be had."""
    isa = platform.machine()
    if platform.system() != "Linux" or isa not in programs.TARGETS:
        raise Failure(f"no Linux of {', '.join(programs.TARGETS)}")
    with tempfile.TemporaryDirectory(prefix="verdant-applets-") as scratch:
        root = pathlib.Path(scratch)
        shell = programs.busybox(isa, progress).read_bytes()
        (root / "busybox").write_bytes(shell)
        (root / "busybox").chmod(0o755)
        for folder in ("bin", "here"):
            (root / folder).mkdir()
        for name in programs.applets(shell):
            (root / "bin" / name).symlink_to("../busybox")
        done = subprocess.run([str(root / "bin/sh"), str(SCRIPT)], cwd=root / "here", env={"PATH": str(root / "bin")},
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", errors="replace").splitlines()
    return [line.rstrip() for line in lines]


def main():
    text = HEAD + "".join(line + "\n" for line in on_linux(report.Progress()))
    if sys.argv[1:] == ["--write"]:
        (ROOT / GOLDEN).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
