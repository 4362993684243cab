# SPDX-License-Identifier: MIT
"""Seeded defects: object caches and their magazines."""

from .kinds import Defect, edit

OBJECTS = (
    Defect(
        "magazine-of-another-cpu",
        "A CPU is looked up before preemption is disabled: its magazine is used by a task that has moved on meanwhile.",
        ("race", "memory", "sanity", "conserved"),
        edit("core/mm/magazine.c", """
    struct preempt_section section = preempt_enter(self);

    store_relaxed(&section.cpu->in_magazine, true); /* before the look at the pointer: see above */
""", """
    struct cpu *cpu = this_cpu();

    store_relaxed(&cpu->in_magazine, true);

    struct preempt_section section = preempt_enter(self);

    section.cpu = cpu;
"""),
        scenarios=("object-market",), build="thread"),
    Defect(
        "magazine-of-two-cpus",
        "A new magazine that was installed on one CPU still counts as spare: it is freed, or installed on another.",
        ("sanity", "memory", "conserved"),
        edit("core/mm/magazine.c", "    *spare = NULL;\n", ""),
        scenarios=("object-market",)),
    Defect(
        "reclaim-without-agreement",
        "Who takes a magazine away does not wait until its CPU has left the section in which it may use it.",
        ("sanity", "memory", "conserved"),
        edit("core/mm/magazine.c", """
        while (load_acquire(&magazine->cpu->in_magazine))
            hal_cpu_relax();
""", ""),
        scenarios=("object-hoard",), strategies=("pct",), seeds=1000),
    Defect(
        "reclaim-before-revoke",
        "A magazine that is to be taken away stays where its CPU finds it until the CPU has been waited for.",
        ("sanity", "memory", "conserved"),
        edit("core/mm/magazine.c", """
        store_relaxed(slot_of(magazine->cpu, cache), NULL);
        if (magazine->cpu""", """
        if (magazine->cpu""") + edit("core/mm/magazine.c", """
    spin_lock(&cache->lock);
    list_remove(&magazine->link);
    slab_put_locked(""", """
    spin_lock(&cache->lock);
    store_relaxed(slot_of(magazine->cpu, cache), NULL);
    list_remove(&magazine->link);
    slab_put_locked("""),
        scenarios=("object-market", "small-magazine")),
    Defect(
        "object-cached-unpoisoned",
        "An object goes into the magazine as its last owner left it.",
        ("sanity", "memory"),
        edit("core/mm/magazine.c", "        slab_debug_free(cache, object, pc);", "        (void)pc;"),
        scenarios=("fork-storm",)),
    Defect(
        "object-lost-by-spill",
        "The object for which a full magazine made room is put nowhere.",
        ("conserved", "story"),
        edit("core/mm/magazine.c", """
        spill_locked(cache, magazine, &retired);
        (void)push(magazine, object);
""", """
        spill_locked(cache, magazine, &retired);
"""),
        scenarios=("object-belt",)),
    Defect(
        "spilled-not-counted",
        "Objects that a magazine gives back to their slabs still count as out.",
        ("conserved", "story"),
        edit("core/mm/slab.c", "    cache->objects_out -= count;\n", ""),
        scenarios=("object-belt",)),
    Defect(
        "section-left-relaxed",
        "A CPU says without release order that it has left the section in which it used its magazine.",
        ("race",),
        edit("core/mm/magazine.c", "    store_release(&section.cpu->in_magazine, false);",
             "    store_relaxed(&section.cpu->in_magazine, false);"),
        scenarios=("object-market", "small-magazine"), build="thread"),
)
