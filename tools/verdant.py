#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The user's command, once ./verdant has seen to it that everything it needs is installed."""

import argparse
import functools
import os
import pathlib
import re
import signal
import sys
import tempfile

from verdantlib import (ROOT, Failure, build, firmware, fuzz, hostbench, machine as machines, portcheck, programs,
                        report, shell, showcase, sim, stall, stress, userbench)
import qemu

GROUPS = ("style", "unit", "sim", "boot")    # as CTest labels
PRESETS = {"style": ("host",), "unit": ("host", "host-asan"), "sim": tuple(sim.PRESETS.values())}
WRONG_WORDS = 2


class WrongWords(Failure):
    """A command line that cannot be understood: one line, exit 2."""


class Parser(argparse.ArgumentParser):
    """argparse prints usage and error; here an error is one line that lists the right words."""

    def error(self, message):
        raise WrongWords(re.sub(r"argument (\S+ )?\S+: invalid choice: ('[^']*')", r"\2 is no word here", message))


def parse(words):
    words, arguments = (words[:words.index("--")], words[words.index("--") + 1:]) if "--" in words else (words, None)
    parser = Parser(prog="verdant", add_help=False, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser("run", add_help=False, allow_abbrev=False)
    run.add_argument("isa", nargs="?", metavar="ISA")
    run.add_argument("--cpus")
    run.add_argument("--mem")
    run.add_argument("--firmware", default="direct")
    run.add_argument("--append", default="")
    run.add_argument("--initrd", type=pathlib.Path)
    run.add_argument("--add", action="append", default=[])
    for flag in ("--gdb", "--icount", "--release", "--debug"):
        run.add_argument(flag, action="store_true")
    test = commands.add_parser("test", add_help=False, allow_abbrev=False)
    test.add_argument("groups", nargs="*", metavar="GROUP")
    test.add_argument("--arch")
    test.add_argument("--repeat", default="1")
    test.add_argument("--stall")
    bench = commands.add_parser("bench", add_help=False, allow_abbrev=False)
    bench.add_argument("what", nargs="?", default="sched")
    bench.add_argument("isa", nargs="?", metavar="ISA")
    simulate = commands.add_parser("sim", add_help=False, allow_abbrev=False)
    sim.add_options(simulate)
    check = commands.add_parser("port-check", add_help=False, allow_abbrev=False)
    portcheck.add_options(check)
    make = commands.add_parser("programs", add_help=False, allow_abbrev=False)
    make.add_argument("isas", nargs="*", metavar="ISA")
    random_calls = commands.add_parser("fuzz", add_help=False, allow_abbrev=False)
    fuzz.add_options(random_calls)
    foreign_programs = commands.add_parser("stress", add_help=False, allow_abbrev=False)
    stress.add_options(foreign_programs)
    for command in (run, test, bench, simulate, check, make, random_calls, foreign_programs):
        command.add_argument("--yes", action="store_true")  # ./verdant's: do not ask before installing
    options, unknown = parser.parse_known_args(words)
    if unknown:
        right = (name for action in commands.choices[options.command]._actions for name in action.option_strings)
        raise WrongWords(f"{unknown[0]}: no such word for {options.command}; options are: {', '.join(right)}")
    if arguments is not None and (options.command != "run" or not options.isa or not arguments):
        raise WrongWords("-- is for a command on one machine: ./verdant run ISA -- CMD ARGS")
    options.arguments = arguments or []
    {"run": check_run, "test": check_test, "bench": check_bench, "sim": functools.partial(checked_by, sim),
     "port-check": functools.partial(checked_by, portcheck), "programs": check_programs,
     "fuzz": functools.partial(checked_by, fuzz),
     "stress": functools.partial(checked_by, stress)}[options.command](options)
    return options


def check_word(kind, word, right):
    if word is not None and word not in right:
        raise WrongWords(f"{word}: no such {kind}; right are: {', '.join(right)}")


def check_run(options):
    check_word("ISA", options.isa, machines.ISAS)
    options.isas = [options.isa] if options.isa else list(machines.ISAS)
    single = ("--firmware", options.firmware != "direct"), ("--append", options.append), ("--gdb", options.gdb), \
        ("--icount", options.icount), ("--debug", options.debug), ("--initrd", options.initrd), ("--add", options.add)
    for name, given in single:
        if given and not options.isa:
            raise WrongWords(f"{name} needs one ISA: {', '.join(machines.ISAS)}")
    options.program = re.search(r"(^|\s)init=(?!\"?/)", options.append)    # one of the kernel's own
    if options.program and options.arguments:
        raise WrongWords("--append init=... and -- CMD name two things to run: give one")
    if options.release and options.debug:
        raise WrongWords("give one of --release and --debug")
    try:
        for name in options.isas:
            machines.refuse_unsupported(name, options.firmware)
        options.cpus = machines.parse_cpus(options.cpus or str(machines.DEFAULT_CPUS), options.isas, options.firmware)
        options.mem = machines.parse_memory(options.mem or machines.DEFAULT_MEMORY)
    except Failure as failure:
        raise WrongWords(str(failure)) from failure


def check_test(options):
    for group in options.groups:
        check_word("group", group, GROUPS)
    check_word("ISA", options.arch, machines.ISAS)
    options.groups = [group for group in GROUPS if group in (options.groups or GROUPS)]
    options.isas = [options.arch] if options.arch else list(machines.ISAS)
    if not re.fullmatch(r"[1-9][0-9]{0,5}", options.repeat):
        raise WrongWords(f"--repeat {options.repeat}: give a number from 1 to 999999")
    options.repeat = int(options.repeat)
    if options.stall is not None and not re.fullmatch(r"[0-9]{1,9}", options.stall):
        raise WrongWords(f"--stall {options.stall}: give a seed, a number from 0 to 999999999")
    if options.stall is not None and options.groups != ["boot"]:
        raise WrongWords("--stall is for the boot tests alone: ./verdant test boot --stall SEED")


def check_programs(options):
    for isa in options.isas:
        check_word("ISA", isa, machines.ISAS)
    options.isas = options.isas or list(machines.ISAS)


def check_bench(options):
    check_word("benchmark", options.what, (*showcase.BENCHES, "user", "host"))
    check_word("ISA", options.isa, machines.ISAS)
    if options.isa and options.what == "host":
        raise WrongWords("bench host measures this machine: it takes no ISA")
    options.isas = [] if options.what == "host" else [options.isa] if options.isa else list(machines.ISAS)


def checked_by(module, options):
    """By the module that carries the command out."""
    try:
        module.check(options)
    except Failure as failure:
        raise WrongWords(str(failure)) from failure


def needs(options):
    """What this command needs installed, in the words of ./verdant."""
    if options.command == "port-check":
        return portcheck.needs(options)
    if options.command == "sim":
        return ["build", "sim", *([options.against] if options.against else [])]
    if options.command in ("fuzz", "stress"):
        return ["build", options.isa, f"programs-{options.isa}"]
    if options.command == "programs":
        return ["build", *(f"programs-{isa}" for isa in options.isas)]
    words = ["build", *(options.groups if options.command == "test" else ())]
    if options.command == "bench" and options.what == "host":
        return words + ["unit"]
    uboot = options.firmware == "uboot" if options.command == "run" else "boot" in words
    if options.command != "test" or "boot" in words:
        words += options.isas
    # The boot tests have programs of their own.
    if "boot" in words or (options.command == "bench" and options.what == "user"):
        words += [f"programs-{isa}" for isa in options.isas]
    return words + (["uboot"] if uboot else [])


def run_all(options):
    """The showcase on every ISA, and one table."""
    progress = report.Progress()
    prepare_firmware(options.isas, progress)
    rows, problems, good = [], [], True
    for arch in options.isas:
        try:
            row, right, why = showcase.run(arch, options, progress)
        except build.BuildFailure as failure:
            row, right, why = showcase.row(arch, None, False), False, [str(failure)]
        rows.append(row)
        problems += why
        good = good and right
    progress.clear()
    print("\n" + report.table(showcase.COLUMNS, rows))
    if problems:
        print("\n" + "\n".join(problems))
    return 0 if good else 1


def run_one(options):
    """One ISA on this terminal."""
    arch = options.isa
    progress = report.Progress(sys.stderr)
    prepare_firmware([arch], progress)
    preset = arch if options.debug or (options.gdb and not options.release) else f"{arch}-release"
    image, elf = build.image(build.build(preset, progress), arch)
    progress.clear()
    append = options.append if options.program else f"loglevel=1 {options.append}".strip()
    machine = machines.Machine(arch, image, elf, options.cpus, options.mem, append, options.firmware,
                               icount=options.icount, gdb=options.gdb)
    with tempfile.TemporaryDirectory(prefix="verdant-") as scratch:
        if not options.program or options.initrd or options.add:
            machine.initrd, words = shell.make_initrd(options, pathlib.Path(scratch), progress)
            machine.append = f"{append} {words}".strip()
        progress.clear()
        if not os.isatty(0) and not options.gdb:
            return qemu.boot_between_pipes(machine, not options.program and not options.initrd)
        print(f"{arch}: {options.cpus} CPUs, {options.mem}, \"{machine.command_line}\"; Ctrl-A X leaves", flush=True)
        return qemu.boot_on_terminal(machine)


def run_programs(options):
    """The initrds of each ISA."""
    progress = report.Progress()
    paths = [make(isa, progress) for isa in options.isas for make in (programs.build, programs.build_full)]
    progress.clear()
    for path in paths:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size >> 10} KiB")
    return 0


def prepare_firmware(isas, progress):
    if "riscv64" in isas:
        progress.passing("riscv64: looking for firmware")
        firmware.opensbi()


def test_group(group, options, progress):
    """Build and run one group. A build that fails is one failed test."""
    count = build.Count()
    presets = options.isas if group == "boot" else PRESETS[group]
    runs = [(preset, group) for preset in presets]
    if group == "boot":
        runs += [(f"{isa}-release", "bench") for isa in options.isas] # counts, which a debug build has others of
    for preset, label in runs:
        try:
            build.build(preset, progress, "sim" if group == "sim" else None)
            # Boot tests have several virtual CPUs each: one at a time. The others share the host's CPUs.
            parallel = "1" if group == "boot" else build.jobs()
            count.add(build.run_ctest(preset, label, progress, parallel))
        except build.BuildFailure as failure:
            count.fail(str(failure))
    return count


def run_tests(options):
    progress = report.Progress()
    total = build.Count()
    if "boot" in options.groups:
        prepare_firmware(options.isas, progress)
    for turn in range(1, options.repeat + 1):
        if options.stall is not None:
            os.environ[stall.VARIABLE] = str(int(options.stall) + turn - 1)
        for group in options.groups:
            total.add(test_group(group, options, progress))
        if options.repeat > 1:
            progress.line(f"run {turn} of {options.repeat}: {total.passed} passed, {total.failed} failed so far")
    progress.clear()
    for name in total.names:
        print(f"failed: {name}")
    print(f"{total.passed} passed, {total.failed} failed")
    return 0 if total.passed and not total.failed else 1


def run_port_check(options):
    progress = report.Progress(sys.stderr)
    prepare_firmware([options.isa], progress)
    return portcheck.run(options, progress)


def run_fuzz(options):
    progress = report.Progress(sys.stderr)
    prepare_firmware([options.isa], progress)
    return fuzz.run(options, progress)


def run_stress(options):
    progress = report.Progress(sys.stderr)
    prepare_firmware([options.isa], progress)
    return stress.run(options, progress)


def run_bench(options):
    progress = report.Progress()
    if options.what == "host":
        return hostbench.run(progress)
    prepare_firmware(options.isas, progress)
    if options.what == "user":
        return userbench.run(options.isas, progress)
    results, rows, problems = {}, {}, []
    for cpus, program in showcase.BENCHES[options.what]:
        for arch in options.isas:
            values, found, why = showcase.bench(options.what, arch, cpus, program, progress)
            results.setdefault((arch, cpus), {}).update(values)
            rows.setdefault((arch, cpus), []).extend(found)
            problems += why
    progress.clear()
    print("\n" + "\n\n".join([showcase.bench_table(results), *showcase.row_tables(rows)]))
    if problems:
        print("\n" + "\n".join(problems))
    return 1 if problems else 0


def main():
    words = sys.argv[1:]
    if words[:1] == ["--needs"]:    # ./verdant asks before it installs anything
        print(" ".join(needs(parse(words[1:]))))
        return 0
    options = parse(words)
    if options.command == "test":
        return run_tests(options)
    if options.command == "bench":
        return run_bench(options)
    if options.command == "sim":
        return sim.run(options)
    if options.command == "port-check":
        return run_port_check(options)
    if options.command == "programs":
        return run_programs(options)
    if options.command == "fuzz":
        return run_fuzz(options)
    if options.command == "stress":
        return run_stress(options)
    return run_one(options) if options.isa else run_all(options)


def stop(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        sys.exit(main())
    except Failure as problem:
        print(f"verdant: {problem}", file=sys.stderr)
        sys.exit(WRONG_WORDS if isinstance(problem, WrongWords) else 1)
    except OSError as problem:
        print(f"verdant: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nverdant: stopped", file=sys.stderr)
        sys.exit(130)
