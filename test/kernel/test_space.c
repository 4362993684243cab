/* SPDX-License-Identifier: MIT */
/* Address spaces on the machine itself: threads of processes use memory by user copies, so through real faults. */
#include <k/errno.h>
#include <mm/user.h>
#include <proc/process.h>
#include <time/clock.h>
#include <vm/object.h>
#include <vm/space.h>

#include "check.h"
#include "inspace.h"

#define SPAN_BYTES ((size_t)512 * PAGE_BYTES)

static uint64_t word_at(vaddr_t va)
{
    uint64_t value = UINT64_MAX;

    CHECK(load_word(va, &value));
    return value;
}

static int use_fresh_memory(void *arg)
{
    struct space *space = space_current();
    struct space_stats stats;

    (void)arg;
    space->uses_huge = false; /* pages are counted */
    CHECK(!store_word(USER_VA, 1));
    CHECK(map_at(space, USER_VA, 600, RW, SPACE_PRIVATE) == 0);
    for (size_t i = 0; i < 600; i += 7) {
        CHECK(word_at(USER_VA + i * PAGE_BYTES) == 0);
        CHECK(store_word(USER_VA + i * PAGE_BYTES + PAGE_BYTES - 8, i));
    }
    for (size_t i = 0; i < 600; i += 7)
        CHECK(word_at(USER_VA + i * PAGE_BYTES + PAGE_BYTES - 8) == i);
    space_stats_get(space, &stats);
    CHECK(stats.zeroed == 86 && stats.regions == 1 && stats.resident_pages == 86);
    CHECK(space_unmap(space, USER_VA + 7 * PAGE_BYTES, 590 * PAGE_BYTES) == 0);
    CHECK(!load_word(USER_VA + 7 * PAGE_BYTES, &(uint64_t){ 0 }) && word_at(USER_VA + PAGE_BYTES - 8) == 0);
    CHECK(map_at(space, USER_VA, 600, RW, SPACE_PRIVATE) == 0 && word_at(USER_VA + 14 * PAGE_BYTES) == 0);
    return 0;
}

static void memory_is_brought_in_by_faults(void)
{
    run_in(NULL, use_fresh_memory, NULL);
}

static int protect_memory(void *arg)
{
    struct space *space = space_current();

    (void)arg;
    CHECK(map_at(space, USER_VA, 8, RW, SPACE_PRIVATE) == 0);
    CHECK(store_word(USER_VA, 1) && store_word(USER_VA + PAGE_BYTES, 2));
    CHECK(space_protect(space, USER_VA, 2 * PAGE_BYTES, VM_READ) == 0);
    CHECK(!store_word(USER_VA, 3) && word_at(USER_VA) == 1);
    CHECK(space_protect(space, USER_VA, 2 * PAGE_BYTES, 0) == 0);
    CHECK(!load_word(USER_VA, &(uint64_t){ 0 }) && !load_word(USER_VA + PAGE_BYTES, &(uint64_t){ 0 }));
    CHECK(space_protect(space, USER_VA, 2 * PAGE_BYTES, RW) == 0);
    CHECK(word_at(USER_VA) == 1 && store_word(USER_VA, 4) && word_at(USER_VA + PAGE_BYTES) == 2);
    CHECK(space_protect(space, USER_VA, 9 * PAGE_BYTES, VM_READ) == -ENOMEM && store_word(USER_VA, 5));
    CHECK(space_advise(space, USER_VA, PAGE_BYTES, SPACE_DONTNEED) == 0 && word_at(USER_VA) == 0);
    return 0;
}

static void rights_are_kept(void)
{
    run_in(NULL, protect_memory, NULL);
}

static int check_copy(void *arg)
{
    for (size_t i = 0; i < 40; i++)
        CHECK(word_at(USER_VA + i * 20 * PAGE_BYTES) == i + 1);
    CHECK(store_word(USER_VA, (uintptr_t)arg) && word_at(USER_VA) == (uintptr_t)arg);
    CHECK(store_word(USER_VA + 8, 7) && store_word(USER_VA + 20 * PAGE_BYTES, 9));
    return 0;
}

static int fork_memory(void *arg)
{
    struct space *space = space_current();
    struct space *child = NULL;

    (void)arg;
    CHECK(map_at(space, USER_VA, 800, RW, SPACE_PRIVATE) == 0);
    for (size_t i = 0; i < 40; i++)
        CHECK(store_word(USER_VA + i * 20 * PAGE_BYTES, i + 1));
    for (uintptr_t turn = 0; turn < 3; turn++) {
        CHECK(space_fork(space, &child) == 0);
        if (turn == 1)
            CHECK(store_word(USER_VA + 39 * 20 * PAGE_BYTES + 8, 5)); /* not seen by the child */
        run_in(child, check_copy, (void *)(100 + turn));
        CHECK(word_at(USER_VA) == 1 && word_at(USER_VA + 8) == 0 && word_at(USER_VA + 20 * PAGE_BYTES) == 2);
        CHECK(store_word(USER_VA + 16, turn));
    }
    return 0;
}

static void a_copy_is_made_by_the_first_store(void)
{
    run_in(NULL, fork_memory, NULL);
}

static int share_memory(void *arg)
{
    (void)arg;
    CHECK(word_at(USER_VA) == 11 && store_word(USER_VA + PAGE_BYTES, 12));
    return 0;
}

static int make_shared_memory(void *arg)
{
    struct space *space = space_current();
    struct space *child = NULL;

    (void)arg;
    CHECK(map_at(space, USER_VA, 4, RW, SPACE_SHARED) == 0);
    CHECK(store_word(USER_VA, 10));
    CHECK(space_fork(space, &child) == 0);
    CHECK(store_word(USER_VA, 11));
    run_in(child, share_memory, NULL);
    CHECK(word_at(USER_VA + PAGE_BYTES) == 12);
    return 0;
}

static void shared_memory_is_one(void)
{
    run_in(NULL, make_shared_memory, NULL);
}

static int grow(void *arg)
{
    struct space *space = space_current();
    vaddr_t end = 0;

    (void)arg;
    CHECK(map_at(space, USER_VA, 1, RW, SPACE_PRIVATE) == 0);
    vaddr_t stack = USER_VA + VM_STACK_GUARD_BYTES + 64 * PAGE_BYTES;

    CHECK(map_at(space, stack, 1, RW, SPACE_PRIVATE | SPACE_GROWS_DOWN) == 0);
    for (size_t i = 1; i < 60; i++)
        CHECK(store_word(stack - i * PAGE_BYTES, i));
    CHECK(word_at(stack - 59 * PAGE_BYTES) == 59 && !store_word(USER_VA + PAGE_BYTES, 1));
    CHECK(space_fault(space, USER_VA + 2 * PAGE_BYTES, VM_WRITE) == -EFAULT);
    CHECK(space_set_heap(space, 4 * USER_VA + 5) == 0 && space_brk(space, 4 * USER_VA + 5 * PAGE_BYTES, &end) == 0);
    CHECK(store_word(4 * USER_VA + 4 * PAGE_BYTES, 3));
    CHECK(space_brk(space, 4 * USER_VA + PAGE_BYTES, &end) == 0 && !store_word(4 * USER_VA + 4 * PAGE_BYTES, 3));
    return 0;
}

static void stacks_and_heaps_grow(void)
{
    run_in(NULL, grow, NULL);
}

/* One thread stores for ever; another takes the memory away, and nothing is stored any more. */
static struct {
    _Atomic(bool) is_over;
    _Atomic(uint64_t) stores;
} busy;

static int store_for_ever(void *arg)
{
    uint64_t value = (uintptr_t)arg;

    while (!load_relaxed(&busy.is_over)) {
        if (store_word(USER_VA + (value % 4) * PAGE_BYTES, value))
            (void)fetch_add_relaxed(&busy.stores, 1);
        value++;
        if (value % 64 == 0)
            task_yield();
    }
    return 0;
}

static void memory_in_use_is_taken_away(void)
{
    struct process *process = NULL;
    struct thread *thread;
    struct space *space;

    store_relaxed(&busy.is_over, false);
    store_relaxed(&busy.stores, 0);
    thread = start_in(NULL, store_for_ever, NULL, &process);
    if (thread == NULL)
        return;
    space = process->space;
    for (unsigned round = 0; round < 20; round++) {
        uint64_t before = load_relaxed(&busy.stores);

        CHECK(map_at(space, USER_VA, 4, RW, SPACE_PRIVATE) == 0);
        WAIT_FOR(load_relaxed(&busy.stores) > before + 10);
        if (round % 2 == 0) {
            CHECK(space_protect(space, USER_VA, 4 * PAGE_BYTES, VM_READ) == 0);
            (void)task_sleep_for(100 * NS_PER_US); /* a store that was done is counted by then */
            before = load_relaxed(&busy.stores);
            (void)task_sleep_for(100 * NS_PER_US);
            CHECK(load_relaxed(&busy.stores) <= before + 1);
        }
        CHECK(space_unmap(space, USER_VA, 4 * PAGE_BYTES) == 0);
    }
    store_relaxed(&busy.is_over, true);
    finish_process(thread, process);
}

static int use_blocks(void *arg)
{
    struct space *space = space_current();
    struct space *child = NULL;
    struct space_stats stats;

    (void)arg;
    space->uses_huge = HAL_PT_LEAF_LEVEL_MAX > 0;
    CHECK(map_at(space, 2 * SPAN_BYTES, 1024, RW, SPACE_PRIVATE) == 0);
    CHECK(word_at(2 * SPAN_BYTES) == 0 && store_word(3 * SPAN_BYTES - 8, 5));
    CHECK(store_word(3 * SPAN_BYTES + 8, 6));
    space_stats_get(space, &stats); /* 2 MiB may not be had in one piece: then it is pages */
    CHECK(stats.blocks == 0 || stats.resident_pages >= 512);
    CHECK(space_protect(space, 2 * SPAN_BYTES, 2 * PAGE_BYTES, VM_READ) == 0);
    CHECK(!store_word(2 * SPAN_BYTES, 1) && store_word(2 * SPAN_BYTES + 2 * PAGE_BYTES, 1));
    CHECK(word_at(3 * SPAN_BYTES - 8) == 5);
    CHECK(space_fork(space, &child) == 0);
    CHECK(store_word(3 * SPAN_BYTES + 8, 7));
    space_put(child);
    CHECK(word_at(3 * SPAN_BYTES + 8) == 7 && space_unmap(space, 3 * SPAN_BYTES, PAGE_BYTES) == 0);
    CHECK(!load_word(3 * SPAN_BYTES + 8, &(uint64_t){ 0 }) && word_at(3 * SPAN_BYTES + PAGE_BYTES) == 0);
    return 0;
}

static void large_pages_are_split_where_they_must_be(void)
{
    run_in(NULL, use_blocks, NULL);
}

#define MANY_MAX 10000u
#define MANY_STEP 200u /* so many regions, their pages and a table take about 11 pages */

static int map_many(void *arg)
{
    struct space *space = space_current();
    struct phys_stats memory;
    struct space_stats stats;

    (void)arg;
    phys_stats_get(&memory);
    size_t many = MIN(MANY_MAX, MANY_STEP * (size_t)(memory.free_pages / 40)); /* a machine may have few MiB */

    for (size_t i = 0; i < many; i++)
        if (!CHECK(map_at(space, USER_VA + 2 * i * PAGE_BYTES, 1, i % 2 == 0 ? RW : VM_READ, SPACE_PRIVATE) == 0))
            return 1;
    for (size_t i = 0; i < many; i += 100)
        CHECK(store_word(USER_VA + 2 * i * PAGE_BYTES, i) && !store_word(USER_VA + (2 * i + 1) * PAGE_BYTES, i));
    space_stats_get(space, &stats);
    CHECK(stats.regions == many && stats.resident_pages == many / 100);
    CHECK(space_unmap(space, USER_VA, many * PAGE_BYTES) == 0);
    space_stats_get(space, &stats);
    CHECK(stats.regions == many / 2 && stats.resident_pages == many / 200);
    return 0;
}

static void regions_are_many(void)
{
    run_in(NULL, map_many, NULL);
}

static int shrink_object(void *arg)
{
    struct vm_object *object = arg;
    struct space_request request = {
        .at = USER_VA, .bytes = 4 * PAGE_BYTES, .rights = RW, .flags = SPACE_SHARED | SPACE_FIXED, .object = object,
    };
    uint64_t word = 21;
    vaddr_t va = 0;

    CHECK(space_map(space_current(), &request, &va) == 0);
    CHECK(vm_object_write(object, PAGE_BYTES, &word, sizeof word) == sizeof word);
    CHECK(word_at(USER_VA + PAGE_BYTES) == 21 && store_word(USER_VA + PAGE_BYTES, 22));
    CHECK(vm_object_read(object, PAGE_BYTES, &word, sizeof word) == sizeof word && word == 22);
    CHECK(vm_object_resize(object, PAGE_BYTES) == 0);
    CHECK(!load_word(USER_VA + PAGE_BYTES, &word) && store_word(USER_VA, 1));
    CHECK(space_fault(space_current(), USER_VA + PAGE_BYTES, VM_READ) == -ENXIO);
    return 0;
}

static void an_object_that_shrinks_is_cut_off(void)
{
    struct vm_object *object = NULL;

    if (!CHECK(vm_object_create(4 * PAGE_BYTES, &object) == 0))
        return;
    run_in(NULL, shrink_object, object);
    vm_object_put(object);
}

const struct kernel_test tests_space[] = {
    { "space: memory is brought in by faults", memory_is_brought_in_by_faults },
    { "space: rights are kept", rights_are_kept },
    { "space: a copy is made by the first store", a_copy_is_made_by_the_first_store },
    { "space: shared memory is one", shared_memory_is_one },
    { "space: stacks and heaps grow", stacks_and_heaps_grow },
    { "space: memory in use is taken away", memory_in_use_is_taken_away },
    { "space: large pages are split where they must be", large_pages_are_split_where_they_must_be },
    { "space: regions are many", regions_are_many },
    { "space: an object that shrinks is cut off", an_object_that_shrinks_is_cut_off },
    { NULL, NULL },
};
