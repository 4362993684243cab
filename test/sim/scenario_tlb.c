/* SPDX-License-Identifier: MIT */
/*
 * Kernel mappings that come and go on all CPUs at once: hazards 24 (a flush that waits for a CPU that waits for the
 * flusher) and 25 (memory reused while a CPU still reaches it through its TLB). The contents of each mapping say whose
 * it is.
 */
#include "scenario.h"

#include <mm/kspace.h>
#include <mm/kstack.h>
#include <smp/call.h>

/* Not at a page's beginning: a stack that is used down to its end is worth a warning. */
#define FIRST 64
#define LAST (PAGE_BYTES / sizeof(uint64_t) - 1)

static void fill(vaddr_t va, size_t pages, uint64_t mark)
{
    for (size_t i = 0; i < pages; i++) {
        uint64_t *words = (uint64_t *)(va + i * PAGE_BYTES);

        words[FIRST] = mark + i;
        words[LAST] = ~(mark + i);
    }
}

static bool is_filled(vaddr_t va, size_t pages, uint64_t mark)
{
    for (size_t i = 0; i < pages; i++) {
        const uint64_t *words = (const uint64_t *)(va + i * PAGE_BYTES);

        if (words[FIRST] != mark + i || words[LAST] != ~(mark + i))
            return false;
    }
    return true;
}

/* All CPUs map and unmap, while tasks beside them call other CPUs, hold locks and keep interrupts off. */

static struct {
    struct sim_line line;
    struct spinlock lock;
    uint64_t held GUARDED_BY(lock);
    _Atomic(unsigned) mappers; /* that are not done yet */
} storm;

static void map_and_unmap(uint64_t mark)
{
    size_t pages = 1 + (size_t)sim_random_below(9);
    vaddr_t va = 0;

    if (!CHECK(kmap_alloc(pages, &va) == 0))
        return;
    fill(va, pages, mark);
    if (sim_chance(2))
        task_yield(); /* perhaps to come back on another CPU */
    sim_delay();
    CHECK(is_filled(va, pages, mark));
    kmap_free(va, pages);
}

static void use_stack(uint64_t mark)
{
    struct kstack stack;

    if (!CHECK(kstack_alloc(PAGE_BYTES * (1 + sim_random_below(7)), &stack) == 0))
        return;
    fill(stack.base, stack.bytes / PAGE_BYTES, mark);
    sim_delay();
    CHECK(is_filled(stack.base, stack.bytes / PAGE_BYTES, mark));
    kstack_free(&stack);
}

static int mapper(void *arg)
{
    uint64_t mark = (uint64_t)(uintptr_t)arg << 32;

    sim_line_wait(&storm.line);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        mark += 256;
        if (sim_chance(2))
            map_and_unmap(mark);
        else
            use_stack(mark);
    }
    (void)fetch_sub_relaxed(&storm.mappers, 1);
    return 0;
}

static void count_here(void *count)
{
    (void)fetch_add_relaxed((_Atomic(unsigned) *)count, 1);
}

static void call_all(void)
{
    _Atomic(unsigned) count = 0;

    smp_call_all(count_here, &count);
    CHECK(load_relaxed(&count) == online_count());
}

static void be_deaf(void)
{
    uintptr_t state = hal_irq_save();

    sim_delay();
    hal_irq_restore(state);
}

static void hold(void)
{
    uintptr_t state = spin_lock_irqsave(&storm.lock);
    uint64_t held = storm.held;

    sim_delay();
    storm.held = held + 1;
    spin_unlock_irqrestore(&storm.lock, state);
}

/* The number of times that it held the lock. */
static int disturber(void *arg)
{
    int held = 0;

    (void)arg;
    sim_line_wait(&storm.line);
    while (load_relaxed(&storm.mappers) != 0) {
        switch (sim_random_below(4)) {
        case 0:
            call_all();
            break;
        case 1:
            be_deaf();
            break;
        case 2:
            hold();
            held++;
            break;
        default:
            sim_nap(5 * NS_PER_US);
            break;
        }
    }
    return held;
}

static void kmap_storm(void)
{
    struct task *task[2 * 8];
    unsigned cpus = MIN(online_count(), 8u);

    sim_line_init(&storm.line);
    spin_init(&storm.lock, LOCK_WAITQ);
    storm.held = 0;
    store_relaxed(&storm.mappers, cpus);
    for (unsigned i = 0; i < cpus; i++) {
        task[i] = spawn("mapper", mapper, (void *)(uintptr_t)(i + 1), PRIORITY_DEFAULT, NULL);
        task[cpus + i] = sim_spawn_nth("disturber", disturber, NULL, i);
    }
    sim_line_open(&storm.line, 2 * cpus);
    CHECK(sim_finish_all(task, cpus) == 0);
    int64_t held = sim_finish_all(task + cpus, cpus);
    uintptr_t state = spin_lock_irqsave(&storm.lock);
    bool is_right = storm.held == (uint64_t)held;

    spin_unlock_irqrestore(&storm.lock, state);
    CHECK(is_right);
}

/* Two CPUs shoot at each other: each frees what the other has mapped, so that both have touched it; a third one is deaf
 * for a while, and looks at what is in the letter box while nobody may take it away. */

#define DUEL_PAGES 3

static struct {
    struct sim_line line;
    struct mutex lock;
    vaddr_t box[2]; /* mapped by the other one; guarded by lock */
    _Atomic(unsigned) duelists;
} duel;

static void take_from_box(unsigned me)
{
    vaddr_t got;

    mutex_lock(&duel.lock);
    got = duel.box[me];
    duel.box[me] = 0;
    mutex_unlock(&duel.lock);
    if (got == 0)
        return;
    CHECK(is_filled(got, DUEL_PAGES, got));
    kmap_free(got, DUEL_PAGES);
}

static int duelist(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;

    sim_line_wait(&duel.line);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        vaddr_t va = 0;

        if (!CHECK(kmap_alloc(DUEL_PAGES, &va) == 0))
            break;
        fill(va, DUEL_PAGES, va);
        mutex_lock(&duel.lock);
        vaddr_t old = duel.box[1 - me];

        duel.box[1 - me] = va;
        mutex_unlock(&duel.lock);
        if (old != 0)
            kmap_free(old, DUEL_PAGES); /* nobody took it */
        take_from_box(me);
    }
    (void)fetch_sub_relaxed(&duel.duelists, 1);
    return 0;
}

static int bystander(void *arg)
{
    (void)arg;
    sim_line_wait(&duel.line);
    while (load_relaxed(&duel.duelists) != 0) {
        vaddr_t va;

        be_deaf();
        mutex_lock(&duel.lock);
        va = duel.box[sim_random_below(2)];
        if (va != 0)
            CHECK(is_filled(va, DUEL_PAGES, va));
        mutex_unlock(&duel.lock);
        sim_nap(2 * NS_PER_US);
    }
    return 0;
}

static void kmap_duel(void)
{
    struct task *task[3];

    sim_line_init(&duel.line);
    mutex_init(&duel.lock);
    duel.box[0] = duel.box[1] = 0;
    store_relaxed(&duel.duelists, 2);
    task[0] = sim_spawn_nth("duelist", duelist, (void *)0, 0);
    task[1] = sim_spawn_nth("duelist", duelist, (void *)1, 1);
    task[2] = sim_spawn_nth("bystander", bystander, NULL, 2);
    sim_line_open(&duel.line, 3);
    CHECK(sim_finish_all(task, 3) == 0);
    take_from_box(0);
    take_from_box(1);
}

/* Runs so long that whole page tables come and go, beside short ones that need a table just then. */

static int long_run(void *arg)
{
    uint64_t mark = (uint64_t)(uintptr_t)arg << 32;

    sim_line_wait(&storm.line);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        size_t pages = 200 + (size_t)sim_random_below(120);
        vaddr_t va = 0;

        if (!CHECK(kmap_alloc(pages, &va) == 0))
            break;
        fill(va, pages, mark);
        sim_delay();
        CHECK(is_filled(va, pages, mark));
        kmap_free(va, pages);
    }
    return 0;
}

static int short_runs(void *arg)
{
    sim_line_wait(&storm.line);
    for (unsigned round = 4 * sim_rounds(); round > 0; round--) {
        map_and_unmap((uint64_t)(uintptr_t)arg << 32);
        sim_nap(20 * NS_PER_US);
    }
    return 0;
}

static void kmap_tables(void)
{
    struct task *task[4];

    sim_line_init(&storm.line);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("runs", i < 2 ? long_run : short_runs, (void *)(uintptr_t)(i + 1), PRIORITY_DEFAULT, NULL);
    sim_line_open(&storm.line, ARRAY_COUNT(task));
    CHECK(sim_finish_all(task, ARRAY_COUNT(task)) == 0);
}

extern const struct sim_scenario sim_scenarios_tlb[];
const struct sim_scenario sim_scenarios_tlb[] = {
    { .name = "kmap-storm", .aim = "stacks and mappings come and go on all CPUs beside calls, locks and deaf CPUs",
      .cpus = 4, .cpus_min = 2, .rounds = 6, .run = kmap_storm },
    { .name = "kmap-duel", .aim = "two CPUs shoot at each other's TLB, and a third does not listen",
      .cpus = 3, .cpus_min = 2, .rounds = 8, .run = kmap_duel },
    { .name = "kmap-tables", .aim = "page tables of the kernel's own are freed while other CPUs walk beside them",
      .cpus = 4, .cpus_min = 2, .rounds = 2, .run = kmap_tables },
    { .name = NULL },
};
