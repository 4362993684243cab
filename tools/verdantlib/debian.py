# SPDX-License-Identifier: MIT
"""Packages of Debian that are unpacked beside the build and never installed: of a newer release, or of another
architecture. Shares only the system's mirrors and keys; apt checks signatures as it always does."""

import contextlib
import fcntl
import pathlib
import re
import shutil
import subprocess
import urllib.parse

from . import Failure

NEWER_SUITE = "trixie"
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FETCH_SECONDS = 180


@contextlib.contextmanager
def fetch_lock(folder):
    """Tests of one build may run side by side; one of them fetches."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def unpacked(packages, folder, arch=None):
    """The folder with the files of the newer release's `packages`, a list, for Debian's architecture `arch` (None: this
    system's), and {package: version}. It is below `folder`, and gone afterwards. What they depend on is not fetched."""
    apt = folder / "apt"
    try:
        if not shutil.which("apt-get") or not KEYRING.exists():
            raise Failure(f"no Debian package manager to fetch {packages[0]} with")
        options = private_apt(apt, arch)
        for step in (["update"], ["download", *packages]):
            run_step(["apt-get", "-qq", *options, *step], apt)
        versions = {}
        for package in packages:
            found = sorted(apt.glob(f"{package}_*.deb"))
            if len(found) != 1:
                raise Failure(f"apt-get downloaded {len(found)} packages instead of one {package}")
            versions[package] = urllib.parse.unquote(found[0].name.split("_")[1])
            run_step(["dpkg-deb", "-x", str(found[0]), str(apt / "unpacked")], apt)
        yield apt / "unpacked", versions
    finally:
        shutil.rmtree(apt, ignore_errors=True)


def run_step(args, folder):
    try:
        done = subprocess.run(args, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{args[0]} did not answer within {FETCH_SECONDS} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [f"{args[0]} failed"]
        raise Failure(lines[0])


def private_apt(folder, arch):
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
    if arch is not None:  # as on a machine of that kind, with nothing installed
        (folder / "status").touch()
        settings |= {"APT::Architecture": arch, "APT::Architectures": arch, "Dir::State::Status": folder / "status",
                     "Dir::Etc::PreferencesParts": "/dev/null"}
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
