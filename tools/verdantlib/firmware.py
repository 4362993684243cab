# SPDX-License-Identifier: MIT
"""Where firmware comes from: Debian's packages, and one newer OpenSBI fetched into build/firmware/.

OpenSBI before 1.3 leaves a software interrupt pending in harts that wait to be started, so each of them spins in
M-mode: 64 harts then take many seconds to come up. Debian 12 has 1.1; the next release's package is unpacked beside
the build, never installed."""

import contextlib
import fcntl
import pathlib
import re
import shutil
import subprocess
import sys
import time

from . import BUILD, Failure, disk

FOLDER = BUILD / "firmware"
OPENSBI_WANTED = (1, 3)
OPENSBI_INSTALLED = pathlib.Path("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin")
UBOOT = {
    "aarch64": pathlib.Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin"),
    "riscv64": pathlib.Path("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"),
}
NEWER_SUITE = "trixie"
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FETCH_SECONDS = 180
RETRY_SECONDS = 600


def prepare(machine, scratch):
    """The firmware files of one machine, as machine.command() wants them; a boot disk is made in `scratch`."""
    files = {}
    if machine.arch == "riscv64":
        files["opensbi"] = opensbi()
    if machine.firmware == "uboot":
        files["uboot"] = existing(UBOOT[machine.arch], "u-boot-qemu")
        if machine.arch == "riscv64":
            files["disk"] = pathlib.Path(scratch) / "boot.disk"
            write_boot_disk(files["disk"], machine)
    machine.files = files
    return machine


def existing(path, package):
    if not path.exists():
        raise Failure(f"{path.name} of package {package} is missing: install {package}")
    return path


def write_boot_disk(path, machine):
    """U-Boot's own search finds the script, which loads the image and hands over the device tree it was given."""
    if "'" in machine.command_line:
        raise Failure("--append must not contain ' with U-Boot on riscv64: its shell could not pass it on")
    text = (f"setenv bootargs '{machine.command_line}'\n"
            "load ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} image\n"
            "booti ${kernel_addr_r} - ${fdtcontroladdr}\n")
    disk.write_image(path, {"BOOT.SCR": disk.script(text), "IMAGE": machine.image.read_bytes()})


def opensbi():
    """fw_dynamic.bin of an OpenSBI whose waiting harts sleep, if one can be had."""
    fetched = FOLDER / "opensbi" / "fw_dynamic.bin"
    installed = installed_opensbi_version()
    if installed and installed >= OPENSBI_WANTED and OPENSBI_INSTALLED.exists():
        return OPENSBI_INSTALLED
    if not fetched.exists():
        with fetch_lock():
            why = "" if fetched.exists() else fetch_opensbi(fetched)
        if why:
            existing(OPENSBI_INSTALLED, "opensbi")
            named = ".".join(map(str, installed)) if installed else "of unknown version"
            print(f"warning: using the installed OpenSBI {named}: harts that wait spin, so start-up is slow ({why})",
                  file=sys.stderr)
            return OPENSBI_INSTALLED
    return fetched


def installed_opensbi_version():
    if not shutil.which("dpkg-query"):
        return None
    query = ["dpkg-query", "-W", "-f=${Version}", "opensbi"]
    match = re.match(r"(\d+)\.(\d+)", subprocess.run(query, capture_output=True, text=True, check=False).stdout)
    return (int(match.group(1)), int(match.group(2))) if match else None


@contextlib.contextmanager
def fetch_lock():
    """Tests of one build may run side by side; one of them fetches."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_opensbi(target):
    """Download and unpack the newer package. Returns "" or why it could not be had (remembered for a while, so that a
    run of many boots on a machine without a network asks once)."""
    failed = FOLDER / "opensbi-unavailable"
    if failed.exists() and time.time() - failed.stat().st_mtime < RETRY_SECONDS:
        return failed.read_text(encoding="utf-8").strip()
    apt = FOLDER / "apt"
    try:
        if not shutil.which("apt-get") or not KEYRING.exists():
            raise Failure("no Debian package manager to fetch a newer one with")
        options = private_apt(apt)
        for step in (["update"], ["download", "opensbi"]):
            run_fetch_step(["apt-get", "-qq", *options, *step], apt)
        package = next(apt.glob("opensbi_*.deb"))
        run_fetch_step(["dpkg-deb", "-x", str(package), str(apt / "unpacked")], apt)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        shutil.copyfile(next(apt.glob("unpacked/usr/**/riscv64*/**/generic/fw_dynamic.bin")), partial)
        partial.rename(target)
    except (Failure, OSError, StopIteration) as error:
        why = str(error) or "the package holds no fw_dynamic.bin"
        failed.write_text(why + "\n", encoding="utf-8")
        return why
    finally:
        shutil.rmtree(apt, ignore_errors=True)
    return ""


def run_fetch_step(args, folder):
    try:
        done = subprocess.run(args, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{args[0]} did not answer within {FETCH_SECONDS} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [f"{args[0]} failed"]
        raise Failure(lines[0])


def private_apt(folder):
    """Options for an apt that shares only the system's mirrors and keys and writes below `folder` alone."""
    mirrors = debian_mirrors()
    if not mirrors:
        raise Failure("no Debian mirror among the package sources")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sources = folder / "newer.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirrors[0]} {NEWER_SUITE} main\n", encoding="utf-8")
    settings = {
        "Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null", "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache", "Acquire::Languages": "none", "APT::Sandbox::User": "",
        "APT::Get::List-Cleanup": "false", "APT::Update::Error-Mode": "any",
        "Acquire::Retries": "1", "Acquire::http::Timeout": "20",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def debian_mirrors():
    """The mirrors that this system takes Debian's main archive from: not security, not other vendors."""
    etc = pathlib.Path("/etc/apt")
    lists = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*"))]
    found = []
    for path in lists:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            pattern = r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+\S+\s+.*$"
            found += re.findall(pattern, text, re.MULTILINE)
        else:
            for line in re.findall(r"^URIs:\s*(.*)$", text, re.MULTILINE | re.IGNORECASE):
                found += line.split()
    return [uri for uri in found if re.search(r"/debian/?$", uri)]
