# SPDX-License-Identifier: MIT
"""`./verdant stress ISA`: rt-tests and stress-ng, Debian's own, and the project's user/stress, one after the other on
one boot. Each step is bounded by a count of operations, must end with status 0, and must leave as much memory free and
as many tasks as there were before the first. The last part of the output is a table of the steps."""

import dataclasses
import pathlib
import re
import tempfile

from . import Failure, build, cpio, foreign, machine as machines, programs, report, runner

DEFAULTS = {"minutes": "0", "cpus": "2", "only": ""}
MEMORY = "1G"               # the programs and their libraries are files in it
BUDGET_SECONDS = 4 * 3600   # beside the minutes asked for; both are detectors of hangs
SILENCE_SECONDS = 1200
NG_SECONDS = 10             # of the machine's, for what is over in a few
COLUMNS = ("step", "rounds", "verdict", "seconds", "KiB more or less", "tasks")
SKIPPED = r"stress-ng: info: .* skipped: [1-9]"     # it ends with 0 all the same
STEPS_SCRIPT = programs.USER / "stress" / "steps.sh"


# stress-ng does not run this one as root.
AS_NOBODY = "cd /tmp && start-stop-daemon -S -c nobody -x /bin/stress-ng --"


def ng(name, count, more="", workers=2):
    """One stressor of stress-ng's, that many operations in each of the workers, or as many as there is time for: some
    look at the count only when the time is over, on Linux, too, and have -t 2."""
    return name, " ".join(("stress-ng", f"--{name} {workers} --{name}-ops {count}", f"-t {NG_SECONDS}", more)).strip()


STEPS = dict((
    ("run", "stress run 3 4"),
    ("hackbench", "hackbench -g 2 -l 50"),
    ("hackbench-pipe", "hackbench -p -g 2 -l 50"),
    ("hackbench-threads", "hackbench -T -g 2 -l 50"),
    ("hackbench-pipe-threads", "hackbench -p -T -g 2 -l 50"),
    ("cyclictest", "cyclictest -q -t 4 -p 80 -i 2000 -l 200"),
    ("cyclictest-all", "cyclictest -q -S -m -p 90 -i 2000 -l 200 --policy=rr"),
    ("signaltest", "signaltest -q -t 4 -p 80 -l 200"),
    ("ptsematest", "ptsematest -q -t 2 -p 80 -i 2000 -l 100"),
    ("sigwaittest", "sigwaittest -q -t 2 -p 80 -i 2000 -l 100"),
    # Computing.
    ng("cpu", 40), ng("cpu-sched", 20), ng("matrix", 40), ng("nop", 50), ng("atomic", 50), ng("memcpy", 20),
    # Processes and threads.
    ng("fork", 200), ng("vfork", 200), ng("clone", 100), ng("exit-group", 20), ng("zombie", 200), ng("wait", 200),
    ng("daemon", 100), ng("pthread", 200), ng("session", 50), ng("kill", 500),
    ("exec", AS_NOBODY + ng("exec", 20, "--exec-max 8")[1].replace("stress-ng", "", 1)),
    # Futexes and what is made of them.
    ng("futex", 2000), ng("mutex", 2000, "-t 2"), ng("sem", 2000, "-t 2"),
    # Bytes from one to the other.
    ng("pipe", 2000), ng("pipeherd", 2000, "-t 2"), ng("fifo", 500), ng("sockpair", 200), ng("eventfd", 2000),
    ng("poll", 200),
    ng("dup", 100), ng("full", 200), ng("null", 500), ng("zero", 200),
    # Signals.
    ng("signal", 2000), ng("signest", 50), ng("sigq", 2000), ng("sigrt", 500), ng("sigpending", 2000),
    ng("sigsuspend", 200), ng("sigsegv", 500), ng("sigfpe", 200), ng("sigabrt", 100), ng("sigchld", 200),
    ng("sigtrap", 200), ng("sigbus", 200), ng("sigxcpu", 2), ng("sigxfsz", 200),
    # Memory.
    ng("mmap", 20, "--mmap-bytes 16m"), ng("mmapfork", 2, "--mmapfork-bytes 16m"), ng("mmapmany", 200),
    ng("mmapfixed", 20), ng("mmapaddr", 200), ng("mprotect", 200), ng("munmap", 2),
    ng("mremap", 20, "--mremap-bytes 8m"), ng("madvise", 4), ng("mincore", 200), ng("mlock", 20),
    ng("msync", 50, "--msync-bytes 4m"), ng("brk", 2000), ng("stack", 50), ng("vm", 200, "--vm-bytes 16m"),
    ng("vm-segv", 20), ng("fault", 200), ng("memfd", 20, "--memfd-bytes 16m"), ng("shm", 20), ng("membarrier", 50),
    ng("malloc", 2000, "--malloc-bytes 8m"),
    # The scheduler, clocks and timers.
    ng("switch", 5000), ng("yield", 5000, "-t 2"), ng("affinity", 500), ng("nice", 20), ng("schedpolicy", 200),
    ng("schedmix", 20), ng("race-sched", 50), ng("context", 2000), ng("resched", 200), ng("nanosleep", 100),
    ng("clock", 200), ng("timer", 2000), ng("itimer", 2000), ng("hrtimers", 200), ng("vdso", 20000),
    # Files, and calls of all kinds.
    ng("get", 20), ng("set", 50), ng("getrandom", 200), ng("procfs", 2), ng("dir", 200, "--dir-dirs 256"),
    ng("dirdeep", 20, "--dirdeep-inodes 500"), ng("rename", 500), ng("link", 200), ng("symlink", 200),
    ng("flock", 500), ng("lockf", 200), ng("locka", 200), ng("lockofd", 200), ng("open", 200), ng("close", 200),
    ng("fstat", 200), ng("fallocate", 20, "--fallocate-bytes 4m"), ng("filename", 20), ng("chdir", 200),
    ng("chmod", 100), ng("iomix", 100, "--iomix-bytes 4m"), ng("hdd", 100, "--hdd-bytes 4m"),
    ng("seek", 200, "--seek-size 4m"), ng("copy-file", 2, "--copy-file-bytes 128m", 1), ng("sendfile", 100),
    ng("io", 200), ng("access", 50), ng("utime", 200), ng("readahead", 50, "--readahead-bytes 4m"), ng("env", 20),
    ng("getdent", 200), ng("enosys", 20),
))


@dataclasses.dataclass
class Step:
    """What is known of a step: of all its rounds the worst."""

    rounds: int = 0
    verdict: str = "did not end"
    seconds: str = ""       # of the machine's, of the last round
    kept: str = ""
    tasks: str = ""
    is_good: bool = False


def add_options(parser):
    machines.add_isa_options(parser, DEFAULTS)


def check(options):
    machines.check_isa(options.isa)
    if not re.fullmatch(r"\d{1,4}", options.minutes):
        raise Failure(f"--minutes {options.minutes}: give a number from 0, one round, to 9999")
    options.minutes = int(options.minutes)
    options.cpus = machines.parse_cpus(options.cpus, [options.isa], "direct")
    options.steps = [name for name in STEPS if not options.only or name in options.only.split(",")]
    unknown = [name for name in options.only.split(",") if name and name not in STEPS]
    if unknown:
        raise Failure(f"--only {unknown[0]}: steps are {', '.join(STEPS)}")


def initrd(isa, steps, minutes, progress):
    """The full one with Debian's programs, steps, {name: command}, and as its command the script that goes through
    them."""
    archive = foreign.archive(isa, [foreign.STRESS], progress)
    archive.file("bin/steps", STEPS_SCRIPT.read_bytes(), 0o755)
    archive.file("etc/steps", "".join(f"{name} {text}\n" for name, text in steps.items()).encode())
    archive.file("etc/session", f"piped=yes\nset -- steps /etc/steps {minutes}\n".encode())
    return padded(programs.build_full(isa, progress).read_bytes()) + archive.to_bytes()


def padded(data):
    return data + b"\0" * (-len(data) % cpio.ARCHIVE_ALIGNMENT)


def read(lines, names):
    """{name: Step} of the machine's lines, in the order of names."""
    steps = {name: Step() for name in names}
    is_skipped = False
    for text in lines:
        is_skipped = is_skipped or re.search(SKIPPED, text) is not None
        found = re.search(r"steps: end \d+ (\S+): (\d+), (\d+), (\d+) s, (.*)", text)
        if found is not None and found.group(1) in steps:
            note(steps[found.group(1)], found, is_skipped)
        is_skipped = is_skipped and found is None
    return steps


def note(step, found, is_skipped):
    """One more round of a step. A bad one is remembered."""
    status, same, step.seconds, kept = int(found.group(2)), int(found.group(3)), found.group(4), found.group(5)
    step.rounds += 1
    if step.rounds > 1 and not step.is_good:
        return
    step.is_good = status == 0 and same == 0 and not is_skipped
    step.verdict = ("ok" if step.is_good else f"status {status}" if status != 0 else "memory or tasks are missing"
                    if same != 0 else "stress-ng skips it")
    change = re.search(r"KiB free, ([+-]\d+)", kept)
    step.kept = change.group(1) if change else kept
    tasks = re.search(r"(\d+) tasks", kept)
    step.tasks = tasks.group(1) if tasks else ""


def run(options, progress):
    image, elf = build.image(build.build(f"{options.isa}-release", progress), options.isa)
    with tempfile.TemporaryDirectory(prefix="verdant-") as scratch:
        path = pathlib.Path(scratch) / "initrd"
        steps = {name: STEPS[name] for name in options.steps}
        path.write_bytes(initrd(options.isa, steps, options.minutes, progress))
        machine = machines.Machine(options.isa, image, elf, options.cpus, memory=MEMORY, append="loglevel=1",
                                   initrd=path)
        outcome = runner.run(machine, f"stress-{options.isa}", BUDGET_SECONDS + 60 * options.minutes, SILENCE_SECONDS,
                             on_line=lambda text: show(text, progress))
    progress.clear()
    steps = read(outcome.lines, options.steps)
    print(report.table(COLUMNS, [[name, step.rounds, step.verdict, step.seconds, step.kept, step.tasks]
                                 for name, step in steps.items()]))
    good = sum(step.is_good for step in steps.values())
    print(f"stress {options.isa}: {good} of {len(steps)} steps ended well; {outcome.ending(machine.isa)}; "
          f"all of it is in {outcome.log}")
    if outcome.hang:
        print("\n".join([*outcome.tail(), *outcome.summary()]))
    return 0 if good == len(steps) and outcome.code == 0 and not outcome.hang else 1


def show(text, progress):
    found = re.search(r"steps: begin (\d+) (\S+)", text)
    if found:
        progress.passing(f"stress: round {found.group(1)}: {found.group(2)}")
