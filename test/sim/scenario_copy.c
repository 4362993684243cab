/* SPDX-License-Identifier: MIT */
/*
 * Pages that are shared, by copy on write or as an object's: two sides store at once, several fault on one page at
 * once, an object shrinks under its mappings, and spaces end while CPUs still leave them. Each word says whose it is; a
 * word has one writer.
 */
#include "scenario.h"

#include <lib/string.h>
#include <mm/pagetable.h>
#include <mm/user.h>
#include <vm/object.h>
#include <vm/space.h>

#define USER_VA ((vaddr_t)0x10000000)
#define RW (VM_READ | VM_WRITE)
#define SIDES 2
#define THREADS 2 /* of each side */
#define PAGES 3

static bool load_word(vaddr_t va, uint64_t *out)
{
    return user_copy_in(out, va, sizeof *out) == 0;
}

static bool store_word(vaddr_t va, uint64_t value)
{
    return user_copy_out(va, &value, sizeof value) == 0;
}

static vaddr_t va_of(unsigned page, unsigned word)
{
    return USER_VA + page * PAGE_BYTES + (word + 1) * CACHE_LINE_BYTES;
}

static struct process *process_of(struct space *space)
{
    struct process *process = NULL;

    if (!CHECK(process_create(&process_kernel, "copy", &process) == 0))
        return NULL;
    if (space != NULL) {
        space_put(process->space);
        process->space = space;
    }
    return process;
}

static void finish_process(struct process *process)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    CHECK(status == WAIT_STATUS_EXITED(0));
    process_put(process);
}

static int map_object(struct space *space, vaddr_t va, size_t pages, unsigned flags, struct vm_object *object)
{
    const struct space_request request = {
        .at = va, .bytes = pages * PAGE_BYTES, .rights = RW, .flags = flags | SPACE_FIXED, .object = object,
    };
    vaddr_t at = 0;

    return space_map(space, &request, &at);
}

static void start_threads(struct process *process, int (*entry)(void *), unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct thread *thread = sim_thread(process, entry, (void *)(uintptr_t)(first + i), NULL);

        if (thread != NULL)
            thread_put(thread);
    }
}

/*
 * memory-copy: two children, each with several threads, store to the same shared pages at the same moment. Each side
 * has its own threads' words afterwards, and the other's as they were at the fork.
 */
static struct {
    struct sim_line line;
    _Atomic(unsigned) stored[SIDES]; /* PAIRS(sim_count) */
} copies;

static uint64_t mark_of(unsigned page, unsigned word)
{
    return 1000 + 100 * page + word;
}

static int storing_program(void *arg)
{
    unsigned number = (unsigned)(uintptr_t)arg;
    unsigned side = number / THREADS;
    uint64_t value = 0;

    sim_line_wait(&copies.line);
    sim_delay();
    for (unsigned page = 0; page < PAGES; page++)
        if (!CHECK(store_word(va_of((page + number) % PAGES, number), number + 1)))
            return 1;
    (void)fetch_add_acq_rel(&copies.stored[side], 1); /* PAIRS(sim_count) */
    while (load_acquire(&copies.stored[side]) < THREADS) /* PAIRS(sim_count) */
        task_yield();
    for (unsigned page = 0; page < PAGES; page++)
        for (unsigned word = 0; word < SIDES * THREADS; word++)
            if (!CHECK(load_word(va_of(page, word), &value)) ||
                !CHECK(value == (word / THREADS == side ? word + 1 : mark_of(page, word))))
                return 1;
    return 0;
}

static int marking_program(void *arg)
{
    (void)arg;
    for (unsigned page = 0; page < PAGES; page++)
        for (unsigned word = 0; word < SIDES * THREADS; word++)
            if (!CHECK(store_word(va_of(page, word), mark_of(page, word))))
                return 1;
    return 0;
}

static void space_copy_story(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct process *maker = process_of(NULL);
        struct process *sides[SIDES];
        struct space *space;

        if (maker == NULL)
            return;
        maker->space->uses_huge = sim_chance(4);
        CHECK(map_object(maker->space, USER_VA, 512, SPACE_PRIVATE, NULL) == 0);
        start_threads(maker, marking_program, 0, 1);
        sim_line_init(&copies.line);
        CHECK(process_wait(&process_kernel, maker->pid, 0, NULL) == maker->pid);
        for (unsigned side = 0; side < SIDES; side++) {
            store_relaxed(&copies.stored[side], 0);
            CHECK(space_fork(maker->space, &space) == 0);
            sides[side] = process_of(space);
        }
        if (sim_chance(2)) {
            process_put(maker); /* then the two have the last references */
            maker = NULL;
        }
        for (unsigned side = 0; side < SIDES; side++)
            start_threads(sides[side], storing_program, side * THREADS, THREADS);
        sim_line_open(&copies.line, SIDES * THREADS);
        for (unsigned side = 0; side < SIDES; side++)
            finish_process(sides[side]);
        if (maker != NULL)
            process_put(maker);
    }
}

/*
 * memory-same: all threads meet at one fresh page after the other; who comes second finds what the first one brought.
 */
#define MEETING 4

static int meeting_program(void *arg)
{
    unsigned number = (unsigned)(uintptr_t)arg;
    uint64_t value = 0;

    sim_line_wait(&copies.line);
    for (unsigned page = 0; page < PAGES; page++) {
        if (!CHECK(store_word(va_of(page, number), number + 1)))
            return 1;
        for (unsigned word = 0; word < MEETING; word++)
            if (!CHECK(load_word(va_of(page, word), &value)) || !CHECK(value == 0 || value == word + 1))
                return 1;
    }
    (void)fetch_add_acq_rel(&copies.stored[0], 1); /* PAIRS(sim_count) */
    while (load_acquire(&copies.stored[0]) < MEETING) /* PAIRS(sim_count) */
        task_yield();
    for (unsigned page = 0; page < PAGES; page++)
        for (unsigned word = 0; word < MEETING; word++)
            if (!CHECK(load_word(va_of(page, word), &value)) || !CHECK(value == word + 1))
                return 1;
    return 0;
}

static void space_same_story(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct process *process = process_of(NULL);
        struct space_stats stats;

        if (process == NULL)
            return;
        process->space->uses_huge = sim_chance(4);
        sim_line_init(&copies.line);
        store_relaxed(&copies.stored[0], 0);
        CHECK(map_object(process->space, USER_VA, 512, sim_chance(2) ? SPACE_PRIVATE : SPACE_SHARED, NULL) == 0);
        start_threads(process, meeting_program, 0, MEETING);
        sim_line_open(&copies.line, MEETING);
        CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
        space_stats_get(process->space, &stats);
        CHECK(stats.resident_pages == (stats.blocks != 0 ? 512 : PAGES));
        process_put(process);
    }
}

/*
 * memory-resize: an object shrinks and grows under two spaces, which share it and copy from it, and which fork and
 * unmap meanwhile. A page that is given back while a CPU can still reach it ends the run; a word is its page's, or
 * zero.
 */
#define OBJECT_PAGES 3

static struct {
    struct sim_line line;
    struct vm_object *object;
    bool is_only_resized; /* nobody unmaps: what is beyond the end is out of reach as soon as that is said */
    _Atomic(bool) is_over;
} resizes;

static uint64_t tag_of(unsigned page)
{
    return UINT64_C(0x0b1ec7) << 32 | page;
}

static int object_program(void *arg)
{
    unsigned number = (unsigned)(uintptr_t)arg;
    struct space *space = process_current()->space;
    uint64_t value = 0;

    sim_line_wait(&resizes.line);
    while (!load_relaxed(&resizes.is_over)) {
        unsigned page = (unsigned)sim_random_below(2 * OBJECT_PAGES);

        if (sim_chance(2))
            (void)store_word(va_of(page, number), tag_of(page % OBJECT_PAGES));
        if (load_word(va_of(page, (unsigned)sim_random_below(4)), &value) &&
            !CHECK(value == 0 || value == tag_of(page % OBJECT_PAGES)))
            return 1;
        if (!resizes.is_only_resized && sim_chance(16))
            CHECK(space_unmap(space, USER_VA + page * PAGE_BYTES, PAGE_BYTES) == 0);
        if (!resizes.is_only_resized && sim_chance(16)) {
            CHECK(map_object(space, USER_VA, OBJECT_PAGES, SPACE_SHARED, resizes.object) == 0);
            CHECK(map_object(space, USER_VA + OBJECT_PAGES * PAGE_BYTES, OBJECT_PAGES, SPACE_PRIVATE,
                             resizes.object) == 0);
        }
        if (sim_chance(16))
            task_yield();
    }
    return 0;
}

static void fork_and_drop(struct process *process)
{
    struct space *child = NULL;

    CHECK(space_fork(process->space, &child) == 0);
    sim_delay();
    int result = space_fault(child, va_of(OBJECT_PAGES, 0), VM_WRITE);

    CHECK(result == 0 || result == -ENXIO || result == -EFAULT);
    space_put(child);
}

static void look_beyond_the_end(struct space *space, uint64_t pages)
{
    struct spinlock *lock = &space->tables[USER_VA / (512 * PAGE_BYTES) % SPACE_TABLE_LOCKS].lock;
    paddr_t pa;
    unsigned prot;

    for (uint64_t page = 0; page < 2 * OBJECT_PAGES; page++) {
        if (page % OBJECT_PAGES < pages)
            continue;
        spin_lock(lock);
        int result = pt_query(space->tlb.root, USER_VA + page * PAGE_BYTES, &pa, &prot);

        spin_unlock(lock);
        CHECK(result == -ENOENT);
    }
}

static void space_resize_story(void)
{
    struct process *processes[2];

    sim_line_init(&resizes.line);
    store_relaxed(&resizes.is_over, false);
    resizes.is_only_resized = sim_chance(2);
    CHECK(vm_object_create(OBJECT_PAGES * PAGE_BYTES, &resizes.object) == 0);
    for (unsigned i = 0; i < 2; i++) {
        processes[i] = process_of(NULL);
        if (processes[i] == NULL)
            return;
        CHECK(map_object(processes[i]->space, USER_VA, OBJECT_PAGES, SPACE_SHARED, resizes.object) == 0);
        CHECK(map_object(processes[i]->space, USER_VA + OBJECT_PAGES * PAGE_BYTES, OBJECT_PAGES, SPACE_PRIVATE,
                         resizes.object) == 0);
        start_threads(processes[i], object_program, 2 * i, 2);
    }
    sim_line_open(&resizes.line, 4);
    for (unsigned round = 4 * sim_rounds(); round > 0; round--) {
        uint64_t pages = sim_random_below(OBJECT_PAGES + 1);

        CHECK(vm_object_resize(resizes.object, pages * PAGE_BYTES) == 0);
        sim_delay();
        for (unsigned i = 0; i < 2 && resizes.is_only_resized; i++)
            look_beyond_the_end(processes[i]->space, pages);
        if (sim_chance(3))
            fork_and_drop(processes[sim_random_below(2)]);
    }
    store_relaxed(&resizes.is_over, true);
    for (unsigned i = 0; i < 2; i++)
        finish_process(processes[i]);
    vm_object_put(resizes.object);
}

/*
 * memory-end: processes end, and are freed, one after the other, while their CPUs go on to the next ones, which have
 * the same pages and other contents at the same addresses. Their stacks grow on the way.
 */
static int short_program(void *arg)
{
    uint64_t own = (uint64_t)(uintptr_t)arg;
    uint64_t value = 0;

    for (unsigned page = 0; page < PAGES; page++) {
        vaddr_t va = USER_VA - page * PAGE_BYTES;

        if (!CHECK(store_word(va, own + page)))
            return 1;
        if (sim_chance(4))
            task_yield();
        if (!CHECK(load_word(va, &value)) || !CHECK(value == own + page))
            return 1;
        if (sim_chance(4))
            sim_stay_on(sim_some_cpu());
    }
    return 0;
}

static void space_end_story(void)
{
    struct process *processes[4];

    for (unsigned round = 1; round <= sim_rounds(); round++) {
        for (unsigned i = 0; i < ARRAY_COUNT(processes); i++) {
            processes[i] = process_of(NULL);
            if (processes[i] == NULL)
                return;
            CHECK(map_object(processes[i]->space, USER_VA, 1, SPACE_PRIVATE | SPACE_GROWS_DOWN, NULL) == 0);
            struct thread *thread =
                sim_thread(processes[i], short_program, (void *)(uintptr_t)(round * 1000 + i * 100), NULL);

            if (thread != NULL)
                thread_put(thread);
        }
        for (unsigned i = 0; i < ARRAY_COUNT(processes); i++)
            finish_process(processes[i]);
    }
}

extern const struct sim_scenario sim_scenarios_copy[];
const struct sim_scenario sim_scenarios_copy[] = {
    { .name = "memory-copy", .aim = "both sides of a fork store to the same page at once, each on several CPUs",
      .cpus = 4, .cpus_min = 2, .rounds = 3, .run = space_copy_story },
    { .name = "memory-same", .aim = "several CPUs fault on the same fresh page at once",
      .cpus = 4, .cpus_min = 2, .rounds = 3, .run = space_same_story },
    { .name = "memory-resize", .aim = "an object shrinks while its pages are mapped, copied and forked",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = space_resize_story },
    { .name = "memory-end", .aim = "a space ends while a CPU that ran it switches away late",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = space_end_story },
    { .name = NULL },
};
