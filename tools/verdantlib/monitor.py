# SPDX-License-Identifier: MIT
"""A look into a machine that hangs: what every CPU is doing, by QMP, with names from the kernel's ELF file."""

import bisect
import json
import re
import shutil
import socket
import struct
import subprocess

import gen_relocs

ANSWER_SECONDS = 20
FRAMES_MAX = 16
REGISTER_INDENT = "        "
RAM_START = {"x86_64": 0, "aarch64": 0x40000000, "riscv64": 0x80000000}
IMAGE_STEP = 2 << 20
IMAGE_PLACES = 512

# How QEMU's register dump writes the program counter and the frame pointer, and where a frame record lies from there.
REGISTERS = {
    "x86_64": (r"\b[RE]IP=([0-9a-f]+)", r"\b[RE]BP=([0-9a-f]+)", 0),
    "aarch64": (r"\bPC=([0-9a-f]{16})", r"\bX29=([0-9a-f]{16})", 0),
    "riscv64": (r"\bpc\s+([0-9a-f]{16})", r"\bx8/s0\s+([0-9a-f]{16})", -16),
}


class Qmp:
    """A client for QEMU's machine protocol on a UNIX socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(ANSWER_SECONDS)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rw", encoding="utf-8")
        self.stream.readline()  # the greeting
        self.call("qmp_capabilities")

    def call(self, name, **arguments):
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            line = self.stream.readline()
            if not line:
                raise OSError("QEMU closed its monitor")
            answer = json.loads(line)
            if "error" in answer:
                raise OSError(answer["error"].get("desc", "the monitor refused"))
            if "return" in answer:
                return answer["return"]

    def ask(self, text, cpu=0):
        """A command of the human monitor, seen from one CPU."""
        return self.call("human-monitor-command", **{"command-line": text, "cpu-index": cpu})

    def close(self):
        self.stream.close()
        self.socket.close()


class Symbols:
    """Names for addresses: symbol+offset from the symbol table, file:line from debug information if there is any. The
    image runs `slide` bytes above where it was linked."""

    def __init__(self, elf, slide=0):
        self.elf, self.slide = elf, slide
        self.addresses, self.names = [], []
        if elf and elf.exists() and shutil.which("llvm-nm-19"):
            listing = subprocess.run(["llvm-nm-19", "-n", "--defined-only", str(elf)], capture_output=True, text=True,
                                     check=False).stdout
            for address, kind, name in re.findall(r"^([0-9a-f]+) (\w) (\S+)$", listing, re.MULTILINE):
                if kind in "tTwW" and not name.startswith("$"):
                    self.addresses.append(int(address, 16))
                    self.names.append(name)

    def name(self, address):
        address -= self.slide
        index = bisect.bisect_right(self.addresses, address) - 1
        far = 1 << 20  # beyond the kernel's code: firmware, or a wild jump
        if index < 0 or address - self.addresses[index] > far:
            return "outside the kernel"
        return f"{self.names[index]}+0x{address - self.addresses[index]:x}{self.line(address)}"

    def line(self, address):
        if not shutil.which("llvm-symbolizer-19"):
            return ""
        tool = ["llvm-symbolizer-19", f"--obj={self.elf}", "--output-style=JSON", "--basenames", f"0x{address:x}"]
        output = subprocess.run(tool, capture_output=True, text=True, check=False).stdout
        try:
            frames = json.loads(output)[0]["Symbol"] if output.startswith("[") else json.loads(output)["Symbol"]
            where = frames[0]
            return f" ({where['FileName']}:{where['Line']})" if where.get("Line") else ""
        except (ValueError, KeyError, IndexError):
            return ""


def describe(machine, qmp_path):
    """The report on a hang: a list of lines, register lines indented by REGISTER_INDENT. Stops the CPUs first, so that
    they are seen at one moment."""
    qmp = Qmp(qmp_path)
    try:
        status = qmp.call("query-status")["status"]
        qmp.call("stop")
        cpus = qmp.call("query-cpus-fast")
        slide = find_slide(machine, qmp)
        symbols = Symbols(machine.elf, slide or 0)
        place = "kernel not found" if slide is None else f"kernel slide {slide:#x}"
        lines = [f"machine state: {status}, {len(cpus)} CPUs, {place}"]
        for cpu in cpus:
            lines += describe_cpu(machine, qmp, symbols, cpu["cpu-index"])
        return lines
    finally:
        qmp.close()


def find_slide(machine, qmp):
    """How far the image runs above where it was linked, whatever the log says. It is found in physical memory by its
    first bytes, at the multiples of 2 MiB where loaders put it, and a word of it says where it runs. None: no image."""
    try:
        elf = gen_relocs.Elf(machine.elf.read_bytes())
        start, word = elf.address_of("__image_start"), elf.address_of("ksyms_image")
    except (OSError, gen_relocs.Wrong):
        return None
    head = struct.unpack_from("<4Q", elf.data, elf.offset_in_file(start))
    for place in range(RAM_START[machine.arch], RAM_START[machine.arch] + IMAGE_PLACES * IMAGE_STEP, IMAGE_STEP):
        if read_physical(qmp, place, len(head)) == head:
            return (read_physical(qmp, place + word - start, 1)[0] - start) & (1 << 64) - 1
    return None


def read_physical(qmp, address, count):
    """Words of 64 bits."""
    words = re.findall(r"\b0x([0-9a-f]{16})\b", qmp.ask(f"xp /{count}gx {address:#x}"))
    return tuple(int(word, 16) for word in words)


def describe_cpu(machine, qmp, symbols, index):
    pc_pattern, frame_pattern, _ = REGISTERS[machine.arch]
    dump = qmp.ask("info registers", index)
    counter, frame = re.search(pc_pattern, dump), re.search(frame_pattern, dump)
    address = int(counter.group(1), 16) if counter else 0
    halted = " (waits for an interrupt)" if re.search(r"HLT=1", dump) else ""
    lines = [f"CPU {index}: pc 0x{address:016x} {symbols.name(address)}{halted}"]
    lines += backtrace(machine, qmp, symbols, index, int(frame.group(1), 16) if frame else 0)
    return lines + [REGISTER_INDENT + line.rstrip() for line in dump.splitlines() if is_register_line(machine, line)]


def is_register_line(machine, line):
    """Leave out what QEMU prints of vector registers, counters and caches: pages of zeros."""
    noise = r"^(FCW|FPR|XMM|YMM|Q\d|Z\d|P\d|FFR|f\d|ft|fs|fa|CPU#|CC|VCR|\s*$| f\d+/|FPCR)"
    return not re.match(noise, line.lstrip() if machine.arch != "riscv64" else line)


def backtrace(machine, qmp, symbols, cpu, frame):
    """Return addresses along the frame records, read with this CPU's own page tables."""
    offset = REGISTERS[machine.arch][2]
    lines = []
    while frame and frame % 8 == 0 and len(lines) < FRAMES_MAX:
        words = re.findall(r"0x([0-9a-f]{16})", qmp.ask(f"x /2gx 0x{(frame + offset) & (1 << 64) - 1:x}", cpu))
        words = words[-2:]
        if len(words) < 2 or int(words[1], 16) == 0:
            break
        call = int(words[1], 16) - 1  # the call itself: a return address may belong to the next function
        lines.append(f"  #{len(lines)} 0x{words[1]} {symbols.name(call)}")
        if int(words[0], 16) <= frame:  # records lead towards the base of the stack
            break
        frame = int(words[0], 16)
    return lines
