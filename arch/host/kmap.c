/* SPDX-License-Identifier: MIT */
/*
 * What the host has mapped in the kmap window. A mapping is made when a page is touched, and goes when a virtual CPU
 * flushes the page and the tables no longer say the same: one that they still say would come back with the next touch,
 * and to take it away from 1,024 CPUs and let each of them fault it in again is most of what a flush of everything
 * would cost. Who may hold what is tlb.c's to know. No lock: one host thread.
 *
 * Where nothing is mapped, nothing is: the host's kernel has to keep a record of each mapping, and allows so many. When
 * there are too many, one by chance goes for each that comes: with stacks that take turns, whoever was mapped first
 * would be needed next.
 */
#include "host_priv.h"

#include <string.h>

#include "os.h"

#define WINDOW_PAGES (HAL_KMAP_BYTES >> PAGE_SHIFT)
#define WORD_BITS 64u
/* The host's kernel allows 65,530 mappings by default; a run of pages is one, but for those that a flush has split. */
#define RUNS_MAX 50000u

struct run {
    uint32_t first; /* page of the window */
    uint32_t pages;
};

static struct {
    uint64_t *is_mapped; /* a bit per page of the window */
    uint64_t *page;      /* what is mapped there: its physical address, and 1 if it may be written */
    struct run *run;     /* RUNS_MAX; all that is mapped lies in one, which may have lost pages, or other ones by now */
    unsigned runs;
    uint64_t chances; /* taken */
} window;

static bool is_word_empty(uint64_t page)
{
    return page % WORD_BITS == 0 && window.is_mapped[page / WORD_BITS] == 0;
}

static bool is_mapped(uint64_t page)
{
    return (window.is_mapped[page / WORD_BITS] >> page % WORD_BITS & 1) != 0;
}

void host_kmap_create(void)
{
    window.is_mapped = os_alloc(WINDOW_PAGES / 8, false);
    window.page = os_alloc(WINDOW_PAGES * sizeof *window.page, false);
    window.run = os_alloc(RUNS_MAX * sizeof *window.run, false);
    window.runs = 0;
    window.chances = 0;
    if (window.is_mapped == NULL || window.page == NULL || window.run == NULL ||
        !os_claim(HAL_KMAP_BASE, HAL_KMAP_BYTES, OS_NONE, OS_NO_FILE, 0) ||
        !os_unclaim(HAL_KMAP_BASE, HAL_KMAP_BYTES))
        os_die("kmap window");
}

void host_kmap_destroy(void)
{
    os_release(window.is_mapped, WINDOW_PAGES / 8);
    os_release(window.page, WINDOW_PAGES * sizeof *window.page);
    os_release(window.run, RUNS_MAX * sizeof *window.run);
    (void)os_unclaim(HAL_KMAP_BASE, HAL_KMAP_BYTES);
}

bool host_kmap_clear(void)
{
    memset(window.is_mapped, 0, WINDOW_PAGES / 8);
    window.runs = 0;
    return os_unclaim(HAL_KMAP_BASE, HAL_KMAP_BYTES);
}

bool host_kmap_has(vaddr_t va)
{
    return is_mapped((va - HAL_KMAP_BASE) >> PAGE_SHIFT);
}

static bool unmap(uint64_t first, uint64_t pages)
{
    return os_unclaim(HAL_KMAP_BASE + (first << PAGE_SHIFT), pages << PAGE_SHIFT);
}

/* The stack that this file runs on may be in the window, too: a fault in the middle of what it does would come back. */
static bool is_stood_on(const struct run *run)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uint64_t page = (here - HAL_KMAP_BASE) >> PAGE_SHIFT;

    return host_is_kmap(here) && page + 1 >= run->first && page <= (uint64_t)run->first + run->pages;
}

static bool make_room(void)
{
    unsigned at;

    do
        at = (unsigned)(host_mix(++window.chances) % window.runs);
    while (is_stood_on(&window.run[at]));
    struct run run = window.run[at];

    window.run[at] = window.run[--window.runs];
    for (uint64_t page = run.first; page < run.first + run.pages; page++)
        window.is_mapped[page / WORD_BITS] &= ~(UINT64_C(1) << page % WORD_BITS);
    return unmap(run.first, run.pages);
}

bool host_kmap_map(vaddr_t va, size_t bytes, paddr_t pa, bool is_writable, int file, uint64_t offset)
{
    uint64_t first = (va - HAL_KMAP_BASE) >> PAGE_SHIFT;
    uint64_t pages = bytes >> PAGE_SHIFT;

    while (window.runs >= RUNS_MAX)
        if (!make_room() && !host_kmap_clear())
            return false;
    window.run[window.runs++] = (struct run){ .first = (uint32_t)first, .pages = (uint32_t)pages };
    for (uint64_t page = first; page < first + pages; page++) {
        window.is_mapped[page / WORD_BITS] |= UINT64_C(1) << page % WORD_BITS;
        window.page[page] = (pa + ((page - first) << PAGE_SHIFT)) | (is_writable ? 1 : 0);
    }
    return os_replace(va, bytes, is_writable ? OS_READ_WRITE : OS_READ, file, offset);
}

/* Do the tables still say what is mapped there? */
static bool is_as_before(paddr_t root, uint64_t page)
{
    struct host_walk found;

    return root != 0 && host_memory_walk(root, HAL_KMAP_BASE + (page << PAGE_SHIFT), &found) &&
           window.page[page] == (found.pa | ((found.prot & PROT_WRITE) != 0 ? 1 : 0));
}

bool host_kmap_flush(paddr_t root, vaddr_t start, vaddr_t end)
{
    uint64_t last = (end - HAL_KMAP_BASE) >> PAGE_SHIFT;
    uint64_t page = (start - HAL_KMAP_BASE) >> PAGE_SHIFT;
    bool ok = true;

    while (ok && page < last) {
        uint64_t first = page;

        for (; page < last && is_mapped(page) && !is_as_before(root, page); page++)
            window.is_mapped[page / WORD_BITS] &= ~(UINT64_C(1) << page % WORD_BITS);
        if (page > first)
            ok = unmap(first, page - first);
        else
            page += is_word_empty(page) ? WORD_BITS : 1;
    }
    return ok;
}
