# SPDX-License-Identifier: MIT
"""Seeded defects: page tables that several CPUs make and take."""

from .kinds import Defect, edit

SLOTS = "core/mm/pagetable_slots.c"

TABLES = (
    Defect(
        "table-linked-by-store",
        "A new page table is linked by a plain store: the one that another CPU has linked meanwhile is lost.",
        ("story", "conserved", "tlb", "counts"),
        edit(SLOTS, "            if (cas_acq_rel(word_of(entry), &link, hal_pte_table(spare))) {",
             "            pt_entry_write(entry, hal_pte_table(spare));\n            {"),
        scenarios=("user-tables",), hazard=25),
    Defect(
        "table-race-not-undone",
        "Who loses the race for a link keeps the table that it had ready.",
        ("conserved", "story"),
        edit(SLOTS, "    if (spare != 0)\n        alloc->free(spare);\n", ""),
        scenarios=("user-tables",), hazard=25),
    Defect(
        "table-taken-in-use",
        "A page table is taken out although other entries of it are in use.",
        ("story", "tlb", "memory"),
        edit(SLOTS, "    if (*phys_table_used(table) != 0)\n        return 0;\n", ""),
        scenarios=("user-tables",), hazard=25),
    Defect(
        "table-use-not-counted",
        "An entry that is filled is not counted as in use.",
        ("sanity", "story", "tlb"),
        edit(SLOTS, "    (*used)++;\n", ""),
        scenarios=("user-tables",), hazard=25),
    Defect(
        "table-link-relaxed",
        "A page table is linked without release order: another CPU may see it before its zeros.",
        ("race",),
        edit(SLOTS, "            if (cas_acq_rel(word_of(entry), &link, hal_pte_table(spare))) {",
             "            if (cas_relaxed(word_of(entry), &link, hal_pte_table(spare))) {"),
        scenarios=("user-tables",), build="thread", hazard=18),
)
