#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tools/gen_syscalls.py: what it makes of a table, what it refuses, and the real table beside Linux's
headers."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import gen_syscalls  # noqa: E402

GOOD = """# a comment
first    1 10         complete
old      2 -          absent
own      - 38/aarch64 partial: half of it
"""
NOT_CALLS = {"syscalls", "arch_specific_syscall"}   # a count, and where the machines' own begin


def installed_numbers(isa):
    """{name: number} as that machine's compiler sees them, or nothing if there is none."""
    compiler = shutil.which(f"{isa}-linux-gnu-gcc")
    if compiler is None:
        return {}
    text = subprocess.run([compiler, "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"],
                          capture_output=True, text=True, check=False).stdout
    values = dict(re.findall(r"^#define (__NR\w+) (\w+)$", text, re.MULTILINE))
    numbers = {name.removeprefix("__NR_"): values.get(value, value) for name, value in values.items()}
    return {name: int(number) for name, number in numbers.items()
            if number.isdigit() and not name.startswith("__NR") and name not in NOT_CALLS}


def read(text):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "calls.tbl"
        path.write_text(text, encoding="utf-8")
        return gen_syscalls.read(path)


class Tables(unittest.TestCase):
    def test_each_machine_has_its_numbers(self):
        calls = read(GOOD)
        numbers = {isa: [call.number(isa) for call in calls] for isa in ("x86_64", "aarch64", "riscv64", "host")}
        self.assertEqual(numbers, {"x86_64": [1, 2, None], "aarch64": [10, None, 38], "riscv64": [10, None, None],
                                   "host": [10, None, None]})

    def test_every_number_has_a_handler_and_only_calls_have_names(self):
        text = gen_syscalls.table(read(GOOD), "aarch64")
        handlers = re.findall(r"\[(\d+)\] = (sys_\w+),", text)
        self.assertEqual([int(number) for number, _ in handlers], list(range(gen_syscalls.NUMBERS_MAX)))
        self.assertEqual([pair for pair in handlers if pair[1] != "sys_absent"],
                         [("10", "sys_first"), ("38", "sys_own")])
        self.assertEqual(re.findall(r'\[(\d+)\] = "(\w+)",', text), [("10", "first"), ("38", "own")])
        text = gen_syscalls.table(read(GOOD), "x86_64")
        self.assertIn("[2] = sys_absent,", text)
        self.assertIn('[2] = "old",', text)
        self.assertNotIn("sys_own", text)

    def test_the_document_says_what_is_missing(self):
        text = gen_syscalls.docs(read(GOOD))
        self.assertIn("| own | - | 38 (AArch64) | partial: half of it |", text)
        self.assertIn("| complete | 1 | 1 | 1 |", text)
        self.assertIn("| partial | 0 | 1 | 0 |", text)

    def test_mistakes_are_refused_with_their_line(self):
        for bad, says in (("zero 0 0 absent\nfirst 1 1 absent", "2: first does not come after zero"),
                          ("a 1 1 absent\na 2 2 absent", "2: a does not come after a"),
                          ("a 1 1 absent\nb 1 2 absent", "2: b has the number of a on x86_64"),
                          ("a 1 1 absent\nb 2 1/riscv64 absent", "2: b has the number of a on riscv64"),
                          ("a - - absent", "1: a has no number"),
                          ("a 512 1 absent", "1: a has a number of 512 or more"),
                          ("a 1 1 there", "1: there: a state is"), ("a 1 1 partial", "1: what is missing"),
                          ("a 1 1 complete: no", "1: what is missing"), ("a 1 1", "1: not NAME"),
                          ("a 1 1/vax absent", "1: vax: no machine"), ("", "no calls")):
            says = f"calls.tbl:{says}" if says[0].isdigit() else says
            with self.assertRaisesRegex(gen_syscalls.Wrong, re.escape(says)):
                read(bad + "\n")

    def test_a_document_that_is_out_of_date_is_reported(self):
        with tempfile.TemporaryDirectory() as folder:
            document, table = pathlib.Path(folder) / "ABI.md", pathlib.Path(folder) / "calls.tbl"
            table.write_text(GOOD, encoding="utf-8")
            run = [sys.executable, str(TOOLS / "gen_syscalls.py"), "--table", str(table)]
            check = [*run, "--check", str(document)]
            self.assertEqual(subprocess.run(check, capture_output=True, check=False).returncode, 1)
            subprocess.run([*run, "--docs", str(document)], check=True)
            self.assertEqual(subprocess.run(check, capture_output=True, check=False).returncode, 0)
            table.write_text(GOOD.replace("complete", "absent"), encoding="utf-8")
            self.assertEqual(subprocess.run(check, capture_output=True, check=False).returncode, 1)

    def test_the_bound_is_that_of_the_header(self):
        text = (TOOLS.parent / "include/syscall/table.h").read_text(encoding="utf-8")
        self.assertIn(f"#define SYSCALL_NUMBERS {gen_syscalls.NUMBERS_MAX} ", text)

    def test_the_numbers_are_those_of_the_installed_headers(self):
        calls = gen_syscalls.read(gen_syscalls.TABLE)
        compared = set()
        for isa in ("x86_64", "aarch64", "riscv64"):
            ours = {call.name: call.number(isa) for call in calls if call.number(isa) is not None}
            theirs = installed_numbers(isa)
            for name, number in theirs.items():
                if number <= max(ours.values()):    # newer headers than 6.12's may have newer calls
                    self.assertEqual(ours.get(name), number, f"{name} on {isa}")
                    compared.add(isa)
        if not compared:
            self.skipTest("no compiler with headers of Linux is installed")


if __name__ == "__main__":
    unittest.main()
