# SPDX-License-Identifier: MIT
"""
The proof that the simulator finds bugs: each defect of test/sim/defects/ is put into a copy of the sources, and `sim`
looks for it, seed by seed, until a promise breaks. Below build/defects there is a copy and a build folder for each of
the plain, thread and address builds. The sources themselves are never changed. What was found is kept there as well:
the same source and the same words give the same run, so who is interrupted goes on where he was.
"""

import dataclasses
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys

from . import BUILD, ROOT, Failure, build, report

COPIED = ("CMakeLists.txt", "cmake", "core", "include", "arch", "test", "tools", "user")
SANITIZE = {"plain": "", "thread": "thread", "address": "address,undefined"}
SECONDS_MAX = 900                   # for one defect; a run that hangs is ended by its number of steps long before
BROKEN = re.compile(r"^(?P<spec>(?P<scenario>[^:\s]+):(?P<strategy>[^:\s]+):\d+:\d+:(?P<seed>\d+)): "
                    r"(?P<promise>[a-z-]+): (?P<what>.*)$", re.MULTILINE)
TOTAL = re.compile(r"^\w+: (?P<runs>\d+) runs, (?P<steps>\d+) steps", re.MULTILINE)
DOCS = ROOT / "docs" / "SIMULATOR.md"
BEGIN, END = "<!-- defects:begin -->", "<!-- defects:end -->"


def load_table(folder=ROOT / "test" / "sim" / "defects"):
    spec = importlib.util.spec_from_file_location("seeded_defects", folder / "__init__.py")
    module = sys.modules["seeded_defects"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclasses.dataclass
class Found:
    """Where a defect showed."""

    promise: str
    what: str
    spec: str
    scenario: str
    strategy: str
    seed: int
    runs: int   # until then, this one included
    steps: int  # of all these runs


class Ledger:
    """What was found before, of the same sources and the same defect. What only builds and judges is no source here,
    nor are the other defects."""

    OTHERS = ("tools/verdantlib", "test/sim/defects")

    def __init__(self, folder, root=ROOT):
        self.path = folder / "found.json"
        self.digest = self.digest_of(root)
        try:
            self.known = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.known = {}

    def digest_of(self, root):
        digest = hashlib.sha256()
        for path in sources(root):
            if not str(path).startswith(self.OTHERS):
                content = (root / path).read_bytes()
                digest.update(f"{path} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def key(self, defect):
        return hashlib.sha256((self.digest + repr(defect)).encode()).hexdigest()

    def has(self, defect):
        return self.key(defect) in self.known

    def found(self, defect):
        known = self.known[self.key(defect)]
        return Found(**known) if known else None

    def keep(self, defect, found):
        self.known[self.key(defect)] = dataclasses.asdict(found) if found else None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.known, indent=1), encoding="utf-8")
        new.replace(self.path)


def sources(root):
    """The files of a copy, below the root."""
    found = []
    for name in COPIED:
        top = root / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found.append(path.relative_to(root))
    return found


class Tree:
    """A copy of the sources, and a build of `sim` from it."""

    def __init__(self, folder, kind, root=ROOT):
        self.root = root
        self.kind = kind
        self.source = folder / kind / "src"
        self.build = folder / kind / "build"
        self.clean = folder / kind / "sim-clean"
        self.sim = self.build / "test" / "sim" / "sim"

    def sync(self):
        """Make the copy equal to the sources. What differs is written anew, so that it is newer than what was built."""
        wanted = set(sources(self.root))
        for path in wanted:
            self.write(path, (self.root / path).read_bytes())
            if not (self.source / path).stat().st_mode & 0o100 and (self.root / path).stat().st_mode & 0o100:
                (self.source / path).chmod(0o755)
        for path in [path for path in self.source.rglob("*") if path.is_file()]:
            if path.relative_to(self.source) not in wanted:
                path.unlink()

    def write(self, path, content):
        target = self.source / path
        if target.is_file() and target.read_bytes() == content:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def prepare(self, progress):
        """Configure, build the unchanged tree, keep its program for the control run."""
        progress.step(f"defects, {self.kind} build: copying and building the unchanged tree")
        self.source.mkdir(parents=True, exist_ok=True)
        self.sync()
        command = ["cmake", "-S", str(self.source), "-B", str(self.build), "-G", "Ninja",
                   "--toolchain", str(self.source / "cmake" / "toolchain.cmake"), "-DVERDANT_ARCH=host",
                   "-DCMAKE_BUILD_TYPE=Debug", "-DVERDANT_EXAMPLE_CLASS=ON",
                   f"-DVERDANT_SANITIZE={SANITIZE[self.kind]}"]
        self.command(command, "the unchanged tree")
        self.make("the unchanged tree")
        shutil.copy2(self.sim, self.clean)

    def make(self, what):
        self.command(["cmake", "--build", str(self.build), "--target", "sim", "-j", build.jobs()], what)

    def command(self, command, what):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              check=False)
        if done.returncode != 0:
            raise Failure(f"{self.kind} build of {what} failed:\n{(done.stdout + done.stderr).rstrip()}")

    def changed_by(self, defect):
        """The files of a defect as it wants them. An error if one of its texts is not there, or not alone."""
        changed = {}
        for edit in defect.edits:
            text = changed.get(edit.file) or (self.root / edit.file).read_text(encoding="utf-8")
            if text.count(edit.old) != 1:
                raise Failure(f"defect {defect.name}: its text occurs {text.count(edit.old)} times in {edit.file}, "
                              f"not once: {edit.old.strip().splitlines()[0].strip()}")
            changed[edit.file] = text.replace(edit.old, edit.new)
        return changed

    def apply(self, defect):
        changed = self.changed_by(defect)
        for file, text in changed.items():
            self.write(file, text.encode())
        return changed

    def restore(self, changed):
        for file in changed:
            self.write(file, (self.root / file).read_bytes())


def run_sim(program, words, seconds=SECONDS_MAX):
    """Exit status (None: too long) and what it said."""
    try:
        done = subprocess.run([str(program), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace")
    if done.returncode not in (0, 1):
        raise Failure(f"sim {' '.join(words)}: exit status {done.returncode}: {(done.stdout + done.stderr).rstrip()}")
    return done.returncode, done.stdout


def words_for(defect, seeds):
    """The campaign that looks for a defect. One job: the first violation is then always the same one."""
    words = [*defect.scenarios, "--seeds", seeds, "--jobs", "1", "--first", "--no-shrink"]
    for strategy in defect.strategies:
        words += ["--strategy", strategy]
    return words + (["--cpus", str(defect.cpus)] if defect.cpus else [])


def look(tree, defect):
    """The first violation with this defect, or None."""
    changed = tree.apply(defect)
    try:
        tree.make(f"defect {defect.name}")
        status, said = run_sim(tree.sim, words_for(defect, str(defect.seeds)))
        found = found_in(said)
        if status == 1 and found is None:
            raise Failure(f"defect {defect.name}: cannot read what sim said:\n{said[-2000:]}")
        return found if status == 1 else None
    finally:
        tree.restore(changed)


def found_in(said):
    """What a campaign said that ended with its first violation; None if it was ended before."""
    broken, total = BROKEN.search(said), TOTAL.search(said)
    if broken is None or total is None:
        return None
    return Found(broken["promise"], broken["what"], broken["spec"], broken["scenario"], broken["strategy"],
                 int(broken["seed"]), int(total["runs"]), int(total["steps"]))


def control(tree, finds, progress):
    """The unchanged program passes what broke the changed ones: all their runs up to the one that did. One line for
    each violation."""
    last = {}
    problems = []
    for defect, found in finds:
        seed = found.seed if found else defect.seeds - 1
        key = (defect.scenarios, defect.strategies, defect.cpus)
        if key not in last or last[key][1] < seed:
            last[key] = defect, seed
    for number, (defect, seed) in enumerate(last.values(), 1):
        progress.step(f"control run of the unchanged {tree.kind} build, {number} of {len(last)}")
        status, said = run_sim(tree.clean, words_for(defect, f"0..{seed}"), 4 * SECONDS_MAX)
        if status != 0:
            found = found_in(said)
            problems.append(f"unchanged tree, {tree.kind} build: " +
                            (f"{found.promise}: {found.spec}: {found.what}" if found else "took too long"))
    return problems


HEADER = ("Defect", "Mistake", "Build", "Found as", "By scenario, strategy", "Runs", "Steps")


def row(defect, found):
    start = (defect.name, defect.what, defect.build)
    if found is None:
        return (*start, "not found", "-", "-", "-")
    steps = f"{found.steps:,}" if found.steps else "-"  # a run that a sanitizer ends does not say how many it took
    return (*start, found.promise, f"{found.scenario}, {found.strategy}", f"{found.runs:,}", steps)


def markdown(rows):
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |" for cells in rows]
    return "\n".join(lines)


def write_docs(table, rows, path=DOCS):
    """These rows take the place of those of the same defects; the others stay. A defect that is no more has none."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise Failure(f"{path.name} has no place for the table: {BEGIN} and {END}, once each")
    head, rest = text.split(BEGIN)
    old, rest = rest.split(END)
    lines = {line.split("|")[1].strip(): line for line in (old + markdown(rows)).splitlines() if line.startswith("| ")}
    kept = [lines[defect.name] for defect in table.DEFECTS if defect.name in lines]
    path.write_text("\n".join([head + BEGIN, markdown([]), *kept, END + rest]), encoding="utf-8")


def judge(table, defects, results):
    """What is wrong with the results, one line each."""
    problems = []
    for defect in defects:
        found = results[defect.name]
        if found is None:
            problems.append(f"{defect.name}: not found in {defect.seeds} seeds")
        elif found.promise not in defect.breaks:
            problems.append(f"{defect.name}: found as {found.promise}, expected {' or '.join(defect.breaks)}: "
                            f"{found.spec}: {found.what}")
    if len(defects) == len(table.DEFECTS):
        shown = {found.promise for found in results.values() if found}
        problems += [f"no defect breaks {promise}" for promise in table.PROMISES if promise not in shown]
    return problems


def choose(table, names, root=ROOT):
    """Names, or `missing`: those that the document has no row for."""
    if names == ["missing"]:
        text = (root / DOCS.relative_to(ROOT)).read_text(encoding="utf-8")
        return [defect for defect in table.DEFECTS if f"\n| {defect.name} |" not in text]
    known = {defect.name: defect for defect in table.DEFECTS}
    for name in names:
        if name not in known:
            raise Failure(f"{name}: no such defect; right are: {', '.join(known)}")
    return [defect for defect in table.DEFECTS if not names or defect.name in names]


def run(names, writes_docs=False, folder=BUILD / "defects", root=ROOT):
    """Look for the defects (all if none is named). The exit status: 0 if each was found as what it is and the unchanged
    tree passes."""
    table = load_table()
    progress = report.Progress()
    defects = choose(table, names, root)
    ledger = Ledger(folder, root)
    results, problems = {}, []
    for kind in table.BUILDS:
        mine = [defect for defect in defects if defect.build == kind]
        if not mine:
            continue
        tree = Tree(folder, kind, root)
        for defect in mine:
            tree.changed_by(defect)
        tree.prepare(progress)
        for defect in mine:
            progress.step(f"defect {len(results) + 1} of {len(defects)}: {defect.name} ({kind} build)")
            try:
                if not ledger.has(defect):
                    ledger.keep(defect, look(tree, defect))
            except Failure as failed:   # one that does not compile is no reason to know nothing of the others
                results[defect.name] = None
                problems.append(str(failed))
                progress.line(f"{defect.name}: {failed}")
                continue
            found = results[defect.name] = ledger.found(defect)
            if writes_docs:
                write_docs(table, [row(defect, found)], root / DOCS.relative_to(ROOT))
            progress.line(f"{defect.name}: " + (f"{found.promise}, run {found.runs}: {found.spec}: {found.what}"
                                                if found else "NOT FOUND"))
        problems += control(tree, [(defect, results[defect.name]) for defect in mine], progress)
    problems = judge(table, defects, results) + problems
    rows = [row(defect, results[defect.name]) for defect in defects]
    progress.clear()
    print("\n" + report.table([HEADER[0], *HEADER[2:]], [(cells[0], *cells[2:]) for cells in rows]))
    print("\n".join(["", *problems, f"{len(defects)} defects, {sum(1 for found in results.values() if found)} found, "
                     f"{len(problems)} problems"]))
    return 1 if problems else 0
