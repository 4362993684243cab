# SPDX-License-Identifier: MIT
"""QEMU's command lines: which machine, which way in, which way out. Runs nothing; firmware.py finds the files."""

import dataclasses
import pathlib
import re

from . import Failure

FIRMWARE = ("direct", "uboot")
DEFAULT_CPUS = 4
DEFAULT_MEMORY = "512M"
GDB_ADDRESS = "127.0.0.1:1234"


@dataclasses.dataclass(frozen=True)
class Isa:
    """What differs between the machines."""

    name: str
    qemu: str
    board: str
    cpu: str
    way_out: tuple      # arguments that give the kernel an exit status
    success: int        # QEMU's status after hal_machine_exit(0)
    failure: int        # and after hal_machine_exit(1), a panic
    cpus_max: int       # QEMU's or the firmware's limit: beyond it nothing is printed at all
    cpus_max_uboot: int = 0
    status_factor: int = 1  # hal_machine_exit(n), n small and neither 0 nor what means success, is this * n
    status_offset: int = 0  # and this

    def status(self, code):
        """QEMU's status after hal_machine_exit(code), code neither 0 nor above 100."""
        return self.status_factor * code + self.status_offset

    def code(self, status):
        """What the kernel gave hal_machine_exit(), as far as QEMU's status tells; QEMU's own failure is 1."""
        if status == self.success:
            return 0
        if status <= self.status_offset:
            return 1
        return (status - self.status_offset) // self.status_factor if self.status_offset else status


ISAS = {
    isa.name: isa for isa in (
        # isa-debug-exit turns a written value v into status v*2+1: never 0, so 0x10 (33) is chosen as success.
        # Beyond 255 CPUs, QEMU wants x2APIC, which it cannot emulate without KVM.
        Isa("x86_64", "qemu-system-x86_64", "q35", "max", ("-device", "isa-debug-exit,iobase=0xf4,iosize=4"), 33, 3,
            255, status_factor=2, status_offset=1),
        # Semihosting's SYS_EXIT_EXTENDED carries the code.
        Isa("aarch64", "qemu-system-aarch64", "virt", "max", ("-semihosting",), 0, 1, 512, 512),
        # The sifive_test device of the board carries the code. With 108 harts OpenSBI 1.6 stays silent; U-Boot with 52.
        Isa("riscv64", "qemu-system-riscv64", "virt", "rv64", (), 0, 1, 104, 48),
    )
}


@dataclasses.dataclass
class Machine:
    """One machine to boot. `files` is what firmware.prepare() found for it."""

    arch: str
    image: pathlib.Path
    elf: pathlib.Path
    cpus: int = DEFAULT_CPUS
    memory: str = DEFAULT_MEMORY
    append: str = ""
    firmware: str = "direct"
    cpu: str = ""               # another CPU model, or "" for the ISA's
    board_options: str = ""     # added to -machine
    smp: str = ""               # added to -smp: sockets, cores, threads
    numa: tuple = ()            # for each node: its CPUs, as "0-1"; the memory is shared out equally
    icount: bool = False
    rtc: str = ""               # what the machine's clock shows as it is switched on; "" for the host's time
    one_thread: bool = False    # all virtual CPUs take turns, as with icount, but time is the host's
    gdb: bool = False
    plugin: str = ""            # of QEMU's TCG: its file and arguments
    dtb: pathlib.Path | None = None     # a device tree instead of the one that QEMU makes
    initrd: pathlib.Path | None = None
    files: dict = dataclasses.field(default_factory=dict)

    @property
    def isa(self):
        return ISAS[self.arch]

    def exit_code(self, status, code_file):
        """What the kernel gave hal_machine_exit(): all eight bits, where the device that carries them was there."""
        if status < 0:
            return 128 - status     # as shells have it: a signal ended QEMU
        written = code_file.read_bytes() if code_file.exists() else b""
        return written[-1] if written else self.isa.code(status)

    @property
    def command_line(self):
        """The kernel's. Exact repeatability wants the image where it was linked, and so do a debugger and a plugin."""
        fixed = (self.icount or self.gdb or self.plugin) and not re.search(r"(^|\s)kaslr=", self.append)
        return f"{self.append} kaslr=off".strip() if fixed else self.append


def add_isa_options(parser, defaults):
    """An ISA, and options of these names with texts as values."""
    parser.add_argument("isa", nargs="?", metavar="ISA")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", default=value)


def check_isa(name):
    if name not in ISAS:
        raise Failure(f"give one ISA: {', '.join(ISAS)}")


def parse_cpus(text, arch_names, way):
    """A CPU count that all the named ISAs can have with this firmware."""
    limit = min(ISAS[name].cpus_max_uboot if way == "uboot" else ISAS[name].cpus_max for name in arch_names)
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= limit:
        raise Failure(f"--cpus {text}: give a number from 1 to {limit}")
    return int(text)


def parse_memory(text):
    """A memory size in QEMU's words, made explicit: a bare number is MiB."""
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)(i?B)?", text, re.IGNORECASE)
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    unit = (match.group(2).upper() or "M") if match else "M"
    amount = int(match.group(1)) * scale[unit] if match else 0
    if not 1 << 20 <= amount <= 1 << 40:
        raise Failure(f"--mem {text}: give a size from 1M to 1024G, such as 512M or 2G")
    return match.group(1) + unit


def refuse_unsupported(arch, firmware):
    """One clear line for a way in that this release does not have."""
    if firmware not in FIRMWARE:
        raise Failure(f"--firmware {firmware}: give one of {', '.join(FIRMWARE)}")
    if firmware == "uboot" and arch == "x86_64":
        raise Failure("x86_64 has no U-Boot route yet: its U-Boot hands an ELF image no memory map; "
                      "use --firmware direct")


def command(machine, serial, code_file=None):
    """QEMU's argument list. `serial` is the value of -serial; `code_file` gets the whole exit code on machines whose
    exit status has no room for it: Machine.exit_code() reads it."""
    isa = machine.isa
    args = [isa.qemu, "-machine", board(machine), "-cpu", machine.cpu or isa.cpu, "-accel", accelerator(machine),
            "-smp", ",".join(filter(None, (str(machine.cpus), machine.smp))), "-m", machine.memory,
            "-nodefaults", "-display", "none", "-serial", serial,
            "-no-reboot", *isa.way_out]
    if machine.arch == "x86_64":
        args += ["-vga", "none", "-nic", "none"]  # no option ROMs: they cost SeaBIOS a quarter of a second
    if code_file and machine.arch == "x86_64":
        args += ["-chardev", f"file,id=code,path={code_file}", "-device", "isa-debugcon,iobase=0xe9,chardev=code"]
    args += nodes(machine)
    args += way_in(machine)
    if machine.dtb:
        args += ["-dtb", str(machine.dtb)]
    if machine.icount:
        args += ["-icount", "shift=0,sleep=off"]  # one instruction is one virtual nanosecond; idle time passes at once
    if machine.rtc:
        args += ["-rtc", f"base={machine.rtc},clock=vm"]
    if machine.plugin:
        args += ["-plugin", machine.plugin]
    if machine.gdb:
        args += ["-gdb", f"tcp:{GDB_ADDRESS}", "-S"]
    return args


def nodes(machine):
    """NUMA nodes in a row: each is as far from another as there are nodes between them, times ten, and twenty."""
    args = []
    if not machine.numa:
        return args
    mebibytes = int(re.fullmatch(r"([0-9]+)M", machine.memory).group(1)) // len(machine.numa)
    for node, cpus in enumerate(machine.numa):
        args += ["-object", f"memory-backend-ram,id=m{node},size={mebibytes}M",
                 "-numa", f"node,nodeid={node},cpus={cpus},memdev=m{node}"]
    for node in range(len(machine.numa)):
        for other in range(node + 1, len(machine.numa)):
            args += ["-numa", f"dist,src={node},dst={other},val={10 + 10 * (other - node)}"]
    return args


def accelerator(machine):
    # -icount needs one host thread for all virtual CPUs; QEMU refuses the combination with thread=multi.
    if machine.icount:
        return "tcg"
    return "tcg,thread=single" if machine.one_thread else "tcg,thread=multi"


def board(machine):
    options = [machine.isa.board]
    if machine.arch == "aarch64" and "gic-version" not in machine.board_options:
        options.append("gic-version=2" if machine.cpus <= 8 else "gic-version=3")  # a GICv2 serves eight CPUs
    if machine.board_options:
        options.append(machine.board_options)
    return ",".join(options)


def way_in(machine):
    kernel = ["-kernel", str(machine.image), "-append", machine.command_line]
    if machine.initrd:
        kernel += ["-initrd", str(machine.initrd)]
    if machine.arch == "riscv64":
        bios = ["-bios", str(machine.files["opensbi"])]
        if machine.firmware == "direct":
            return bios + kernel
        disk = f"file={machine.files['disk']},format=raw,if=none,id=boot,readonly=on"
        return [*bios, "-kernel", str(machine.files["uboot"]), "-drive", disk,
                "-device", "virtio-blk-device,drive=boot"]
    if machine.firmware == "uboot":
        return ["-bios", str(machine.files["uboot"])] + kernel  # U-Boot finds them by QEMU's qfw interface
    return kernel
