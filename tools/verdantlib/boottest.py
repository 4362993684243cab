# SPDX-License-Identifier: MIT
"""Carries out the table test/boot/boot_tests.py: boots one machine per test and judges what was seen."""

import collections
import importlib.util
import pathlib
import re
import subprocess
import tempfile

import gen_relocs

from . import (ROOT, build, firmware, golden, hold, machine as machines, programs, report, runner, stall, stress,
               userbench)

TAIL_LINES = 40
FAILURE_LINES = 100             # what failed before the tail: the log has the rest
FAILURE = r"\bFAILED\b|\bcheck failed\b"
VERDICT = r"^selftest: (ok|FAILED)\b"
NAMED_FRAME = r"  #\d+ 0x[0-9a-f]+ [A-Za-z_][\w.]*\+0x[0-9a-f]+"
SILENT_CPUS = r"other CPUs did not answer"
SLIDE = r"kernel slide 0x([0-9a-f]+)"


def load_table():
    """The table is data beside the tests, not a module on Python's path."""
    spec = importlib.util.spec_from_file_location("boot_tests", ROOT / "test" / "boot" / "boot_tests.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine_of(test, arch, folder):
    image, elf = build.image(pathlib.Path(folder), arch, test.image)
    if test.user_bench:
        return userbench.machine_of(arch, image, elf, report.Progress())
    return machines.Machine(arch, image, elf, cpus=test.cpus, memory=test.memory, append=test.append,
                            firmware=test.firmware, cpu=test.cpu, board_options=test.board_options,
                            smp=test.smp, numa=test.numa, icount=test.icount or bool(test.limits) and not test.holds,
                            one_thread=test.holds, rtc=test.rtc)


def carry_out(test, arch, folder):
    """Boot it, as often as it wants. Returns (problems, last outcome): it passed if there are no problems."""
    values = set()
    for turn in range(test.boots):
        machine, outcome = boot(test, arch, folder, turn)
        problems = judge(test, machine, outcome)
        if problems:
            return problems, outcome
        if test.differs:
            values |= {found.group(1) for line in outcome.lines if (found := re.search(test.differs, line))}
    if test.differs and len(values) < 2:
        return [f"in {test.boots} boots {test.differs!r} was the same: {', '.join(values) or 'not there'}"], outcome
    return [], outcome


def boot(test, arch, folder, turn=0):
    name = f"boot-{arch}-{test.name}"
    machine = machine_of(test, arch, folder)
    with tempfile.TemporaryDirectory(prefix="verdant-boot-") as scratch:
        if test.initrd_bytes:
            machine.initrd = pathlib.Path(scratch) / "initrd"
            machine.initrd.write_bytes(load_table().initrd(test.initrd_bytes))
        if test.program:
            machine.initrd = pathlib.Path(scratch) / "initrd"
            machine.initrd.write_bytes(programs.check_archive(arch, test.program, test.files, report.Progress()))
        if test.session:
            machine.initrd = pathlib.Path(scratch) / "initrd"
            machine.initrd.write_bytes(programs.session_archive(arch, test.session, report.Progress()))
        if test.steps:
            machine.initrd = pathlib.Path(scratch) / "initrd"
            machine.initrd.write_bytes(stress.initrd(arch, dict(test.steps), 0, report.Progress()))
        if test.dtb_patch:
            machine.dtb = patched_dtb(machine, test.dtb_patch, pathlib.Path(scratch) / "patched.dtb")
        out = pathlib.Path(scratch) / "holds"
        if test.holds:
            machine.plugin = hold.option(machine.elf, out)
        outcome = runner.run(machine, name, test.budget, test.silence, keys=test.keys,
                             stalls=stall.plan_for(f"{name} {turn}"))
        if test.holds:
            outcome.lines += hold.lines(machine.elf, out, test.cpus)
        return machine, outcome


def patched_dtb(machine, patches, path):
    """The device tree that this very machine would get, with bytes replaced."""
    args = machines.command(firmware.prepare(machine, path.parent), "null")
    args[args.index("-machine") + 1] += f",dumpdtb={path}"
    subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    blob = path.read_bytes()
    for old, new in patches:
        if old not in blob or len(old) != len(new):
            raise ValueError(f"the device tree has no {old!r} to patch")
        blob = blob.replace(old, new)
    path.write_bytes(blob)
    return path


def judge(test, machine, outcome):
    """What is wrong with an outcome: a list of sentences."""
    table = load_table()
    wanted = [pattern.replace("{cpus}", str(machine.cpus)) for pattern in test.lines]
    problems = [f"no line matches {pattern!r}" for pattern in wanted if not seen(outcome, pattern)]
    limits = userbench.limits(machine.arch) if test.user_bench else test.limits.get(machine.arch, {})
    problems += problems_of_counts(outcome.lines, limits)
    if test.golden:
        problems += golden.problems(golden.read(test.golden), golden.printed(outcome.lines))
    if test.end == "success":
        return problems + problems_of_success(machine, outcome)
    if test.end == "panic":
        return problems + problems_of_panic(machine, outcome)
    if test.end == "status":
        return problems if outcome.code == test.status else problems + [
            f"expected the exit code {test.status}, got {outcome.code}: {outcome.ending(machine.isa)}"]
    if test.end == "hang":
        return problems + problems_of_hang(test, machine, outcome)
    if test.firmware_may_fail and not seen(outcome, table.FIRST_LINE):
        return problems  # the kernel was never started
    if not problems_of_success(machine, outcome) and seen(outcome, table.SELFTEST_PASSED):
        return problems
    if not seen(outcome, test.says):
        problems.append(f"neither a success nor a line that matches {test.says!r}")
    if seen(outcome, r"panic: "):
        return problems + problems_of_panic(machine, outcome)
    if outcome.hang or outcome.status != machine.isa.failure:  # a machine may refuse before panics work, with one line
        problems.append(f"expected the exit status of a failure, got {outcome.ending(machine.isa)}")
    return problems


def problems_of_counts(lines, limits):
    """Benchmarks whose line is missing or beyond its limit."""
    counts = userbench.parse(lines) | {match.group(1): int(match.group(2)) for line in lines
                                       if (match := re.search(r"\bbench: (\S+) (\d+) ns\s*$", line))}
    return [f"{name}: {counts.get(name, 'no count')}, at most {limit}" for name, limit in limits.items()
            if counts.get(name, limit + 1) > limit]


def seen(outcome, pattern):
    return any(re.search(pattern, line) for line in outcome.lines)


def problems_of_success(machine, outcome):
    if outcome.hang or outcome.status != machine.isa.success:
        return [f"expected success, got {outcome.ending(machine.isa)}"]
    return ["a panic, and yet the exit status of success"] if seen(outcome, r"panic: ") else []


def problems_of_panic(machine, outcome):
    problems = []
    if outcome.hang or outcome.status != machine.isa.failure:
        problems.append(f"expected the exit status of a panic, got {outcome.ending(machine.isa)}")
    if not seen(outcome, r"panic: "):
        problems.append("no panic message")
    if not seen(outcome, NAMED_FRAME):
        problems.append("no backtrace line with a name")
    problems += wrong_names(machine, outcome)
    if seen(outcome, SILENT_CPUS):
        problems.append("the panic did not stop the other CPUs")
    return problems


def wrong_names(machine, outcome):
    """Frames whose names are not those that the ELF file has for their addresses, wherever the image ran."""
    if not machine.elf.exists():
        return []
    slide = next((int(found.group(1), 16) for line in outcome.lines if (found := re.search(SLIDE, line))), 0)
    places = collections.defaultdict(set)
    for name, value, _, _ in gen_relocs.Elf(machine.elf.read_bytes()).symbols:
        places[name].add(value + slide)
    frames = [re.search(r"#\d+ 0x([0-9a-f]+) ([\w.]+)\+0x([0-9a-f]+)", line) for line in outcome.lines]
    # A return address is named by the call before it: one byte less.
    return [f"wrong name: {frame.group(0)}" for frame in frames if frame and not any(
        int(frame.group(1), 16) - int(frame.group(3), 16) - one in places[frame.group(2)] for one in (0, 1))]


def problems_of_hang(test, machine, outcome):
    if not outcome.hang:
        return [f"expected a hang, got {outcome.ending(machine.isa)}"]
    states = [line for line in outcome.report if re.match(r"CPU \d+: pc 0x", line)]
    problems = []
    if len(states) != machine.cpus:
        problems.append(f"the report names {len(states)} of {machine.cpus} CPUs")
    if not any(re.search(r"[A-Za-z_]\w*\+0x", line) for line in states):
        problems.append("the report names no kernel function")
    problems += [f"no line of the report matches {pattern!r}" for pattern in test.report
                 if not any(re.search(pattern, line) for line in outcome.report)]
    return problems


def seen_last(lines):
    """What to show of a console after a failure: its end, and what says that something failed before that."""
    before = [f"  | {lines[at]}" for at in failures(lines) if at < len(lines) - TAIL_LINES]
    tail = [f"  | {line}" for line in lines[-TAIL_LINES:]]
    more = [f"  ... {len(before) - FAILURE_LINES} more such lines"] if len(before) > FAILURE_LINES else []
    return [*before[:FAILURE_LINES], *more, *(["  ..."] if before else []), *tail]


def failures(lines):
    """The numbers of the lines that say so, and of the errors before each, back to the verdict of the check before."""
    found, errors = [], []
    for at, line in enumerate(lines):
        if re.search(FAILURE, line):
            found += [*errors, at]
            errors = []
        elif re.search(VERDICT, line):
            errors = []
        elif line.startswith("error: "):
            errors.append(at)
    return found


def run_one(test, arch, folder):
    """For CTest: print the verdict, and on failure what was seen. Returns the exit status."""
    problems, outcome = carry_out(test, arch, folder)
    isa = machines.ISAS[arch]
    note = "" if problems or test.end != "either" else f" ({outcome.ending(isa)})"
    print(f"{arch} {test.name}: {'failed' if problems else 'passed'} after {outcome.seconds:.1f} s{note}")
    if test.holds:
        print("\n".join(hold.in_words(outcome.lines)))
    if problems:
        stalls = [f"stalled: {outcome.stalls}"] if outcome.stalls else []
        print("\n".join([*problems, *stalls, *seen_last(outcome.lines), *outcome.summary(),
                         f"the whole console: {outcome.log}"]))
    return 1 if problems else 0
