/* SPDX-License-Identifier: MIT */
/* What a page fault and an unmapping pay for page tables: mm/pagetable.h on a root that no CPU uses. */
#include <mm/pagetable.h>
#include <mm/phys.h>
#include <time/clock.h>

#include "bench.h"
#include "check.h"

#define ROUNDS 2048u
#define PAGES ((size_t)1 << HAL_PT_INDEX_BITS) /* of one last-level table */
#define TABLES_VA ((vaddr_t)3 << 30)

static paddr_t table_alloc(void)
{
    return phys_alloc_zeroed(0);
}

static void table_free(paddr_t table)
{
    phys_free(table, 0);
}

static const struct pt_alloc tables = { .alloc = table_alloc, .free = table_free };

static vaddr_t va_of(unsigned round)
{
    return TABLES_VA + round % PAGES * PAGE_BYTES;
}

static void bench_slots(paddr_t root)
{
    uint64_t leaf = hal_pte_leaf(0x5000, PROT_USER | PROT_WRITE, 0);
    uint64_t *first = pt_slot(root, TABLES_VA, 0);
    uint64_t ns[6] = { 0 };
    uintptr_t found = 0;

    for (unsigned round = 0; round < ROUNDS; round += PAGES) {
        ns[0] -= clock_ns();
        for (unsigned i = 0; i < PAGES; i++)
            found += pt_make_tables(root, va_of(i), 0, &tables) == 0;
        ns[1] -= clock_ns();
        for (unsigned i = 0; i < PAGES; i++)
            found += pt_slot(root, va_of(i), 0) != NULL;
        ns[2] -= clock_ns();
        for (unsigned i = 0; i < PAGES; i++)
            pt_slot_install(first + i, leaf);
        ns[3] -= clock_ns();
        for (unsigned i = 0; i < PAGES; i++)
            pt_slot_change(first + i, pt_park(0x5000, 0));
        ns[4] -= clock_ns();
        for (unsigned i = 0; i < PAGES; i++)
            found += pt_slot_clear(first + i) != 0;
        ns[5] -= clock_ns();
    }
    CHECK(found == 3 * ROUNDS);
    bench_report("tables_make_nothing", ns[0] - ns[1], ROUNDS);
    bench_report("tables_slot_hit", ns[1] - ns[2], ROUNDS);
    bench_report("tables_slot_install", ns[2] - ns[3], ROUNDS);
    bench_report("tables_slot_change", ns[3] - ns[4], ROUNDS);
    bench_report("tables_slot_clear", ns[4] - ns[5], ROUNDS);
}

/* A table that comes and goes, without its page. */
static paddr_t spare;

static paddr_t spare_take(void)
{
    return spare;
}

static void spare_give(paddr_t table)
{
    spare = table;
}

static void bench_table(paddr_t root)
{
    const struct pt_alloc none = { .alloc = spare_take, .free = spare_give };
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++) {
        spare = pt_take_table(root, TABLES_VA);
        if (pt_make_tables(root, TABLES_VA, 0, &none) != 0)
            return;
    }
    bench_report("tables_take_and_make", clock_ns() - start, ROUNDS);
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        (void)CHECK(pt_next_span(root, 0, TABLES_VA + PAGE_BYTES) == TABLES_VA);
    bench_report("tables_next_span_3_gib", clock_ns() - start, ROUNDS);
}

void bench_page_tables(void)
{
    paddr_t root = phys_alloc_zeroed(0);

    if (!CHECK(root != 0) || !CHECK(pt_make_tables(root, TABLES_VA, 0, &tables) == 0))
        return;
    bench_slots(root);
    bench_table(root);
    pt_free_tables(root, 0, &tables);
    phys_free(root, 0);
}
