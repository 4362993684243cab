/* SPDX-License-Identifier: MIT */
/*
 * User page tables that come and go: programs on several CPUs make tables on one root without a lock, fill and empty
 * slots under the lock of the span, and take the last-level tables that nobody uses any more, while all of them load
 * and store through their TLBs. Each program has a page of its own in each span, so whatever it finds there but its own
 * words is a slot, a table or a page that got lost on the way.
 */
#include "scenario.h"

#include <mm/pagetable.h>
#include <mm/stats.h>
#include <vm/space.h>

#define PROGRAMS_MAX 6
#define SPANS 3u
#define SPAN_BYTES (PAGE_BYTES << HAL_PT_INDEX_BITS)
#define SPANS_VA (((vaddr_t)1 << 30) - SPAN_BYTES) /* two tables of level 1 */

static struct {
    struct sim_line line;
    struct tlb_space *space;
    paddr_t root;
    struct spinlock lock[SPANS];
    unsigned used[SPANS];     /* slots; guarded by the span's lock */
    _Atomic(int) tables;      /* allocated and not freed */
} story;

static paddr_t table_alloc(void)
{
    (void)fetch_add_relaxed(&story.tables, 1);
    mm_stat_add(MM_TABLES, 1); /* what is left is the space's to free and to count */
    return phys_alloc_zeroed(0);
}

static void table_free(paddr_t table)
{
    (void)fetch_sub_relaxed(&story.tables, 1);
    mm_stat_add(MM_TABLES, -1);
    phys_free(table, 0);
}

static const struct pt_alloc story_tables = { .alloc = table_alloc, .free = table_free };

static vaddr_t va_of(unsigned span, unsigned program)
{
    return SPANS_VA + span * SPAN_BYTES + program * PAGE_BYTES;
}

static void shoot_down(vaddr_t va)
{
    struct tlb_batch batch;

    tlb_batch_init(&batch, story.space);
    tlb_batch_add(&batch, va, 1);
    tlb_batch_flush(&batch);
}

/* Two stores and loads of one's own page. A walk may still go through a table that was just taken, so an access may
 * fault until whoever took it has flushed. */
static bool use_page(vaddr_t va, uint64_t value)
{
    uint64_t got = 0;

    while (!host_user_store(va, value))
        task_yield();
    sim_delay();
    while (!host_user_load(va, &got))
        task_yield();
    return CHECK(got == value);
}

/* False: the table was taken before its span was locked. */
static bool try_fill(unsigned span, vaddr_t va, paddr_t page, bool *out_was_empty)
{
    uint64_t *slot;

    spin_lock(&story.lock[span]);
    slot = pt_slot(story.root, va, 0);
    *out_was_empty = slot != NULL && pt_slot_get(slot) == 0;
    if (*out_was_empty) {
        pt_slot_install(slot, hal_pte_leaf(page, PROT_USER | PROT_WRITE, 0));
        story.used[span]++;
    }
    spin_unlock(&story.lock[span]);
    return slot != NULL;
}

static bool fill(unsigned span, vaddr_t va, paddr_t page)
{
    bool was_empty;

    do {
        if (!CHECK(pt_make_tables(story.root, va, 0, &story_tables) == 0))
            return false;
    } while (!try_fill(span, va, page, &was_empty));
    return CHECK(was_empty);
}

/* In the middle of its life the page is out of reach: parked, and back. */
static bool park_for_a_while(unsigned span, vaddr_t va, paddr_t page)
{
    uint64_t *slot;
    uint64_t got = 0;
    bool is_right;

    spin_lock(&story.lock[span]);
    slot = pt_slot(story.root, va, 0);
    is_right = slot != NULL && hal_pte_paddr(pt_slot_get(slot)) == page;
    if (is_right)
        pt_slot_change(slot, pt_park(page, 0));
    spin_unlock(&story.lock[span]);
    if (!CHECK(is_right))
        return false;
    shoot_down(va);
    if (!CHECK(!host_user_load(va, &got)))
        return false;
    spin_lock(&story.lock[span]);
    slot = pt_slot(story.root, va, 0);
    is_right = slot != NULL && pt_is_parked(pt_slot_get(slot)) && pt_parked_paddr(pt_slot_get(slot)) == page;
    if (is_right)
        pt_slot_change(slot, hal_pte_leaf(page, PROT_USER | PROT_WRITE, 0));
    spin_unlock(&story.lock[span]);
    return CHECK(is_right);
}

static bool empty(unsigned span, vaddr_t va, paddr_t page)
{
    paddr_t table = 0;
    uint64_t *slot;
    bool is_right, is_last;

    spin_lock(&story.lock[span]);
    slot = pt_slot(story.root, va, 0);
    is_right = slot != NULL && hal_pte_paddr(pt_slot_get(slot)) == page;
    if (is_right) {
        (void)pt_slot_clear(slot);
        story.used[span]--;
        table = pt_take_table(story.root, va);
    }
    is_last = story.used[span] == 0;
    spin_unlock(&story.lock[span]);
    if (!CHECK(is_right) || !CHECK((table != 0) == is_last))
        return false;
    shoot_down(va);
    if (table != 0)
        table_free(table);
    return true;
}

static int table_program(void *arg)
{
    unsigned program = (unsigned)(uintptr_t)arg;
    bool is_right = true;

    sim_line_wait(&story.line);
    for (unsigned round = 3 * sim_rounds(); round > 0 && is_right; round--) {
        unsigned span = (unsigned)sim_random_below(SPANS);
        vaddr_t va = va_of(span, program);
        uint64_t value = (uint64_t)(program + 1) << 32 | round;
        paddr_t page = phys_alloc_zeroed(0);

        if (!CHECK(page != 0))
            return 1;
        is_right = fill(span, va, page) && use_page(va, value);
        if (is_right && sim_chance(3))
            is_right = park_for_a_while(span, va, page) && use_page(va, ~value);
        is_right = is_right && empty(span, va, page);
        phys_free(page, 0);
        if (sim_chance(8))
            sim_nap(NS_PER_US);
    }
    return 0;
}

static void user_tables(void)
{
    struct process *process;
    struct thread *thread[PROGRAMS_MAX];
    unsigned count = MIN(online_count(), (unsigned)PROGRAMS_MAX);

    sim_line_init(&story.line);
    store_relaxed(&story.tables, 0);
    for (unsigned span = 0; span < SPANS; span++) {
        spin_init(&story.lock[span], LOCK_TABLES);
        story.used[span] = 0;
    }
    if (!CHECK(process_create(&process_kernel, "tables", &process) == 0))
        return;
    story.space = &process->space->tlb;
    story.root = story.space->root;
    for (unsigned i = 0; i < count; i++)
        thread[i] = sim_thread(process, table_program, (void *)(uintptr_t)i, NULL);
    sim_line_open(&story.line, count);
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    for (unsigned i = 0; i < count; i++)
        if (thread[i] != NULL)
            thread_put(thread[i]);
    /* What is left is two tables of level 1, and those above them but the root: freed with it. */
    CHECK(load_relaxed(&story.tables) <= (int)HAL_PT_LEVELS - 1);
    CHECK(pt_next_span(story.root, 0, SPANS_VA + SPANS * SPAN_BYTES) == SPANS_VA + SPANS * SPAN_BYTES);
    process_put(process);
}

extern const struct sim_scenario sim_scenarios_tables[];
const struct sim_scenario sim_scenarios_tables[] = {
    { .name = "user-tables", .aim = "page tables of one space are made, filled, emptied and taken on all CPUs at once",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = user_tables },
    { .name = NULL },
};
