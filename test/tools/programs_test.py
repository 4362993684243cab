#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tools/verdantlib/cpio.py and programs.py: what an initrd is made of, and how it reaches the machine."""

import argparse
import pathlib
import stat
import struct
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from verdantlib import Failure, applets, cpio, disk, firmware, golden, machine, programs, report, shell


def read(data):
    """(name, mode, data, rdev) of every entry of archives one after the other, as the format's description says."""
    at, entries = 0, []
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        assert data[at:at + 6] == b"070701" and at % 4 == 0, at
        field = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110:at + 110 + field[11]]
        body = -(-(at + 110 + field[11]) // 4) * 4
        assert name[-1] == 0
        entries.append((name.rstrip(b"\0").decode(), field[1], data[body:body + field[6]], (field[9], field[10])))
        at = -(-(body + field[6]) // 4) * 4
    return entries


class Archives(unittest.TestCase):
    def test_entries_are_read_back_with_their_folders_before_them(self):
        archive = cpio.Archive()
        archive.file("/b/c/d", b"12345", 0o755)
        archive.link("b/l", "c/d")
        archive.device("dev/console", 5, 1, 0o600)
        data = archive.to_bytes()
        self.assertEqual(len(data) % 512, 0)
        self.assertEqual(read(data), [
            ("b", stat.S_IFDIR | 0o755, b"", (0, 0)), ("b/c", stat.S_IFDIR | 0o755, b"", (0, 0)),
            ("b/c/d", stat.S_IFREG | 0o755, b"12345", (0, 0)), ("b/l", stat.S_IFLNK | 0o777, b"c/d", (0, 0)),
            ("dev", stat.S_IFDIR | 0o755, b"", (0, 0)), ("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)),
            ("TRAILER!!!", 0, b"", (0, 0))])

    def test_contents_of_a_page_and_more_begin_at_a_page(self):
        archive = cpio.Archive()
        contents = {"a": b"1" * 4096, "b": b"2" * 4095, "d/c": b"3" * 10000}
        for name, data in contents.items():
            archive.file(name, data)
        data = archive.to_bytes() * 2
        self.assertEqual({name: body for name, mode, body, _ in read(data) if stat.S_ISREG(mode)}, contents)
        self.assertEqual(cpio.names(data), {"a", "b", "d", "d/c"})
        self.assertTrue(all(data.find(contents[name]) % 4096 == 0 for name in ("a", "d/c")))

    def test_the_same_entries_give_the_same_bytes_in_any_order_and_at_any_time(self):
        one, other = cpio.Archive(), cpio.Archive()
        one.file("a", b"1")
        one.folder("z")
        other.folder("z")
        other.file("a", b"1")
        self.assertEqual(one.to_bytes(), other.to_bytes())

    def test_a_tree_keeps_links_and_the_right_to_execute(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "sub").mkdir()
            (root / "sub/run").write_bytes(b"#!")
            (root / "sub/run").chmod(0o700)
            (root / "sub/text").write_bytes(b"t")
            (root / "link").symlink_to("nowhere")
            archive = cpio.Archive()
            archive.tree(root, "x")
            modes = {name: mode for name, mode, _, _ in read(archive.to_bytes())}
            with self.assertRaises(Failure):
                archive.tree(root / "missing", "y")
        self.assertEqual(modes, {"x": stat.S_IFDIR | 0o755, "x/link": stat.S_IFLNK | 0o777,
                                 "x/sub": stat.S_IFDIR | 0o755, "x/sub/run": stat.S_IFREG | 0o755,
                                 "x/sub/text": stat.S_IFREG | 0o644, "TRAILER!!!": 0})

    def test_names_that_cannot_be_are_refused(self):
        for name in ("", "/", "TRAILER!!!", "a\0b"):
            with self.assertRaises(Failure):
                cpio.Archive().file(name, b"")


class Programs(unittest.TestCase):
    def test_the_names_of_busybox_end_where_they_do_not_rise(self):
        names = ["[", "[["] + sorted({f"a{i}" for i in range(programs.APPLETS_LEAST)} | {"sh"})
        table = b"x" + b"".join(name.encode() + b"\0" for name in names)
        self.assertEqual(programs.applets(table + b"a0\0zz\0"), names)
        self.assertEqual(programs.applets(table + b"\0zz\0"), names)
        for damaged in (b"", table[:100], table.replace(b"a100\0", b"\xff100\0"), table.replace(b"sh\0", b"si\0")):
            with self.assertRaises(Failure):
                programs.applets(damaged)

    def test_a_missing_compiler_is_named_with_its_packages(self):
        program = programs.Program("none", "bench/tiny.c", ())
        progress = mock.create_autospec(report.Progress)
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(programs, "FOLDER", pathlib.Path(folder)), \
                mock.patch.object(programs.shutil, "which", return_value=None):
            with self.assertRaisesRegex(Failure, "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"):
                programs.compiled("aarch64", program, progress)

    def test_every_program_has_sources_and_the_first_program_is_executable(self):
        for program in programs.PROGRAMS:
            self.assertTrue(programs.sources_of(program))
        self.assertTrue((programs.USER / "root/init").stat().st_mode & 0o111)
        with self.assertRaises(Failure):
            programs.sources_of(programs.Program("x", "nowhere/*.c", ()))


class Applets(unittest.TestCase):
    def test_they_print_on_linux_what_they_are_to_print(self):
        try:
            lines = applets.on_linux(report.Progress())
        except Failure as failure:
            self.skipTest(str(failure))
        self.assertEqual(golden.problems(golden.read(applets.GOLDEN), lines), [])


def elf(number, kind=2, loader=b""):
    """The beginning of a program for machine `number`, with a dynamic loader if one is named."""
    head = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", kind, number, 1, 0, 64, 0, 0, 64, 56,
                                                              1 if loader else 0, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(loader) + 1, 0, 1) + loader + b"\0"


class Shell(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        archive = cpio.Archive()
        archive.file("bin/a", b"1")
        self.write("initrd", archive.to_bytes() + b"\0")

    def write(self, name, data):
        (self.root / name).write_bytes(data)
        return str(self.root / name)

    def made(self, *add, own=None, arguments=(), isa="riscv64"):
        options = argparse.Namespace(isa=isa, initrd=own, add=list(add), arguments=list(arguments))
        with mock.patch.object(programs, "build", return_value=self.root / "initrd"):
            path, words = shell.make_initrd(options, self.root, mock.create_autospec(report.Progress))
        return {name: data for name, _, data, _ in read(path.read_bytes())}, words

    def test_what_is_added_stands_behind_the_initrd_where_it_was_told_to(self):
        prog = self.write("prog", b"2")
        (self.root / "od:d").write_bytes(b"3")
        entries, words = self.made(prog, prog + ":/usr/x", str(self.root / "od:d"))
        self.assertEqual([entries[name] for name in ("bin/a", "prog", "usr/x", "od:d")], [b"1", b"2", b"2", b"3"])
        self.assertEqual(words, "")

    def test_what_cannot_be_added_is_told(self):
        prog = self.write("prog", b"2")
        for text, why in (("none", "no such"), ("none:/x", "no such"), ("/", "a name"), (prog + ":/", "a name"),
                          (prog + ":../x", "a name")):
            with self.assertRaisesRegex(Failure, why):
                self.made(text)

    def test_a_program_that_cannot_run_there_is_refused_with_the_reason(self):
        self.made(self.write("fits", elf(243)))
        self.made(self.write("data", b"\x7fELF"))
        for head, why in ((elf(62), "for x86_64, not for riscv64"), (elf(40), "for machine 40"),
                          (b"\x7fELF\1\1".ljust(64, b"\0"), "64 bits"),
                          (elf(243, loader=b"/lib/ld.so"), "dynamic loader /lib/ld.so")):
            with self.assertRaisesRegex(Failure, why):
                self.made(self.write("prog", head))
        self.made(self.write("prog", elf(243, loader=b"/bin/a")))
        self.made(self.write("prog", elf(243, loader=b"/lib/ld.so")), self.write("l", b"") + ":/lib/ld.so")

    def test_the_command_is_kept_word_for_word(self):
        entries, _ = self.made(arguments=["a b", "it's", "--help", ""])
        self.assertIn(b"set -- 'a b' 'it'\"'\"'s' --help ''\n", entries["etc/session"])
        self.assertNotIn(b"set --", self.made()[0]["etc/session"])

    def test_an_initrd_of_ones_own_is_looked_at_and_gets_its_command_from_the_kernel(self):
        own = self.root / "initrd"
        entries, words = self.made(own=own, arguments=["/bin/a", "b c"])
        self.assertEqual((sorted(entries), words), (["TRAILER!!!", "bin", "bin/a"], 'init="/bin/a" -- "b c"'))
        for arguments in (["a"], ["/a", 'b"'], ["/a", "b\n"], ["/" + "a" * 96], ["/a"] + ["b"] * 63):
            with self.assertRaises(Failure):
                self.made(own=own, arguments=arguments)
        for data, why in ((b"\x1f\x8b123456", "gzip"), (b"#!/bin/sh", "not a cpio"), (b"", "not a cpio")):
            with self.assertRaisesRegex(Failure, why):
                self.made(own=pathlib.Path(self.write("bad", data)))
        with self.assertRaisesRegex(Failure, "no such file"):
            self.made(own=self.root / "none")

    def test_names_are_read_up_to_what_is_no_archive(self):
        data = (self.root / "initrd").read_bytes()
        self.assertEqual(cpio.names(data + b"\0" * 512 + data.replace(b"bin/a", b"bin/b")), {"bin", "bin/a", "bin/b"})
        for cut in range(len(data)):
            self.assertLessEqual(cpio.names(data[:cut]), {"bin", "bin/a"})


class Machines(unittest.TestCase):
    def machine(self, arch, **other):
        return machine.Machine(arch, pathlib.Path("k.img"), pathlib.Path("k.elf"), initrd=pathlib.Path("i.cpio"),
                               files={"opensbi": "o", "uboot": "u", "disk": "d"}, **other)

    def test_qemu_gets_the_initrd_where_it_gets_the_kernel(self):
        for arch, firmware_name in (("x86_64", "direct"), ("aarch64", "direct"), ("riscv64", "direct"),
                                    ("aarch64", "uboot")):
            args = machine.command(self.machine(arch, firmware=firmware_name), "null")
            self.assertEqual(args[args.index("-initrd") + 1], "i.cpio")
        self.assertNotIn("-initrd", machine.command(self.machine("riscv64", firmware="uboot"), "null"))

    def test_a_code_of_eight_bits_comes_back_from_every_machine(self):
        with tempfile.TemporaryDirectory() as folder:
            code = pathlib.Path(folder) / "code"
            for arch in ("x86_64", "aarch64", "riscv64"):
                one = self.machine(arch)
                self.assertEqual(one.exit_code(one.isa.success, code), 0)
                self.assertEqual(one.exit_code(one.isa.status(3), code), 3)
                self.assertEqual(one.exit_code(1, code), 1)
                self.assertEqual(one.exit_code(-9, code), 137)
            code.write_bytes(b"\0\x89")
            self.assertEqual(self.machine("x86_64").exit_code(19, code), 137)
            args = machine.command(self.machine("x86_64"), "null", code)
            self.assertIn("isa-debugcon,iobase=0xe9,chardev=code", args)

    def test_uboot_loads_it_from_the_disk_where_it_has_one(self):
        written = {}
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(
                disk, "write_image", side_effect=lambda path, files: written.update(files)):
            initrd, image = pathlib.Path(folder) / "initrd", pathlib.Path(folder) / "image"
            initrd.write_bytes(b"archive")
            image.write_bytes(b"kernel")
            with_one = machine.Machine("riscv64", image, image, initrd=initrd)
            firmware.write_boot_disk(pathlib.Path("disk"), with_one)
            self.assertEqual(written["INITRD"], b"archive")
            self.assertIn(b"booti ${kernel_addr_r} ${ramdisk_addr_r}:0x${filesize} ", written["BOOT.SCR"])
            firmware.write_boot_disk(pathlib.Path("disk"), machine.Machine("riscv64", image, image))
            self.assertIn(b"booti ${kernel_addr_r} - ", written["BOOT.SCR"])


if __name__ == "__main__":
    unittest.main()
