# SPDX-License-Identifier: MIT
"""`./verdant run ISA`: the machine with a shell, or with one command, on this terminal or between pipes.

What the first program of the project's initrd (user/root/init) is to do stands in a small archive behind that initrd:
/etc/session, a piece of shell, so a command has any words and any length. An initrd of the user's own gets its command
on the kernel's command line instead."""

import os
import pathlib
import shlex
import shutil
import struct
import subprocess
import sys
import threading

from . import Failure, cpio, machine as machines, programs, runner

ELF_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64"}
ELF_INTERPRETER = 3         # a program header's type: the path of the dynamic loader
COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
READY = b"\x1everdant-session\n"    # user/root/init writes it where the command's own output begins
END_OF_INPUT = b"\x04"
PIECE = 65536


def make_initrd(options, scratch, progress):
    """The initrd of this run, as a file; and the words that the kernel's command line gets for it."""
    base = own_initrd(options.initrd) if options.initrd else programs.build(options.isa, progress)
    added = [split_add(text) for text in options.add]
    data = base.read_bytes()
    extra = cpio.Archive()
    for path, name in added:
        extra.tree(path, name)
    names = cpio.names(data) | {name.strip("/") for name in extra.entries}
    for path, _ in added:
        check_program(path, options.isa, names)
    words = ""
    if options.initrd:
        words = command_words(options.arguments)
    else:
        extra.file("etc/session", session(options.arguments).encode())
    if not extra.entries:
        return base, words
    path = scratch / "initrd"
    path.write_bytes(data + b"\0" * (-len(data) % cpio.ARCHIVE_ALIGNMENT) + extra.to_bytes())
    return path, words


def own_initrd(path):
    """A file that can be one, or a sentence that says why not."""
    if not path.is_file():
        raise Failure(f"--initrd {path}: {'not a file' if path.exists() else 'no such file'}")
    with open(path, "rb") as file:
        head = file.read(6)
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise Failure(f"--initrd {path}: compressed by {name}; the kernel wants it unpacked")
    if head not in cpio.MAGICS:
        raise Failure(f"--initrd {path}: not a cpio archive of the format newc (made by cpio -o -H newc)")
    return path


def split_add(text):
    """PATH or PATH:DEST as (path, name in the archive)."""
    path, colon, name = text, "", ""
    if not os.path.lexists(path):
        path, colon, name = text.rpartition(":")
    if not colon:
        path, name = text, pathlib.Path(text).resolve().name
    if not path or not os.path.lexists(path):
        raise Failure(f"--add {text}: no such file or folder")
    if not name.strip("/") or ".." in name.split("/"):
        raise Failure(f"--add {text}: a name to have it as is wanted, as in PATH:/bin/NAME")
    return pathlib.Path(path), name


def check_program(path, isa, names):
    """A program that cannot run there is refused here, where the reason can be told."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        head = file.read(PIECE)
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return
    if head[4] != 2 or head[5] != 1:
        raise Failure(f"--add {path}: a program of another kind of machine; {isa} is of 64 bits and little-endian")
    kind, number = struct.unpack_from("<HH", head, 16)
    if kind not in (2, 3):
        return
    if ELF_MACHINES.get(number) != isa:
        raise Failure(f"--add {path}: a program for {ELF_MACHINES.get(number, f'machine {number}')}, not for {isa}")
    loader = interpreter(head)
    if loader and loader.strip("/") not in names:
        raise Failure(f"--add {path}: wants the dynamic loader {loader}, which is not in the initrd: link it with "
                      "-static, or --add the loader and the libraries, too")


def interpreter(head):
    """The path of the dynamic loader that the program asks for, or ""."""
    at, = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for header in range(at, at + size * count, size or 1):
        if header + 56 > len(head):
            break
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", head, header)
        if kind == ELF_INTERPRETER:
            return head[offset:offset + length].rstrip(b"\0").decode(errors="replace")
    return ""


def session(arguments):
    """/etc/session: the size of the window, whether somebody types, and the command."""
    lines = []
    if os.isatty(0):
        width, height = shutil.get_terminal_size()
        lines += [f"rows={height} columns={width} TERM={shlex.quote(os.environ.get('TERM', 'vt100'))}"]
    else:
        lines += ["piped=yes"]
    if arguments:
        lines += [f"set -- {shlex.join(arguments)}"]
    return "\n".join(lines) + "\n"


def command_words(arguments):
    """The same for an initrd of the user's own: its program, and what the program gets."""
    if not arguments:
        return ""
    if not arguments[0].startswith("/"):
        raise Failure(f"{arguments[0]}: with --initrd, the command is a path in it, beginning with /")
    for word in arguments:
        if '"' in word or not word.isprintable():
            raise Failure(f"{word!r}: with --initrd, the kernel's command line cannot carry it")
    if len(arguments[0]) > FIRST_PATH_MAX or len(arguments) > FIRST_ARGUMENTS_MAX + 1:
        raise Failure("with --initrd, the kernel's command line cannot carry so long a command")
    return " ".join([f'init="{arguments[0]}"', "--", *(f'"{word}"' for word in arguments[1:])])


FIRST_PATH_MAX = 95         # include/boot/options.h
FIRST_ARGUMENTS_MAX = 62    # include/proc/first.h


class Pipes:
    """The machine between pipes: what is read here is typed there, and ends there where it ends here."""

    def __init__(self, machine, waits_for_session):
        self.machine, self.ready = machine, threading.Event()
        self.held = b"" if waits_for_session else None     # the console before the command's own output
        if not waits_for_session:
            self.ready.set()

    def run(self, scratch):
        """Returns the machine's exit code."""
        args = machines.command(self.machine, "stdio", scratch / "code")
        with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              preexec_fn=runner.die_with_parent) as child:
            try:
                threading.Thread(target=self.type_input, args=(child.stdin,), daemon=True).start()
                while data := os.read(child.stdout.fileno(), PIECE):
                    self.show(data)
                status = child.wait()
            except BaseException:
                child.kill()
                raise
        if self.held is not None:   # it never came so far: then everything is worth seeing
            sys.stderr.buffer.write(self.held)
            sys.stderr.flush()
        return self.machine.exit_code(status, scratch / "code")

    def show(self, data):
        if self.held is not None:
            self.held += data
            before, found, data = self.held.partition(READY)
            if not found:
                return
            self.held = None
            self.ready.set()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()

    def type_input(self, stream):
        self.ready.wait()
        at_line_start = True
        try:
            while data := os.read(0, PIECE):
                stream.write(data)
                stream.flush()
                at_line_start = data.endswith(b"\n")
            # Behind the beginning of a line it only hands that over; a second one is the end.
            stream.write(END_OF_INPUT if at_line_start else 2 * END_OF_INPUT)
            stream.flush()
        except (OSError, ValueError):
            pass    # the machine has ended
