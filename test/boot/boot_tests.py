# SPDX-License-Identifier: MIT
"""The boot tests as data: what to boot, how, and what must be seen. tools/verdantlib/boottest.py carries them out.

Every ISA runs every test that does not name its `only`. Patterns are regular expressions searched in single console
lines; "{cpus}" stands for the machine's CPU count. An end is one of

  success  the exit status of success, and every line
  status   the kernel's exit code is `status`, and every line
  panic    the exit status of a panic, with a backtrace whose frames have names, and every line
  either   success, or a panic or a refusal to start, with the same exit status, and a line that matches `says`
  hang     no exit: the detector must report the state of every CPU, and every line is there

`firmware_may_fail`: so little memory that firmware or QEMU itself may give up before the kernel's first line."""

import dataclasses
import struct

FIRST_LINE = r"^[Vv]erdant\b"            # the kernel's banner: from here on, whatever goes wrong is the kernel's
ALL_ONLINE = r"\bcpu: {cpus} of {cpus} online"
SELFTEST_PASSED = r"\bselftest: \d+ passed, 0 failed"
SHOWCASE_RIGHT = r"\bshowcase: result .*\bcpus={cpus}\b.*\bleaks=0\b.*\bverdict=ok\b"
PORT_CHECK_PASSED = r"^port-check: levels 1\.\.\d+ passed"
SLIDE_MOVED = r"^kernel slide (0x[1-9a-f][0-9a-f]*)$"
SLIDE_WEAK = r"slide can be guessed"
TOUCHED_USER = r"kernel code touched user memory at 0x10000000, "
NO_MEMORY = r"out of memory|too little memory"

HANG_DETECTOR_SECONDS = 300


@dataclasses.dataclass(frozen=True)
class BootTest:
    """One boot."""

    name: str
    append: str
    end: str = "success"
    lines: tuple = ()
    says: str = ""
    cpus: int = 4
    memory: str = "512M"
    firmware: str = "direct"
    cpu: str = ""
    board_options: str = ""
    smp: str = ""                   # added to -smp
    numa: tuple = ()                # the CPUs of each NUMA node
    dtb_patch: tuple = ()           # (old, new) bytes of one length, replaced in the machine's own device tree
    only: tuple = ("x86_64", "aarch64", "riscv64")
    firmware_may_fail: bool = False
    golden: str = ""                # a file whose lines must be the console's that begin with "ev "
    debug_only: bool = False        # a release build has nothing to test here
    boots: int = 1
    differs: str = ""               # a pattern whose group is not the same in all those boots
    program: str = ""               # /init of its initrd: one of CHECKS in tools/verdantlib/programs.py,
    files: tuple = ()               # and what else is there
    status: int = 0                 # of end "status"
    session: str = ""               # its initrd is the full one with this as /etc/session; see user/root/init
    steps: tuple = ()               # (name, command): as ./verdant stress has them, with Debian's programs
    initrd_bytes: int = 0           # the machine has an initrd of so many bytes: initrd() below
    keys: tuple = ()                # (pattern, text): what to type when the console shows what; see runner.run()
    icount: bool = False            # an instruction is a nanosecond, and the run repeats exactly
    rtc: str = ""                   # what the clock of the machine shows as it is switched on, UTC
    report: tuple = ()              # what the report on a hang shows
    limits: dict = dataclasses.field(default_factory=dict)  # of a release build's counts under icount: ISA, line
    user_bench: bool = False        # ./verdant bench user: its machine, its lines, and their targets as limits
    holds: bool = False             # measure how long run-queue locks are held: the count `runq_hold`
    image: str = "verdant"          # another image of the build, as cmake/image.cmake names it
    budget: int = HANG_DETECTOR_SECONDS
    silence: int = 120              # seconds without a byte that count as a hang


def selftest(name, **other):
    lines = (FIRST_LINE, ALL_ONLINE, SELFTEST_PASSED, *other.pop("lines", ()))
    return BootTest(name, other.pop("append", "init=selftest"), lines=lines, **other)


def crash(kind, *says, **other):
    return BootTest(f"panic-{kind}", f"init=crash:{kind}", end="panic", lines=(r"panic: ", *says), **other)


def walls(name, which, **other):
    """The kernel says which walls this CPU has, and works with them; panic-KIND tries them on the default CPU."""
    return selftest(f"walls-{name}", append="init=selftest:user: loglevel=3", lines=(rf"^cpu: walls: {which}$",),
                    **other)


PROMPT = r"^verdant> $"


def session(name, append, *dialogue, **other):
    """Commands typed one after the other, each at its prompt; the last one must leave."""
    keys = tuple((PROMPT, line) for line in dialogue)
    return BootTest(name, append, keys=keys, **other)


SHELL_PROMPT = r"^root@verdant:\S*# "
STOPPED = r"^\[1\]\+ +Stopped"

# What a person does in a shell: (what the console shows, what is typed then). A program that is to be interrupted or
# stopped says that it runs first.
SHELL_DIALOGUE = (
    (SHELL_PROMPT, "echo $((6*7)) | cat | tr 4 5\r"),
    (SHELL_PROMPT, "stty size\r"),
    (SHELL_PROMPT, "sh -c 'echo going; exec sleep 1000'\r"), (r"^going$", "\x03"),
    (SHELL_PROMPT, "echo interrupted $?\r"),
    (SHELL_PROMPT, "sh -c 'echo stays; exec sleep 2000'\r"), (r"^stays$", "\x1a"),
    (SHELL_PROMPT, "jobs\r"), (STOPPED, ""),
    (SHELL_PROMPT, "bg\r"),
    (SHELL_PROMPT, "jobs\r"),
    (SHELL_PROMPT, "kill %1; wait %1; echo killed $?\r"),
    (SHELL_PROMPT, "sh -c 'trap \"exit 9\" CONT; echo third; while :; do sleep 1; done'\r"), (r"^third$", "\x1a"),
    (SHELL_PROMPT, "fg\r"),
    (SHELL_PROMPT, "echo continued $?\r"),
    (SHELL_PROMPT, "cat <<E\r"), (r"^> ", "in here $((1+1))\r"), (r"^> ", "E\r"),
    (SHELL_PROMPT, "sh -c 'exit 5' & wait $!; echo behind $?\r"),
    (SHELL_PROMPT, "ps\r"),
    (SHELL_PROMPT, "top -b -n1 | head -3\r"),
    (SHELL_PROMPT, "free\r"),
    (SHELL_PROMPT, "uptime\r"),
    (SHELL_PROMPT, "exit 3\r"),
)
SHELL_SHOWS = (r"^52$", r"^40 111$", r"^interrupted 130$", STOPPED, r"^\[1\]\+ +Running", r"^killed 143$",
               r"^continued 9$", r"^in here 2$", r"^behind 5$", r"^ +1 root .*init", r"^Mem: \d+K used, \d+K free",
               r"^Mem: +\d+ +\d+ +\d+", r"load average: \d+\.\d\d, ")


def shell(cpus):
    return BootTest(f"shell-{cpus}", "loglevel=1", end="status", status=3, session="rows=40 columns=111\n",
                    cpus=cpus, keys=SHELL_DIALOGUE, lines=SHELL_SHOWS)


def command(name, text, status, *lines, **other):
    """One command of a shell's, as ./verdant run ISA -- CMD would have it."""
    return BootTest(name, "loglevel=1", end="status", status=status, session=f"piped=yes\nset -- {text}\n",
                    lines=lines, **other)


# Everything that can be used up is, on a small machine, one after the other: the shell goes on, and a victim is named.
# None of it in the shell's own process group, but `kill -9 -1` is not for the shell.
LIMITS = """sh -c '
for kind in memory maps threads pipes; do stress hog $kind; done
stress hog file /tmp/hog; rm /tmp/hog; stress hog file /hog; rm -f /hog
for kind in memory maps threads pipes; do stress hog $kind; echo after $kind $((6*7)); done
stress hog file /tmp/hog; rm /tmp/hog; stress hog file /hog; rm -f /hog
stress mark /tmp/mark
stress hog streams /tmp/full &
until [ -e /tmp/full ]; do sleep 1; done
for i in 1 2 3 4 5 6 7 8; do ls -lR /bin >/dev/null && echo alive $i; done
kill -9 -1; wait; stress compare /tmp/mark
echo after streams $((6*7))
stress hog forks & sleep 2; kill -9 -1; kill -9 -1; wait
echo after forks $((6*7)) | cat'
"""
# Of stress-ng and rt-tests, which ./verdant stress ISA has more of: by counts of operations, with a bound on the time.
STRESSORS = {"cpu": 10, "fork": 50, "futex": 200, "pipe": 500, "signal": 500, "mmap": 4, "schedpolicy": 50,
             "switch": 500}


def foreign(name, **other):
    steps = [("hackbench", "hackbench -g 1 -l 20"), ("hackbench-threads", "hackbench -p -T -g 1 -l 20"),
             ("cyclictest", "cyclictest -q -t 4 -p 80 -i 2000 -l 50")]
    lines = [r"^steps: 1 rounds, 0 failures$"]
    for stressor, count in STRESSORS.items():
        more = " --mmap-bytes 16m" if stressor == "mmap" else ""
        steps.append((stressor, f"stress-ng --{stressor} 2 --{stressor}-ops {count} -t 60{more}"))
        lines.append(rf"stress-ng: info: .* passed: 2: {stressor} \(2\)$")
    lines += [rf"^steps: end 1 {step}: 0, 0, \d+ s, stress: as before: " for step, _ in steps]
    return BootTest(name, "loglevel=1", end="status", steps=tuple(steps), lines=tuple(lines), memory="1G", **other)


APPLETS = "sh -c 'cd /tmp && applets | sed \"s/^/ev /\"'"
# What is checked for minutes by ./verdant stress ISA, for a moment.
STRESS = "sh -c 'stress run 2 4; stress mark /tmp/mark; stress run 3 4 && stress compare /tmp/mark'"


KEPT_OF_Z = r"^registers: a call keeps 128 bits of z$"


def registers(name, cpu, *files, checks=3, says=(), **other):
    """The registers that this CPU has, checked by a program: name and bytes of each file, and that a handler sees
    them, where a frame has them in one piece."""
    lines = [rf"^registers: {file} bytes$" for file in files]
    lines += [rf"^registers: {file.rsplit(',', 1)[0]}, by way of the frame, too$" for file in files if file[0] != "y"]
    return command(f"registers-{name}", "check registers", 0, *lines, *says, rf"^check: {checks} passed, 0 failed$",
                   cpu=cpu, **other)


def port_check(name, cpus, **other):
    """The HAL conformance kit, test/hal: a kernel of its own."""
    return BootTest(f"port-check-{name}", "", lines=(PORT_CHECK_PASSED,), cpus=cpus, image="port-check", **other)


def initrd(size):
    """The contents of an initrd of a test: no page is like another."""
    pattern = bytes(range(1, 252))  # of a prime length
    return (pattern * (size // len(pattern) + 1))[:size]


def port_check_initrd(name, size, **other):
    found = sum(byte * at for at, byte in enumerate(initrd(size), 1)) % 2 ** 64
    return BootTest(f"port-check-{name}", "", lines=(PORT_CHECK_PASSED, rf"^initrd of {size} bytes, sum {found}$"),
                    cpus=1, image="port-check", initrd_bytes=size, **other)


def little_memory(size, **other):
    return BootTest(f"memory-{size}", "init=selftest", end="either", says=NO_MEMORY, memory=size, cpus=1, **other)


TESTS = (
    # CPU counts: one, a few, odd ones, and the most that an old interrupt controller serves.
    selftest("selftest-1", cpus=1),
    selftest("selftest-2", cpus=2),
    selftest("selftest-3", cpus=3),
    selftest("selftest-4", cpus=4),
    selftest("selftest-5", cpus=5),
    selftest("selftest-8", cpus=8),
    BootTest("showcase-4", "init=showcase", lines=(FIRST_LINE, SHOWCASE_RIGHT)),
    # A few seconds of what ./verdant run ISA --append init=soak:600 does for minutes.
    BootTest("hotplug-4", "init=hotplug:5",
             lines=(r"\bhotplug: ok: [1-9]\d* times off and on, on 4 CPUs, 0 checks failed",)),
    BootTest("soak-4", "init=soak:6", lines=(r"\bsoak: ok: [1-9]\d* lives on 4 CPUs, 0 checks failed",)),

    # The debug console, as init and beside it; with keys that change their mind, and commands that are none.
    session("console", "init=console", "hepl\x7f\x7flp\r", "ps\r", "top 50 5 1\r", "sched\r", "mem\r", "log level 3\r",
            "log\r", "frobnicate\r", "top never\r", "ps now\r", "exit 1\x03", "exit 1\x15exit\r",
            lines=(r"^  sched +run queues", r"^ +\d+ +\d+ running +real-time rr .* init\b",
                   r"^ +TID +CPU +USED%", r"^ *0 \S+ +\d+ ", r"^memory: +\d+ KiB stacks", r"^log level 3$",
                   r"^'frobnicate': no such command; help lists them$", r"^'never': give a number from 10 to 3600000$",
                   r"^usage: ps$", r"\^C$", r"^init: console ended with code 0")),
    session("console-beside", "init=none console=on", "ps\r", "exit\r",
            lines=(r" none$| init .* a time$", r" console ", r"^console: exit with code 0")),
    # Planted stretches, with their places by name, where the clock counts instructions.
    selftest("latency", append="init=selftest:latency: latency=on", icount=True, cpus=2,
             lines=(r"^latency: CPU \d+ (timer|preempt|poke) .* at [A-Za-z_]\w*\+0x",)),

    # The same workload has the same scheduling events on every machine. The same file is compared on the host.
    BootTest("trace", "init=trace slice=100000", lines=(FIRST_LINE, r"^trace: \d+ events, 0 lost, 0 unknown"), cpus=1,
             golden="test/kernel/trace.golden", debug_only=True),

    # What the machine owes the core, level by level; and the kit's own word that something is wrong.
    port_check("1", 1),
    port_check("4", 4),
    port_check("gic-version-3", 2, board_options="gic-version=3", only=("aarch64",)),
    port_check("sstc-off", 2, cpu="rv64,sstc=off", only=("riscv64",)),
    port_check("cpu-qemu64", 2, cpu="qemu64", only=("x86_64",)),
    # An initrd arrives whole, by each way in: the kit sums up what it finds. The kernel says that it has it.
    port_check_initrd("initrd", 700_001),
    port_check_initrd("initrd-uboot", 700_001, firmware="uboot", only=("aarch64", "riscv64")),
    selftest("initrd", append="init=selftest:user", initrd_bytes=40 << 20, memory="128M",
             lines=(rf"^mm: an initrd of {40 << 20} bytes$",)),
    # Programs of the user's: the first one's end is the machine's.
    BootTest("procs", "loglevel=3", end="status", status=42, program="procs",
             files=(("script", 0o755, b"#!/init of the script\n"), ("loop", 0o755, b"#!/loop\n"),
                    ("garbage", 0o755, bytes(range(256)) * 8), ("plain", 0o644, 1 << 20), ("cut", 0o755, 100)),
             lines=(r"^init\[1\]: /cut: program headers", r"^init: ended with status 42$")),
    BootTest("calls", "loglevel=3", end="status", status=42, program="calls",
             lines=(r"^init: ended with status 42$",)),
    BootTest("signals", "", end="status", status=42, program="signals",
             lines=(r"signal 11, code 1, pc 0x[0-9a-f]+, address 0x8$", r"^init: ended with status 42$")),
    # The shell, and single commands.
    shell(1), shell(4),
    command("command-status", "sh -c 'echo \"$0\"; exit 200' 'a  b'", 200, r"^a  b$"),
    command("command-signal", "sh -c 'kill -9 $$'", 137),
    command("command-fault", "sh -c 'kill -SEGV $$'", 139),
    command("command-missing", "/no/such", 127, r"/no/such"),
    # The time of day is the machine's, and that of the boot with it, to the second in which its clock was read.
    command("time-of-day", "sh -c 'date -u +now:%Y-%m-%dT%H:%M; echo >/tmp/new; date -u -r /tmp/new +new:%Y-%m-%d; "
            "uptime; sed -n s/^btime/btime/p /proc/stat'", 0, r"^now:2028-02-29T21:3[45]$", r"^new:2028-02-29$",
            r"^ 21:3[45]:\d\d up 0 min", r"^btime 18354728(79|80)$", icount=True, cpus=1, rtc="2028-02-29T21:34:40"),
    # What is checked on the host's Linux, too (unit.user.check).
    command("check-1", "check", 0, r"^check: [1-9]\d\d passed, 0 failed$", cpus=1),
    command("check-4", "check", 0, r"^check: [1-9]\d\d passed, 0 failed$", cpus=4),
    command("stress", STRESS, 0, r"^stress: ok: 3 rounds in each of 4 processes", r"^stress: as before: "),
    foreign("stress-4", cpus=4),
    command("limits", LIMITS, 0, r"^error: out of memory: killed stress\[\d+\], which had \d+ KiB",
            r"^after memory 42$", r"^after maps 42$", r"^after threads 42$", r"^after pipes 42$",
            *(rf"^alive {i}$" for i in range(1, 9)), r"^stress: as before: ", r"^after streams 42$",
            r"^after forks 42$",
            r"^stress: hog: \d+ times 64 KiB of a file, then No space left on device$", memory="64M"),
    # The same script, and the same busybox, as on Linux (unit.tools.programs): the same lines.
    command("applets-1", APPLETS, 0, golden="test/boot/applets.golden", cpus=1),
    command("applets-4", APPLETS, 0, golden="test/boot/applets.golden", cpus=4),
    # Floating-point and vector registers, of CPUs that have more than the default one, or less.
    registers("max", "max", "xmm0-xmm15, 256", "ymm0-ymm15, 512", only=("x86_64",)),
    registers("qemu64", "qemu64", "xmm0-xmm15, 256", only=("x86_64",)),
    registers("cortex-a72", "cortex-a72", "q0-q31, 512", only=("aarch64",)),
    registers("sve", "max", "q0-q31, 512", "z0-z31, p0-p15, ffr, 2184", checks=7, says=(KEPT_OF_Z,), only=("aarch64",)),
    registers("sve-256", "max,sve-max-vq=2", "q0-q31, 512", "z0-z31, p0-p15, ffr, 1092", checks=7, says=(KEPT_OF_Z,),
              only=("aarch64",)),
    registers("sve-el2", "max,sve-max-vq=1", "q0-q31, 512", "z0-z31, p0-p15, ffr, 546", checks=7, says=(KEPT_OF_Z,),
              board_options="virtualization=on", only=("aarch64",)),
    registers("rv64", "rv64", "f0-f31, 256", only=("riscv64",)),
    registers("rv64-v", "rv64,v=true,vext_spec=v1.0,vlen=256", "f0-f31, 256", "v0-v31, 1024", only=("riscv64",)),
    registers("rv64-v1024", "rv64,v=true,vext_spec=v1.0,vlen=1024", "f0-f31, 256", "v0-v31, 4096", only=("riscv64",)),
    # Random calls, so many of them; ./verdant fuzz ISA makes more.
    BootTest("fuzz-calls", "loglevel=1 -- 20000 1", end="status", status=42, cpus=2, program="fuzz",
             lines=(r"^fuzz: [1-9]\d* of 20000 calls", r"^fuzz: ok$")),
    BootTest("no-program", "init=/nothing", end="status", status=63, program="procs",
             lines=(r"\binit: /nothing: error -2$", r"\binit: no program to start$")),
    BootTest("port-check-fails", "fail=idle", end="either", says=r"^level \d+ idle: FAILED: as the command line asks",
             cpus=1, image="port-check"),

    # Who is near whom, from the firmware: threads and caches; nodes and their distances.
    selftest("topology-threads", append="init=selftest:sched", smp="sockets=2,cores=2,threads=2", cpus=8,
             lines=(r"^smp: 1 node, 2 caches, 4 cores$",), only=("x86_64", "aarch64")),
    selftest("topology-clusters", append="init=selftest:sched", smp="sockets=2,cores=4,threads=1", cpus=8,
             lines=(r"^smp: 1 node, 2 caches, 8 cores$",), only=("x86_64", "aarch64")),
    selftest("topology-nodes", append="init=selftest:sched", smp="sockets=2,cores=2,threads=1", numa=("0-1", "2-3"),
             lines=(r"^nodes: CPU 0 took 200 pages, 0 of them not of node 0;",
                    r"^nodes: CPU 2 took 200 pages, 0 of them not of node 1;",
                    r"^memory: node 1: \d{5,} KiB in care$",
                    r"^smp: 2 nodes, [12] cache", r"^smp: node 0: 2 CPUs, distances 10 20$",
                    r"^smp: node 1: 2 CPUs, distances 20 10$")),
    selftest("topology-4-nodes", append="init=selftest:sched", smp="sockets=4,cores=1,threads=1",
             numa=("0", "1", "2", "3"),
             lines=(r"^nodes: CPU 3 took 200 pages, 0 of them not of node 3;",
                    r"^smp: 4 nodes", r"^smp: node 0: 1 CPU, distances 10 20 30 40$",
                    r"^smp: node 2: 1 CPU, distances 30 20 10 20$"),
             only=("x86_64", "aarch64")),  # this QEMU's virt of RISC-V crashes with sockets of one hart

    # Another way in.
    selftest("selftest-uboot", firmware="uboot", append="init=selftest loglevel=3",
             lines=(r"^U-Boot 20\d\d\.", SLIDE_MOVED), only=("aarch64", "riscv64")),

    # The image moves: elsewhere each time, not at all, to the last place there is; and with no good seed it says so.
    selftest("kaslr", append="init=selftest loglevel=3", lines=(SLIDE_MOVED,), boots=3, differs=SLIDE_MOVED),
    selftest("kaslr-off", append="init=selftest:create loglevel=3 kaslr=off", lines=(r"^kernel slide 0x0$",)),
    selftest("kaslr-last", append="init=selftest:create loglevel=3 kaslr=0x7fa00000",
             lines=(r"^kernel slide 0x7fa00000$",)),
    selftest("kaslr-bad", append="init=selftest:create loglevel=3 kaslr=0x12345",
             lines=(r"boot option kaslr: bad value '0x12345'", SLIDE_MOVED)),
    selftest("kaslr-weak", append="init=selftest:create", lines=(SLIDE_WEAK,), cpu="qemu64", only=("x86_64",)),
    selftest("kaslr-weak", append="init=selftest:create", lines=(SLIDE_WEAK,), board_options="dtb-randomness=off",
             only=("aarch64",)),

    # Other hardware than the default.
    selftest("cpu-qemu64", cpu="qemu64", only=("x86_64",)),
    selftest("hpet-off", board_options="hpet=off", only=("x86_64",)),
    selftest("cpu-cortex-a53", cpu="cortex-a53", only=("aarch64",)),
    selftest("entered-at-el2", board_options="virtualization=on", only=("aarch64",)),
    selftest("gic-version-3", board_options="gic-version=3", only=("aarch64",)),
    selftest("gic-version-3-el2", board_options="gic-version=3,virtualization=on", only=("aarch64",)),
    selftest("sstc-off", cpu="rv64,sstc=off", only=("riscv64",)),
    selftest("vector-on", cpu="rv64,v=on,vlen=256", only=("riscv64",)),
    selftest("sv39", only=("riscv64",), dtb_patch=((b"riscv,sv48", b"riscv,sv39"),),
             lines=(r"page tables of 3 levels",)),
    selftest("sv57", only=("riscv64",), dtb_patch=((b"riscv,sv48", b"riscv,sv57"),),
             lines=(r"page tables of 5 levels",)),
    port_check("sv39", 2, only=("riscv64",), dtb_patch=((b"riscv,sv48", b"riscv,sv39"),)),
    port_check("sv57", 2, only=("riscv64",), dtb_patch=((b"riscv,sv48", b"riscv,sv57"),)),

    # Every bug of ours ends in a report and a failing exit code.
    crash("null-call", r"execution of a null pointer"),
    crash("null-read", r"read from a null pointer"),
    crash("null-write", r"write to a null pointer"),
    crash("stack-overflow", r"stack overflow"),
    crash("assert", r"assertion failed"),
    crash("page-fault"),
    crash("fpu"),

    # Every wall: what the kernel may not do even by mistake. A machine's own words for the walls are in the last tests.
    crash("stack-guard", r"write to a guard page"),
    crash("wx", r"write to 0x"),
    crash("wx-alias", r"write to 0x"),
    crash("rodata", r"write to 0x"),
    crash("sealed", r"write to 0x"),
    crash("nx", r"execution of 0x"),
    crash("nx-stack", r"execution of 0x"),
    crash("nx-direct-map", r"execution of 0x"),
    crash("user-read", TOUCHED_USER + "read"),
    crash("user-write", TOUCHED_USER + "write"),
    crash("user-execute", TOUCHED_USER + "execution"),
    crash("user-in-handler", TOUCHED_USER + "read"),
    walls("all", r"WP NX SMEP SMAP UMIP", only=("x86_64",)),
    walls("all", r"PXN UXN PAN", only=("aarch64",)),
    walls("all", r"SUM off, MXR off", only=("riscv64",)),
    walls("smap-off", r"WP NX SMEP UMIP", cpu="max,smap=off", only=("x86_64",)),
    walls("qemu64", r"WP NX", cpu="qemu64", only=("x86_64",)),
    walls("cortex-a53", r"PXN UXN", cpu="cortex-a53", only=("aarch64",)),
    walls("cortex-a76", r"PXN UXN PAN", cpu="cortex-a76", only=("aarch64",)),

    # Bad input to the boot.
    selftest("unknown-option", append="init=selftest nonsense=1", cpus=2,
             lines=(r"boot option 'nonsense' is unknown",)),
    BootTest("option-cpus", "init=selftest cpus=2", lines=(FIRST_LINE, r"\bcpu: 2 of 4 online", SELFTEST_PASSED)),
    # So few address-space ids that they run out; and too few to be of use.
    selftest("option-asids", append="init=selftest asids=9", lines=(r"\bsmp: 8 address-space ids",),
             only=("aarch64", "riscv64")),
    selftest("option-asids-none", append="init=selftest asids=3", lines=(r"\bsmp: no address-space ids in use",)),
    selftest("memory-64M", memory="64M"),
    # The direct map in pages of 1 GiB, where the CPU has them.
    selftest("memory-3G", append="init=selftest:create", memory="3G", cpus=2),
    # More than the hole below 4 GiB leaves room for, so in two large parts on x86_64.
    selftest("memory-4G", append="init=selftest:create", memory="4G"),
    # A device tree whose only memory ends beyond the end of the address space.
    BootTest("memory-wraps", "init=selftest", end="either", says=r"memory nodes are malformed", only=("riscv64",),
             dtb_patch=((struct.pack(">QQ", 0x80000000, 512 << 20),
                         struct.pack(">QQ", 0x80000000, 0xfffffffffffff000)),)),
    little_memory("16M"),
    little_memory("8M", firmware_may_fail=True),
    little_memory("4M", firmware_may_fail=True, budget=30),
    little_memory("2M", firmware_may_fail=True, budget=20),
    BootTest("no-pit-no-hpet", "init=selftest", end="either", says=r"timer|clock|calibrat",
             board_options="pit=off,hpet=off", only=("x86_64",)),
    BootTest("no-acpi", "init=selftest", end="either", says=r"ACPI|RSDP|MADT", board_options="acpi=off",
             only=("x86_64",)),
    BootTest("no-timer", "init=selftest", end="panic", lines=(r"timer",), only=("aarch64",),
             dtb_patch=((b"arm,armv8-timer", b"arm,armv8-tixxx"), (b"arm,armv7-timer", b"arm,armv7-tixxx"))),
    BootTest("no-interrupt-controller", "init=selftest", end="panic", lines=(r"interrupt controller|GIC",),
             only=("aarch64",), dtb_patch=((b"arm,cortex-a15-gic", b"arm,cortex-a15-xxx"),)),

    # The hang detector itself: the kernel spins for ever with interrupts off.
    BootTest("hang-is-reported", "init=hang", end="hang", lines=(r"hang",), silence=10,
             report=(r"kernel slide 0x[1-9a-f]", r"hang_main\+0x")),
)


# What an operation may cost, in executed instructions: a count beyond its limit is a failed test. docs/TESTING.md has
# today's counts.
LIMITS_SWITCH = {
    "x86_64": {"yield_fifo": 178, "event_round_trip": 536, "mutex_pair": 60},
    "aarch64": {"yield_fifo": 180, "event_round_trip": 548, "mutex_pair": 60},
    "riscv64": {"yield_fifo": 240, "event_round_trip": 668, "mutex_pair": 60},
}
LIMITS_LIFE = {
    # The budget of a life is 1,950: these are the counts of today and 2 %, or the budget.
    "x86_64": {"create_run_join_reclaim": 1807, "timer_pair": 150},
    "aarch64": {"create_run_join_reclaim": 1878, "timer_pair": 150},
    "riscv64": {"create_run_join_reclaim": 1939, "timer_pair": 150},
}

# At most 4 MiB are in use when the shell runs on 4 CPUs and 512 MiB, without the files that the initrd brought along.
PROMPT = """sh -c '
while read -r name kib unit; do
    case $name in MemTotal:) total=$kib ;; MemFree:) free=$kib ;; Cached:) files=$kib ;; esac
done </proc/meminfo
used=$((total - free - files))
echo at the prompt: $used KiB
[ $used -le 4096 ]'
"""

# The promise of docs/SCHEDULER.md.
LIMITS_HOLD = {
    "x86_64": {"runq_hold": 500},
    "aarch64": {"runq_hold": 500},
    "riscv64": {"runq_hold": 500},
}

# Counts repeat exactly where one instruction is one virtual nanosecond, so they can be compared with limits. Holds are
# counted by a plugin, whatever the clock is.
BENCHES = (
    BootTest("bench-switch", "init=bench:yield_fifo,event_round_trip,mutex_pair", limits=LIMITS_SWITCH, cpus=1),
    BootTest("bench-hold", "init=selftest:sched: loglevel=3", lines=(SELFTEST_PASSED,), limits=LIMITS_HOLD, holds=True,
             # The plugin is slow, and says nothing meanwhile.
             budget=600, silence=300),
    # Crowds, in which each look at a queue goes as far as it ever does.
    BootTest("bench-hold-crowd", "init=selftest:crowd: loglevel=3", lines=(SELFTEST_PASSED,), limits=LIMITS_HOLD,
             holds=True, budget=600, silence=300),
    BootTest("bench-life", "init=bench:create_run_join,timer_pair", limits=LIMITS_LIFE, cpus=1),
    command("bench-prompt", PROMPT, 0, r"^at the prompt: \d+ KiB$"),
    # No deadline is missed, and nobody urgent waits for longer than test/kernel/bench_latency.c says: it fails else.
    BootTest("bench-time", "init=bench-time", icount=True, cpus=1),
    BootTest("bench-user", "", user_bench=True),
)


def tests_of(arch, build_type="Debug"):
    tests = [test for test in TESTS if arch in test.only and (build_type == "Debug" or not test.debug_only)]
    return tests + [test for test in BENCHES if arch in test.only and build_type == "Release"]


def label_of(test):
    """CTest's: ./verdant test runs `bench` of the release build, and `boot` of the debug build."""
    return "bench" if test in BENCHES else "boot"
