#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check who may include whom, that core/ names no machine, and how wide the HAL is; print the size of each port.

The order of the rooms is read from cmake/rooms.cmake, what a room USES from its k_room() call."""
import argparse
import pathlib
import re
import sys

STANDARD = {"limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h"}
# What the contracts take from the machine: its inlines.
MACHINE_HEADERS = {"hal_machine.h", "hal_point.h"}
# Rooms that must not use each other although their order would allow it: processes are where they meet.
STRANGERS = {("sched", "mm")}
# Hosted machines stand on a libc and may include what they like of it.
HOSTED = {"host"}
HAL_FUNCTIONS_MAX = 40
HAL_LINES_MAX = 600
SOURCE_SUFFIXES = {".c", ".h", ".S"}

# "arm" alone is a verb: timers are armed.
ISA_NAMES = re.compile(r"(?<![a-z0-9])(x86|i[3-6]86|amd64|aarch64|arm64|armv[0-9]\w*|riscv\w*|rv(?:32|64)\w*|mips\w*|"
                       r"powerpc|ppc(?:64)?(?:le)?|loongarch\w*|s390x?|sparc\w*|ia(?:32|64))(?![a-z0-9])|"
                       r"\b__arm__\b|\b(?:__asm__|asm)\b", re.IGNORECASE)
CONDITIONAL = re.compile(r"^\s*#\s*(?:if|ifdef|ifndef|elif|elifdef|elifndef)\b\s*(.*)")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")')


def without_comments(text):
    """The text with comments blanked out, line by line the same; strings stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

    def blank(match):
        found = match.group(0)
        return found if found[0] in "\"'" else re.sub(r"[^\n]", " ", found)
    return pattern.sub(blank, text)


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in SOURCE_SUFFIXES)


def room_rules(root, report):
    """{room: rooms that it uses}, in order."""
    text = (root / "cmake/rooms.cmake").read_text()
    match = re.search(r"set\(VERDANT_ROOMS\s+([^)]*)\)", text)
    if match is None:
        report("cmake/rooms.cmake", 1, "no set(VERDANT_ROOMS ...)")
        return {}
    order = match.group(1).split()
    rules = {room: set() for room in order}
    for room in order:
        path = root / "core" / room / "CMakeLists.txt"
        name = f"core/{room}/CMakeLists.txt"
        if not path.exists():
            report(name, 1, f"room {room} has no build file")
            continue
        body = re.sub(r"#[^\n]*", "", path.read_text())
        call = re.search(r"k_room\(\s*(\w+)\b([^)]*)\)", body.replace("${srcs}", "srcs"))
        if call is None or call.group(1) != room:
            report(name, 1, f"no k_room({room} ...)")
            continue
        words = call.group(2).split()
        uses = words[words.index("USES") + 1:] if "USES" in words else []
        for used in uses:
            if used not in order:
                report(name, 1, f"USES {used}: no such room")
            elif order.index(used) >= order.index(room):
                report(name, 1, f"USES {used}: not to the left of {room}")
            elif (room, used) in STRANGERS:
                report(name, 1, f"USES {used}: these two meet in proc only")
        rules[room] = set(uses)
    for path in sorted((root / "core").iterdir()):
        if path.is_dir() and path.name not in order:
            report(f"core/{path.name}", 1, "a folder that is no room of cmake/rooms.cmake")
    return rules


def check_includes(root, path, folders, report, own_folders=(), machine=False, hosted=False):
    """Each <folder/header> must come from `folders`; quoted ones from the file's own folders."""
    name = path.relative_to(root).as_posix()
    for number, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
        match = INCLUDE.match(line)
        if match is None:
            if re.match(r"\s*#\s*include", line):
                report(name, number, "an include that is no plain name")
            continue
        bracketed, quoted = match.groups()
        header = bracketed or quoted
        if quoted is not None:
            if not any((folder / quoted).exists() for folder in (path.parent, *own_folders)):
                report(name, number, f'"{quoted}" is not in its own folder')
        elif "/" in header and (root / "include" / header).exists():
            if header.split("/")[0] not in folders:
                report(name, number, f"<{header}>: may include {', '.join(sorted(folders))} only")
        elif any((folder / header).exists() for folder in own_folders):
            pass
        elif header in STANDARD or (machine and header in MACHINE_HEADERS) or hosted:
            pass
        else:
            report(name, number, f"<{header}>: neither a header of this part nor a freestanding one")


def check_core_text(root, path, report):
    name = path.relative_to(root).as_posix()
    if path.suffix == ".S":
        report(name, 1, "assembly in the portable part")
    for number, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
        match = ISA_NAMES.search(line)
        if match is not None:
            report(name, number, f"names a machine: {match.group(0)}")
        match = CONDITIONAL.match(line)
        if match is not None and not (path.suffix == ".h" and match.group(1).strip() == "KERNEL_DEBUG"):
            report(name, number, "conditional compilation (only #if KERNEL_DEBUG in a header is allowed)")


def hal_functions(text):
    """Names of the functions declared at the top level of a header."""
    plain = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", "", without_comments(text), flags=re.MULTILINE)
    flat, depth = [], 0
    for c in plain:
        depth -= c == "}"
        if depth == 0:
            flat.append(";" if c == "}" else c)
        depth += c == "{"
    return set(re.findall(r"\b(hal_\w+)\s*\([^;{]*[;{]", "".join(flat)))


def check_hal(root, report):
    functions, lines = set(), 0
    for path in sources(root / "include/hal"):
        functions |= hal_functions(path.read_text())
        lines += len(path.read_text().splitlines())
    if len(functions) > HAL_FUNCTIONS_MAX:
        report("include/hal", 1, f"{len(functions)} functions, at most {HAL_FUNCTIONS_MAX}")
    if lines > HAL_LINES_MAX:
        report("include/hal", 1, f"{lines} lines, at most {HAL_LINES_MAX}")
    check_null(root, functions, report)
    check_kit(root, functions, report)
    return len(functions), lines


def check_null(root, functions, report):
    """The machine that only compiles has all of the HAL, and whatever it has not written stops."""
    defined = set()
    for path in sources(root / "arch/null"):
        defined |= hal_functions(path.read_text())
    for name in sorted(functions - defined) if defined else ():
        report("arch/null", 1, f"{name}() is not defined")


def check_kit(root, functions, report):
    """The conformance kit asserts something about every function of the HAL."""
    text = "".join(without_comments(path.read_text()) for path in sources(root / "test/hal"))
    for name in sorted(functions) if text else ():
        if not re.search(rf"\b{name}\s*\(", text):
            report("test/hal", 1, f"{name}() is never called")


def code_lines(path):
    text = without_comments(path.read_text())
    if path.suffix in (".S", ".ld"):
        directive = r"(?:include|define|if|ifdef|ifndef|else|endif|undef)\b"
        text = re.sub(rf"^\s*#(?!\s*{directive})[^\n]*", "", text, flags=re.MULTILINE)
    return sum(1 for line in text.splitlines() if line.strip())


def port_sizes(root):
    sizes = {}
    for port in sorted((root / "arch").iterdir()):
        if port.is_dir():
            files = [p for p in port.rglob("*") if p.is_file() and p.suffix in SOURCE_SUFFIXES | {".ld"}]
            sizes[port.name] = sum(code_lines(p) for p in files)
    return sizes


def check(root, report):
    """Run every check; report(file, line, message) is called for each finding. Returns facts to print."""
    rules = room_rules(root, report)
    for room, uses in rules.items():
        allowed = {"k", "hal", room} | uses
        for path in sources(root / "core" / room):
            check_includes(root, path, allowed, report)
            check_core_text(root, path, report)
        for path in sources(root / "include" / room):
            check_includes(root, path, allowed, report)
            check_core_text(root, path, report)
    for part in ("k", "hal"):
        for path in sources(root / "include" / part):
            check_includes(root, path, {"k", "hal"}, report, machine=part == "hal")
            check_core_text(root, path, report)
    known = set(rules) | {"k", "hal"}
    for path in sorted((root / "include").iterdir()):
        if path.name not in known:
            report(f"include/{path.name}", 1, "headers that belong to no room")
    shared = root / "arch/shared"
    for port in sorted((root / "arch").iterdir()):
        for path in sources(port):
            own = [port, port / "include", shared, shared / "include"]
            check_includes(root, path, {"k", "hal", "parse", "lib"}, report, own, True, port.name in HOSTED)
    functions, lines = check_hal(root, report)
    return functions, lines, port_sizes(root)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    args = parser.parse_args()
    findings = []
    functions, lines, sizes = check(args.root.resolve(), lambda *finding: findings.append(finding))
    for name, number, message in findings:
        print(f"{name}:{number}: {message}")
    print(f"HAL: {functions} functions, {lines} header lines (at most {HAL_FUNCTIONS_MAX}, {HAL_LINES_MAX})")
    for port, count in sizes.items():
        print(f"arch/{port}: {count} code lines")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
