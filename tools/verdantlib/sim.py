# SPDX-License-Identifier: MIT
"""./verdant sim: builds the simulator and hands over to it. What its words mean, the program itself says; here is what
it cannot know: which build, the version of the source, the debugger."""

import os
import re
import shlex
import shutil
import subprocess

from . import BUILD, ROOT, Failure, build, defects, report, schedlab

PRESETS = {"": "host", "address": "host-asan", "thread": "host-tsan"}
SOURCES = ROOT / "test" / "sim"
SAVED = BUILD / "sim"   # where smaller runs and reports go
EXPLORING = ("uniform", "round-robin", "pct", "adversary", "order", "uneven", "delay", "postpone")
STRATEGIES = ("all", *EXPLORING, "parallel", "exhaustive")
NUMBERS = {"--cpus": 1024, "--minutes": 43200, "--rounds": 1000000, "--bound": 8, "--jobs": 256}
VALUES = ("--seeds", "--steps", "--report", "--replay", "--trace", "--stop-at", *NUMBERS)
FLAGS = ("--list", "--first", "--no-shrink", "--here", "--twice")
OWN_FLAGS = ("--gdb", "--defects", "--docs")
RUN = rf"[a-z0-9-]+:({'|'.join(EXPLORING)}|parallel|script):[1-9]\d*:[1-9]\d*:\d+"


def add_options(parser):
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--strategy", action="append", default=[])
    parser.add_argument("--sanitizer", default="")
    for name in VALUES:
        parser.add_argument(name)
    for name in schedlab.WORDS:
        if name not in VALUES:
            parser.add_argument(name)
    for name in FLAGS + OWN_FLAGS:
        parser.add_argument(name, action="store_true")


def value(options, name):
    return getattr(options, name.lstrip("-").replace("-", "_"))


def scenario_names(folder=SOURCES):
    """What the tables of scenarios name. The program checks again; this is to refuse before a build."""
    names = set()
    for path in folder.glob("scenario_*.c"):
        names.update(re.findall(r'\.name = "([a-z0-9-]+)"', path.read_text(encoding="utf-8")))
    return names


def check(options):
    """One sentence for whatever cannot be understood."""
    if schedlab.is_wanted(options):
        check_schedlab(options)
        return
    given = [name for name in schedlab.WORDS if name not in VALUES and value(options, name) is not None]
    if given:
        raise Failure(f"{given[0]} belongs to ./verdant sim schedlab WORKLOAD")
    if options.defects:
        return      # its names are those of the defects: checked there
    if options.docs:
        raise Failure("--docs needs --defects")
    known = scenario_names()
    for name in options.scenarios:
        if name not in known:
            raise Failure(f"{name}: no such scenario; ./verdant sim --list names them")
    for name in options.strategy:
        if name not in STRATEGIES:
            raise Failure(f"{name}: no such strategy; right are: {', '.join(STRATEGIES)}")
    if options.sanitizer and options.sanitizer not in PRESETS:
        raise Failure(f"{options.sanitizer}: no such sanitizer; right are: address, thread")
    check_numbers(options)
    check_replay(options)


def check_schedlab(options):
    given = [name for name in (*VALUES, *FLAGS, *OWN_FLAGS, "--strategy", "--sanitizer")
             if value(options, name) and name not in schedlab.WORDS]
    if given:
        raise Failure(f"{given[0]}: no such word for schedlab; right are: {', '.join(schedlab.WORDS)}")
    schedlab.check(options)


def check_numbers(options):
    for name, most in NUMBERS.items():
        text = value(options, name)
        least = 0 if name == "--bound" else 1
        # Campaigns may be told several numbers of CPUs.
        for word in text.split(",") if text is not None and name == "--cpus" else [text]:
            if word is not None and not (re.fullmatch(r"\d{1,9}", word) and least <= int(word) <= most):
                raise Failure(f"{name} {text}: give a number from {least} to {most}")
    if options.seeds is not None:
        match = re.fullmatch(r"(\d{1,18})(?:\.\.(\d{1,18}))?", options.seeds)
        if not match or (int(match[2]) < int(match[1]) if match[2] else int(match[1]) == 0):
            raise Failure(f"--seeds {options.seeds}: give a number, or the first and the last as A..B")
    if options.steps is not None and not re.fullmatch(r"[1-9]\d*(\.\d+)?(e\d{1,2})?", options.steps):
        raise Failure(f"--steps {options.steps}: give a number such as 1000000 or 1e9")
    if options.stop_at is not None and not re.fullmatch(r"[1-9]\d{0,17}", options.stop_at):
        raise Failure(f"--stop-at {options.stop_at}: give the number of a step")


def check_replay(options):
    if options.replay is None:
        given = [name for name in ("--gdb", "--trace", "--stop-at", "--here", "--twice") if value(options, name)]
        if given:
            raise Failure(f"{given[0]} needs --replay RUN")
        return
    if options.scenarios:
        raise Failure("--replay names its scenario itself")
    if not re.fullmatch(RUN, options.replay) and not os.path.isfile(options.replay):
        raise Failure(f"--replay {options.replay}: neither SCENARIO:STRATEGY:CPUS:ROUNDS:SEED nor a file")


def version():
    """Which source this is, for a report that is read a week later."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown version"
    return done.stdout.strip()


def words(options):
    """The words of the program itself."""
    result = list(options.scenarios)
    for name in VALUES:
        if value(options, name) is not None:
            result += [name, value(options, name)]
    for name in options.strategy:
        result += ["--strategy", name]
    result += [name for name in FLAGS if value(options, name)]
    if options.gdb:
        result += [] if options.here else ["--here"]
        result += [] if options.stop_at else ["--stop-at", "1"]
    return result


def is_campaign(options):
    return not options.replay and not options.list and "exhaustive" not in options.strategy


def debugger(program, arguments):
    """gdb's command line. Missing pages are mapped by the machine's signal handler, so SIGSEGV is its daily bread."""
    commands = ("set disable-randomization on", "handle SIGSEGV nostop noprint pass", "handle SIGALRM ignore",
                "break host_stop_here", "break sim_broken", "break panic", "run")
    return ["gdb", "-q", *(word for command in commands for word in ("-ex", command)), "--args", str(program),
            *arguments]


def run(options):
    """Does not come back, unless it is about defects or something is missing."""
    if schedlab.is_wanted(options):
        return schedlab.run(options)
    if options.defects:
        return defects.run(options.scenarios, options.docs)
    progress = report.Progress()
    folder = build.build(PRESETS[options.sanitizer], progress, "sim")
    progress.clear()
    program = folder / "test" / "sim" / "sim"
    arguments = words(options)
    if is_campaign(options):
        SAVED.mkdir(parents=True, exist_ok=True)
        arguments += ["--save", str(SAVED), "--label", version()]
        arguments += [] if options.report else ["--report", str(SAVED / "report.txt")]
    command = [str(program), *arguments]
    if options.gdb:
        command = debugger(program, arguments)
        if shutil.which("gdb") is None:
            raise Failure("gdb is not installed; with it this would be: " + shlex.join(command))
    os.execvp(command[0], command)
    return 1
