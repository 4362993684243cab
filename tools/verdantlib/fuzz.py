# SPDX-License-Identifier: MIT
"""`./verdant fuzz ISA`: random system calls (user/fuzz) on a debug kernel, boot after boot with the next seed, until
the time is over. A panic, a hang, a program that does not come to its end and memory that does not come back are
failures; each keeps its log and is repeated, but for the order of CPUs, by `--seed SEED --minutes 0`."""

import pathlib
import re
import tempfile
import time

from . import Failure, build, machine as machines, programs, runner

CALLS = 100_000             # of one boot
BUDGET_SECONDS = 3600       # of one boot; both are detectors of hangs
SILENCE_SECONDS = 600
WELL = 42                   # what user/fuzz ends with
DEFAULTS = {"minutes": "1", "seed": "1", "cpus": "2"}


def add_options(parser):
    machines.add_isa_options(parser, DEFAULTS)


def check(options):
    machines.check_isa(options.isa)
    if not re.fullmatch(r"\d{1,5}", options.minutes):
        raise Failure(f"--minutes {options.minutes}: give a number from 0, one boot, to 99999")
    if not re.fullmatch(r"\d{1,9}", options.seed):
        raise Failure(f"--seed {options.seed}: give a number from 0 to 999999999")
    options.minutes, options.seed = int(options.minutes), int(options.seed)
    options.cpus = machines.parse_cpus(options.cpus, [options.isa], "direct")


def run(options, progress):
    image, elf = build.image(build.build(options.isa, progress), options.isa)
    failed, made, seed = [], 0, options.seed
    with tempfile.TemporaryDirectory(prefix="verdant-") as scratch:
        initrd = pathlib.Path(scratch) / "initrd"
        initrd.write_bytes(programs.check_archive(options.isa, "fuzz", (), progress))
        ends = time.monotonic() + 60 * options.minutes
        while seed == options.seed or time.monotonic() < ends:
            machine = machines.Machine(options.isa, image, elf, options.cpus, append=f"loglevel=1 -- {CALLS} {seed}",
                                       initrd=initrd)
            progress.passing(f"fuzz {options.isa}: seed {seed}")
            outcome = runner.run(machine, f"fuzz-{options.isa}-{seed}", BUDGET_SECONDS, SILENCE_SECONDS)
            made += calls_of(outcome.lines)
            if outcome.hang or outcome.code != WELL:
                failed.append(seed)
                progress.clear()
                print("\n".join([*outcome.tail(), *outcome.summary(), f"seed {seed}: {outcome.ending(machine.isa)}; "
                                 f"all of it is in {outcome.log}"]), flush=True)
            else:
                outcome.log.unlink()
            seed += 1
    progress.clear()
    print(f"fuzz {options.isa}: {seed - options.seed} boots, {made} calls, {len(failed)} failures"
          + "".join(f"; seed {number}" for number in failed))
    return 1 if failed else 0


def calls_of(lines):
    """How many calls the program says it made: it says it from time to time."""
    counts = [int(found.group(1)) for text in lines if (found := re.search(r"^fuzz: (\d+) of \d+ calls", text))]
    return max(counts, default=0)
