# SPDX-License-Identifier: MIT
"""Writes cpio archives in the format "newc", the same bytes for the same entries: sorted by name, owned by root, with
no times. include/parse/cpio.h reads them; an initrd may be several archives one after the other. Contents of a page or
more begin at a page's beginning, as NULs behind their names make it: the kernel keeps such pages where they lie."""

import os
import pathlib
import stat

from . import Failure

ALIGNMENT = 4
PAGE_BYTES = 4096
ARCHIVE_ALIGNMENT = PAGE_BYTES
NAME_BYTES_MAX = 4096   # CPIO_NAME_MAX, and PATH_MAX of Linux
TRAILER = "TRAILER!!!"
MAGICS = (b"070701", b"070702")     # the second has checksums, which the kernel does not look at
HEAD_BYTES = 110


class Archive:
    """Entries by name; a name that is added again replaces the first."""

    def __init__(self):
        self.entries = {}

    def folder(self, name, mode=0o755):
        self.add(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        self.add(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor, mode):
        self.add(name, stat.S_IFCHR | mode, b"", (major, minor))

    def add(self, name, mode, data=b"", device=(0, 0)):
        name = name.strip("/")
        if not name or name == TRAILER or "\0" in name:
            raise Failure(f"{name!r} cannot be a name in an archive")
        self.entries[name] = (mode, data, device)

    def tree(self, path, name=""):
        """A file or folder of this system, and what is in it, as `name`. Links stay links."""
        path = pathlib.Path(path)
        try:
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                self.link(name, os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                self.file(name, path.read_bytes(), 0o755 if status.st_mode & 0o111 else 0o644)
            elif stat.S_ISDIR(status.st_mode):
                if name:
                    self.folder(name)
                for child in sorted(path.iterdir()):
                    self.tree(child, f"{name}/{child.name}")
            else:
                raise Failure(f"{path}: neither a file nor a folder nor a link")
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}") from error

    def parents(self):
        """Every folder on the way to an entry is an entry, too."""
        for name in list(self.entries):
            while "/" in name:
                name = name.rpartition("/")[0]
                if name not in self.entries:
                    self.folder(name)

    def to_bytes(self):
        self.parents()
        out = bytearray()
        # A folder's name is the beginning of the names in it, so it comes before them.
        for number, (name, (mode, data, device)) in enumerate(sorted(self.entries.items()), 1):
            out += entry(len(out), number, name, mode, data, device)
        out += entry(len(out), 0, TRAILER, 0, b"", (0, 0))
        return bytes(out.ljust(-(-len(out) // ARCHIVE_ALIGNMENT) * ARCHIVE_ALIGNMENT, b"\0"))


def names(data):
    """The names in archives one after the other, up to what is none."""
    found, at = set(), 0
    while at + HEAD_BYTES <= len(data):
        if data[at] == 0:
            at += 1
            continue
        try:
            if data[at:at + 6] not in MAGICS:
                break
            size, length = (int(data[at + start:at + start + 8], 16) for start in (54, 94))
        except ValueError:
            break
        if at + HEAD_BYTES + length + size > len(data):
            break
        name = data[at + HEAD_BYTES:at + HEAD_BYTES + length].rstrip(b"\0").decode(errors="replace")
        found.add(name.removeprefix("./").strip("/"))
        body = -(-(at + HEAD_BYTES + length) // ALIGNMENT) * ALIGNMENT
        at = -(-(body + size) // ALIGNMENT) * ALIGNMENT
    return found - {TRAILER}


def entry(at, number, name, mode, data, device):
    """The record that begins at that offset of the archive."""
    links = 2 if stat.S_ISDIR(mode) else 1
    raw = name.encode() + b"\0"
    filler = -(at + HEAD_BYTES + len(raw)) % PAGE_BYTES
    if stat.S_ISREG(mode) and len(data) >= PAGE_BYTES and len(raw) + filler <= NAME_BYTES_MAX:
        raw += b"\0" * filler
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
    return pad(head) + pad(data)


def pad(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)
