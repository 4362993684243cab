# SPDX-License-Identifier: MIT
"""Tests of the command's own code: what is judged a success, what is read from the kernel's lines, what is refused."""

import argparse
import dataclasses
import io
import os
import pathlib
import shutil
import signal
import struct
import sys
import tempfile
import threading
import types
import unittest
import unittest.mock
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from verdantlib import (ROOT, Failure, boottest, build, cpio, defects, disk, foreign, fuzz, golden, hold, machine,
                        monitor, report, runner, showcase, sim, stall, stress, userbench)
import verdant

RESULT = ("showcase: result isa=x86_64 firmware=PVH,_ACPI cpus=4 cpus_listed=4 memory_mib=511 boot_us=31250 "
          "created=10100 reclaimed=10100 switches=70000 migrations=12 leaks=0 verdict=ok")
FRAME = "error:   #0 0xffffffff80001234 task_main+0x1a"


def outcome(lines, status, hang="", cpu_reports=()):
    return runner.Outcome(list(lines), status, hang, 1.0, pathlib.Path("x.log"), list(cpu_reports))


def a_machine(arch="x86_64", **other):
    return machine.Machine(arch, pathlib.Path("k.img"), pathlib.Path("k.elf"), **other)


class Judging(unittest.TestCase):
    def setUp(self):
        table = boottest.load_table()
        self.plain = table.BootTest("t", "", lines=(r"\b{cpus} of {cpus} CPUs online",))
        self.panic = table.BootTest("t", "", end="panic")
        self.hang = table.BootTest("t", "", end="hang")
        self.either = table.BootTest("t", "", end="either", says="out of memory", firmware_may_fail=True)

    def judge(self, test, *args, **other):
        return boottest.judge(test, a_machine(**other), outcome(*args))

    def test_success_needs_the_line_and_the_status(self):
        self.assertEqual(self.judge(self.plain, ["4 of 4 CPUs online"], 33), [])
        self.assertTrue(self.judge(self.plain, ["3 of 4 CPUs online"], 33))
        self.assertTrue(self.judge(self.plain, ["4 of 4 CPUs online"], 0))
        self.assertTrue(self.judge(self.plain, ["4 of 4 CPUs online"], None, "silent"))
        self.assertEqual(self.judge(self.plain, ["4 of 4 CPUs online"], 0, arch="riscv64"), [])

    def test_a_panic_needs_a_named_backtrace_and_the_failing_status(self):
        self.assertEqual(self.judge(self.panic, ["error: panic: CPU 0: oops", FRAME], 3), [])
        self.assertTrue(self.judge(self.panic, ["error: panic: CPU 0: oops", FRAME], 33))
        self.assertTrue(self.judge(self.panic, ["error: panic: CPU 0: oops"], 3))
        self.assertTrue(self.judge(self.panic, [FRAME], 3))
        silent = "error: panic: 2 of 3 other CPUs did not answer"
        self.assertTrue(self.judge(self.panic, ["error: panic: CPU 0: oops", FRAME, silent], 3))

    def test_keys_are_typed_when_their_pattern_is_seen_one_after_the_other(self):
        typed = io.BytesIO()
        typist = runner.Typist(typed, (("^> $", "ps\r"), ("^> $", "exit\r"), ("never", "x")))
        for seen, wanted in ((b"boot\r\n", b""), (b">", b""), (b" ", b"ps\r"), (b"ps\r\n1 2 > \r\n", b"ps\r"),
                             (b"> ", b"ps\rexit\r"), (b"exit\r\n> ", b"ps\rexit\r")):
            typist.see(seen)
            self.assertEqual(typed.getvalue(), wanted, seen)

    def test_a_golden_file_must_be_matched_line_by_line(self):
        wanted = golden.read("test/kernel/trace.golden")
        self.assertGreater(len(wanted), 1000)
        self.assertEqual(golden.problems(wanted, golden.printed(["noise", *(f"ev {line}\r" for line in wanted)])), [])
        self.assertIn("  - c", golden.problems(["a", "b", "c"], ["a", "b"]))
        said = golden.problems(["a", "b", "c"], ["a", "x", "c"])
        self.assertEqual(said[1:], ["    a", "  - b", "  - c", "  + x", "  + c"])
        test = boottest.load_table().BootTest("t", "", golden="test/kernel/trace.golden")
        self.assertEqual(self.judge(test, [f"ev {line}" for line in wanted], 33), [])
        self.assertTrue(self.judge(test, [f"ev {line}" for line in wanted[:-1]], 33))
        self.assertTrue(self.judge(test, [], 33))

    def test_a_release_build_has_no_test_of_tracepoints(self):
        table = boottest.load_table()
        self.assertIn("trace", [test.name for test in table.tests_of("riscv64")])
        self.assertNotIn("trace", [test.name for test in table.tests_of("riscv64", "Release")])

    def test_a_count_beyond_its_limit_or_missing_is_a_failure(self):
        table = boottest.load_table()
        test = table.BootTest("t", "", limits={"x86_64": {"a": 10, "b": 20}})
        said = ["bench: a 10 ns", "info: bench: b 19 ns\r", "bench: c 99 ns"]
        self.assertEqual(self.judge(test, said, 33), [])
        self.assertEqual(self.judge(test, ["bench: a 11 ns", *said[1:]], 33), ["a: 11, at most 10"])
        self.assertEqual(self.judge(test, said[:1], 33), ["b: no count, at most 20"])
        self.assertTrue(boottest.machine_of(test, "x86_64", "b").icount)
        names = [test.name for test in table.tests_of("x86_64", "Release")]
        self.assertEqual([name for name in names if name.startswith("bench-")],
                         ["bench-switch", "bench-hold", "bench-hold-crowd", "bench-life", "bench-prompt", "bench-time",
                          "bench-user"])
        self.assertFalse([test for test in table.tests_of("riscv64") if test.limits])
        labels = {test.name: table.label_of(test) for test in table.tests_of("x86_64", "Release")}
        self.assertEqual((labels["bench-time"], labels["bench-user"], labels["shell-4"]),
                         ("bench", "bench", "boot"))

    def test_user_programs_are_held_to_their_targets(self):
        test = next(test for test in boottest.load_table().BENCHES if test.user_bench)
        limits = userbench.limits("aarch64")
        said = [f"KB {name} n=7 min=1 p50={limit} p99=3 max=4" for name, limit in limits.items()]
        self.assertEqual(len(limits), len(userbench.LINES))
        self.assertEqual(limits["null"], 123)
        self.assertEqual(self.judge(test, said, 0, arch="aarch64"), [])
        self.assertEqual(self.judge(test, said[1:], 0, arch="aarch64"), ["null: no count, at most 123"])
        slow = [said[0].replace("123", "124"), *said[1:]]
        self.assertEqual(self.judge(test, slow, 0, arch="aarch64"), ["null: 124, at most 123"])

    def test_rows_of_benchmarks_become_tables(self):
        said = ["info: bench-row: latency fifo,idle samples=2 max=1200\r", "bench-row: latency",
                "bench-place: preempt 456 CPU 0 preempt  456 ns, task 125, at f+0x42 (inside g+0x5)"]
        rows = showcase.bench_rows(said)
        self.assertEqual(rows, [("latency", "fifo,idle", {"samples": "2", "max": "1,200"}),
                                ("longest", "preempt", {"ns": "456", "place": "f+0x42 (inside g+0x5)"})])
        first, second = showcase.row_tables({("riscv64", 4): rows})
        self.assertEqual(first.splitlines()[2].split(), ["fifo,idle", "4", "riscv64", "2", "1,200"])
        self.assertIn("f+0x42 (inside g+0x5)", second)

    def test_a_test_may_name_another_image(self):
        table = boottest.load_table()
        kit = next(test for test in table.tests_of("riscv64") if test.name == "port-check-4")
        self.assertEqual(boottest.machine_of(kit, "riscv64", "b").image, pathlib.Path("b/port-check-riscv64.img"))
        self.assertEqual(boottest.machine_of(self.plain, "riscv64", "b").elf, pathlib.Path("b/verdant-riscv64.elf"))
        self.assertEqual(self.judge(kit, ["port-check: levels 1..18 passed"], 0, arch="riscv64"), [])
        self.assertTrue(self.judge(kit, ["port-check: levels 1..18 passed"], 1, arch="riscv64"))
        self.assertTrue(self.judge(kit, ["level 18 park ..."], 0, arch="riscv64"))

    def test_a_hang_must_be_reported_for_every_cpu(self):
        states = [f"CPU {i}: pc 0xffffffff80000000 spin+0x4" for i in range(4)]
        self.assertEqual(self.judge(self.hang, [], None, "silent", states), [])
        self.assertTrue(self.judge(self.hang, [], None, "silent", states[:3]))
        self.assertTrue(self.judge(self.hang, [], 33))

    def test_too_little_memory_may_be_said_by_the_kernel_or_never_reach_it(self):
        self.assertEqual(self.judge(self.either, ["Verdant", "panic: out of memory", FRAME], 3), [])
        self.assertEqual(self.judge(self.either, ["firmware gave up"], None, "silent"), [])
        self.assertTrue(self.judge(self.either, ["Verdant", "panic: something else", FRAME], 3))
        self.assertTrue(self.judge(self.either, ["Verdant 1"], None, "silent"))
        self.assertTrue(self.judge(self.either, ["Verdant 1"], 33))


class Showing(unittest.TestCase):
    """What a failed boot test shows of the console."""

    def test_what_failed_long_before_the_end_is_shown_with_its_errors(self):
        failed = ["error: leak: ids: 4 before, 5 after", "info: noise", "error: check failed: a == b (x.c:1)",
                  "selftest: FAILED sched: all is well"]
        lines = ["error: meant", "selftest: ok     exit: an error that is meant", *failed, *["noise"] * 200, "last"]
        shown = boottest.seen_last(lines)
        self.assertEqual(shown[:4], [f"  | {line}" for line in (failed[0], *failed[2:])] + ["  ..."])
        self.assertEqual(shown[4:], ["  | noise"] * (boottest.TAIL_LINES - 1) + ["  | last"])

    def test_what_the_end_shows_is_not_shown_twice(self):
        self.assertEqual(boottest.seen_last(["error: check failed: x (x.c:1)", "last"]),
                         ["  | error: check failed: x (x.c:1)", "  | last"])

    def test_a_check_that_fails_for_ever_does_not_fill_the_screen(self):
        shown = boottest.seen_last(["error: check failed: x (x.c:1)"] * 1000)
        self.assertEqual(len(shown), boottest.FAILURE_LINES + 2 + boottest.TAIL_LINES)
        self.assertEqual(shown[boottest.FAILURE_LINES], f"  ... {1000 - 40 - 100} more such lines")


class Stalling(unittest.TestCase):
    """A machine that stands still at times; here a process that counts."""

    def test_the_seed_and_the_name_say_when(self):
        def first(plan):
            return [next(plan) for _ in range(20)]

        self.assertEqual(first(stall.moments("1 a")), first(stall.moments("1 a")))
        self.assertNotEqual(first(stall.moments("1 a")), first(stall.moments("2 a")))
        with unittest.mock.patch.dict(os.environ):
            os.environ.pop(stall.VARIABLE, None)
            self.assertIsNone(stall.plan_for("a"))
            os.environ[stall.VARIABLE] = "1"
            self.assertEqual(first(stall.plan_for("a")), first(stall.moments("1 a")))

    def test_it_stands_still_and_goes_on(self):
        sent = []
        child = types.SimpleNamespace(send_signal=sent.append)
        plan = iter([(0.0, 0.0), (0.0, 0.0)])
        staller = stall.Staller(child, plan)
        staller.thread.join()
        staller.close()
        self.assertEqual(sent, [signal.SIGSTOP, signal.SIGCONT] * 2)
        self.assertEqual(staller.note(), "stopped 2 times, for 0.0 s in all")

    def test_it_is_never_left_stopped(self):
        stopped = threading.Event()
        sent = []

        def send(number):
            sent.append(number)
            stopped.set()

        staller = stall.Staller(types.SimpleNamespace(send_signal=send), iter([(0.0, 3600.0)]))
        stopped.wait()
        staller.close()
        self.assertEqual(sent, [signal.SIGSTOP, signal.SIGCONT])

    def test_without_a_plan_nothing_happens(self):
        staller = stall.Staller(None, None)
        staller.close()
        self.assertEqual(staller.note(), "")


class Reading(unittest.TestCase):
    def test_the_result_line_is_read_or_refused(self):
        self.assertEqual(showcase.parse_result(["x", RESULT])["firmware"], "PVH,_ACPI")
        self.assertIsNone(showcase.parse_result(["showcase: starting"]))
        self.assertIsNone(showcase.parse_result([RESULT.replace(" leaks=0", "")]))

    def test_a_row_shows_a_failure_as_one(self):
        values = showcase.parse_result([RESULT])
        self.assertEqual(showcase.row("x86_64", values, True)[-1], "ok")
        self.assertEqual(showcase.row("x86_64", values, False)[-1], "FAILED")
        self.assertEqual(showcase.row("x86_64", values, True)[4], "31.2 ms")
        self.assertEqual(len(showcase.row("x86_64", None, False)), len(showcase.COLUMNS))

    def test_ctest_results_are_counted(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "r.xml"
            path.write_text('<testsuite><testcase name="a" status="run"/><testcase name="b" status="fail"/>'
                            '<testcase name="c" status="notrun"/></testsuite>', encoding="utf-8")
            count = build.read_results(path, "host")
        self.assertEqual((count.passed, count.failed, count.names), (1, 2, ["host: b", "host: c"]))

    def test_a_table_is_aligned(self):
        lines = report.table(["name", "n"], [["a", "1"], ["long", "1,000"]]).splitlines()
        self.assertEqual(lines, ["name      n", "----  -----", "a         1", "long  1,000"])

    def test_registers_of_each_machine_are_found(self):
        dumps = {"x86_64": "RIP=ffffffff80001234 RFL", "aarch64": " PC=ffffffff80001234 X00",
                 "riscv64": " pc       ffffffff80001234\n"}
        for arch, dump in dumps.items():
            self.assertRegex(dump, monitor.REGISTERS[arch][0])

    def test_an_address_outside_the_kernel_gets_no_name(self):
        symbols = types.SimpleNamespace(addresses=[0x1000], names=["start"], line=lambda address: "", slide=0)
        self.assertEqual(monitor.Symbols.name(symbols, 0x1010), "start+0x10")
        self.assertEqual(monitor.Symbols.name(symbols, 0xfff), "outside the kernel")
        self.assertEqual(monitor.Symbols.name(symbols, 0x80000000), "outside the kernel")
        symbols.slide = 0x200000
        self.assertEqual(monitor.Symbols.name(symbols, 0x201010), "start+0x10")
        self.assertEqual(monitor.Symbols.name(symbols, 0x1010), "outside the kernel")


class Refusing(unittest.TestCase):
    def test_cpu_counts(self):
        self.assertEqual(machine.parse_cpus("8", ["aarch64"], "direct"), 8)
        for text, way in (("0", "direct"), ("-1", "direct"), ("4x", "direct"), ("99999", "direct"), ("64", "uboot")):
            with self.assertRaises(Failure):
                machine.parse_cpus(text, ["riscv64"], way)

    def test_memory_sizes(self):
        self.assertEqual([machine.parse_memory(text) for text in ("16", "16m", "2GiB")], ["16M", "16M", "2G"])
        for text in ("", "0", "-1M", "M", "1Q", "512K", "2000G"):
            with self.assertRaises(Failure):
                machine.parse_memory(text)

    def test_the_interrupt_controller_follows_the_cpu_count(self):
        self.assertIn("gic-version=2", machine.board(a_machine("aarch64", cpus=8)))
        self.assertIn("gic-version=3", machine.board(a_machine("aarch64", cpus=9)))
        self.assertEqual(machine.board(a_machine("aarch64", board_options="gic-version=max")), "virt,gic-version=max")


class Needs(unittest.TestCase):
    def test_boot_tests_and_random_calls_compile_programs(self):
        for words in (["test"], ["test", "boot"], ["fuzz", "riscv64"], ["bench", "user"],
                      ["stress", "riscv64"]):
            self.assertIn("programs-riscv64", verdant.needs(verdant.parse(words)), msg=words)
        for words in (["test", "unit"], ["run", "riscv64"], ["bench", "sched"]):
            self.assertNotIn("programs-riscv64", verdant.needs(verdant.parse(words)), msg=words)


class RandomCalls(unittest.TestCase):
    def parse(self, *words):
        parser = argparse.ArgumentParser()
        fuzz.add_options(parser)
        return parser.parse_args(words)

    def test_wrong_words_are_refused_before_anything_is_built(self):
        for words in ([], ["vax"], ["riscv64", "--minutes", "x"], ["riscv64", "--seed", "-1"],
                      ["riscv64", "--cpus", "0"]):
            with self.assertRaises(Failure, msg=words):
                fuzz.check(self.parse(*words))

    def run_with(self, *outcomes):
        """The exit code and what was printed, of a run whose boots end like that, one each half minute."""
        options = self.parse("riscv64", "--seed", "7")
        fuzz.check(options)
        clock = iter(range(0, 10000, 30))
        printed = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, \
                unittest.mock.patch.object(fuzz.build, "build"), \
                unittest.mock.patch.object(fuzz.build, "image", return_value=("i", "e")), \
                unittest.mock.patch.object(fuzz.programs, "check_archive", return_value=b""), \
                unittest.mock.patch.object(fuzz.time, "monotonic", lambda: next(clock)), \
                unittest.mock.patch.object(fuzz.runner, "run") as boots, \
                unittest.mock.patch("sys.stdout", printed):
            log = pathlib.Path(folder) / "log"
            log.write_text("")
            for end in outcomes:
                end.log = unittest.mock.Mock(wraps=log, unlink=lambda: None)
            boots.side_effect = outcomes
            return fuzz.run(options, unittest.mock.Mock()), printed.getvalue(), boots

    def test_seeds_follow_each_other_and_failures_are_told(self):
        good = outcome(["fuzz: 50 of 100 calls, 3 refused", "fuzz: 100 of 100 calls, 9 refused", "fuzz: ok"], 42)
        good.code = fuzz.WELL
        leak = outcome(["fuzz: 80 of 100 calls, 9 refused", "fuzz: FAILED: it leaks"], 1)
        leak.code = 1
        code, text, boots = self.run_with(good, leak)
        self.assertEqual(code, 1)
        self.assertIn("2 boots, 180 calls, 1 failures; seed 8", text)
        self.assertEqual([call.args[0].append.split()[-1] for call in boots.call_args_list], ["7", "8"])
        code, text, _ = self.run_with(good, good)
        self.assertEqual((code, text), (0, "fuzz riscv64: 2 boots, 200 calls, 0 failures\n"))
        hang = outcome([], None, "silent for 600 s")
        self.assertEqual(self.run_with(good, hang)[0], 1)


class Stress(unittest.TestCase):
    def parse(self, *words):
        parser = argparse.ArgumentParser()
        stress.add_options(parser)
        return parser.parse_args(words)

    def test_wrong_words_are_refused_before_anything_is_built(self):
        for words in ([], ["vax"], ["riscv64", "--minutes", "x"], ["riscv64", "--only", "cpu,no-such"]):
            with self.assertRaises(Failure, msg=words):
                stress.check(self.parse(*words))
        options = self.parse("riscv64", "--only", "pipe,cpu")
        stress.check(options)
        self.assertEqual(options.steps, ["cpu", "pipe"])

    def test_the_machine_is_told_the_steps_and_for_how_long(self):
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder) / "initrd"
            base.write_bytes(b"base")
            with unittest.mock.patch.object(stress.foreign, "archive", return_value=cpio.Archive()), \
                    unittest.mock.patch.object(stress.programs, "build_full", return_value=base):
                data = stress.initrd("riscv64", {"cpu": "stress-ng --cpu 2", "run": "stress run 1 1"}, 3, None)
        self.assertEqual(data[:4096], b"base".ljust(4096, b"\0"))
        self.assertIn(b"set -- steps /etc/steps 3\n", data)
        self.assertIn(b"cpu stress-ng --cpu 2\nrun stress run 1 1\n", data)

    def test_a_step_that_failed_in_one_round_or_never_ended_is_told(self):
        lines = ["steps: end 1 cpu: 0, 0, 4 s, stress: as before: 7 tasks, 900 KiB free, -80",
                 "steps: end 1 pipe: 0, 1, 4 s, stress: NOT as before: 9 tasks, were 7; 900 KiB free, were 990",
                 "steps: end 1 fork: 0, 0, 4 s, stress: as before: 7 tasks, 900 KiB free, +0",
                 "steps: end 2 cpu: 0, 0, 4 s, stress: as before: 7 tasks, 900 KiB free, -81",
                 "steps: end 2 fork: 3, 0, 4 s, stress: as before: 7 tasks, 900 KiB free, +0",
                 "steps: end 3 fork: 0, 0, 4 s, stress: as before: 7 tasks, 900 KiB free, +0",
                 "stress-ng: info:  [7] skipped: 2: tee (2)",
                 "steps: end 3 tee: 0, 0, 0 s, stress: as before: 7 tasks, 900 KiB free, +0",
                 "stress-ng: info:  [7] skipped: 0",
                 "steps: end 3 dup: 0, 0, 0 s, stress: as before: 7 tasks, 900 KiB free, +0"]
        steps = stress.read(lines, ["cpu", "pipe", "fork", "sem", "tee", "dup"])
        self.assertEqual({name: step.is_good for name, step in steps.items()},
                         {"cpu": True, "pipe": False, "fork": False, "sem": False, "tee": False, "dup": True})
        self.assertEqual((steps["cpu"].rounds, steps["cpu"].kept, steps["cpu"].tasks), (2, "-81", "7"))
        self.assertEqual([steps[name].verdict for name in ("fork", "sem", "tee")],
                         ["status 3", "did not end", "stress-ng skips it"])
        self.assertEqual(steps["cpu"].seconds, "4")


class ForeignPrograms(unittest.TestCase):
    def test_what_a_program_needs_is_read_from_it(self):
        loader, libraries = foreign.wants(pathlib.Path(sys.executable).resolve().read_bytes())
        self.assertRegex(loader, r"^/lib.*/ld-linux")
        self.assertTrue(any(name.startswith("libc.so") for name in libraries), msg=libraries)
        self.assertEqual(foreign.wants(b"#!/bin/sh\n"), ("", []))

    def test_a_library_that_no_package_has_is_told(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            (folder / "usr/bin").mkdir(parents=True)
            shutil.copy(pathlib.Path(sys.executable).resolve(), folder / "usr/bin/python")
            with self.assertRaisesRegex(Failure, "usr/bin/python needs .*, which is in none of the packages"):
                foreign.needed(folder, ["usr/bin/python"], "x86_64-linux-gnu")

    def test_files_go_where_the_initrd_has_its_folders(self):
        for path, name in (("usr/bin/x", "bin/x"), ("usr/sbin/x", "bin/x"), ("usr/lib/a/libc.so.6", "lib/a/libc.so.6"),
                           ("usr/lib64/ld.so", "lib64/ld.so"), ("etc/x", "etc/x")):
            self.assertEqual(foreign.initrd_name(path), name)


class Simulator(unittest.TestCase):
    def parse(self, *words):
        parser = argparse.ArgumentParser()
        sim.add_options(parser)
        return parser.parse_args(words)

    def test_wrong_words_are_refused_before_anything_is_built(self):
        for words in (["no-such-story"], ["--seeds", "0"], ["--seeds", "9..3"], ["--seeds", "x"], ["--cpus", "1025"],
                      ["--cpus", "0"], ["--minutes", "-1"], ["--strategy", "best"], ["--sanitizer", "memory"],
                      ["--gdb"], ["--trace", "f"], ["--replay", "random:pct:4:1"], ["--replay", "random:pct:0:1:1"],
                      ["random", "--replay", "random:pct:4:1:1"], ["--docs"], ["--steps", "0"], ["--bound", "9"]):
            with self.assertRaises(Failure, msg=words):
                sim.check(self.parse(*words))

    def test_right_words_reach_the_program(self):
        options = self.parse("random", "--seeds", "3..5", "--strategy", "pct", "--strategy", "uniform",
                             "--minutes", "2")
        sim.check(options)
        self.assertEqual(sim.words(options), ["random", "--seeds", "3..5", "--minutes", "2", "--strategy", "pct",
                                              "--strategy", "uniform"])
        self.assertTrue(sim.is_campaign(options))
        self.assertFalse(sim.is_campaign(self.parse("--list")))
        self.assertFalse(sim.is_campaign(self.parse("--strategy", "exhaustive")))

    def test_a_debugger_stops_at_the_same_step(self):
        options = self.parse("--replay", "random:pct:4:1:1", "--gdb", "--stop-at", "77")
        sim.check(options)
        command = sim.debugger("sim", sim.words(options))
        self.assertEqual(command[command.index("--args") + 1:],
                         ["sim", "--replay", "random:pct:4:1:1", "--stop-at", "77", "--here"])
        self.assertIn("handle SIGSEGV nostop noprint pass", command)
        self.assertIn("break host_stop_here", command)

    def test_the_scenarios_of_the_source_are_known(self):
        self.assertLessEqual({"random", "wake-migrate", "join-exit"}, sim.scenario_names())


class UserBench(unittest.TestCase):
    def test_counts_are_the_medians_of_the_lines_that_were_measured(self):
        counts = userbench.parse(["KB null n=100 min=1 p50=134 p99=3 max=4 mean=134.4 ns/call batch=500",
                                  "KB futex_cross SKIP needs two CPUs", "KB fork FAIL signal 9", "null p50=7"])
        self.assertEqual(counts, {"null": 134})

    def test_a_line_above_its_target_or_without_a_count_is_missed(self):
        rows = {row[0]: row for row in userbench.rows("x86_64", {"null": 128, "yield2": 694, "fork": 65950})}
        self.assertEqual(rows["empty call"], ["empty call", "128", "128", "0.40", "ok"])
        self.assertEqual(rows["fair yield switch"][-1], "MISSED")
        self.assertEqual(rows["fork + exit + wait"][1:3], ["65,950", "65,950"])
        self.assertEqual(rows["page touch"][1:], ["-", "1,430", "-", "MISSED"])


class BootDisk(unittest.TestCase):
    def test_a_script_carries_right_checksums(self):
        blob = disk.script("echo hi\n")
        magic, header_sum = struct.unpack_from(">II", blob)
        data_sum = struct.unpack_from(">I", blob, 24)[0]
        self.assertEqual(magic, 0x27051956)
        self.assertEqual(header_sum, zlib.crc32(blob[:4] + b"\0\0\0\0" + blob[8:64]))
        self.assertEqual(data_sum, zlib.crc32(blob[64:]))

    def test_a_file_is_read_back_along_its_chain(self):
        content = bytes(range(256)) * 100
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "disk"
            disk.write_image(path, {"A.TXT": b"first", "IMAGE": content, "EMPTY": b""})
            with open(path, "rb") as image:
                image.seek(disk.PARTITION_START * disk.SECTOR)
                volume = image.read(1 << 20)  # the tables and the files; the rest is a hole
        fat_at = disk.RESERVED_SECTORS * disk.SECTOR
        root_at = fat_at + 2 * disk.FAT_SECTORS * disk.SECTOR
        data_at = root_at + disk.ROOT_ENTRIES * 32
        cluster_bytes = disk.SECTORS_PER_CLUSTER * disk.SECTOR
        entry = volume[root_at + 32:root_at + 64]
        cluster, size = struct.unpack_from("<HI", entry, 26)
        self.assertEqual((entry[:11], size), (b"IMAGE      ", len(content)))
        read = b""
        while cluster < 0xFFF8:
            read += volume[data_at + (cluster - 2) * cluster_bytes:][:cluster_bytes]
            cluster = struct.unpack_from("<H", volume, fat_at + 2 * cluster)[0]
        self.assertEqual(read[:size], content)

    def test_what_does_not_fit_is_refused(self):
        with self.assertRaises(ValueError):
            disk.directory_entry("much-too-long.txt", 2, 1)


class Defects(unittest.TestCase):
    """Whether they are found takes ./verdant sim --defects some minutes. That they fit the sources is seen here."""

    def setUp(self):
        self.table = defects.load_table()

    def test_each_text_occurs_once_and_is_changed(self):
        for defect in self.table.DEFECTS:
            with self.subTest(defect.name):
                changed = defects.Tree(pathlib.Path("none"), defect.build).changed_by(defect)
                for file, text in changed.items():
                    self.assertNotEqual(text, (ROOT / file).read_text(encoding="utf-8"))

    def test_a_text_that_is_gone_is_named(self):
        kinds = sys.modules["seeded_defects.kinds"]
        gone = kinds.Defect("gone", "", ("sanity",), kinds.edit("core/smp/cpu.c", "no such text", ""))
        with self.assertRaisesRegex(Failure, "defect gone: its text occurs 0 times in core/smp/cpu.c"):
            defects.Tree(pathlib.Path("none"), "plain").changed_by(gone)

    def test_names_are_those_of_the_simulator(self):
        promises = (ROOT / "test/sim/promise.c").read_text(encoding="utf-8")
        stories = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "test/sim").glob("scenario_*.c"))
        names = [defect.name for defect in self.table.DEFECTS]
        self.assertEqual(len(names), len(set(names)))
        for defect in self.table.DEFECTS:
            with self.subTest(defect.name):
                self.assertIn(defect.build, self.table.BUILDS)
                self.assertLessEqual(set(defect.breaks), set(self.table.PROMISES))
                for scenario in defect.scenarios:
                    self.assertIn(f'.name = "{scenario}"', stories)
        for promise in self.table.PROMISES:
            self.assertIn(f'= {{ "{promise}"', promises)

    def test_the_first_violation_is_read(self):
        said = ("x:pct:4:8:11: wake-once: 'a' sleeps on\nbroken promise: ...\nscenario  runs\n"
                "done: 72 runs, 3456 steps, 5 s, 700 steps/s with 1 jobs, 1 runs told twice, 1 failures\n")
        found = defects.found_in(said)
        self.assertEqual((found.promise, found.spec, found.seed, found.runs, found.steps),
                         ("wake-once", "x:pct:4:8:11", 11, 72, 3456))
        self.assertIsNone(defects.found_in(said.splitlines()[-1]))

    def test_what_is_wrong_is_said(self):
        table = types.SimpleNamespace(DEFECTS=self.table.DEFECTS[:2], PROMISES=("tlb",))
        first, second = table.DEFECTS
        wrong = defects.Found("tlb", "what", "x:pct:4:8:11", "x", "pct", 11, 72, 3456)
        problems = defects.judge(table, [first, second], {first.name: None, second.name: wrong})
        self.assertEqual([problem.split(":")[0] for problem in problems], [first.name, second.name])
        problems = defects.judge(table, [first], {first.name: None})
        self.assertEqual(len(problems), 1)  # all promises are asked for only if all defects were

    def test_rows_take_the_place_of_their_own(self):
        table = types.SimpleNamespace(DEFECTS=[types.SimpleNamespace(name=name) for name in ("one", "two", "three")])
        begin, end = defects.BEGIN, defects.END
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "table.md"
            path.write_text(f"before\n{begin}\n| gone | old |\n| three | old |\n| one | old |\n{end}\nbehind\n")
            defects.write_docs(table, [("two", "new"), ("three", "new")], path)
            self.assertEqual(path.read_text(), f"before\n{begin}\n{defects.markdown([])}\n| one | old |\n"
                                               f"| two | new |\n| three | new |\n{end}\nbehind\n")

    def test_what_was_found_is_known_until_the_source_changes(self):
        first, second = self.table.DEFECTS[:2]
        found = defects.Found("tlb", "what", "x:pct:4:8:11", "x", "pct", 11, 72, 3456)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "core").mkdir()
            (folder / "core" / "a.c").write_text("1")
            for part in defects.COPIED:
                (folder / part).mkdir(exist_ok=True)
            defects.Ledger(folder / "build", folder).keep(first, found)
            again = defects.Ledger(folder / "build", folder)
            self.assertEqual((again.has(first), again.has(second), again.found(first)), (True, False, found))
            changed = dataclasses.replace(first, seeds=first.seeds + 1)
            self.assertFalse(again.has(changed))
            (folder / "core" / "a.c").write_text("2")
            self.assertFalse(defects.Ledger(folder / "build", folder).has(first))


class Holds(unittest.TestCase):
    WRITTEN = "locks 2\nhold 12 3 a0 b0 a0+4 b0+9\nhold 40 1 c0 d0 c0+40\n"

    def test_the_longest_comes_first(self):
        locks, holds = hold.parse(self.WRITTEN)
        self.assertEqual((locks, [found.instructions for found in holds]), (2, [40, 12]))
        self.assertEqual((holds[1].times, holds[1].taken, holds[1].freed), (3, 0xa0, 0xb0))
        self.assertEqual(holds[1].path, [(0xa0, 4), (0xb0, 9)])

    def test_a_plugin_that_saw_too_little_gives_no_count(self):
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / "holds"
            wrong = [hold.lines(None, out, 2)]
            for text, cpus in ((self.WRITTEN, 4), ("locks 2\n", 2)):
                out.write_text(text, encoding="utf-8")
                wrong.append(hold.lines(None, out, cpus))
        for console in wrong:
            self.assertTrue(boottest.problems_of_counts(console, {"runq_hold": 500}))

    def test_a_hold_beyond_its_limit_is_a_problem(self):
        self.assertTrue(boottest.problems_of_counts(["bench: runq_hold 501 ns"], {"runq_hold": 500}))
        self.assertEqual(boottest.problems_of_counts(["bench: runq_hold 500 ns"], {"runq_hold": 500}), [])


if __name__ == "__main__":
    unittest.main()
