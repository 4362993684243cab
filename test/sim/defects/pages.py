# SPDX-License-Identifier: MIT
"""Seeded defects: page caches, references to pages, the reserve."""

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
        edit("core/mm/page_refs.c", "    if (before == 1)\n", "    if (before <= 2)\n"),
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
        edit("core/mm/page_refs.c", "    return load_acquire(&block_find(pa, &first, &order)->refs);",
             "    return load_relaxed(&block_find(pa, &first, &order)->refs);"),
        scenarios=("pages-shared",), build="thread"),
    Defect(
        "reserve-for-users",
        "A page in a CPU's cache is given to a user when only the reserve is left.",
        ("story", "liveness", "sanity"),
        edit("core/mm/cpu_pages.c", "    return LIKELY(page != 0) ? page : alloc_any(order, leave, order == 0);",
             "    return LIKELY(page != 0) ? page : alloc_any(order, 0, order == 0);"),
        scenarios=("pages-reserve",)),
)
