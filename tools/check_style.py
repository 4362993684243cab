#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the parts of the house style that a program can see: licence lines, lengths, words, blanks, the two ends of
each memory-order pair, and that every file of core/ has its unit test."""
import argparse
import pathlib
import re
import sys

LINE_MAX = 120
FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 70

C_SUFFIXES = {".c", ".h", ".S", ".ld"}
HASH_SUFFIXES = {".py", ".cmake", ".sh", ".yml", ".yaml"}
TEXT_SUFFIXES = {".md", ".json", ".txt"}
# Folders that hold no source of ours.
SKIPPED = {"build", "__pycache__"}
# Programs that are measured on other kernels too, so they stay as they came: only their first lines are looked at.
COPIED = {"user/bench/kbench.c", "user/bench/tiny.c"}
DOTTED = {".ci", ".github", ".gitignore"}  # the rest with a dot in front belongs to other programs
# Files that must spell out what they look for.
BANNED_WORDS = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
SPELLS_OUT = {"tools/check_style.py", "test/style/check_test.py"}

PAIRS = re.compile(r"PAIRS\((\w+)\)")
PAIRS_EXAMPLE = "tag"  # how the rule itself is written down
ORDERED = re.compile(r"\b(?:load|store|xchg|cas|fetch_\w+?|fence)_(?:acquire|release|acq_rel|seq_cst)\s*\(")
ATOMIC_HEADER = "include/k/atomic.h"
PAIRS_DISTANCE = 4  # lines between the comment and the operation


def files(root):
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if any(part in SKIPPED or (part.startswith(".") and part not in DOTTED) for part in parts):
            continue
        if not path.is_file() or path.is_symlink():
            continue
        kind = kind_of(path)
        if kind is not None:
            yield path, "/".join(parts), kind


def kind_of(path):
    """How comments start in this file: "c", "#" or "text"; None: not checked."""
    if path.suffix in C_SUFFIXES:
        return "c"
    if path.suffix in HASH_SUFFIXES or path.name in ("CMakeLists.txt", "Dockerfile"):
        return "#"
    if path.suffix in TEXT_SUFFIXES or path.name == ".gitignore":
        return "text"
    if path.suffix == "" and path.stat().st_size > 0:
        with open(path, "rb") as file:
            return "#" if file.read(2) == b"#!" else None
    return None


def check_lines(name, kind, lines, report):
    spdx = {"c": "/* SPDX-License-Identifier: MIT */", "#": "# SPDX-License-Identifier: MIT"}.get(kind)
    first = 1 if lines and lines[0].startswith("#!") else 0
    if spdx is not None and (len(lines) <= first or lines[first] != spdx):
        report(name, first + 1, f"the first line is not {spdx}")
    if name in COPIED:
        return
    if kind != "text" and len(lines) > FILE_LINES_MAX:
        report(name, FILE_LINES_MAX + 1, f"{len(lines)} lines, at most {FILE_LINES_MAX}")
    for number, line in enumerate(lines, 1):
        if kind != "text" and len(line) > LINE_MAX:
            report(name, number, f"{len(line)} characters, at most {LINE_MAX}")
        if "\t" in line:
            report(name, number, "a tab")
        if line != line.rstrip():
            report(name, number, "trailing blanks")
        match = BANNED_WORDS.search(line)
        if match is not None and name not in SPELLS_OUT:
            report(name, number, f"{match.group(0)}: an issue, not a comment")


def check_functions(name, lines, report):
    """A function's braces stand alone in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            length = number - start - 1
            if length > FUNCTION_LINES_MAX:
                report(name, start, f"a function of {length} lines, at most {FUNCTION_LINES_MAX}")
            start = None


def collect_pairs(name, lines, pairs):
    for number, line in enumerate(lines, 1):
        for tag in PAIRS.findall(line):
            if tag != PAIRS_EXAMPLE:
                pairs.setdefault(tag, []).append((name, number))


def check_ordered(name, lines, report):
    """An operation stronger than relaxed names its pair, on its line or a few lines above."""
    if name == ATOMIC_HEADER:
        return
    for number, line in enumerate(lines, 1):
        if ORDERED.search(line.split("/*")[0]) is None or line.lstrip().startswith("*"):
            continue
        near = lines[max(0, number - 1 - PAIRS_DISTANCE):number + 1]
        if not any(PAIRS.search(text) for text in near):
            report(name, number, "an ordered atomic operation without PAIRS(...)")


def check_mirror(root, report):
    for path in sorted((root / "core").glob("*/*.c")):
        room = path.parent.name
        test = f"test/unit/{room}/{path.stem}_test.c"
        if not (root / test).exists():
            report(f"core/{room}/{path.name}", 1, f"has no {test}")


def check(root, report):
    """Run every check; report(file, line, message) is called for each finding. Returns how many files were read."""
    pairs, count = {}, 0
    for path, name, kind in files(root):
        text = path.read_bytes().decode("utf-8")  # read_text() would hide carriage returns
        lines = text.split("\n")
        count += 1
        if text and lines.pop() != "":
            report(name, len(lines) + 1, "no newline at the end")
        check_lines(name, kind, lines, report)
        if kind == "c":
            if path.suffix in (".c", ".h") and name not in COPIED:
                check_functions(name, lines, report)
            if name.startswith(("core/", "arch/", "include/")):
                collect_pairs(name, lines, pairs)
                if not name.startswith("arch/host/"):
                    check_ordered(name, lines, report)
    for tag, places in sorted(pairs.items()):
        if len(places) < 2:
            report(places[0][0], places[0][1], f"PAIRS({tag}) stands here only: where is the other end?")
    check_mirror(root, report)
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    args = parser.parse_args()
    findings = []
    count = check(args.root.resolve(), lambda *finding: findings.append(finding))
    for name, number, message in findings:
        print(f"{name}:{number}: {message}")
    print(f"{count} files, {len(findings)} findings")
    return 1 if findings or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
