# SPDX-License-Identifier: MIT
"""Tests of the program `schedlab`: the same words give the same bytes, table and trace tell the same story, files are
what their formats say, wrong words and wrong workloads are refused, nothing is left behind. Arguments: the program, the
folder of the shipped workloads."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

from verdantlib import schedlab as tool

PROGRAM = ""
SHIPPED = pathlib.Path()
SHORT = {"classes": "80ms", "desktop": "200ms", "control": "100ms", "batch": "20s", "herd": "60ms", "noisy": "300ms",
         "stride": "900ms"}

PINNED = """
duration 100ms
group even count 2   # on a CPU of its own: half of it each
  affinity 1
  run 1ms
group beat           # 100 passes of 200 us
  policy fifo 50
  affinity 0
  every 1ms
  run 200us
"""


def schedlab(*words, status=0, **other):
    done = subprocess.run([PROGRAM, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **other)
    if done.returncode != status:
        raise AssertionError(f"schedlab {words}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout if status == 0 else done.stderr


class Scratch(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def workload(self, text, name="w.lab"):
        path = self.folder / name
        path.write_text(text, encoding="latin-1")
        return path

    def run_text(self, text, *words):
        return tool.parse_table(schedlab(self.workload(text), *words))


class Shipped(unittest.TestCase):
    """Each runs, does something in every group, and keeps its CPUs busy within reason."""

    def run_one(self, name, passive=()):
        counts, times = tool.parse_table(schedlab(SHIPPED / f"{name}.lab", "--duration", SHORT[name]))
        for group, row in counts.items():
            if group not in passive:
                self.assertGreater(row["bursts"], 0, group)
            self.assertGreaterEqual(row["tasks"], row["ended"], group)
        self.assertTrue(all(row["p50"] <= row["p90"] <= row["p99"] <= row["max"] for row in times.values()))
        self.assertAlmostEqual(sum(row["CPU-ms"] for row in counts.values()), 2 * counts["all"]["CPU-ms"], delta=0.1)
        return counts, times

    def test_classes(self):
        counts, times = self.run_one("classes")
        self.assertAlmostEqual(counts["deadline"]["CPU-ms"], 10, delta=2)  # 1 ms in each 8, less than it wants
        self.assertEqual(counts["fifo"]["passes"], counts["rr"]["passes"])
        self.assertGreater(counts["rr"]["preempted"], counts["fifo"]["preempted"])
        self.assertGreater(counts["idle"]["CPU-ms"], 10)
        self.assertLess(times["fifo", "pass"]["max"], times["rr", "pass"]["max"])

    def test_desktop(self):
        counts, _ = self.run_one("desktop", ("typist", "window", "indexer"))
        self.assertEqual(counts["sound"]["misses"], 0)

    def test_control(self):
        counts, _ = self.run_one("control")
        self.assertEqual(counts["sensor"]["misses"], 0)
        self.assertEqual(counts["watchdog"]["misses"], 0)
        self.assertAlmostEqual(counts["sensor"]["passes"], 200, delta=2)

    def test_batch(self):
        counts, times = self.run_one("batch")
        self.assertEqual(counts["all"]["ended"], counts["all"]["tasks"])
        self.assertEqual(times["crunch", "turnaround"]["count"], 24)

    def test_herd(self):
        counts, times = self.run_one("herd")
        self.assertAlmostEqual(counts["worker"]["passes"], 400, delta=200)
        self.assertGreater(times["worker", "wake"]["count"], 300)

    def test_noisy(self):
        counts, times = self.run_one("noisy")
        self.assertEqual(counts["noise"]["tasks"], 24)
        self.assertGreater(times["service", "wake"]["count"], 50)

    def test_stride(self):
        counts, _ = self.run_one("stride")
        shared = sum(counts[group]["CPU-ms"] for group in ("forty", "twenty", "ten", "five"))
        self.assertAlmostEqual(shared, 900 * 0.99, delta=3)  # `clock` has the rest
        for group, tickets in (("forty", 40), ("twenty", 20), ("ten", 10), ("five", 5)):
            # A slice of its own, and one of another, at the beginning and at the end.
            self.assertAlmostEqual(counts[group]["CPU-ms"], shared * tickets / 75, delta=4.5)


class Huge(Scratch):
    """The workload of 100,000 tasks on 1,024 CPUs, a sixteenth of it: as many tasks on each CPU, for less long."""

    PARTS = 16

    def small(self):
        text = (SHIPPED / "huge.lab").read_text(encoding="ascii")
        return re.sub(r"\b(cpus|count) (\d+)", lambda match: f"{match[1]} {int(match[2]) // self.PARTS}", text)

    def test_all_are_launched_and_told_of(self):
        path = self.workload(self.small())
        said = schedlab(path, "--duration", "1s")
        counts, times = tool.parse_table(said)
        tasks = {"crunch": 60000, "nap": 30000, "ask": 5000, "answer": 5000}
        self.assertEqual({group: row["tasks"] for group, row in counts.items() if group != "all"},
                         {group: count // self.PARTS for group, count in tasks.items()})
        launched, length = (float(re.search(rf"{word} ([\d.]+)", said)[1]) for word in ("launched in", "seed 1,"))
        self.assertLess(launched, length / 2)
        # The last one of those that compute had its turn: each of 60 waits for the others.
        self.assertGreaterEqual(counts["crunch"]["passes"], counts["crunch"]["tasks"])
        self.assertGreater(counts["crunch"]["jain"], 0.7)
        self.assertGreater(times["nap", "pass"]["count"], counts["nap"]["tasks"])
        self.assertGreater(counts["answer"]["passes"], 0)
        self.assertEqual(schedlab(path, "--duration", "1s"), said)


class Numbers(Scratch):
    def test_what_can_be_reckoned_comes_out(self):
        counts, times = self.run_text(PINNED, "--cpus", 2)
        even, beat = counts["even"], counts["beat"]
        self.assertAlmostEqual(even["CPU-ms"], 100, delta=1)
        self.assertGreater(even["jain"], 0.99)
        self.assertAlmostEqual(even["bursts"], 98, delta=3)
        self.assertAlmostEqual(beat["passes"], 100, delta=1)
        self.assertAlmostEqual(beat["CPU-ms"], 20, delta=0.5)
        self.assertEqual(beat["misses"], 0)
        self.assertEqual(beat["migrated"], 0)
        self.assertAlmostEqual(times["beat", "pass"]["p50"], 200, delta=200 / 32 + 3)
        self.assertLess(times["beat", "wake"]["p99"], 5)

    def test_weights_decide_the_share(self):
        counts, _ = self.run_text("duration 500ms\ngroup high\n run 1ms\ngroup low\n policy fair nice 5\n run 1ms\n",
                                  "--cpus", 1)
        self.assertAlmostEqual(counts["high"]["CPU-ms"] / counts["low"]["CPU-ms"], 1024 / 335, delta=0.15)

    def test_a_pass_that_cannot_be_done_in_time_is_a_miss(self):
        counts, _ = self.run_text("duration 100ms\ngroup late\n every 10ms deadline 2ms\n run 3ms\n", "--cpus", 1)
        self.assertEqual(counts["late"]["misses"], counts["late"]["passes"])
        self.assertAlmostEqual(counts["late"]["passes"], 10, delta=1)

    def test_signals_are_counted_and_joins_wait_for_the_end(self):
        text = ("duration 1s\ngroup give count 3\n repeat 4\n sleep 1ms\n signal go 5\n"
                "group take count 5\n repeat 12\n wait go\n run 10us\n"
                "group last\n repeat 1\n join take\n run 1us\n")
        counts, times = self.run_text(text, "--cpus", 2)
        self.assertEqual(counts["take"]["passes"], 60)  # 3 givers, 4 times, 5 signals each
        self.assertEqual(counts["all"]["ended"], 9)
        self.assertGreaterEqual(times["last", "turnaround"]["max"], times["take", "turnaround"]["max"] * 0.9)

    def test_a_mutex_is_held_by_one_at_a_time(self):
        counts, _ = self.run_text("duration 100ms\ngroup a count 8\n hold m 1ms\n", "--cpus", 4)
        self.assertAlmostEqual(counts["a"]["CPU-ms"], 100, delta=2)
        self.assertAlmostEqual(counts["a"]["passes"], 99, delta=3)

    def test_arrivals_follow_each_other_and_the_group_before(self):
        text = ("duration 1s\ngroup a count 3\n repeat 1\n arrive 10ms every 20ms\n run 1ms\n"
                "group b\n repeat 1\n after a\n arrive 5ms\n run 1ms\n")
        said = schedlab(self.workload(text))
        ended = float(re.search(r"seed 1, ([\d.]+) ms of", said)[1])
        self.assertAlmostEqual(ended, 10 + 2 * 20 + 1 + 5 + 1, delta=0.3)

    def test_the_trace_has_the_cpu_time_of_the_table(self):
        path = self.workload(PINNED, "pinned.lab")
        counts, _ = tool.parse_table(schedlab(path, "--cpus", 2, "--out", self.folder))
        events = json.loads((self.folder / "pinned.json").read_text(encoding="ascii"))["traceEvents"]
        for group in ("even", "beat"):
            ran = sum(event["dur"] for event in events if event.get("cat") == group) / 1000
            self.assertAlmostEqual(ran, counts[group]["CPU-ms"], delta=1)


class Determinism(Scratch):
    def files(self, folder, *words):
        out = self.folder / folder
        said = schedlab(SHIPPED / "desktop.lab", "--duration", "100ms", "--out", out, *words)
        return said, {path.name: path.read_bytes() for path in sorted(out.iterdir())}

    def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(self):
        first, second, other = self.files("a"), self.files("b"), self.files("c", "--seed", 2)
        self.assertEqual(sorted(first[1]), ["desktop.html", "desktop.json", "desktop.svg", "desktop.txt"])
        self.assertEqual(first, second)
        self.assertTrue(all(first[1][name] != other[1][name] for name in first[1]))
        self.assertEqual(first[0], first[1]["desktop.txt"].decode("ascii"))


class Formats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.folder = pathlib.Path(cls.scratch.name)
        schedlab(SHIPPED / "control.lab", "--duration", "50ms", "--out", cls.folder)
        many = cls.folder / "many.lab"
        many.write_text("duration 200ms\ngroup a count 64\n run 50us\n sleep 50us\ngroup b count 300\n run 1ms\n",
                        encoding="ascii")
        schedlab(many, "--cpus", 64, "--out", cls.folder)

    def read(self, name):
        return (self.folder / name).read_text(encoding="ascii")

    def test_the_trace_keeps_the_rules_of_its_format(self):
        events = json.loads(self.read("control.json"))["traceEvents"]
        self.assertGreater(len(events), 100)
        ends = {}
        for event in events:
            self.assertIn(event["ph"], ("X", "M"))
            self.assertIsInstance(event["name"], str)
            self.assertEqual(event["pid"], 1)
            self.assertIn(event["tid"], (1, 2))
            if event["ph"] == "M":
                self.assertIn(event["name"], ("process_name", "thread_name"))
                self.assertIsInstance(event["args"]["name"], str)
                continue
            self.assertEqual(set(event), {"ph", "pid", "tid", "ts", "dur", "name", "cat"})
            self.assertGreater(event["dur"], 0)
            self.assertTrue(event["name"].startswith(event["cat"] + "/"))
            start = round(event["ts"] * 1000)
            self.assertGreaterEqual(start, ends.get(event["tid"], 0))   # one task at a time on a CPU
            ends[event["tid"]] = start + round(event["dur"] * 1000)

    def rects(self, name):
        root = xml.etree.ElementTree.fromstring(self.read(name))
        view = next(node for node in root.iter("{http://www.w3.org/2000/svg}svg") if node.get("class") == "view")
        return [node for node in view if node.get("class") != "lane"]

    def test_few_stretches_are_drawn_one_by_one_with_their_names(self):
        slices = [event for event in json.loads(self.read("control.json"))["traceEvents"] if event["ph"] == "X"]
        rects = self.rects("control.svg")
        self.assertEqual(len(rects), len(slices))
        self.assertTrue(all(rect[0].text for rect in rects))
        self.assertTrue(all(0 <= int(rect.get("x")) <= 1000000 for rect in rects))

    def test_many_stretches_become_a_picture_of_bounded_size(self):
        slices = json.loads(self.read("many.json"))["traceEvents"]
        rects = self.rects("many.svg")
        self.assertGreater(len(slices), 30000)
        self.assertGreater(len(rects), 64)
        self.assertLess(len(rects), 60000)
        self.assertEqual({rect.get("class")[:2] for rect in rects} - {"k"}, {"g0", "g1"})

    def test_the_page_is_complete_in_itself(self):
        page = self.read("control.html")
        self.assertEqual(re.findall(r'(?:src|href)="', page), [])
        self.assertIn("<svg", page)
        self.assertIn(self.read("control.txt").splitlines()[0], page)
        self.assertEqual(set(re.findall(r"https?://[^\"' )]+", page)), {"http://www.w3.org/2000/svg"})


class Refusals(Scratch):
    def test_help_says_what_the_words_are(self):
        said = schedlab("--help")
        for word in ("WORKLOAD", "--cpus", "--seed", "--duration", "--out"):
            self.assertIn(word, said)

    def test_wrong_words_get_a_sentence(self):
        path = self.workload("group a\nrun 1ms\n")
        for words, says in (((), "which workload"), (("nowhere.lab",), "nowhere.lab: No such file"),
                            ((path, path), "one workload"), ((path, "--cpus", "0"), "--cpus 0: give a number"),
                            ((path, "--cpus", "1025"), "1 to 1024"), ((path, "--seed", "x"), "--seed x"),
                            ((path, "--duration", "5"), "--duration 5"), ((path, "--duration", "0s"), "--duration 0s"),
                            ((path, "--out"), "needs a value"), ((path, "--best"), "--best: no such word")):
            said = schedlab(*words, status=2)
            self.assertIn(says, said)
            self.assertEqual(said.count("\n"), 1)

    def test_a_wrong_workload_is_refused_with_its_place(self):
        said = schedlab(self.workload("group a\n  run 5 ms\n"), status=2)
        self.assertRegex(said, r"w\.lab:2:7: no time such as 20ms, 0 to 3600s: '5'\n$")
        self.assertIn(":1:1:", schedlab(self.workload("\x00\xff"), status=2))
        self.assertIn("64 KiB", schedlab(self.workload("#" * 70000), status=2))

    def test_what_this_kernel_cannot_do_is_refused_by_it(self):
        said = schedlab(self.workload("group a\n affinity 7\n run 1ms\n"), "--cpus", 2, status=2)
        self.assertIn("no CPU of its affinity is online", said)
        said = schedlab(self.workload("duration 20ms\ngroup a count 3\n"
                                      " policy deadline runtime 1ms deadline 2ms period 3ms\n run 1ms\n"),
                        "--cpus", 1, status=1)
        self.assertIn("group a: task 2: no CPU has room for its runtime in each deadline", said)

    def test_deadline_tasks_have_what_they_were_promised(self):
        said = schedlab(self.workload("duration 100ms\ngroup a count 2\n"
                                      " policy deadline runtime 1ms deadline 2ms period 2ms\n every 2ms\n run 900us\n"
                                      "group hog\n run 1ms\n"), "--cpus", 1)
        self.assertRegex(said, r"\na +2 +0 +1\d\d +1\d\d .* 0\n")  # the last column: misses

    def test_a_folder_that_cannot_be_is_named(self):
        path = self.workload("duration 1ms\ngroup a\nrun 1ms\n")
        self.assertIn("Not a directory", schedlab(path, "--out", path / "x", status=1))

    def test_ctrl_c_leaves_nothing(self):
        path = self.workload("duration 3600s\ngroup a count 2000\n run 10us\n sleep 10us\n")
        out = self.folder / "out"
        with subprocess.Popen([PROGRAM, path, "--cpus", "64", "--out", out], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, start_new_session=True) as child:
            # Its child is there: the run has begun.
            listing = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children")
            while child.poll() is None and not listing.read_text(encoding="ascii"):
                pass
            subprocess.run(["kill", "-INT", "--", f"-{child.pid}"], check=True)
            child.communicate()
        self.assertEqual(child.returncode, -signal.SIGINT)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["w.lab"])


class Agreement(unittest.TestCase):
    """What --against takes for agreement: the comparison can fail."""

    TABLE = ("group tasks ended passes bursts CPU-ms % jain switches preempted migrated misses\n"
             "a 1 0 {passes} 100 50.0 {share} 1.0 9 9 9 0\n"
             "group time count mean-us p50 p90 p99 max\n"
             "a wake {count} 1 {a} 9 9 9\n"
             "b wake 90 1 {b} 9 9 9\n")

    def differences(self, **other):
        right = {"passes": 100, "share": 50.0, "a": 20.0, "b": 90.0, "count": 90}
        parse = (tool.parse_table(self.TABLE.format(**values)) for values in (right, right | other))
        return tool.differences(*parse)

    def test_what_is_within_the_tolerance_agrees(self):
        self.assertEqual(self.differences(), [])
        self.assertEqual(self.differences(passes=107, share=52.9, a=60.0, b=70.0), [])
        self.assertEqual(self.differences(a=190.0, count=9), [])  # the median of so few is chance

    def test_what_is_beyond_it_is_named(self):
        self.assertRegex("\n".join(self.differences(passes=109)), "100 passes simulated, 109 booted")
        self.assertRegex("\n".join(self.differences(share=54.0)), "50.0% .*simulated, 54.0% booted")
        self.assertRegex("\n".join(self.differences(a=190.0)), "wake-ups of a come before those of b")


if __name__ == "__main__":
    PROGRAM, SHIPPED = sys.argv[1], pathlib.Path(sys.argv[2])
    del sys.argv[1:3]
    unittest.main()
