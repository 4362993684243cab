# SPDX-License-Identifier: MIT
"""CMake and CTest by preset: quiet unless something fails; test results are read from CTest's JUnit file."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree

from . import BUILD, LOGS, ROOT, Failure

END_SECONDS = 3


class BuildFailure(Failure):
    """A build that failed; its output has been shown."""


def jobs():
    return str(len(os.sched_getaffinity(0)))


@contextlib.contextmanager
def child_group(command, **pipes):
    """A child in a process group of its own. Whatever ends this program early interrupts the group first: the
    compilers, the tests and their machines end with it."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, process_group=0,
                          **pipes) as child:
        try:
            yield child
        except BaseException:
            end_group(child)
            raise


def end_group(child):
    """Ask the whole group to stop, give it time to clean up, and end what is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            child.poll()
            os.killpg(child.pid, 0)  # no such group: all of it has ended
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGKILL)


def build(preset, progress, target=None):
    """Configure if needed and build: everything, or one target. Returns the build folder."""
    progress.step(f"{preset}: building")
    folder = BUILD / preset
    steps = [["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "-j", jobs()]]
    steps[1] += ["--target", target] if target else []
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"build-{preset}.log"
    with open(log, "w", encoding="utf-8") as out:
        for step in steps:
            with child_group(step, stdout=out) as child:
                status = child.wait()
            if status != 0:
                out.flush()
                progress.line(log.read_text(encoding="utf-8", errors="replace").rstrip())
                raise BuildFailure(f"{preset}: {' '.join(step[:2])} failed")
    return folder


def image(folder, arch, name="verdant"):
    """An image and its ELF file in a build folder: the kernel's, or another one that cmake/image.cmake names."""
    return folder / f"{name}-{arch}.img", folder / f"{name}-{arch}.elf"


@dataclasses.dataclass
class Count:
    """Tests that passed and failed, and the names of those that failed."""

    passed: int = 0
    failed: int = 0
    names: list = dataclasses.field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.names += other.names

    def fail(self, name):
        self.failed += 1
        self.names.append(name)


def run_ctest(preset, group, progress, parallel):
    """Run the tests with label `group` in a preset's build folder and count them. No test at all is a failure."""
    results = BUILD / preset / f"results-{group}.xml"
    results.unlink(missing_ok=True)
    command = ["ctest", "--preset", preset, "--label-regex", f"^{group}$", "--output-junit", str(results),
               "--output-on-failure", "--no-tests=error", "-j", parallel]
    output = []
    with child_group(command, stdout=subprocess.PIPE, text=True, errors="replace") as child:
        for line in child.stdout:
            output.append(line.rstrip("\n"))
            show_test(preset, group, line, progress)
    count = read_results(results, preset)
    if count.failed or child.returncode != 0:
        progress.line("\n".join(failures(output)))
    if child.returncode != 0 and not count.failed:
        count.fail(f"{preset}: ctest of {group}")
    return count


def show_test(preset, group, line, progress):
    """CTest's "3/20 Test #3: name ....   Passed    1.20 sec", made shorter."""
    match = re.match(r"\s*(\d+)/(\d+) Test\s+#\d+: (\S+) \.*\s*(.*?)\s+([\d.]+) sec", line)
    if match:
        number, total, name, verdict, seconds = match.groups()
        verdict = verdict.strip("* ").lower()
        progress.step(f"{group} {preset} {number}/{total} {name}: {verdict} ({float(seconds):.1f} s)")


def failures(output):
    """CTest's output without its starts and passes, and without its closing lists: those are printed in the end."""
    kept = []
    for line in output:
        if re.match(r"\s*\d+% tests passed", line):
            break
        if not re.match(r"\s*Start +\d+:|.* Passed +[\d.]+ sec|Test project ", line):
            kept.append(line)
    return kept


def read_results(path, preset):
    count = Count()
    if not path.exists():
        return count
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        if case.get("status") == "run":
            count.passed += 1
        elif case.get("status") != "disabled":
            count.fail(f"{preset}: {case.get('name')}")
    return count
