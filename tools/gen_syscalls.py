#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make one machine's table of system calls, as C, or docs/ABI.md, from core/syscall/calls.tbl; or check the latter."""

import argparse
import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLE = ROOT / "core/syscall/calls.tbl"
NUMBERS_MAX = 512       # SYSCALL_NUMBERS of include/syscall/table.h
OWN_NUMBERS = "x86_64"  # the one machine that has them
GENERIC = ("aarch64", "riscv64")
COMMON = ("host", "null")   # machines without users' programs: what all with generic numbers share
# O_DIRECT, O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW: uapi/asm-generic/fcntl.h, and arm64's own fcntl.h.
OPEN_FLAGS_GENERIC = (0o40000, 0o100000, 0o200000, 0o400000)
OPEN_FLAGS = {"aarch64": (0o200000, 0o400000, 0o40000, 0o100000)}
STATES = ("complete", "partial", "absent")


class Wrong(Exception):
    """A mistake in the table: FILE:LINE: what."""


@dataclasses.dataclass(frozen=True)
class Call:
    name: str
    own: int | None         # on x86_64
    generic: int | None
    only: str               # the one machine that has the generic number, or ""
    state: str
    missing: str            # of a partial one

    def number(self, isa):
        if isa == OWN_NUMBERS:
            return self.own
        return self.generic if self.only in ("", isa) else None


def parse_line(line):
    match = re.fullmatch(r"(\w+)\s+(\d+|-)\s+(?:(\d+)(?:/(\w+))?|-)\s+(\w+)(?::\s*(\S.*))?", line.strip())
    if match is None:
        raise ValueError("not NAME NUMBER NUMBER STATE")
    name, own, generic, only, state, missing = match.groups()
    if only and only not in GENERIC:
        raise ValueError(f"{only}: no machine with generic numbers")
    if state not in STATES:
        raise ValueError(f"{state}: a state is one of {', '.join(STATES)}")
    if (state == "partial") != bool(missing):
        raise ValueError("what is missing is said of a partial call, and of no other")
    call = Call(name, None if own == "-" else int(own), int(generic) if generic else None, only or "", state,
                missing or "")
    if call.own is None and call.generic is None:
        raise ValueError(f"{name} has no number")
    if max(call.own or 0, call.generic or 0) >= NUMBERS_MAX:
        raise ValueError(f"{name} has a number of {NUMBERS_MAX} or more")
    return call


def read(path):
    calls, taken = [], {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            call = parse_line(line)
            if calls and calls[-1].name >= call.name:
                raise ValueError(f"{call.name} does not come after {calls[-1].name}")
            for isa in (OWN_NUMBERS, *GENERIC):
                key = (isa, call.number(isa))
                if key[1] is not None and taken.setdefault(key, call.name) != call.name:
                    raise ValueError(f"{call.name} has the number of {taken[key]} on {isa}")
        except ValueError as error:
            raise Wrong(f"{path.name}:{number}: {error}") from error
        calls.append(call)
    if not calls:
        raise Wrong(f"{path.name}: no calls")
    return calls


def table(calls, isa):
    """The C source of one machine's table. Every entry is written out, so that a hole is a handler, too."""
    by_number = {call.number(isa): call for call in calls if call.number(isa) is not None}
    there = [call for call in calls if call.number(isa) is not None and call.state != "absent"]
    lines = ["/* SPDX-License-Identifier: MIT */",
             "/* Made by tools/gen_syscalls.py from core/syscall/calls.tbl. */", "#include <syscall/table.h>", ""]
    lines += [f"syscall_handler sys_{call.name};" for call in there]
    lines += ["", "syscall_handler *const syscall_handlers[SYSCALL_NUMBERS] = {"]
    for number in range(NUMBERS_MAX):
        call = by_number.get(number)
        lines.append(f"    [{number}] = {f'sys_{call.name}' if call in there else 'sys_absent'},")
    lines += ["};", "", "const char *const syscall_names[SYSCALL_NUMBERS] = {"]
    lines += [f'    [{number}] = "{call.name}",' for number, call in sorted(by_number.items())]
    direct, largefile, directory, nofollow = OPEN_FLAGS.get(isa, OPEN_FLAGS_GENERIC)
    lines += ["};", "", "const struct syscall_abi syscall_abi = {",
              f"    .has_own_structs = {'true' if isa == OWN_NUMBERS else 'false'},",
              f"    .o_direct = {direct:#x}, .o_largefile = {largefile:#x}, .o_directory = {directory:#x},",
              f"    .o_nofollow = {nofollow:#x},"]
    return "\n".join([*lines, "};", ""])


INTRODUCTION = """# System calls

Made by `python3 tools/gen_syscalls.py --docs docs/ABI.md` from `core/syscall/calls.tbl`; a style test says if it is
out of date.

The interface is that of Linux 6.12, whose man pages (section 2) describe each call: numbers, arguments, structures,
errors. x86_64 has numbers of its own and keeps old calls that were replaced later; AArch64 and RISC-V share one list.
A call that is absent, or that has no number here, returns `-ENOSYS`, which programs and C libraries take as the answer
of an older kernel. Behind `partial` stands what of a call's contract is missing.
"""


def docs(calls):
    counts = [(state, [sum(call.state == state and call.number(isa) is not None for call in calls)
                       for isa in (OWN_NUMBERS, *GENERIC)]) for state in STATES]
    lines = [INTRODUCTION, "| state | x86_64 | AArch64 | RISC-V |", "|---|---|---|---|"]
    lines += [f"| {state} | {' | '.join(map(str, numbers))} |" for state, numbers in counts]
    lines += ["", "| call | x86_64 | AArch64, RISC-V | state |", "|---|---|---|---|"]
    names = {"": "", "aarch64": " (AArch64)", "riscv64": " (RISC-V)"}
    for call in calls:
        generic = "-" if call.generic is None else f"{call.generic}{names[call.only]}"
        state = f"partial: {call.missing}" if call.missing else call.state
        lines.append(f"| {call.name} | {'-' if call.own is None else call.own} | {generic} | {state} |")
    return "\n".join([*lines, ""])


def numbers(calls, isa):
    """Of the calls that are there: initializers for a program that makes them."""
    return "".join(f'{{"{call.name}", {call.number(isa)}, 0, 0}},\n' for call in calls
                   if call.state != "absent" and call.number(isa) is not None)


def write_if_changed(path, text):
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=pathlib.Path, default=TABLE)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--isa", choices=(OWN_NUMBERS, *GENERIC, *COMMON), help="write this machine's table to -o")
    what.add_argument("--numbers", choices=(OWN_NUMBERS, *GENERIC), help="write the names and numbers of calls to -o")
    what.add_argument("--docs", type=pathlib.Path, help="write the document")
    what.add_argument("--check", type=pathlib.Path, help="fail if the document is not what would be written")
    parser.add_argument("-o", "--output", type=pathlib.Path)
    args = parser.parse_args()
    if (args.isa or args.numbers) and not args.output:
        parser.error("--isa and --numbers need -o")
    calls = read(args.table)
    if args.isa:
        write_if_changed(args.output, table(calls, args.isa))
    elif args.numbers:
        write_if_changed(args.output, numbers(calls, args.numbers))
    elif args.docs:
        write_if_changed(args.docs, docs(calls))
    elif not args.check.exists() or args.check.read_text(encoding="utf-8") != docs(calls):
        raise Wrong(f"{args.check.name} is out of date: python3 tools/gen_syscalls.py --docs docs/ABI.md")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as problem:
        print(f"gen_syscalls.py: {problem}", file=sys.stderr)
        sys.exit(1)
