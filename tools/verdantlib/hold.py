# SPDX-License-Identifier: MIT
"""How many instructions a CPU executes while it holds a run-queue lock: tools/plugin/hold.c inside QEMU, and what it
wrote in words."""

import collections
import dataclasses
import pathlib
import re
import subprocess

import gen_relocs

from . import BUILD, ROOT, Failure

SOURCE = ROOT / "tools" / "plugin" / "hold.c"
COMPILER = "cc"
SYMBOLIZER = "llvm-symbolizer-19"
TEACHER = "sched_census_get"    # the function that takes all run-queue locks
KERNEL_FROM = 1 << 63           # below is firmware, whose instructions are not the kernel's
PARTS = 6                       # of the longest hold that are named
HELPERS = ("list_", "load_", "store_", "spin_", "cpumask_", "xchg_", "cas_")  # named by who calls them


@dataclasses.dataclass
class Hold:
    """The longest one of those between two places."""

    instructions: int
    times: int
    taken: int
    freed: int
    path: list      # (address, instructions) of each block


def plugin():
    """The plugin, compiled if it is older than its source."""
    library = BUILD / "tools" / "hold.so"
    if not library.exists() or library.stat().st_mtime < SOURCE.stat().st_mtime:
        library.parent.mkdir(parents=True, exist_ok=True)
        command = [COMPILER, "-std=c2x", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                   "-fvisibility=hidden", str(SOURCE), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{SOURCE}: the plugin does not compile:\n{done.stdout}{done.stderr}")
    return library


def option(elf_path, out):
    """The value of QEMU's -plugin for this image, which must run where it was linked."""
    elf = gen_relocs.Elf(elf_path.read_bytes())
    begin = elf.address_of(TEACHER)
    end = begin + elf.sizes[TEACHER]
    return f"{plugin()},begin={begin:#x},end={end:#x},from={KERNEL_FROM:#x},out={out}"


def parse(text):
    """(number of locks, holds, the longest first) of what the plugin wrote."""
    locks, holds = 0, []
    for line in text.splitlines():
        word, *rest = line.split()
        if word == "locks":
            locks = int(rest[0])
            continue
        path = [(int(pc, 16), int(count)) for pc, count in (block.split("+") for block in rest[4:])]
        holds.append(Hold(int(rest[0]), int(rest[1]), int(rest[2], 16), int(rest[3], 16), path))
    return locks, sorted(holds, key=lambda hold: (-hold.instructions, hold.taken, hold.freed))


def functions(elf_path, addresses):
    """For each address the names of the functions there, the innermost first, but for helpers."""
    text = "\n".join(f"{address:#x}" for address in addresses)
    done = subprocess.run([SYMBOLIZER, f"--obj={elf_path}", "-i", "-f"], input=text, capture_output=True, text=True,
                          check=True)
    blocks = done.stdout.strip().split("\n\n")
    return [[name for name in block.splitlines()[0::2] if not name.startswith(HELPERS)] for block in blocks]


def describe(elf_path, hold):
    """One hold in a line."""
    taken, freed, *path = functions(elf_path, [hold.taken, hold.freed, *(pc for pc, _ in hold.path)])
    parts = collections.Counter()
    for names, (_, count) in zip(path, hold.path):
        parts[names[0] if names else "?"] += count
    most = ", ".join(f"{name} {count}" for name, count in parts.most_common(PARTS))
    return (f"hold: {hold.instructions} instructions, {hold.times} times at most that: from {' < '.join(taken[:3])} "
            f"to {' < '.join(freed[:3])}; {most}")


def lines(elf_path, out, cpus, count=3):
    """What a run has shown, as lines of a console: the longest hold as a benchmark's, and the longest ones in words.
    Nothing if the plugin did not see what it must."""
    path = pathlib.Path(out)
    if not path.exists():
        return ["hold: the plugin wrote nothing"]
    locks, holds = parse(path.read_text(encoding="utf-8"))
    if locks != cpus or not holds:
        return [f"hold: {locks} locks and {len(holds)} places seen on {cpus} CPUs"]
    return [f"bench: runq_hold {holds[0].instructions} ns", *(describe(elf_path, hold) for hold in holds[:count])]


def in_words(console):
    """Of a console's lines those that lines() has added."""
    return [line for line in console if re.match(r"hold: |bench: runq_hold ", line)]
