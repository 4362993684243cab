# SPDX-License-Identifier: MIT
"""Boot one machine and follow its console to the end: an exit, or a hang, which is reported and ended.

A budget is a hang detector, not an expectation: it is far above what a run needs, on a busy host too."""

import ctypes
import dataclasses
import os
import pathlib
import re
import selectors
import signal
import subprocess
import tempfile
import time

from . import LOGS, Failure, firmware, machine as machines, monitor, stall

END_SECONDS = 5
CONSOLE_BYTES_MAX = 64 << 20    # a kernel that prints for ever is a hang, too


@dataclasses.dataclass
class Outcome:
    """How a run ended. Exactly one of `hang` and an exit status."""

    lines: list
    status: int | None      # QEMU's exit status, None if it had to be ended
    hang: str               # "" or why it was ended
    seconds: float
    log: pathlib.Path
    report: list            # the state of every CPU, after a hang
    stalls: str = ""        # how often and for how long the machine was stopped

    def tail(self, count=12):
        return self.lines[-count:]

    def summary(self):
        """The report without the registers, which the log has."""
        return [line for line in self.report if not line.startswith(monitor.REGISTER_INDENT)]

    def ending(self, isa):
        """How it ended, in words."""
        if self.hang:
            return f"hang: {self.hang}"
        return {isa.success: "success", isa.failure: "failure"}.get(self.status, f"exit status {self.status}")


def run(machine, name, budget, silence=None, on_line=None, keys=(), stalls=None):
    """Boot `machine`; hang if it has not left after `budget` seconds, or printed nothing for `silence` seconds.
    The console goes to build/logs/NAME.log. `keys`: pairs of a pattern and what to type when the console, after what
    the last pair has met, shows it; a prompt need not be a whole line. `stalls`: when the machine stands still and for
    how long, see stall.moments()."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    with tempfile.TemporaryDirectory(prefix="verdant-") as scratch:
        firmware.prepare(machine, scratch)
        qmp = pathlib.Path(scratch) / "qmp"
        args = machines.command(machine, "stdio") + ["-qmp", f"unix:{qmp},server=on,wait=off"]
        started = time.monotonic()
        try:
            child = subprocess.Popen(args, stdin=subprocess.PIPE if keys else subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        except FileNotFoundError as error:
            raise Failure(f"{args[0]} is missing") from error
        report = []
        staller = stall.Staller(child, stalls)
        try:
            console = Console(child.stdout, log, on_line, Typist(child.stdin, keys))
            why = console.follow(started + budget, silence)
            staller.close()
            if why:
                report = look_inside(machine, qmp)
                console.close()
                status = None
            else:
                status = child.wait()
        finally:
            staller.close()
            end(child)
        outcome = Outcome(console.lines, status, why, time.monotonic() - started, log, report, staller.note())
        finish_log(log, outcome, args)
        return outcome


class Typist:
    """Types on the machine's console: each text when its pattern is seen."""

    def __init__(self, stream, keys):
        self.stream, self.keys, self.unmet = stream, list(keys), ""

    def see(self, data):
        if not self.keys:
            return
        self.unmet += data.decode("utf-8", errors="replace").replace("\r", "")
        while self.keys and (found := re.search(self.keys[0][0], self.unmet, re.MULTILINE)):
            self.unmet = self.unmet[found.end():]
            self.stream.write(self.keys.pop(0)[1].encode())
            self.stream.flush()


class Console:
    """The machine's output, cut into lines as it arrives and copied to the log."""

    def __init__(self, stream, log, on_line, typist):
        self.stream, self.on_line, self.typist = stream, on_line, typist
        self.log = open(log, "wb")
        self.lines, self.rest, self.bytes = [], b"", 0

    def follow(self, deadline, silence):
        """Read until the machine has left: "". Otherwise, why this is a hang."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.stream, selectors.EVENT_READ)
            heard = time.monotonic()
            while True:
                now = time.monotonic()
                if now >= deadline:
                    return "did not end within its budget"
                if silence and now - heard >= silence:
                    return f"silent for {silence:g} s"
                if self.bytes > CONSOLE_BYTES_MAX:
                    return "printed without end"
                until = min(deadline, heard + silence) if silence else deadline
                if not selector.select(max(0.0, until - now)):
                    continue
                if not self.take():
                    self.close()
                    return ""
                heard = time.monotonic()

    def take(self):
        """One read. False at the end of the output."""
        data = os.read(self.stream.fileno(), 65536)
        self.bytes += len(data)
        self.log.write(data)
        self.log.flush()
        self.typist.see(data)
        *complete, self.rest = (self.rest + data).split(b"\n")
        for line in complete:
            self.add(line)
        return bool(data)

    def add(self, raw):
        line = raw.decode("utf-8", errors="replace").rstrip("\r")
        self.lines.append(line)
        if self.on_line:
            self.on_line(line)

    def close(self):
        """Take note of what was not ended by a newline."""
        if self.rest:
            self.add(self.rest)
            self.rest = b""
        self.log.close()


def die_with_parent():
    """Linux: QEMU is killed when this runner is, in whatever way (prctl(2), PR_SET_PDEATHSIG)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def look_inside(machine, qmp):
    try:
        return monitor.describe(machine, qmp)
    except (OSError, ValueError, KeyError) as error:
        return [f"QEMU's monitor gave no answer: {error}"]


def end(child):
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def finish_log(log, outcome, args):
    with open(log, "a", encoding="utf-8") as out:
        out.write(f"\n--- {' '.join(args)}\n")
        if outcome.stalls:
            out.write(f"--- {outcome.stalls}\n")
        if outcome.hang:
            out.write(f"--- hang: {outcome.hang}, after {outcome.seconds:.1f} s\n")
            out.writelines(line + "\n" for line in outcome.report)
        else:
            out.write(f"--- exit status {outcome.status} after {outcome.seconds:.1f} s\n")
