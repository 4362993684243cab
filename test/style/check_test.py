#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tools/check_layers.py and tools/check_style.py: a small good tree passes, each damage is reported."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import check_layers  # noqa: E402
import check_style  # noqa: E402

C = "/* SPDX-License-Identifier: MIT */\n"
HASH = "# SPDX-License-Identifier: MIT\n"

GOOD = {
    "cmake/rooms.cmake": HASH + "set(VERDANT_ROOMS lib smp mm sched)\n",
    "core/lib/CMakeLists.txt": HASH + "set(srcs a.c)\nk_room(lib SRCS ${srcs})\n",
    "core/smp/CMakeLists.txt": HASH + "k_room(smp SRCS b.c USES lib)\n",
    "core/mm/CMakeLists.txt": HASH + "k_room(mm\n  SRCS m.c\n  USES lib smp)\n",
    "core/sched/CMakeLists.txt": HASH + "k_room(sched SRCS s.c USES smp)\n",
    "core/lib/a.c": C + "#include <lib/a.h>\n#include <stdint.h>\n#include <k/base.h>\n"
                        "/* on x86 this is fast */\nint a(void)\n{\n    return 1;\n}\n",
    "core/smp/b.c": C + '#include "smp_priv.h"\n#include <lib/a.h>\n#include <hal/cpu.h>\n'
                        "void timer_arm(void);\nint b(void)\n{\n    store_release(&x, 1); /* PAIRS(b) */\n"
                        "    /* PAIRS(b) */\n    return load_acquire(&x);\n}\n",
    "core/smp/smp_priv.h": C,
    "core/mm/m.c": C + "#include <smp/b.h>\n",
    "core/sched/s.c": C + "#include <smp/b.h>\n",
    "include/lib/a.h": C,
    "include/smp/b.h": C + "#if KERNEL_DEBUG\n#endif\n",
    "include/mm/m.h": C,
    "include/k/base.h": C,
    "include/hal/cpu.h": C + "#include <hal_machine.h>\nstatic inline void hal_relax(void);\nvoid hal_stop(int cpu);\n",
    "arch/one/cpu.c": C + '#include "one.h"\n#include <hal/cpu.h>\n#include <lib/a.h>\n#include <shared/uart.h>\n'
                          "#if defined(__riscv)\n#endif\n",
    "arch/one/one.h": C,
    "arch/one/include/hal_machine.h": C,
    "arch/shared/include/shared/uart.h": C,
    "arch/host/run.c": C + "#include <stdio.h>\n#include <sys/mman.h>\n#include <hal_machine.h>\n",
    "test/unit/lib/a_test.c": C,
    "test/unit/smp/b_test.c": C,
    "test/unit/mm/m_test.c": C,
    "test/unit/sched/s_test.c": C,
}


def findings(check, changes):
    """What the checker says about the good tree with some files replaced, added, or (None) removed."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        for name, text in {**GOOD, **changes}.items():
            if text is not None:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
        check(root, lambda name, line, message: found.append(f"{name}:{line}: {message}"))
    return found


class Base(unittest.TestCase):
    def reject(self, changes, *parts):
        found = findings(self.check, changes)
        self.assertTrue(any(all(part in line for part in parts) for line in found), (parts, found))

    def accept(self, changes):
        self.assertEqual(findings(self.check, changes), [])


class Layers(Base):
    check = staticmethod(check_layers.check)

    def test_a_good_tree_passes(self):
        self.accept({})

    def test_a_room_may_not_use_one_to_its_right(self):
        self.reject({"core/lib/CMakeLists.txt": HASH + "k_room(lib SRCS a.c USES smp)\n"}, "USES smp", "left")

    def test_a_room_may_not_use_itself_or_an_unknown_room(self):
        self.reject({"core/smp/CMakeLists.txt": HASH + "k_room(smp SRCS b.c USES lib smp)\n"}, "USES smp", "left")
        self.reject({"core/smp/CMakeLists.txt": HASH + "k_room(smp SRCS b.c USES fs)\n"}, "no such room")

    def test_strangers_stay_strangers(self):
        self.reject({"core/sched/CMakeLists.txt": HASH + "k_room(sched SRCS s.c USES mm)\n"}, "USES mm", "meet")

    def test_a_room_needs_a_call(self):
        self.reject({"core/mm/CMakeLists.txt": HASH}, "no k_room(mm")
        self.reject({"core/mm/CMakeLists.txt": None}, "no build file")

    def test_folders_must_be_rooms(self):
        self.reject({"core/extra/x.c": C}, "core/extra", "no room")
        self.reject({"include/extra/x.h": C}, "include/extra", "no room")

    def test_a_source_may_include_only_what_its_room_uses(self):
        self.reject({"core/lib/a.c": C + "#include <smp/b.h>\n"}, "core/lib/a.c:2", "<smp/b.h>")
        self.reject({"core/sched/s.c": C + "#include <lib/a.h>\n"}, "<lib/a.h>")
        self.reject({"core/sched/s.c": C + "  #  include <mm/m.h>\n"}, "<mm/m.h>")

    def test_a_public_header_follows_the_same_rule(self):
        self.reject({"include/lib/a.h": C + "#include <smp/b.h>\n"}, "include/lib/a.h:2")
        self.reject({"include/k/base.h": C + "#include <lib/a.h>\n"}, "include/k/base.h:2")
        self.reject({"include/hal/cpu.h": C + "#include <smp/b.h>\n"}, "include/hal/cpu.h:2")

    def test_private_headers_stay_private(self):
        self.reject({"core/mm/m.c": C + '#include "smp_priv.h"\n'}, "not in its own folder")
        self.reject({"core/mm/m.c": C + '#include "../smp/smp_priv.h"\n', "core/smp/smp_priv.h": None}, "own folder")

    def test_core_includes_no_libc_and_no_machine(self):
        self.reject({"core/lib/a.c": C + "#include <stdio.h>\n"}, "<stdio.h>")
        self.reject({"core/lib/a.c": C + "#include <hal_machine.h>\n"}, "<hal_machine.h>")
        self.reject({"core/lib/a.c": C + "#include <shared/uart.h>\n"}, "<shared/uart.h>")
        self.reject({"core/lib/a.c": C + "#include HEADER\n"}, "no plain name")

    def test_a_machine_includes_no_room_above_parse(self):
        self.reject({"arch/one/cpu.c": C + "#include <smp/b.h>\n"}, "arch/one/cpu.c:2", "<smp/b.h>")
        self.reject({"arch/one/cpu.c": C + "#include <stdio.h>\n"}, "<stdio.h>")
        self.reject({"arch/host/run.c": C + "#include <smp/b.h>\n"}, "arch/host/run.c:2")

    def test_a_commented_include_does_not_count(self):
        self.accept({"core/lib/a.c": C + "/*\n#include <smp/b.h>\n*/\n// #include <mm/m.h>\n"})

    def test_the_null_machine_and_the_kit_have_all_of_the_contract(self):
        null = {"arch/null/null.c": C + "void hal_stop(int cpu)\n{\n    null_stop();\n}\n",
                "arch/null/include/hal_machine.h": C + "static inline void hal_relax(void)\n{\n}\n"}
        kit = {"test/hal/kit.c": C + "void f(void)\n{\n    hal_relax();\n    hal_stop(1);\n}\n"}
        self.accept({**null, **kit})
        self.reject({**null, "arch/null/include/hal_machine.h": C}, "arch/null", "hal_relax() is not defined")
        self.reject({"test/hal/kit.c": C + "void f(void)\n{\n    hal_relax();\n    /* hal_stop(1); */\n}\n"},
                    "test/hal", "hal_stop() is never called")

    def test_core_names_no_machine(self):
        for text in ("int x86_flag;", "int is_riscv64;", 'char s[] = "aarch64";', "int AMD64;", '__asm__("nop");'):
            self.reject({"core/lib/a.c": C + text + "\n"}, "core/lib/a.c:2", "names a machine")
        self.reject({"include/smp/b.h": C + "int arm64_only;\n"}, "include/smp/b.h:2", "names a machine")
        self.reject({"core/lib/x.S": C}, "assembly")

    def test_core_has_no_conditionals(self):
        for text in ("#ifdef X", "#ifndef X", "# if KERNEL_DEBUG", "#if 0"):
            self.reject({"core/lib/a.c": C + text + "\n#endif\n"}, "core/lib/a.c:2", "conditional")
        self.reject({"include/smp/b.h": C + "#if KERNEL_DEBUG || X\n#endif\n"}, "conditional")

    def test_the_hal_stays_narrow(self):
        many = "".join(f"void hal_f{i}(int x);\n" for i in range(39))
        self.reject({"include/hal/more.h": C + many}, "41 functions")
        self.accept({"include/hal/more.h": C + many.replace("void hal_f0(int x);\n", "")})
        self.reject({"include/hal/more.h": C + "\n" * 600}, "lines, at most 600")

    def test_hal_functions_are_counted_once_with_bodies_and_without(self):
        text = ("void hal_a(void);\nvoid hal_a(void);\nstatic inline int hal_b(int x)\n{\n    return hal_c(x);\n}\n"
                "#define hal_d(x) hal_a()\n/* hal_e(); */\nuint64_t hal_f(\n    int x,\n    int y);\nstruct hal_g {\n"
                "    int x;\n};\n")
        self.assertEqual(check_layers.hal_functions(text), {"hal_a", "hal_b", "hal_f"})


class Style(Base):
    check = staticmethod(check_style.check)

    def test_a_good_tree_passes(self):
        self.accept({})

    def test_the_licence_comes_first(self):
        self.reject({"core/lib/a.c": "int x;\n"}, "core/lib/a.c:1", "SPDX")
        self.reject({"core/lib/a.c": "\n" + C}, "SPDX")
        self.reject({"core/lib/CMakeLists.txt": C}, "SPDX")
        self.reject({"tools/x.py": "#!/usr/bin/env python3\n"}, "tools/x.py:2", "SPDX")
        self.reject({"run": "#!/bin/sh\necho\n"}, "run:2", "SPDX")
        self.accept({"run": "#!/bin/sh\n" + HASH, "README.md": "# Title\n"})

    def test_a_copied_program_needs_the_licence_only(self):
        text = C + "/" * 121 + "\n" + "\n" * 700
        self.accept({"user/bench/kbench.c": text})
        self.reject({"user/bench/kbench.c": text[1:]}, "SPDX")
        self.reject({"user/bench/other.c": text}, "121 characters")

    def test_lengths_are_bounded(self):
        self.accept({"arch/one/x.c": C + "/" * 120 + "\n"})
        self.reject({"arch/one/x.c": C + "/" * 121 + "\n"}, "x.c:2", "121 characters")
        self.accept({"arch/one/x.c": C + "\n" * 699})
        self.reject({"arch/one/x.c": C + "\n" * 700}, "701 lines")

    def test_functions_are_bounded(self):
        body = "    x();\n"
        self.accept({"arch/one/x.c": C + "void f(void)\n{\n" + body * 70 + "}\n"})
        self.reject({"arch/one/x.c": C + "void f(void)\n{\n" + body * 71 + "}\n"}, "x.c:3", "71 lines")
        self.accept({"arch/one/x.c": C + "int t[] = {\n" + "    1,\n" * 200 + "};\n"})

    def test_blanks_are_clean(self):
        self.reject({"core/lib/a.c": C + "int x; \n"}, "a.c:2", "trailing")
        self.reject({"core/lib/a.c": C + "\tint x;\n"}, "a.c:2", "tab")
        self.reject({"core/lib/a.c": C + "int x;"}, "newline")
        self.reject({"core/lib/a.c": C + "int x;\r\n"}, "trailing")
        self.reject({"docs/x.md": "a \n"}, "docs/x.md:1", "trailing")

    def test_words_are_banned(self):
        for word in ("TODO", "FIXME", "XXX", "HACK"):
            self.reject({"core/lib/a.c": C + f"/* {word}: later */\n"}, "a.c:2", word)
        self.accept({"core/lib/a.c": C + "/* returns -EXXX, no HACKERS */\n"})

    def test_every_pair_has_two_ends(self):
        self.reject({"core/lib/a.c": C + "/* PAIRS(lonely) */\n"}, "a.c:2", "lonely")
        self.accept({"core/lib/a.c": C + "/* PAIRS(two) */\n", "arch/one/cpu.c": C + "/* PAIRS(two) */\n"})
        self.reject({"core/lib/a.c": C + "/* PAIRS(one) */\n", "test/x.c": C + "/* PAIRS(one) */\n"}, "one")
        self.accept({"core/lib/a.c": C + "/* a PAIRS(tag) comment */\n"})

    def test_ordered_operations_name_their_pair(self):
        for text in ("load_acquire(&x);", "store_release(&x, 1);", "fetch_sub_acq_rel(&x, 1);", "fence_seq_cst();",
                     "cas_acquire(&x, &y, 1);"):
            self.reject({"core/lib/a.c": C + text + "\n"}, "a.c:2", "without PAIRS")
        self.accept({"core/lib/a.c": C + "load_relaxed(&x);\ncas_relaxed(&x, &y, 1);\n"})

    def test_every_core_file_has_its_test(self):
        self.reject({"test/unit/mm/m_test.c": None}, "core/mm/m.c", "test/unit/mm/m_test.c")

    def test_build_folders_are_not_read(self):
        self.accept({"build/host/x.c": "\tTODO \n", ".git/x.c": "\t\n"})


if __name__ == "__main__":
    unittest.main()
