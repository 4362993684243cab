# SPDX-License-Identifier: MIT
"""Seeded defects: address spaces, faults beside changes, copy on write."""

from .kinds import Defect, edit

MEMORY = (
    Defect(
        "memory-free-before-flush",
        "Unmapped pages go back before the CPUs have forgotten them.",
        ("tlb", "memory", "story"),
        edit("core/vm/slots.c", """
    tlb_batch_flush(&gather->batch);
    for (unsigned i = 0; i < gather->page_count; i++)
        phys_put(gather->page[i]);
""", """
    for (unsigned i = 0; i < gather->page_count; i++)
        phys_put(gather->page[i]);
    tlb_batch_flush(&gather->batch);
"""),
        scenarios=("memory-unmap", "memory-resize")),
    Defect(
        "memory-table-not-flushed",
        "A last-level table is freed, and only its pages are flushed: not the table, where no page was left in it.",
        ("tlb", "memory"),
        edit("core/vm/slots.c",
             "    tlb_batch_add(&gather->batch, ROUND_DOWN(end - 1, SPAN_BYTES), SPAN_PAGES);\n", "") +
        edit("core/vm/slots.c",
             "    return gather->batch.count == 0 && !gather->batch.is_all && gather->page_count == 0;",
             "    (void)gather;\n    return false;"),
        scenarios=("memory-unmap", "memory-advise", "memory-resize")),
    Defect(
        "memory-stale-region",
        "A fault installs by what it knew of a region that has been replaced meanwhile.",
        ("story", "conserved", "sanity", "tlb"),
        edit("core/vm/fault.c", "    if (region_is_stale(fault->region))\n        return FIND_AGAIN;\n", ""),
        scenarios=("memory-unmap", "memory-protect")),
    Defect(
        "memory-protect-not-flushed",
        "The right to store is taken out of the tables, and no CPU is told.",
        ("story",),
        edit("core/vm/slots.c", """
                                     : hal_pte_leaf(hal_pte_paddr(entry), left, level));
    tlb_batch_add(&walk->gather.batch, va, level == 0 ? 1 : SPAN_PAGES);
""", """
                                     : hal_pte_leaf(hal_pte_paddr(entry), left, level));
    if (rights == 0)
        tlb_batch_add(&walk->gather.batch, va, level == 0 ? 1 : SPAN_PAGES);
"""),
        scenarios=("memory-protect",)),
    Defect(
        "memory-fork-not-flushed",
        "A fork takes the parent's right to store out of the tables, and no CPU is told: the child sees later stores.",
        ("story",),
        edit("core/vm/fork.c", "        tlb_batch_add(&fork->walk.gather.batch, va, level == 0 ? 1 : SPAN_PAGES);\n",
             "        if (level != 0)\n            tlb_batch_add(&fork->walk.gather.batch, va, SPAN_PAGES);\n"),
        scenarios=("memory-fork",)),
    Defect(
        "memory-fork-not-held",
        "Faults go on while a fork copies: a page is copied that another CPU still stores to, and the child is no "
        "picture of one moment.",
        ("story",),
        edit("core/vm/fork.c", "    store_relaxed(&fork->parent->hold, SPACE_HOLD_FORK);\n", ""),
        scenarios=("memory-fork",)),
    Defect(
        "memory-copy-not-flushed",
        "A page is replaced by its copy while other CPUs still read the old one.",
        ("story", "tlb"),
        edit("core/vm/fault.c", "        slot_flush(fault->space, fault->va, 1);\n", ""),
        scenarios=("memory-fork", "memory-copy")),
    Defect(
        "memory-two-owners",
        "Who finds one more reference than its own takes the page over, too: both sides store to it.",
        ("story",),
        edit("core/vm/fault.c", "phys_refs(slot_paddr(entry)) == 1", "phys_refs(slot_paddr(entry)) <= 2"),
        scenarios=("memory-copy", "memory-fork")),
    Defect(
        "memory-cut-not-seen",
        "A fault maps an object's page that the object has lost meanwhile.",
        ("story", "tlb", "memory", "conserved"),
        edit("core/vm/fault.c",
             "    if (fault->object_page == 0 || fault->cuts != vm_object_cuts(fault->region->object))",
             "    if (fault->object_page == 0)"),
        scenarios=("memory-resize",)),
    Defect(
        "memory-copy-for-zeros",
        "A page that was filled as a copy is installed where zeros belong.",
        ("story",),
        edit("core/vm/fault.c", "    if (fault->page == 0 || fault->source != 0)\n        return LACKS_ZEROS;",
             "    if (fault->page == 0)\n        return LACKS_ZEROS;"),
        scenarios=("memory-advise",)),
    Defect(
        "memory-reference-not-taken",
        "The child's slot has no reference of its own.",
        ("memory", "sanity", "tlb", "story"),
        edit("core/vm/fork.c", "    phys_get(slot_paddr(entry));\n    return entry;", "    return entry;"),
        scenarios=("memory-fork", "memory-copy")),
    Defect(
        "memory-replace-not-held",
        "While a mapping takes the place of another, a fault that finds nothing is an error.",
        ("story",),
        edit("core/vm/map.c", "    commit(space, &cut, SPACE_HOLD_REPLACE);",
             "    commit(space, &cut, SPACE_HOLD_NONE);"),
        scenarios=("memory-replace",)),
    Defect(
        "memory-skipped-too-early",
        "Spans that look empty are passed over while a fault is about to fill them.",
        ("story", "conserved", "sanity"),
        edit("core/vm/slots.c", """
void walk_clear(struct walk *walk)
{
    if (walk->skips)
        space_tables_barrier(walk->space);
""", """
void walk_clear(struct walk *walk)
{
"""),
        scenarios=("memory-long",)),
    Defect(
        "memory-spare-freed-twice",
        "A fault that begins again still has in hand the table that it has given back.",
        ("memory", "sanity", "tlb"),
        edit("core/vm/fault.c", "    fault->spare = 0; /* it may begin again */\n", ""),
        scenarios=("memory-advise", "memory-fork")),
)
