# SPDX-License-Identifier: MIT
"""Tests of tools/gen_relocs.py on ELF files made here: what is found, what is refused, what the tables say. And of who
finds a moved image: the report on a hang."""

import pathlib
import random
import struct
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import gen_relocs
import qemu
from verdantlib import boottest, machine, monitor, runner

BASE = 0xffffffff80000000
START = BASE + 0x200000
X86, ARM, RISCV = 62, 183, 243
TEXT, NOTES = 1, 2                  # section numbers
ROOM = 64 << 10                     # from here on .text holds the tables
SIZE = ROOM + (8 << 10)
ABSOLUTE, UNDEFINED = 0xfff1, 0
IMAGE_SYMBOLS = (("__image_start", START, 0, TEXT), ("__image_end", START + (1 << 20), 0, TEXT),
                 ("boot_relocate", START + 64, 32, TEXT), ("here", START + 0x1000, 0, TEXT),
                 ("ksyms_image", START + 0x800, 8, TEXT),
                 ("number", 0x93000, 0, ABSOLUTE), ("nowhere", 0, 0, UNDEFINED))
TABLE_SYMBOLS = tuple((name, START + ROOM + at, 0, TEXT) for name, at in (
    ("relocs_words", 0), ("relocs_words_end", 4096), ("relocs_halves", 4096), ("relocs_halves_end", 8192)))
FORMS = {"word": "<Q", "half": "<i", "unsigned": "<I"}


def elf(arch, relocations, symbols=IMAGE_SYMBOLS + TABLE_SYMBOLS):
    """A file with .text at START, a .comment that is not loaded, and relocations (section, offset, type, symbol name,
    form or None, what the linker put there)."""
    text, names = bytearray(SIZE), ["", ".text", ".comment", ".rela.text", ".rela.comment", ".symtab", ".strtab"]
    for section, offset, _, _, form, value in relocations:
        if form and section == TEXT:
            value -= 1 << 64 if form == "half" and value >> 63 else 0
            struct.pack_into(FORMS[form], text, offset, value)
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in [*names, *(name for name, *_ in symbols)])

    def string(name):
        return strings.index(b"\0" + name.encode() + b"\0") + 1 if name else 0
    table = [bytes(24), *(struct.pack("<IBBHQQ", string(name), 0, 0, section, value, size)
                          for name, value, size, section in symbols)]
    number = {name: i + 1 for i, (name, *_) in enumerate(symbols)}
    rela = {section: b"".join(struct.pack("<QIIq", (START if section == TEXT else 0) + offset, kind,
                                          number.get(name, 0), 0)
                              for where, offset, kind, name, *_ in relocations if where == section)
            for section in (TEXT, NOTES)}
    bodies = [b"", bytes(text), b"x" * 64, rela[TEXT], rela[NOTES], b"".join(table), strings]
    kinds = [0, 1, 1, 4, 4, 2, 3]
    at, sections = 64, []
    for i, body in enumerate(bodies):
        link, info = (6, 0) if kinds[i] == 2 else (5, i - 2) if kinds[i] == 4 else (0, 0)
        sections.append(struct.pack("<IIQQQQIIQQ", string(names[i]), kinds[i], 2 if i == TEXT else 0,
                                    START if i == TEXT else 0, at, len(body), link, info, 1, 24))
        at += len(body)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, arch, 1, START, 0, at, 0, 64, 0, 0, 64,
                                                         len(sections), 6)
    return head + b"".join(bodies) + b"".join(sections)


def places(arch, *relocations):
    return gen_relocs.places(gen_relocs.Elf(elf(arch, relocations)))


def decode(entries):
    """What arch/shared/relocate.c does, said again: the offsets of the words that change."""
    at, found = 0, []
    for entry in entries:
        at += entry
        found += [at] if entry != 0xffff else []
    return found


class Finding(unittest.TestCase):
    def test_addresses_are_found_by_their_size(self):
        self.assertEqual(places(X86, (TEXT, 0x201, 1, "here", "word", START + 0x1000),
                                (TEXT, 0x103, 11, "here", "half", START + 0xff8),
                                (TEXT, 0x90, 2, "here", None, 0), (TEXT, 0x98, 4, "here", None, 0)), ([0x201], [0x103]))
        self.assertEqual(places(ARM, (TEXT, 0x300, 257, "here", "word", START + 0x1008),
                                (TEXT, 0x200, 257, "__image_end", "word", START + (1 << 20)),
                                (TEXT, 0x204, 275, "here", None, 0), (TEXT, 0x208, 277, "here", None, 0)),
                         ([0x200, 0x300], []))
        self.assertEqual(places(RISCV, (TEXT, 0x300, 2, "here", "word", START + 0x1000), (TEXT, 0x10, 51, "", None, 0),
                                (TEXT, 0x20, 23, "here", None, 0), (TEXT, 0x24, 24, "here", None, 0)), ([0x300], []))

    def test_numbers_and_physical_addresses_stay(self):
        self.assertEqual(places(X86, (TEXT, 0x100, 10, "here", "unsigned", START + 0x1000 - BASE),
                                (TEXT, 0x108, 1, "here", "word", START + 0x1000 - BASE),
                                (TEXT, 0x110, 1, "number", "word", 0x93000), (TEXT, 0x118, 1, "nowhere", "word", 0)),
                         ([], []))

    def test_what_is_not_loaded_stays(self):
        self.assertEqual(places(X86, (NOTES, 8, 1, "here", None, 0), (NOTES, 16, 99, "here", None, 0)), ([], []))

    def test_what_would_break_is_refused(self):
        for arch, relocation, why in (
                (X86, (TEXT, 0x100, 99, "here", None, 0), "type 99 is not known"),
                (ARM, (TEXT, 0x100, 275, "number", None, 0), "number does not move"),
                (X86, (TEXT, 0x100, 2, "nowhere", None, 0), "nowhere does not move"),
                (RISCV, (TEXT, 0x104, 2, "here", "word", START + 0x1000), "not aligned"),
                (ARM, (TEXT, 0x100, 257, "here", "word", START + (64 << 20)), "neither an address"),
                (RISCV, (TEXT, 0x100, 2, "here", "word", 0x1000), "neither an address")):
            with self.subTest(why), self.assertRaisesRegex(gen_relocs.Wrong, why):
                places(arch, relocation)
        with self.assertRaisesRegex(gen_relocs.Wrong, r"__vdso_start\+0x4: names here, which no program gets"):
            copied = (("__vdso_start", START + 0x200, 0, TEXT), ("__vdso_end", START + 0x300, 0, TEXT),
                      ("label", START + 0x210, 0, TEXT))
            relocations = ((TEXT, 0x200, 24, "label", None, 0), (TEXT, 0x300, 23, "here", None, 0),
                           (TEXT, 0x204, 23, "here", None, 0))
            gen_relocs.places(gen_relocs.Elf(elf(RISCV, relocations, IMAGE_SYMBOLS + copied)))
        with self.assertRaisesRegex(gen_relocs.Wrong, "overlap"):
            places(X86, (TEXT, 0x100, 1, "here", "word", START), (TEXT, 0x100, 1, "here", "word", START))
        with self.assertRaisesRegex(gen_relocs.Wrong, "no symbol __image_start"):
            gen_relocs.places(gen_relocs.Elf(elf(X86, (), IMAGE_SYMBOLS[1:])))
        with self.assertRaisesRegex(gen_relocs.Wrong, "not a 64-bit"):
            gen_relocs.Elf(b"\x7fELF\x01\x01" + bytes(64))


class Tables(unittest.TestCase):
    def test_what_is_encoded_is_decoded(self):
        chance = random.Random(7)
        for _ in range(200):
            gaps = (chance.choice((8, 100, 65534, 65535, 65536, 131070, chance.randrange(8, 300000)))
                    for _ in range(chance.randrange(60)))
            offsets, at = [], chance.choice((0, 8))
            for gap in gaps:
                offsets.append(at)
                at += gap
            entries = gen_relocs.encode(offsets)
            self.assertEqual(decode(entries), offsets)
            self.assertEqual(decode(entries + [0xffff] * 5), offsets)
            self.assertTrue(all(0 <= entry <= 0xffff for entry in entries))

    def test_the_tables_are_written_into_their_place_and_nowhere_else(self):
        relocations = [(TEXT, 0x100 + 8 * i, 1, "here", "word", START + 0x1000) for i in range(0, 3000, 7)]
        relocations += [(TEXT, 0x8001 + 4 * i, 11, "here", "half", START + 0x1000) for i in range(1000)]
        before = elf(X86, relocations)
        after = gen_relocs.fill(gen_relocs.Elf(before))
        filled = gen_relocs.Elf(after)
        at = filled.offset_in_file(START + ROOM)
        words, halves = (struct.unpack_from("<2048H", after, at + offset) for offset in (0, 4096))
        self.assertEqual(decode(words), [place for _, place, kind, *_ in relocations if kind == 1])
        self.assertEqual(decode(halves), [place for _, place, kind, *_ in relocations if kind == 11])
        self.assertEqual((before[:at], before[at + 8192:]), (after[:at], after[at + 8192:]))

    def test_room_is_reserved_for_all_and_more(self):
        text = gen_relocs.room(gen_relocs.Elf(elf(X86, [(TEXT, 0x100, 1, "here", "word", START)])))
        self.assertIn(f"relocs_words:\n.fill {2 * (1 + gen_relocs.SPARE_ENTRIES)}, 1, 0xff", text)
        self.assertIn(f"relocs_halves:\n.fill {2 * gen_relocs.SPARE_ENTRIES}, 1, 0xff", text)

    def test_a_table_without_room_is_refused(self):
        small = (*IMAGE_SYMBOLS, *TABLE_SYMBOLS[:1], ("relocs_words_end", START + ROOM + 2, 0, TEXT),
                 *TABLE_SYMBOLS[2:])
        relocations = [(TEXT, 0x100 + 8 * i, 1, "here", "word", START) for i in range(2)]
        with self.assertRaisesRegex(gen_relocs.Wrong, "do not fit"):
            gen_relocs.fill(gen_relocs.Elf(elf(X86, relocations, small)))

    def test_the_code_that_applies_them_must_not_change(self):
        with self.assertRaisesRegex(gen_relocs.Wrong, "boot_relocate"):
            gen_relocs.fill(gen_relocs.Elf(elf(X86, [(TEXT, 80, 11, "here", "half", START)])))


class Memory:
    """QEMU's monitor, as far as it is asked for physical memory."""

    def __init__(self, place, image):
        self.place, self.image = place, image

    def ask(self, text):
        count, address = int(text.split("/")[1].split("g")[0]), int(text.split()[-1], 16)
        at = address - self.place
        data = self.image[at:at + 8 * count] if 0 <= at < len(self.image) else bytes(8 * count)
        return f"{address:016x}: " + " ".join(f"0x{word:016x}" for word in struct.unpack(f"<{count}Q", data))


class MovedImages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "k.elf"
        self.path.write_bytes(elf(ARM, [(TEXT, 0, 257, "here", "word", START + 0x1000)]))

    def machine(self, arch="aarch64", **other):
        return machine.Machine(arch, pathlib.Path("k.img"), self.path, **other)

    def test_the_slide_is_found_in_memory(self):
        parsed = gen_relocs.Elf(self.path.read_bytes())
        image = bytearray(parsed.data[parsed.offset_in_file(START):][:SIZE])
        struct.pack_into("<Q", image, 0x800, START + 0x3400000)
        self.assertEqual(monitor.find_slide(self.machine(), Memory(0x40000000 + (6 << 20), image)), 0x3400000)
        self.assertIsNone(monitor.find_slide(self.machine(), Memory(0x90000000, image)))
        self.assertIsNone(monitor.find_slide(machine.Machine("aarch64", self.path, pathlib.Path("none")), None))

    def test_names_of_a_panic_must_be_those_of_the_addresses(self):
        frame = f"error:   #1 {START + 0x1000 + 0x200000 + 0x21:#x} here+0x20"

        def wrong(*lines):
            return boottest.wrong_names(self.machine(), runner.Outcome(list(lines), 1, "", 1.0, None, []))
        self.assertEqual(wrong("error: kernel slide 0x200000", frame), [])
        self.assertTrue(wrong(frame))
        self.assertTrue(wrong("error: kernel slide 0x400000", frame))
        self.assertTrue(wrong("error: kernel slide 0x200000", frame.replace("here", "number")))

    def test_repeatable_runs_stay_where_they_are_linked(self):
        self.assertEqual(self.machine(append="init=x").command_line, "init=x")
        self.assertEqual(self.machine(append="init=x", icount=True).command_line, "init=x kaslr=off")
        self.assertEqual(self.machine(gdb=True).command_line, "kaslr=off")
        self.assertEqual(self.machine(append="kaslr=on", gdb=True).command_line, "kaslr=on")
        self.assertIn("init=x kaslr=off", machine.command(self.machine(append="init=x", icount=True), "stdio"))

    def test_a_debugger_is_told_where_the_image_is(self):
        def hint(append=""):
            return "\n".join(qemu.debugger_hint(self.machine(append=append, gdb=True)))
        self.assertNotIn("symbol-file", hint())
        self.assertIn(f"symbol-file -o 0x3400000 {self.path}", hint("kaslr=0x3400000"))
        self.assertIn("--slide 0x3400000", hint("kaslr=0x3400000"))
        self.assertIn("symbol-file -o X", hint("kaslr=on"))

    def test_the_boots_of_one_test_must_differ(self):
        test = boottest.load_table().BootTest("t", "", boots=3, differs=r"kernel slide (\w+)")

        def carried_out(*slides):
            left = list(slides)

            def boot(*_):
                lines = [f"kernel slide {left.pop(0)}"]
                return self.machine(), runner.Outcome(lines, 0, "", 1.0, None, [])
            before, boottest.boot = boottest.boot, boot
            try:
                return boottest.carry_out(test, "aarch64", None)[0]
            finally:
                boottest.boot = before
        self.assertEqual(carried_out("0x1", "0x1", "0x2"), [])
        self.assertTrue(carried_out("0x1", "0x1", "0x1"))

    def test_a_report_on_a_hang_shows_what_is_asked_for(self):
        test = types.SimpleNamespace(report=(r"spin\+0x",))
        states = [f"CPU {i}: pc 0x1 spin+0x4" for i in range(4)]
        hang = runner.Outcome([], None, "silent", 1.0, None, states)
        self.assertEqual(boottest.problems_of_hang(test, self.machine(), hang), [])
        hang.report = [state.replace("spin", "other") for state in states]
        self.assertTrue(boottest.problems_of_hang(test, self.machine(), hang))


if __name__ == "__main__":
    unittest.main()
