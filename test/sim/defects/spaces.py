# SPDX-License-Identifier: MIT
"""Seeded defects: address-space ids, and translations of user memory."""

from .kinds import Defect, edit

TLB = "core/smp/tlb.c"

SPACES = (
    Defect(
        "tlb-shot-down-here-only",
        "A shoot-down reaches only the CPU that asks for it.",
        ("tlb", "story"),
        edit(TLB, "        flush_on(&targets, request);", "        flush_here(request);"),
        scenarios=("user-unmap", "space-duel")),
    Defect(
        "tlb-stale-not-set",
        "CPUs that do not use the space now are not told that they hold old translations of it.",
        ("tlb", "story"),
        edit(TLB, "    (void)fetch_or_relaxed(&space->stale[word], bits);\n", ""),
        scenarios=("space-asleep", "space-switch")),
    Defect(
        "tlb-stale-not-flushed",
        "A CPU that was told to flush a space before it uses it again takes the message and does not flush.",
        ("tlb", "story"),
        edit(TLB, "    hal_tlb_flush_local(asid, 0, HAL_TLB_ALL_PAGES);\n    count(&stats.late_flushes, 1);",
             "    (void)asid;\n    count(&stats.late_flushes, 1);"),
        scenarios=("space-asleep", "space-switch")),
    Defect(
        "tlb-entering-late",
        "A CPU looks whether it has to flush a space, and says only then that it is about to use it.",
        ("tlb", "story"),
        edit(TLB, """
    store_release(&cpu->tlb_entering, space); /* PAIRS(tlb_entering) */
    hold(space, cpu);
""", """
    hold(space, cpu);
""") + edit(TLB, """
    hal_mmu_activate(space->root, asid_of(id));
    /* PAIRS(tlb_active): nothing""", """
    store_release(&cpu->tlb_entering, space); /* PAIRS(tlb_entering) */
    hal_mmu_activate(space->root, asid_of(id));
    /* PAIRS(tlb_active): nothing"""),
        scenarios=("space-switch", "space-duel"), seeds=1000),
    Defect(
        "tlb-no-second-look",
        "A CPU that begins to use a space while it is being told to flush it later is not looked at again.",
        ("tlb", "story"),
        edit(TLB, """
        if (is_used_by(space, word * 64 + (cpu_id_t)__builtin_ctzll(left)))
            targets->word[word] |= left & -left;
    count""", """
        (void)left;
    count"""),
        scenarios=("space-switch", "space-duel"), seeds=1000),
    Defect(
        "tlb-left-too-early",
        "A CPU says that it has left a space while it still has the tables in use.",
        ("tlb", "story"),
        edit(TLB, """
        hal_mmu_activate(asids.kernel_root, 0);
        store_release(&cpu->tlb_active, NULL);   /* PAIRS(tlb_active) */
        store_release(&cpu->tlb_entering, NULL); /* PAIRS(tlb_entering) */
""", """
        store_release(&cpu->tlb_active, NULL);   /* PAIRS(tlb_active) */
        store_release(&cpu->tlb_entering, NULL); /* PAIRS(tlb_entering) */
        hal_mmu_activate(asids.kernel_root, 0);
"""),
        scenarios=("space-switch", "space-duel"), seeds=1000),
    Defect(
        "tlb-holder-forgotten-early",
        "Without ids, a CPU no longer counts as a holder of a space while it still has the tables in use.",
        ("tlb", "story"),
        edit(TLB, """
    if (asids.shared_id == 0) {
        hal_mmu""", """
    if (prev != NULL)
        (void)fetch_and_acq_rel(&prev->holders[cpu->id / 64], ~(UINT64_C(1) << (cpu->id % 64)));
    if (asids.shared_id == 0) {
        hal_mmu"""),
        scenarios=("space-switch", "space-duel"), seeds=1000),
    Defect(
        "tlb-kernel-of-one-id",
        "A kernel mapping that goes is forgotten under the id in use only: others still know the way to its table.",
        ("tlb", "memory", "story", "sanity"),
        edit(TLB, "    struct request request = { .asid = HAL_ASID_ANY, .count = count_of_ranges, .ranges = ranges };",
             "    struct request request = { .asid = 0, .count = count_of_ranges, .ranges = ranges };"),
        scenarios=("kmap-duel", "kmap-storm")),
    Defect(
        "asid-freed-early",
        "The id of a dead space is given out again at once, while CPUs still hold its translations.",
        ("tlb", "story"),
        edit(TLB, """
            ASSERT(!is_used_by(space, id));
    spin_unlock""", """
            ASSERT(!is_used_by(space, id));
    bitmap_clear(asids.taken, asid_of(load_relaxed(&space->id)));
    asids.next = 1;
    spin_unlock"""),
        scenarios=("space-ids", "user-spaces")),
    Defect(
        "asid-rollover-not-flushed",
        "A CPU uses ids that were given out anew after they ran out, without a flush.",
        ("tlb", "story"),
        edit(TLB, """
        hal_tlb_flush_local(HAL_ASID_ANY, 0, HAL_TLB_ALL_PAGES);
        cpu->tlb_generation""", """
        cpu->tlb_generation"""),
        scenarios=("space-ids",)),
    Defect(
        "asid-flush-not-awaited",
        "A CPU that has not flushed since the ids ran out takes a space with a new id into use.",
        ("tlb", "story"),
        edit(TLB, "    if (UNLIKELY(generation_of(id) != generation || cpu->tlb_generation != generation))",
             "    if (UNLIKELY(generation_of(id) != generation))"),
        scenarios=("space-ids",)),
    Defect(
        "asid-in-use-given-away",
        "When the ids run out, spaces that CPUs use do not keep theirs.",
        ("tlb", "story"),
        edit(TLB, """
        renew_locked(load_acquire(&cpu_table[id]->tlb_entering), ended); /* PAIRS(tlb_entering) */
        renew_locked(load_acquire(&cpu_table[id]->tlb_active), ended);   /* PAIRS(tlb_active) */
""", """
        renew_locked(NULL, ended);
"""),
        scenarios=("space-ids",)),
    Defect(
        "asid-old-one-renewed",
        "When the ids run out, a space that is about to be used keeps an id that it had lost long before.",
        ("tlb", "story", "sanity"),
        edit(TLB, "    if (id == 0 || generation_of(id) != ended)\n        return;",
             "    (void)ended;\n    if (id == 0)\n        return;"),
        scenarios=("space-ids",), seeds=1000),
)
