#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of what must change when an image moves: the places of all words that hold an address of the image.

They are found in the relocations that the linker keeps in its output (--emit-relocs). Between the two links of an image
the number of such words does not change, their places do. So the first link says how much room to reserve, and the
table is written into the second link's own file.

Table: 16-bit numbers. 65535: go on by 65535 bytes. Any other: go on by so many bytes, where such a word lies. There are
two, for words of 64 bits and of 32 bits (sign-extended); arch/shared/relocate.c applies them."""
import argparse
import struct
import sys

SKIP = 0xFFFF           # the entry that only goes on
SPARE_ENTRIES = 16      # places move between the links, so the number of those entries may change
ADDEND_MAX = 16 << 20   # how far from its symbol an address may lie
COPIED_SLACK = 8        # the addend of a relative address counts from the end of its instruction

# What an ELF relocation means for an image that moves as a whole by a multiple of a page.
WORD, HALF, UNSIGNED, RELATIVE, NOTHING = "word", "half", "unsigned", "relative", "nothing"
KINDS = {
    # x86_64: 64; 32S; 32; PC32, PLT32
    62: {1: WORD, 11: HALF, 10: UNSIGNED, 2: RELATIVE, 4: RELATIVE},
    # aarch64: ABS64; from PREL64 to CALL26, and offsets in a page
    183: {257: WORD, **dict.fromkeys((260, 261, *range(273, 281), *range(282, 287), 299), RELATIVE)},
    # riscv: 64; BRANCH, JAL, CALL, PCREL_HI20 and _LO12, RVC_BRANCH, RVC_JUMP, 32_PCREL; ALIGN, RELAX
    243: {2: WORD, **dict.fromkeys((16, 17, 18, 19, 23, 24, 25, 44, 45, 57), RELATIVE), 43: NOTHING, 51: NOTHING},
}
X86_64 = 62              # loads words from anywhere, and its image has one physical place, which the code may name

SHT_SYMTAB, SHT_RELA, SHT_NOBITS = 2, 4, 8
SHF_ALLOC = 2
SHN_ABS = 0xFFF1


class Wrong(Exception):
    """Why an image cannot be moved."""


class Section:
    def __init__(self, fields):
        (self.name_at, self.type, self.flags, self.address, self.offset, self.size, self.link, self.info, _,
         self.entry_bytes) = fields
        self.name = ""


class Elf:
    """A linked 64-bit little-endian ELF file: its sections and symbols."""

    def __init__(self, data):
        if data[:6] != b"\x7fELF\x02\x01":
            raise Wrong("not a 64-bit little-endian ELF file")
        self.data = data
        self.machine = struct.unpack_from("<H", data, 18)[0]
        table, = struct.unpack_from("<Q", data, 40)
        entry, count, names = struct.unpack_from("<HHH", data, 58)
        self.sections = [Section(struct.unpack_from("<IIQQQQIIQQ", data, table + i * entry)) for i in range(count)]
        for section in self.sections:
            section.name = self.text(self.sections[names], section.name_at)
        self.symbols = self.read_symbols()
        self.by_name = {name: value for name, value, size, section in self.symbols if name and section != 0}
        self.sizes = {name: size for name, value, size, section in self.symbols if name and section != 0}

    def text(self, strings, at):
        start = strings.offset + at
        return self.data[start:self.data.index(b"\0", start)].decode()

    def read_symbols(self):
        """(name, value, size, section number) of each."""
        table = next((section for section in self.sections if section.type == SHT_SYMTAB), None)
        if table is None:
            raise Wrong("no symbols")
        found = []
        for at in range(table.offset, table.offset + table.size, 24):
            name, _, _, section, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
            found.append((self.text(self.sections[table.link], name), value, size, section))
        return found

    def address_of(self, name):
        if name not in self.by_name:
            raise Wrong(f"no symbol {name}")
        return self.by_name[name]

    def relocations(self):
        """(section, address, type, symbol, addend) of each that changes what is loaded."""
        for section in self.sections:
            if section.type != SHT_RELA or not self.sections[section.info].flags & SHF_ALLOC:
                continue
            for at in range(section.offset, section.offset + section.size, 24):
                address, kind, symbol, addend = struct.unpack_from("<QIIq", self.data, at)
                yield self.sections[section.info], address, kind, self.symbols[symbol], addend

    def offset_in_file(self, address):
        for section in self.sections:
            if section.flags & SHF_ALLOC and section.type != SHT_NOBITS and \
                    section.address <= address < section.address + section.size:
                return section.offset + address - section.address
        raise Wrong(f"nothing is loaded at {address:#x}")

    def value(self, address, kind):
        """What the linker put there, as an address of 64 bits."""
        form = {WORD: "<Q", HALF: "<i", UNSIGNED: "<I"}[kind]
        return struct.unpack_from(form, self.data, self.offset_in_file(address))[0] & (1 << 64) - 1


def must_move(elf, start, end, section, address, type_number, symbol):
    """WORD or HALF if this word changes with the image's place, None if not; Wrong if the image cannot move."""
    kind = KINDS[elf.machine].get(type_number)
    name, target, _, number = symbol
    where = f"{section.name}+{address - section.address:#x}"
    if kind is None:
        raise Wrong(f"{where}: relocation type {type_number} is not known")
    is_ours = start <= target <= end and number != 0
    if kind == NOTHING or (kind == RELATIVE and is_ours):
        return None
    if kind == RELATIVE:
        raise Wrong(f"{where}: {name or 'a symbol'} does not move with the image that names it relative to itself")
    value = elf.value(address, kind)
    if kind != UNSIGNED and is_ours and abs(value - target) <= ADDEND_MAX:
        return kind
    if not is_ours or (value < 1 << 32 and elf.machine == X86_64):  # a number, or a physical address
        return None
    raise Wrong(f"{where}: {value:#x} is neither an address of the image nor a number")


def check_copied(elf, address, type_number, symbol, addend):
    """The code that programs get a copy of runs where nothing else of the image is: a constant that the compiler keeps
    elsewhere, or a function, would not be there."""
    start, end = (elf.by_name.get(name, 0) for name in ("__vdso_start", "__vdso_end"))
    target = symbol[1] + addend
    if start <= address < end and KINDS[elf.machine].get(type_number) != NOTHING and \
            not start - COPIED_SLACK <= target <= end:
        raise Wrong(f"__vdso_start+{address - start:#x}: names {symbol[0] or hex(target)}, which no program gets")


def places(elf):
    """Offsets from __image_start of the words of 64 bits, and of those of 32 bits."""
    if elf.machine not in KINDS:
        raise Wrong(f"machine {elf.machine} is not known")
    start, end = elf.address_of("__image_start"), elf.address_of("__image_end")
    found = {WORD: [], HALF: []}
    for section, address, type_number, symbol, addend in elf.relocations():
        check_copied(elf, address, type_number, symbol, addend)
        kind = must_move(elf, start, end, section, address, type_number, symbol)
        if kind is None:
            continue
        if kind == WORD and address % 8 != 0 and elf.machine != X86_64:
            raise Wrong(f"{section.name}+{address - section.address:#x}: the address is not aligned")
        found[kind].append(address - start)
    for kind, size in (WORD, 8), (HALF, 4):
        found[kind].sort()
        if any(b - a < size for a, b in zip(found[kind], found[kind][1:])):
            raise Wrong("two words overlap")
    return found[WORD], found[HALF]


def encode(offsets):
    entries, at = [], 0
    for offset in offsets:
        while offset - at >= SKIP:
            entries.append(SKIP)
            at += SKIP
        entries.append(offset - at)
        at = offset
    return entries


def room(elf):
    """An assembly file with room for the tables, filled with entries that change nothing."""
    words, halves = (2 * (len(encode(offsets)) + SPARE_ENTRIES) for offsets in places(elf))
    return "\n".join((
        "/* Generated by tools/gen_relocs.py. */", '.section .relocs, "a"', ".balign 2",
        ".globl relocs_words, relocs_words_end, relocs_halves, relocs_halves_end",
        "relocs_words:", f".fill {words}, 1, 0xff", "relocs_words_end:",
        "relocs_halves:", f".fill {halves}, 1, 0xff", "relocs_halves_end:")) + "\n"


def check_applier(elf, words, halves):
    """The code that applies the table must not change under itself."""
    first = elf.address_of("boot_relocate") - elf.address_of("__image_start")
    if any(first <= offset < first + elf.sizes["boot_relocate"] for offset in words + halves):
        raise Wrong("boot_relocate() holds an address of the image")


def fill(elf):
    """The file's bytes with the tables in their place."""
    data = bytearray(elf.data)
    words, halves = places(elf)
    check_applier(elf, words, halves)
    for name, offsets in ("relocs_words", words), ("relocs_halves", halves):
        entries = encode(offsets)
        at, end = elf.offset_in_file(elf.address_of(name)), elf.address_of(f"{name}_end") - elf.address_of(name)
        if 2 * len(entries) > end:
            raise Wrong(f"{name}: {len(entries)} entries do not fit into {end} bytes: link again")
        data[at:at + end] = struct.pack(f"<{end // 2}H", *entries, *[SKIP] * (end // 2 - len(entries)))
    return bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("elf")
    parser.add_argument("--reserve", metavar="FILE.S", help="write the room that this image's table needs")
    args = parser.parse_args()
    try:
        with open(args.elf, "rb") as file:
            elf = Elf(file.read())
        content = room(elf).encode() if args.reserve else fill(elf)
    except Wrong as why:
        sys.exit(f"{args.elf}: {why}")
    with open(args.reserve or args.elf, "wb" if args.reserve else "r+b") as file:
        file.write(content)


if __name__ == "__main__":
    main()
