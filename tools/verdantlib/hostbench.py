# SPDX-License-Identifier: MIT
"""`./verdant bench host`: data structures of the core on this machine, in nanoseconds, the least of a few runs."""

import re
import subprocess

from . import Failure, build, report

TASKS = (10, 1000, 100000)
TURNS = 1000000
RUNS = 3
BUDGET_SECONDS = 300


def run_once(program, tasks):
    """{name: nanoseconds} of one run."""
    try:
        done = subprocess.run([program, str(tasks), str(TURNS)], capture_output=True, text=True, check=False,
                              timeout=BUDGET_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{program}: not through in {BUDGET_SECONDS} s") from late
    if done.returncode != 0:
        raise Failure(f"{program} {tasks} {TURNS} failed:\n{done.stdout}{done.stderr}")
    return {name: float(value) for name, value in re.findall(r"^bench: (\S+) (\S+) ns$", done.stdout, re.MULTILINE)}


def run(progress):
    program = build.build("host-release", progress, "fair_bench") / "test/unit/sched/fair_bench"
    rows = []
    for tasks in TASKS:
        progress.step(f"measuring {tasks} tasks")
        runs = [run_once(program, tasks) for _ in range(RUNS)]
        rows += [[name, "ns", f"{min(values[name] for values in runs):.1f}"] for name in runs[0]]
    progress.clear()
    print("\n" + report.table(["benchmark", "unit", "this machine"], rows))
    return 0
