# SPDX-License-Identifier: MIT
"""Tests of the `sim` program itself: the same words give the same run, timelines are what their format says, scripts
are read back, wrong words are refused. Its one argument is the program."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
RUN = "random:{strategy}:{cpus}:1:{seed}"
HASH = re.compile(r"(\d+) steps, (\d+) ns, hash ([0-9a-f]{16})")
STRATEGIES = ("uniform", "round-robin", "pct", "adversary", "order", "uneven", "delay", "postpone")


def sim(*words, status=0):
    done = subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != status:
        raise AssertionError(f"sim {' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout if status != 2 else done.stderr


class Determinism(unittest.TestCase):
    def test_the_same_words_give_the_same_run_in_a_child_and_here(self):
        for number, strategy in enumerate(STRATEGIES):
            said = sim("--replay", RUN.format(strategy=strategy, cpus=number + 2, seed=number), "--twice")
            runs = HASH.findall(said)
            self.assertEqual(len(runs), 3, said)
            self.assertEqual(len(set(runs)), 1, said)

    def test_another_process_gives_the_same_run(self):
        spec = RUN.format(strategy="uniform", cpus=3, seed=5)
        self.assertEqual(*(HASH.search(sim("--replay", spec)).groups() for _ in range(2)))

    def test_another_seed_gives_another_run(self):
        runs = {HASH.search(sim("--replay", RUN.format(strategy="pct", cpus=2, seed=seed)))[3] for seed in range(3)}
        self.assertEqual(len(runs), 3)

    def test_a_recorder_changes_nothing(self):
        spec = RUN.format(strategy="uniform", cpus=3, seed=5)
        with tempfile.TemporaryDirectory() as folder:
            traced = sim("--replay", spec, "--trace", f"{folder}/t.json")
        self.assertEqual(HASH.search(traced).groups(), HASH.search(sim("--replay", spec)).groups())


class Timeline(unittest.TestCase):
    """The rules of the trace event format that readers insist on."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "t.json"
            sim("--replay", RUN.format(strategy="uniform", cpus=3, seed=1), "--trace", str(path))
            cls.trace = json.loads(path.read_text(encoding="ascii"))
        cls.events = cls.trace["traceEvents"]

    def test_every_event_has_what_its_phase_needs(self):
        self.assertGreater(len(self.events), 100)
        for event in self.events:
            self.assertIn(event["ph"], ("X", "i", "M", "s", "f"))
            self.assertIsInstance(event["name"], str)
            self.assertEqual(event["pid"], 1)
            self.assertGreater(event["tid"], 0)
            if event["ph"] == "M":
                self.assertIn(event["name"], ("thread_name", "thread_sort_index"))
                continue
            self.assertGreaterEqual(event["ts"], 0)
            if event["ph"] == "X":
                self.assertGreaterEqual(event["dur"], 0)
            if event["ph"] == "i":
                self.assertEqual(event["s"], "t")

    def test_slices_of_a_track_follow_each_other_or_nest(self):
        tracks = {}
        for event in self.events:
            if event["ph"] == "X":
                start = round(event["ts"] * 1000)
                tracks.setdefault(event["tid"], []).append((start, -round(event["dur"] * 1000)))
        self.assertGreaterEqual(len(tracks), 3)
        for slices in tracks.values():
            open_ends = []
            for start, length in sorted(slices):
                while open_ends and open_ends[-1] <= start:
                    open_ends.pop()
                self.assertTrue(not open_ends or start - length <= open_ends[-1])
                open_ends.append(start - length)

    def test_every_cpu_has_a_named_track(self):
        names = {event["args"]["name"] for event in self.events if event["name"] == "thread_name"}
        self.assertLessEqual({"CPU 0", "CPU 1", "CPU 2"}, names)

    def test_arrows_lead_from_a_wake_to_a_later_run(self):
        begins = {event["id"]: event["ts"] for event in self.events if event["ph"] == "s"}
        ends = [event for event in self.events if event["ph"] == "f"]
        self.assertTrue(ends)
        for event in ends:
            self.assertLessEqual(begins[event["id"]], event["ts"])
            self.assertEqual(event["bp"], "e")


class Campaigns(unittest.TestCase):
    def test_a_campaign_leaves_a_report(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.txt"
            said = sim("small-wake", "wake-block", "--seeds", "3", "--strategy", "pct", "--jobs", "2", "--report",
                       str(path), "--label", "some version")
            written = path.read_text(encoding="utf-8")
        self.assertIn("some version", written)
        for text in (said, written):
            self.assertRegex(text, r"done: 6 runs, \d+ steps")
            self.assertRegex(text, r"(?m)^wake-block +3 +\d+ +0  -$")

    def test_an_exhaustive_search_counts_its_schedules(self):
        none = sim("small-wake", "--strategy", "exhaustive", "--bound", "0", "--jobs", "1")
        one = sim("small-wake", "--strategy", "exhaustive", "--bound", "1", "--jobs", "2")
        self.assertRegex(none, r": 1 schedules in 1 runs, .*: the bound is exhausted")
        self.assertGreater(int(re.search(r": (\d+) schedules", one)[1]), 1)
        self.assertIn("the bound is exhausted", one)

    def test_the_steps_of_a_campaign_are_bounded(self):
        said = sim("small-wake", "--steps", "1e5", "--jobs", "1")
        self.assertLess(int(re.search(r"done: (\d+) runs", said)[1]), 20)

    def test_scenarios_that_need_more_cpus_are_skipped_and_counted(self):
        every = sim("--list").count("\n")
        some = sim("--list", "--cpus", "1")
        said = sim("--cpus", "1", "--steps", "1", "--jobs", "1", "--strategy", "uniform")
        self.assertIn(f"skipped: {every - some.count(chr(10))} scenarios that need more than 1 CPU\n", said)
        self.assertLess(some.count("\n"), every)
        self.assertNotRegex(some, r"(?m)^plug-storm ")
        self.assertNotIn("skipped", sim("plug-storm", "--cpus", "2", "--seeds", "1", "--strategy", "uniform"))

    def test_a_named_scenario_that_needs_more_cpus_is_refused(self):
        said = sim("plug-storm", "--cpus", "1", status=2)
        self.assertRegex(said, r"^sim: --cpus 1: plug-storm says nothing with fewer than \d+ CPUs\n$")


class Words(unittest.TestCase):
    def test_wrong_words_get_one_line_and_status_2(self):
        for words in (["no-such-story"], ["--seeds", "x"], ["--seeds", "5..4"], ["--seeds"], ["--cpus", "0"],
                      ["--cpus", "1025"], ["--strategy", "script"], ["--nonsense"], ["--nonsense", "1"], ["--here"],
                      ["--trace", "f"], ["random", "--strategy", "exhaustive"], ["--replay", "random:uniform:4:1"],
                      ["--replay", "random:pct:0:1:1"], ["--replay", "/nonexistent"], ["--steps", "few"]):
            self.assertEqual(sim(*words, status=2).count("\n"), 1, words)

    def test_a_script_file_is_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.sim"
            path.write_text("# why\nrun random:script:3:1:5\n", encoding="ascii")
            plain = sim("--replay", str(path))
            preemptions = "".join(f"preempt 0 at {at} to {1 + at // 50 % 2}\n" for at in range(100, 100000, 50))
            path.write_text("# why\nrun random:script:3:1:5\n" + preemptions, encoding="ascii")
            other = sim("--replay", str(path))
            path.write_text("run random:script:3:1:5\npreempt zero\n", encoding="ascii")
            self.assertIn("no preemption", sim("--replay", str(path), status=2))
        self.assertEqual(HASH.search(plain).groups(), HASH.search(sim("--replay", "random:script:3:1:5")).groups())
        self.assertNotEqual(HASH.search(plain)[3], HASH.search(other)[3])

    def test_the_list_names_each_scenario_once(self):
        names = [line.split()[0] for line in sim("--list").splitlines()]
        self.assertGreaterEqual(len(names), 20)
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop()
    unittest.main()
