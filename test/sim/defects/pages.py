# SPDX-License-Identifier: MIT
"""Seeded defects: page caches, references to pages, counts of them, the reserve, pages with code."""

from .kinds import Defect, edit

SCENARIOS = ("pages-drain", "pages-shared", "pages-reserve")

PAGES = (
    Defect(
        "cache-with-interrupts",
        "A CPU takes a page out of its cache with interrupts enabled: a drain may come in between.",
        ("memory", "sanity", "conserved"),
        edit("core/mm/cpu_pages.c", """
    uintptr_t state = hal_irq_save();
    struct mm_cpu *mine = this_cpu()->mm;
    struct cached_page *node;
    struct page *page;
""", """
    uintptr_t state = hal_irq_save();

    hal_irq_restore(state);

    struct mm_cpu *mine = this_cpu()->mm;
    struct cached_page *node;
    struct page *page;
"""),
        scenarios=("pages-drain",)),
    Defect(
        "drain-leaves-pages",
        "A CPU that is drained keeps the pages that it has handed over.",
        ("memory", "sanity"),
        edit("core/mm/cpu_pages.c", """
    struct cached_page *chain = mine->head;

    mine->head = NULL;
""", """
    struct cached_page *chain = mine->head;

"""),
        scenarios=("pages-drain",)),
    Defect(
        "spill-not-counted",
        "A full cache gives pages away and goes on counting them.",
        ("conserved", "sanity", "story"),
        edit("core/mm/cpu_pages.c", """
        node->next = NULL;
        store_relaxed(&mine->count, keep);
""", """
        node->next = NULL;
"""),
        scenarios=SCENARIOS),
    Defect(
        "refill-counts-blocks",
        "A refill counts the blocks that it takes, and not the pages in them.",
        ("conserved", "sanity", "story"),
        edit("core/mm/cpu_pages.c", "        count += 1u << order;\n", "        count++;\n"),
        scenarios=SCENARIOS),
    Defect(
        "cached-page-not-tagged",
        "A page in a cache still counts as allocated: who frees it again is not found.",
        ("sanity",),
        edit("core/mm/cpu_pages.c", """
    page_set_tag(page, TAG_CACHED);
    node->next""", """
    page_set_tag(page, TAG_ALLOCATED);
    node->next"""),
        scenarios=("pages-drain",)),
    Defect(
        "page-freed-while-shared",
        "Who drops the last reference but one frees the page.",
        ("memory", "sanity", "story"),
        edit("core/mm/page_refs.c", "    if (before == 1) {\n", "    if (before <= 2) {\n"),
        scenarios=("pages-shared",)),
    Defect(
        "put-without-acquire",
        "Who drops the last reference to a page does not wait for what the others did with it.",
        ("race",),
        edit("core/mm/page_refs.c", "    uint32_t before = fetch_sub_acq_rel(&page->refs, 1);",
             "    uint32_t before = fetch_sub_release(&page->refs, 1);"),
        scenarios=("pages-shared",), build="thread"),
    Defect(
        "refs-without-acquire",
        "Who finds itself alone with a page does not wait for what the others did with it.",
        ("race",),
        edit("core/mm/page_refs.c", "    return load_acquire(&block_find(pa)->refs);",
             "    return load_relaxed(&block_find(pa)->refs);"),
        scenarios=("pages-shared",), build="thread"),
    Defect(
        "split-forgets-kind",
        "The pages of a block that is split are not known as a user's any more: nobody counts them out.",
        ("story", "conserved"),
        edit("core/mm/page_refs.c", """
        page[i].flags = page->flags; /* each counts by itself from now on, as what the block was */
""", """
        page[i].flags &= (uint8_t)~PAGE_KIND_MASK;
"""),
        scenarios=("memory-unmap", "memory-fork")),
    Defect(
        "user-page-not-counted",
        "A page of user memory that does not come out of a CPU's cache is not counted.",
        ("story", "conserved"),
        edit("core/mm/cpu_pages.c", """
        page_set_kind(page, kind);
        mm_stat_add(kind, (int64_t)1 << order);
""", """
        page_set_kind(page, kind);
"""),
        scenarios=("memory-unmap", "memory-fork")),
    Defect(
        "user-page-counted-late",
        "A page that is given back into a CPU's cache is counted out where it is spilled, not where its last reference "
        "goes.",
        ("story", "conserved"),
        edit("core/mm/cpu_pages.c", """
        count_here(mine, page_kind(page), -1);
        page_set_kind(page, 0);
""", """
        (void)mine;
"""),
        scenarios=("memory-unmap", "memory-fork")),
    Defect(
        "cache-of-any-node",
        "A CPU keeps the pages that it gives back in its cache, whatever node they are of.",
        ("story",),
        edit("core/mm/cpu_pages.c", "    if (UNLIKELY(((page->flags ^ mine->home_flags) & PAGE_NODE_MASK) != 0) ||",
             "    if (UNLIKELY(((page->flags ^ mine->home_flags) & 0) != 0) ||"),
        scenarios=("pages-near",)),
    Defect(
        "first-node-first",
        "All CPUs take pages of the first node as long as it has any.",
        ("story",),
        edit("core/mm/phys.c", "        struct buddy_node *of = &mm_nodes.buddy[nodes_nearest(home, i)];",
             "        struct buddy_node *of = &mm_nodes.buddy[nodes_nearest(home * 0, i)];"),
        scenarios=("pages-near",)),
    Defect(
        "merge-over-borders",
        "Free blocks of two nodes become one block of one of them.",
        ("sanity", "story", "memory"),
        edit("core/mm/phys.c",
             " || page_node(other_page, other) != node)", ")"),
        scenarios=("pages-near",)),
    Defect(
        "code-page-not-synced",
        "A fresh page that may be executed is still what instruction caches know of it from before.",
        ("sanity",),
        edit("core/vm/fault.c", """
    memset(phys_to_virt(fault->page), 0, PAGE_BYTES);
    sync_code(fault, fault->page, PAGE_BYTES);
""", """
    memset(phys_to_virt(fault->page), 0, PAGE_BYTES);
"""),
        scenarios=("memory-unmap",)),
    Defect(
        "code-right-not-synced",
        "A page that was data and may now be executed is not made known to the instruction caches.",
        ("sanity",),
        edit("core/vm/fault.c", """
    if ((prot & PROT_EXEC) != 0 && (pt_is_parked(entry) || (hal_pte_prot(entry) & PROT_EXEC) == 0))
        hal_icache_sync(slot_paddr(entry), level == 0 ? PAGE_BYTES : SPAN_BYTES);
""", ""),
        scenarios=("memory-unmap",)),
    Defect(
        "reserve-for-users",
        "A page in a CPU's cache is given to a user when only the reserve is left.",
        ("story", "liveness", "sanity"),
        edit("core/mm/cpu_pages.c", "    return LIKELY(page != 0) ? page : alloc_any(order, kind, leave, order == 0);",
             "    return LIKELY(page != 0) ? page : alloc_any(order, kind, 0, order == 0);"),
        scenarios=("pages-reserve",)),
)
