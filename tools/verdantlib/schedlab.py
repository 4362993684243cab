# SPDX-License-Identifier: MIT
"""./verdant sim schedlab: builds the laboratory and runs a workload; with --against ISA also inside the booted kernel,
and compares the two. What a workload is and what the numbers mean: docs/SCHEDLAB.md."""

import pathlib
import re
import signal
import subprocess
import sys

from . import BUILD, ROOT, Failure, build, machine as machines, report, runner, stall

SHIPPED = ROOT / "test" / "lab" / "workloads"
OUT = BUILD / "lab"
NAME = "schedlab"
WORDS = ("--cpus", "--seed", "--duration", "--out", "--against")
BUDGET_SECONDS = 900
EXAMPLES = ("stride",)  # need the scheduling class that only the presets ISA-example build: docs/SCHEDULING-CLASS.md

# How far the booted kernel may be from the simulated one, see docs/SCHEDLAB.md. Instructions take a nanosecond there
# and nothing here, so every burst ends a little later there and draws meet other neighbours.
PASSES_SHARE = 0.05     # of a group's passes, and PASSES_EDGE more: those that the end cuts off
PASSES_EDGE = 3
CPU_SHARE = 3.0         # points of a group's part of all CPU time
LATENCY_FACTOR = 2.0    # of two groups whose median wake-ups are further apart than this, the order is the same
LATENCY_COUNT = 25      # the median of fewer wake-ups is chance
LATENCY_FLOOR_US = 10.0  # below this, both are "at once": the length of the kernel's own path


def is_wanted(options):
    return options.scenarios[:1] == [NAME]


def workload(word):
    """A file, or the name of one that is shipped."""
    path = pathlib.Path(word)
    if path.is_file():
        return path
    shipped = SHIPPED / f"{word}.lab"
    if "/" not in word and shipped.is_file():
        return shipped
    names = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.lab")))
    raise Failure(f"{word}: no such file, and no such workload; shipped are: {names}")


def check(options):
    """One sentence for whatever cannot be understood; the program checks what is in the file."""
    if len(options.scenarios) != 2:
        raise Failure("schedlab needs one WORKLOAD: a file, or the name of a shipped one")
    path = workload(options.scenarios[1])
    for name, most in (("cpus", 1024), ("seed", 2**63 - 1)):
        text = getattr(options, name)
        if text is not None and not (re.fullmatch(r"\d{1,19}", text) and int(name == "cpus") <= int(text) <= most):
            raise Failure(f"--{name} {text}: give a number from {int(name == 'cpus')} to {most}")
    if options.duration is not None and not re.fullmatch(r"\d{1,12}(ns|us|ms|s)", options.duration):
        raise Failure(f"--duration {options.duration}: give a time such as 200ms")
    if options.against is not None:
        if options.against not in machines.ISAS:
            raise Failure(f"{options.against}: no such ISA; right are: {', '.join(machines.ISAS)}")
        if path.parent.resolve() != SHIPPED:
            raise Failure("--against needs a shipped workload: the image has only those")


def cpus_of(path):
    """What the workload is written for, or the program's default."""
    match = re.search(r"^\s*cpus\s+(\d+)", path.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    return match[1] if match else "4"


def command(program, options):
    words = [str(program), str(workload(options.scenarios[1]))]
    for name in ("cpus", "seed", "duration"):
        if getattr(options, name) is not None:
            words += [f"--{name}", getattr(options, name)]
    return [*words, "--out", options.out or str(OUT)]


def parse_table(text):
    """{group: {column: number}} of the counts, and of the times {(group, time): {column: number}}."""
    counts, times = {}, {}
    header = None
    for line in text.splitlines():
        words = line.removeprefix("lab: ").split()
        if words[:2] in (["group", "tasks"], ["group", "time"]):
            header = words
        elif header and len(words) == len(header) and header[1] == "tasks":
            counts[words[0]] = dict(zip(header[1:], (float(word) if word != "-" else None for word in words[1:])))
        elif header and len(words) == len(header) and header[1] == "time":
            times[words[0], words[1]] = dict(zip(header[2:], map(float, words[2:])))
    return counts, times


def differences(simulated, booted):
    """Sentences about what does not agree: ({group: counts}, {(group, time): times}) of both."""
    found = []
    if not simulated[0] or simulated[0].keys() != booted[0].keys():
        return [f"groups differ: {', '.join(simulated[0])} and {', '.join(booted[0])}"]
    for group, here in simulated[0].items():
        there = booted[0][group]
        for column in ("passes", "bursts"):
            if abs(here[column] - there[column]) > PASSES_EDGE + PASSES_SHARE * max(here[column], there[column]):
                found.append(f"{group}: {here[column]:.0f} {column} simulated, {there[column]:.0f} booted")
        if abs(here["%"] - there["%"]) > CPU_SHARE:
            found.append(f"{group}: {here['%']}% of the CPU time simulated, {there['%']}% booted")
    return found + wrong_orders(simulated[1], booted[1])


def wrong_orders(here, there):
    """Groups whose median wake-ups are clearly ordered on one machine, and clearly the other way on the other."""
    medians = {group: [max(times[group, time]["p50"], LATENCY_FLOOR_US) for times in (here, there)]
               for group, time in here if time == "wake" and (group, time) in there
               and min(times[group, time]["count"] for times in (here, there)) >= LATENCY_COUNT}
    found = []
    for first, (a_here, a_there) in medians.items():
        for second, (b_here, b_there) in medians.items():
            if a_here * LATENCY_FACTOR < b_here and b_there * LATENCY_FACTOR < a_there:
                found.append(f"wake-ups of {first} come before those of {second} simulated, and after them booted")
    return found


def boot(arch, options, progress):
    """The workload's table as the booted kernel prints it, where an instruction takes a nanosecond."""
    path = workload(options.scenarios[1])
    preset = f"{arch}-example" if path.stem in EXAMPLES else f"{arch}-release"
    image, elf = build.image(build.build(preset, progress), arch)
    append = f"init={NAME}:{path.stem}" + (f":{options.duration}" if options.duration else "")
    machine = machines.Machine(arch, image, elf, cpus=int(options.cpus or cpus_of(path)), icount=True,
                               append=f"{append} seed={options.seed or 1}")
    progress.step(f"{arch}: {path.stem} on {machine.cpus} CPUs")
    name = f"{NAME}-{path.stem}-{arch}"
    outcome = runner.run(machine, name, BUDGET_SECONDS, stalls=stall.plan_for(name))
    lines = [line for line in outcome.lines if line.startswith("lab: ")]
    if outcome.status != machine.isa.success or "lab: end" not in lines:
        raise Failure("\n".join([f"{arch}: {outcome.ending(machine.isa)}; log: {outcome.log}",
                                 *(f"  | {line}" for line in outcome.tail())]))
    return "\n".join(line.removeprefix("lab: ") for line in lines if line != "lab: end") + "\n"


def run(options):
    progress = report.Progress(sys.stderr)
    folder = build.build("host", progress, NAME)
    progress.clear()
    # Ctrl-C is the program's to answer; it and its child are in this process's group.
    with subprocess.Popen(command(folder / "test/lab/host" / NAME, options), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True) as child:
        try:
            simulated = child.communicate()[0]
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            raise
    print(simulated, end="")
    if child.returncode:
        return child.returncode if child.returncode > 0 else 128 - child.returncode
    stem = re.sub(r"[^A-Za-z0-9]", "-", workload(options.scenarios[1]).stem)
    print(f"to look at: {pathlib.Path(options.out or OUT) / stem}.html; for ui.perfetto.dev: the same with .json")
    if options.against is None:
        return 0
    booted = boot(options.against, options, progress)
    progress.clear()
    print(f"\n{options.against}:\n{booted}", end="")
    found = differences(parse_table(simulated), parse_table(booted))
    print("\n".join(found) if found else "the two agree")
    return 1 if found else 0
