# SPDX-License-Identifier: MIT
"""The showcase and the benchmarks of the booted kernel: following their lines, and the tables made of their numbers."""

import re

from . import build, machine as machines, report, runner

BUDGET_SECONDS = 600
SILENCE_SECONDS = 120
BENCH_BUDGET_SECONDS = 1800
# The word of the command: on how many CPUs to boot, and what to run there.
BENCHES = {
    "sched": ((1, "bench"), (4, "bench"), (1, "bench-time"), (4, "bench-time")),
    "mm": ((1, "bench-mm"), (4, "bench-mm"), (2, "bench-mm:shootdown"), (8, "bench-mm:shootdown")),
}
COLUMNS = ("ISA", "firmware", "CPUs online", "memory", "boot time", "created", "reclaimed", "switches", "migrations",
           "leaks", "verdict")
KEYS = ("isa firmware cpus cpus_listed memory_mib boot_us created reclaimed switches migrations leaks verdict").split()


def parse_result(lines):
    """The machine-readable line `showcase: result KEY=VALUE ...`, or None if it is absent or lacks a key."""
    for line in reversed(lines):
        match = re.search(r"showcase: result (.*)$", line)
        if match:
            values = dict(re.findall(r"(\w+)=(\S+)", match.group(1)))
            return values if all(key in values for key in KEYS) else None
    return None


def run(arch, options, progress):
    """Boot one ISA's showcase. Returns (table row, is it right, lines that say why not)."""
    preset = f"{arch}-release"
    image, elf = build.image(build.build(preset, progress), arch)
    machine = machines.Machine(arch, image, elf, cpus=options.cpus, memory=options.mem, append="init=showcase")
    progress.step(f"{arch}: booting on {options.cpus} CPUs")

    def on_line(line):
        match = re.search(r"showcase: (?!result )(.*)$", line)
        if match:
            progress.step(f"{arch}: {match.group(1)}")

    outcome = runner.run(machine, f"showcase-{arch}", BUDGET_SECONDS, SILENCE_SECONDS, on_line)
    values = parse_result(outcome.lines)
    good = (bool(values) and values["verdict"] == "ok" and values["cpus"] == str(options.cpus)
            and outcome.status == machine.isa.success)
    why = [] if good else explain(machine, outcome, values)
    return row(arch, values, good), good, why


def explain(machine, outcome, values):
    said = "no result line"
    if values:
        said = f"verdict={values['verdict']}, {values['cpus']} of {machine.cpus} CPUs"
    return [f"{machine.arch}: {said}, {outcome.ending(machine.isa)}; log: {outcome.log}",
            *(f"  | {line}" for line in outcome.tail()), *outcome.summary()]


def row(arch, values, good):
    if not values:
        return [arch] + ["-"] * (len(COLUMNS) - 2) + ["FAILED"]
    return [arch, values["firmware"].replace("_", " "), f"{values['cpus']} of {values['cpus_listed']}",
            f"{values['memory_mib']} MiB", milliseconds(values["boot_us"]),
            *(grouped(values[key]) for key in ("created", "reclaimed", "switches", "migrations", "leaks")),
            "ok" if good else "FAILED"]


def milliseconds(text):
    return f"{int(text) / 1000:.1f} ms" if text.isdigit() else text


def grouped(text):
    return f"{int(text):,}" if text.isdigit() else text


def bench(what, arch, cpus, program, progress):
    """Run the benchmarks where one instruction is one virtual nanosecond: ({(name, unit): value}, [(table, name,
    {column: value})], lines on failure)."""
    image, elf = build.image(build.build(f"{arch}-release", progress), arch)
    machine = machines.Machine(arch, image, elf, cpus=cpus, append=f"init={program}", icount=True)
    progress.step(f"{arch}: measuring on {cpus} CPU{'s' if cpus > 1 else ''}")
    outcome = runner.run(machine, f"{program.replace(':', '-')}-{arch}-{cpus}", BENCH_BUDGET_SECONDS)
    found = [re.search(r"\bbench: (\S+) (\S+) (\S+)\s*$", line) for line in outcome.lines]
    values = {(match.group(1), match.group(3)): grouped(match.group(2)) for match in found if match}
    rows = bench_rows(outcome.lines)
    if outcome.status == machine.isa.success and (values or rows):
        return values, rows, []
    ending = f"{arch}: {len(values) + len(rows)} benchmarks, {outcome.ending(machine.isa)}; log: {outcome.log}"
    return values, rows, [ending, *(f"  | {line}" for line in outcome.tail()), *outcome.summary()]


def bench_rows(lines):
    """`bench-row: TABLE NAME KEY=VALUE ..` is a row of a table; `bench-place: KIND NS TEXT` one of that of places."""
    rows = []
    for line in lines:
        if match := re.search(r"\bbench-row: (\S+) (\S+) (.*\S)\s*$", line):
            values = dict(re.findall(r"(\w+)=(\S+)", match.group(3)))
            rows.append((match.group(1), match.group(2), {key: grouped(value) for key, value in values.items()}))
        elif match := re.search(r"\bbench-place: (\S+) (\d+) .*?\bat (.*\S)\s*$", line):
            rows.append(("longest", match.group(1), {"ns": grouped(match.group(2)), "place": match.group(3)}))
    return rows


def row_tables(results):
    """`results`: {(arch, cpus): rows}. One text for each table, with a row's machines below each other."""
    tables = {}
    for (arch, cpus), rows in results.items():
        for table, name, values in rows:
            tables.setdefault(table, {}).setdefault((cpus, name), []).append((arch, values))
    texts = []
    for table, named in tables.items():
        keys = next(iter(named.values()))[0][1]
        cells = [[name, cpus, arch, *(values.get(key, "-") for key in keys)]
                 for (cpus, name), machines_of in named.items() for arch, values in machines_of]
        texts.append(report.table([table, "CPUs", "ISA", *(key.replace("_", " ") for key in keys)], cells))
    return texts


def bench_table(results):
    """`results`: {(arch, cpus): {(name, unit): value}}. One row per benchmark, one column per machine."""
    rows = []
    for values in results.values():
        rows += [row for row in values if row not in rows]
    header = ["benchmark", "unit", *(f"{arch} {cpus}" for arch, cpus in results)]
    return report.table(header, [[*row, *(values.get(row, "-") for values in results.values())] for row in rows])
