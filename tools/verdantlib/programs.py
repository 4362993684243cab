# SPDX-License-Identifier: MIT
"""The user programs of each ISA, and the initrds made of them: build/ISA/initrd.cpio, a shell and its tools, and
build/ISA/initrd-full.cpio, which has the programs that check and measure the kernel as well. They are larger than the
shell, and what is in an initrd takes memory.

busybox comes from Debian's own package for that architecture; what is in user/ is compiled by Debian's compilers, with
their static C library. The same inputs give the same archive."""

import contextlib
import dataclasses
import pathlib
import re
import shutil
import subprocess

import gen_syscalls

from . import BUILD, ROOT, Failure, cpio, debian

FOLDER = BUILD / "programs"
USER = ROOT / "user"
APPLETS_LEAST = 200     # a static busybox of Debian has about 270
INITRD, FULL = "initrd.cpio", "initrd-full.cpio"


@dataclasses.dataclass(frozen=True)
class Target:
    """What Debian calls an ISA."""

    arch: str       # of packages
    prefix: str     # of compilers

    @property
    def compiler(self):
        return f"{self.prefix}-gcc"

    @property
    def packages(self):
        cross = f"gcc-{self.prefix.replace('_', '-')} and libc6-dev-{self.arch}-cross"
        return f"{cross} (on {self.arch} itself: gcc and libc6-dev)"


TARGETS = {
    "x86_64": Target("amd64", "x86_64-linux-gnu"),
    "aarch64": Target("arm64", "aarch64-linux-gnu"),
    "riscv64": Target("riscv64", "riscv64-linux-gnu"),
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A program of user/: /bin/NAME of the initrd."""

    name: str
    sources: str    # a pattern below user/
    flags: tuple
    numbers: str = ""   # a header, made here, with the numbers of the kernel's system calls


BARE = ("-std=gnu11", "-Wall", "-Wextra", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector",
        "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none", "-Wl,-z,noseparate-code")
HOSTED = ("-std=gnu11", "-Wall", "-Wextra", "-static", "-pthread", "-s")
PROGRAMS = (
    Program("kbench", "bench/kbench.c", HOSTED),
    Program("kbench-tiny", "bench/tiny.c", BARE),
    Program("check", "check/*.c", HOSTED),
    Program("stress", "stress/*.c", HOSTED),
)
# As /init of a machine each tells by its exit status whether all is well: boot tests.
CHECKS = {
    "procs": Program("check-procs", "bare/procs.c", BARE),
    "calls": Program("check-calls", "bare/calls.c", BARE),
    "signals": Program("check-signals", "bare/signals.c", BARE),
    "fuzz": Program("fuzz", "fuzz/*.c", HOSTED, "fuzz_calls.h"),
}


def check_archive(isa, name, files, progress):
    """An initrd with that check as /init, and `files`: (name, mode, bytes, or None: the first so many of /init)."""
    archive = cpio.Archive()
    program = compiled(isa, CHECKS[name], progress).read_bytes()
    archive.file("init", program, 0o755)
    for path, mode, data in files:
        archive.file(path, program[:data] if isinstance(data, int) else data, mode)
    return archive.to_bytes()


def build(isa, progress):
    """Fetch and make what is missing. Returns the path of the initrd with the shell."""
    progress.step(f"{isa}: building the initrd")
    archive = cpio.Archive()
    archive.tree(USER / "root")
    for name in ("bin", "dev", "mnt", "proc", "root", "sys", "tmp", "usr", "var"):
        archive.folder(name, 0o1777 if name == "tmp" else 0o755)
    for name, target in (("sbin", "bin"), ("usr/bin", "../bin"), ("usr/sbin", "../bin")):
        archive.link(name, target)
    archive.device("dev/console", 5, 1, 0o600)  # before /dev is mounted: what the first program is started with
    archive.device("dev/null", 1, 3, 0o666)
    shell = busybox(isa, progress).read_bytes()
    for name in applets(shell):
        archive.link(f"bin/{name}", "busybox")
    archive.file("bin/busybox", shell, 0o755)
    path = BUILD / isa / INITRD
    write_if_changed(path, archive.to_bytes())
    return path


def build_full(isa, progress):
    """The same with the project's programs in a second archive, compiled if they are older than their sources."""
    shell = build(isa, progress)
    archive = cpio.Archive()
    archive.file("bin/applets", (USER / "applets" / "applets.sh").read_bytes(), 0o755)
    for program in PROGRAMS:
        archive.file(f"bin/{program.name}", compiled(isa, program, progress).read_bytes(), 0o755)
    path = BUILD / isa / FULL
    write_if_changed(path, shell.read_bytes() + archive.to_bytes())
    return path


def session_archive(isa, session, progress):
    """The full initrd, and as its /etc/session: `session`, which user/root/init reads."""
    extra = cpio.Archive()
    extra.file("etc/session", session.encode())
    return build_full(isa, progress).read_bytes() + extra.to_bytes()


def write_if_changed(path, data):
    """A file that stays the same keeps its time, so nothing is made anew for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() == data:
        return
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.rename(path)


def busybox(isa, progress):
    """Debian's static busybox, fetched once."""
    path = FOLDER / isa / "busybox"
    if path.exists():
        return path
    with debian.fetch_lock(path.parent):
        if not path.exists():
            progress.step(f"{isa}: fetching busybox-static")
            with unpacked_busybox(isa, path.parent) as files:
                found = [file for file in files.glob("**/bin/busybox") if file.is_file()]
                if len(found) != 1:
                    raise Failure("the package busybox-static holds no bin/busybox")
                shutil.copyfile(found[0], path.with_suffix(".partial"))
                path.with_suffix(".partial").rename(path)
    return path


@contextlib.contextmanager
def unpacked_busybox(isa, folder):
    try:
        with debian.unpacked(["busybox-static"], folder, TARGETS[isa].arch) as (files, _):
            yield files
    except Failure as failure:
        raise Failure(f"{isa}: cannot fetch Debian's busybox-static, which the shell is made of ({failure}); it is "
                      "fetched once, with a network; --initrd FILE boots without it") from failure


def applets(binary):
    """The names that a busybox answers to, which another machine's cannot be asked for. They stand in it one after the
    other in ascending order, beginning with [ and [[."""
    at = binary.find(b"[\0[[\0")
    names = [""]
    while at >= 0:
        end = binary.find(b"\0", at)
        name = binary[at:end].decode("ascii", errors="replace")
        if name <= names[-1] or not re.fullmatch(r"[a-z0-9\[][\w.\[+-]*", name):
            break
        names.append(name)
        at = end + 1
    if len(names) < APPLETS_LEAST or "sh" not in names:
        raise Failure(f"busybox has {len(names) - 1} names where its table was looked for")
    return names[1:]


def sources_of(program):
    found = sorted(USER.glob(program.sources))
    if not found:
        raise Failure(f"user/{program.sources}: no such source")
    return found


def compiled(isa, program, progress):
    """The static program, compiled if it is older than its sources, their headers, or this file."""
    target = TARGETS[isa]
    path = FOLDER / isa / program.name
    sources = sources_of(program)
    inputs = [*sources, *sources[0].parent.glob("*.h"), pathlib.Path(__file__)]
    if program.numbers:
        header = path.parent / program.numbers
        path.parent.mkdir(parents=True, exist_ok=True)
        write_if_changed(header, gen_syscalls.numbers(gen_syscalls.read(gen_syscalls.TABLE), isa).encode())
        inputs.append(header)
    if path.exists() and path.stat().st_mtime > max(source.stat().st_mtime for source in inputs):
        return path
    compiler = shutil.which(target.compiler)
    if compiler is None:
        raise Failure(f"{target.compiler} is missing: install {target.packages}")
    progress.step(f"{isa}: compiling {program.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    args = [compiler, "-O2", f"-ffile-prefix-map={ROOT}/=", *program.flags, f"-I{path.parent}", "-o", str(partial),
            *(str(source.relative_to(ROOT)) for source in sources)]
    done = subprocess.run(args, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        progress.line(done.stderr.rstrip())
        missing = "cannot find -lc" in done.stderr or "No such file or directory" in done.stderr
        raise Failure(f"{isa}: {program.name} could not be compiled" +
                      (f": install {target.packages}" if missing else ""))
    partial.rename(path)
    return path
