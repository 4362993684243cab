# SPDX-License-Identifier: MIT
"""The HAL conformance kit (test/hal) on one machine: build it, run it, show its levels."""

import re

from . import BUILD, Failure, build, machine as machines, runner

HOST = "host"
NAMES = (*machines.ISAS, HOST)
HOST_CPUS_MAX = 1024
HOST_SEEDS = 20
BUDGET_SECONDS = 300
SILENCE_SECONDS = 60
LINE = re.compile(r"level \d+ \S|port-check: |  assertion |error: ")


def add_options(parser):
    parser.add_argument("isa", metavar="ISA")
    parser.add_argument("--cpus", default=str(machines.DEFAULT_CPUS))


def check(options):
    """Raises a Failure of one line if the words are wrong."""
    if options.isa not in NAMES:
        raise Failure(f"{options.isa}: no such machine; right are: {', '.join(NAMES)}")
    if options.isa != HOST:
        options.cpus = machines.parse_cpus(options.cpus, [options.isa], "direct")
        return
    if not re.fullmatch(r"[0-9]{1,6}", options.cpus) or not 1 <= int(options.cpus) <= HOST_CPUS_MAX:
        raise Failure(f"--cpus {options.cpus}: give a number from 1 to {HOST_CPUS_MAX}")
    options.cpus = int(options.cpus)


def needs(options):
    """In the words of ./verdant. The preset of the host is configured for unit tests, too."""
    return ["build", "unit" if options.isa == HOST else options.isa]


def run(options, progress):
    """Exit status: 0 if every level passed."""
    if options.isa == HOST:
        build.build(HOST, progress, "port_check")
        progress.clear()
        return run_host(options)
    folder = build.build(options.isa, progress, "port_check_image")
    progress.clear()
    return run_machine(options, folder)


def run_host(options):
    command = [str(BUILD / HOST / "test/hal/port_check"), "--cpus", str(options.cpus), "--seeds", str(HOST_SEEDS)]
    with build.child_group(command) as child:
        return 0 if child.wait() == 0 else 1


def run_machine(options, folder):
    image, elf = build.image(folder, options.isa, "port-check")
    machine = machines.Machine(options.isa, image, elf, options.cpus)
    outcome = runner.run(machine, f"port-check-{options.isa}-{options.cpus}", BUDGET_SECONDS, SILENCE_SECONDS,
                         lambda line: print(line, flush=True) if LINE.match(line) else None)
    if not outcome.hang and outcome.status == machine.isa.success and passed(outcome.lines):
        return 0
    print("\n".join([f"{options.isa}: {outcome.ending(machine.isa)}", *outcome.summary(), f"log: {outcome.log}"]))
    return 1


def passed(lines):
    return any(re.fullmatch(r"port-check: levels 1\.\.\d+ passed", line) for line in lines)
