# SPDX-License-Identifier: MIT
"""`./verdant bench user`: the benchmark program of user/bench on one CPU, where one instruction is one virtual
nanosecond, beside what a tuned Linux 6.12 takes for the same on the same machine, and the target, a share of that."""

import dataclasses
import re

from . import build, machine as machines, programs, report, runner

BUDGET_SECONDS = 1800
# What measures the lines below; page and herd print several. Waiting lets the boot settle. Words behind -- are the
# program's, so kaslr=off stands before them.
BENCHES = ("null yield2 yield2_fifo futex_same pipe_thr_same pthread fork exec_tiny page mmap herd timer_fifo "
           "hack_thread")
APPEND = f"init=/bin/kbench loglevel=3 kaslr=off -- -w 1 {BENCHES}"
# Without ERMS, as Linux was measured: with it each byte that "rep stosb" clears would count.
CPUS = {"x86_64": "max,-erms,-la57"}
MOST = 0.4      # of Linux's count
LEAST = 0.3     # what switches, and messages between tasks, may take of it


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the table."""

    title: str
    name: str       # of the program's line
    share: float    # of Linux's count: the target
    linux: dict     # ISA: count

    def target(self, isa):
        return int(self.share * self.linux[isa])


def line(title, name, share, *linux):
    return Line(title, name, share, dict(zip(("x86_64", "aarch64", "riscv64"), linux)))


LINES = (
    line("empty call", "null", MOST, 321, 309, 277),
    line("fair yield switch", "yield2", LEAST, 2312, 2449, 2388),
    line("FIFO yield switch", "yield2_fifo", LEAST, 1651, 1863, 1717),
    line("futex round trip", "futex_same", LEAST, 7425, 7560, 8225),
    line("pipe round trip", "pipe_thr_same", LEAST, 9913, 10316, 11500),
    line("thread create + join", "pthread", MOST, 36315, 37536, 38400),
    line("fork + exit + wait", "fork", MOST, 164877, 160736, 178300),
    line("fork + exec tiny + wait", "exec_tiny", MOST, 260264, 257296, 304100),
    line("page touch", "page_touch", MOST, 3576, 3077, 3833),
    line("mmap + munmap", "mmap", MOST, 8711, 9684, 10960),
    line("herd wake, per thread", "herd_all_run", MOST, 5440, 5443, 5795),
    line("FIFO timer lateness, ns", "timer_fifo", MOST, 3013, 3408, 4200),
    line("hackbench, per message", "hack_thread", LEAST, 2255, 2453, 3003),
)


def limits(isa):
    """{name: count} that a run is held to."""
    return {each.name: each.target(isa) for each in LINES}


def parse(lines):
    """{name: p50} of the program's lines."""
    found = (re.search(r"\bKB (\S+) n=\d+ .*\bp50=(\d+)", text) for text in lines)
    return {match.group(1): int(match.group(2)) for match in found if match}


def rows(isa, counts):
    """One row for each line of the table; a line that the program did not print has no count and misses its target."""
    made = []
    for each in LINES:
        count = counts.get(each.name)
        made.append([each.title, f"{count:,}" if count is not None else "-", f"{each.target(isa):,}",
                     f"{count / each.linux[isa]:.2f}" if count is not None else "-",
                     "ok" if count is not None and count <= each.target(isa) else "MISSED"])
    return made


def machine_of(isa, image, elf, progress):
    return machines.Machine(isa, image, elf, cpus=1, append=APPEND, cpu=CPUS.get(isa, ""), icount=True,
                            initrd=programs.build_full(isa, progress))


def measure(isa, progress):
    """({name: count}, lines that say what went wrong)."""
    machine = machine_of(isa, *build.image(build.build(f"{isa}-release", progress), isa), progress)
    progress.step(f"{isa}: measuring user programs")
    outcome = runner.run(machine, f"bench-user-{isa}", BUDGET_SECONDS)
    counts = parse(outcome.lines)
    if outcome.status == machine.isa.success and all(each.name in counts for each in LINES):
        return counts, []
    ending = f"{isa}: {len(counts)} lines, {outcome.ending(machine.isa)}; log: {outcome.log}"
    return counts, [ending, *(f"  | {text}" for text in outcome.tail()), *outcome.summary()]


def run(isas, progress):
    """A missed target is part of the table; a run without all its lines is a failure."""
    tables, problems = [], []
    for isa in isas:
        counts, why = measure(isa, progress)
        tables.append(report.table([isa, "Verdant", "target", "of Linux", ""], rows(isa, counts)))
        problems += why
    progress.clear()
    print("\n" + "\n\n".join([*tables, *problems]))
    return 1 if problems else 0
