#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the build calls: boot an image on the terminal, list the boot tests of a machine, carry out one of them."""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import termios

from verdantlib import Failure, boottest, firmware, machine as machines, runner, shell

LONGEST_REPORT_SECONDS = 120    # reading the state of many CPUs of a machine that hangs


def boot_on_terminal(machine):
    """Boot with the console on this terminal; Ctrl-A X leaves. Returns the code that the kernel left with."""
    with tempfile.TemporaryDirectory(prefix="verdant-") as scratch:
        firmware.prepare(machine, scratch)
        code_file = pathlib.Path(scratch) / "code"
        args = machines.command(machine, "mon:stdio", code_file)
        if machine.gdb:
            print("\n".join(debugger_hint(machine)), flush=True)
        return machine.exit_code(call_with_terminal(args), code_file)


def boot_between_pipes(machine, waits_for_session):
    """Boot with the console on this program's input and output, which are no terminal."""
    with tempfile.TemporaryDirectory(prefix="verdant-") as scratch:
        firmware.prepare(machine, scratch)
        return shell.Pipes(machine, waits_for_session).run(pathlib.Path(scratch))


def debugger_hint(machine):
    """How to attach one. --gdb fixes the image's place unless the command line says another."""
    wish = (re.findall(r"(?:^|\s)kaslr=(\S+)", machine.command_line) or ["on"])[-1]
    at = wish if re.fullmatch(r"0x[0-9a-f]+", wish, re.IGNORECASE) else "0"
    gdb = machine.elf if at == "0" else f"-ex 'symbol-file -o {at} {machine.elf}'"
    lldb = "" if at == "0" else f" -o 'target modules load --file {machine.elf.name} --slide {at}'"
    lines = ["waiting for a debugger:",
             f"  gdb-multiarch {gdb} -ex 'target remote {machines.GDB_ADDRESS}'",
             f"  lldb-19 -o 'gdb-remote {machines.GDB_ADDRESS}'{lldb} {machine.elf}"]
    if wish == "on":
        lines.append(f"once the kernel has said \"kernel slide X\": (gdb) symbol-file -o X {machine.elf}")
    return lines


def call_with_terminal(args):
    """Run QEMU and put the terminal back as it was, however this ends. Ctrl-C belongs to the kernel meanwhile. Returns
    QEMU's status, negative if a signal ended it."""
    saved = termios.tcgetattr(0) if os.isatty(0) else None
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen(args, preexec_fn=in_child) as child:
            try:
                return child.wait()
            except BaseException:
                runner.end(child)   # it puts the terminal back itself, if it can
                raise
    except FileNotFoundError as error:
        raise Failure(f"{args[0]} is missing") from error
    finally:
        signal.signal(signal.SIGINT, before)
        if saved:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            os.set_blocking(0, True)


def in_child():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    runner.die_with_parent()


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "list", "test"):
        command = commands.add_parser(name)
        command.add_argument("--arch", required=True, choices=sorted(machines.ISAS))
        if name == "run":
            command.add_argument("--image", required=True, type=pathlib.Path)
        if name == "list":
            command.add_argument("--build-type", default="Debug", help="of CMake: a release build has fewer tests")
        if name == "test":
            command.add_argument("--build", required=True, type=pathlib.Path)
            command.add_argument("--name", required=True)
    return parser.parse_args()


def main():
    args = parse_args()
    if args.command == "run":
        return boot_on_terminal(machines.Machine(args.arch, args.image, args.image.with_suffix(".elf"),
                                                 append="init=showcase"))
    table = boottest.load_table()
    if args.command == "list":
        for test in table.tests_of(args.arch, args.build_type):
            print(test.name, test.boots * test.budget + LONGEST_REPORT_SECONDS, table.label_of(test))
        return 0
    tests = {test.name: test for build_type in ("Debug", "Release") for test in table.tests_of(args.arch, build_type)}
    if args.name not in tests:
        raise Failure(f"{args.arch} has no boot test {args.name}")
    return boottest.run_one(tests[args.name], args.arch, args.build)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"qemu.py: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
