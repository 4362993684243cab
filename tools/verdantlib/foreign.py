# SPDX-License-Identifier: MIT
"""Programs of Debian's that nobody here wrote, for an ISA, as an archive behind an initrd: each with the dynamic loader
and the libraries that it asks for, at the paths where Debian has them.

A recipe is a list of packages. They are fetched once, into build/programs/ISA/foreign/NAME. What a program needs is
read from the program, so a library that no package of the list has is told before anything is booted."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import struct

from . import Failure, cpio, debian, programs

ELF_HEAD_BYTES = 64
SEGMENT_DYNAMIC, SEGMENT_INTERPRETER, SEGMENT_LOAD = 2, 3, 1
TAG_END, TAG_NEEDED, TAG_STRINGS = 0, 1, 5
LIBRARY_FOLDERS = ("usr/lib/{triplet}", "usr/lib", "lib/{triplet}", "lib", "usr/lib64")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Some programs, and the packages that they and their libraries are in."""

    name: str
    programs: tuple         # paths of files in the packages
    packages: tuple
    only: dict = dataclasses.field(default_factory=dict)    # ISA: packages that there are for it alone
    folders: tuple = ()     # paths of folders that the programs read


LIBC = ("libc6", "libgcc-s1")
STRESS = Recipe(
    "stress",
    ("usr/bin/stress-ng", "usr/bin/hackbench", "usr/bin/cyclictest", "usr/bin/pi_stress", "usr/bin/signaltest",
     "usr/bin/ptsematest", "usr/bin/sigwaittest", "usr/bin/ssdd"),
    ("stress-ng", "rt-tests", *LIBC, "libstdc++6", "libnuma1", "libacl1", "libapparmor1", "libbsd0", "libmd0",
     "libcrypt1", "libjpeg62-turbo", "libjudydebian1", "libkmod2", "libegl1", "libgles2", "libglvnd0", "libmpfr6",
     "libgmp10", "libgbm1", "libdrm2", "libexpat1", "libsctp1", "libxxhash0", "zlib1g", "libzstd1", "liblzma5",
     "libssl3t64"),
    {"x86_64": ("libipsec-mb2",)},
)


def triplet(isa):
    return programs.TARGETS[isa].prefix


def fetched(isa, recipe, progress):
    """The folder with the files of the recipe's packages; "versions" in it has a line for each."""
    folder = programs.FOLDER / isa / "foreign" / recipe.name
    packages = [*recipe.packages, *recipe.only.get(isa, ())]
    if versions(folder).keys() == set(packages):
        return folder
    with debian.fetch_lock(folder.parent):
        if versions(folder).keys() != set(packages):
            progress.step(f"{isa}: fetching {recipe.name}: {len(packages)} packages of Debian")
            fetch(isa, recipe, packages, folder)
    return folder


def fetch(isa, recipe, packages, folder):
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with debian.unpacked(packages, folder.parent, programs.TARGETS[isa].arch) as (files, found):
            text = "".join(f"{package} {version}\n" for package, version in sorted(found.items()))
            (files / "versions").write_text(text, encoding="ascii")
            files.rename(folder)
    except Failure as failure:
        raise Failure(f"{isa}: cannot fetch {recipe.name} ({failure}); it is fetched once, with a network") from failure


def versions(folder):
    """{package: version}; nothing if it is not there."""
    with contextlib.suppress(FileNotFoundError):
        text = (folder / "versions").read_text(encoding="ascii")
        return dict(line.split(" ", 1) for line in text.splitlines())
    return {}


def archive(isa, recipes, progress):
    """A cpio.Archive with the programs of the recipes, and what these need."""
    made = cpio.Archive()
    for recipe in recipes:
        folder = fetched(isa, recipe, progress)
        for path in needed(folder, recipe.programs, triplet(isa)):
            made.file(initrd_name(path), resolved(folder, path).read_bytes(), 0o755)
        for path in recipe.folders:
            made.tree(folder / path, path)
    return made


def initrd_name(path):
    """Where a file of the packages goes: the initrd's /usr/bin and /usr/sbin are /bin, and its /lib no link."""
    for old, new in (("usr/bin/", "bin/"), ("usr/sbin/", "bin/"), ("sbin/", "bin/"), ("usr/lib64/", "lib64/"),
                     ("usr/lib/", "lib/")):
        if path.startswith(old):
            return new + path[len(old):]
    return path


def needed(folder, wanted, machine):
    """Paths of the programs and of all that they ask for, directly or not."""
    found, todo = {}, [(path, path) for path in wanted]
    while todo:
        path, asker = todo.pop()
        if path in found:
            continue
        if not resolved(folder, path).is_file():
            raise Failure(f"{asker} needs {path}, which is in none of the packages")
        found[path] = True
        loader, libraries = wants(resolved(folder, path).read_bytes())
        todo += [(library_path(folder, name, machine, path), path) for name in libraries]
        if loader:
            todo.append((loader_path(folder, loader, machine), path))
    return sorted(found)


def library_path(folder, name, machine, asker):
    for pattern in LIBRARY_FOLDERS:
        path = f"{pattern.format(triplet=machine)}/{name}"
        if os.path.lexists(folder / path):
            return path
    raise Failure(f"{asker} needs {name}, which is in none of the packages")


def loader_path(folder, loader, machine):
    """Where it is asked for, if it is there in the package, too, or else, where the kernel asks for it: /lib/NAME."""
    path = loader.strip("/")
    for candidate in (f"usr/{path}", path):
        if os.path.lexists(folder / candidate):
            return candidate
    return library_path(folder, pathlib.Path(loader).name, machine, loader)


def resolved(folder, path):
    """The file behind links, those to absolute paths among them, which mean the folder's."""
    at = folder / path
    for _ in range(8):
        if not at.is_symlink():
            break
        target = os.readlink(at)
        at = folder / target.lstrip("/") if target.startswith("/") else at.parent / target
    return at


def wants(data):
    """(path of the dynamic loader or "", names of libraries) of an ELF file's bytes; a script wants nothing."""
    if data[:4] != b"\x7fELF" or len(data) < ELF_HEAD_BYTES:
        return "", []
    at, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQ", data, at + size * i) for i in range(count)]
    loader, names = "", []
    for kind, _, offset, _, _, length in segments:
        if kind == SEGMENT_INTERPRETER:
            loader = text_at(data, offset)
        elif kind == SEGMENT_DYNAMIC:
            tags = [struct.unpack_from("<QQ", data, place) for place in range(offset, offset + length, 16)]
            tags = tags[:next((i for i, (tag, _) in enumerate(tags) if tag == TAG_END), len(tags))]
            strings = file_offset(segments, dict(tags).get(TAG_STRINGS, 0))
            names = [text_at(data, strings + value) for tag, value in tags if tag == TAG_NEEDED]
    return loader, names


def file_offset(segments, address):
    for kind, _, offset, start, _, length in segments:
        if kind == SEGMENT_LOAD and start <= address < start + length:
            return address - start + offset
    raise Failure("a program's table of strings is in no segment")


def text_at(data, at):
    return data[at:data.index(b"\0", at)].decode()
