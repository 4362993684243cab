/* SPDX-License-Identifier: MIT */
/*
 * Costs of address spaces, counted as bench.c does. Faults are taken by user copies of one word. What such a copy costs
 * without a fault is the line fault_none; fault_zero_net is fault_zero without that and without zeroing the page: from
 * the trap to its return. map_unmap_net is without the loop.
 */
#include <mm/user.h>
#include <proc/process.h>
#include <time/clock.h>
#include <vm/space.h>

#include "bench.h"
#include "check.h"

#define PAGES 256u
#define ROUNDS 100u
#define USER_VA ((vaddr_t)0x10000000)
#define TABLES 16u

static int run_in_space(int (*entry)(void *))
{
    const struct thread_spec spec = {
        .name = "bench", .entry = entry, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 0,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;
    int status = -1;

    if (!CHECK(process_create(&process_kernel, "bench", &process) == 0))
        return status;
    if (CHECK(thread_create(process, &spec, &thread) == 0)) {
        CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
        thread_put(thread);
        CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    }
    process_put(process);
    return status;
}

static void map(struct space *space, vaddr_t va, size_t pages, unsigned flags)
{
    const struct space_request request = {
        .at = va, .bytes = pages * PAGE_BYTES, .rights = VM_READ | VM_WRITE,
        .flags = flags | SPACE_FIXED | SPACE_PRIVATE,
    };
    vaddr_t at = 0;

    CHECK(space_map(space, &request, &at) == 0);
}

static uint64_t store_to_all(const char *name)
{
    uint64_t value = 1;
    int error = 0;
    uint64_t start = clock_ns();

    for (unsigned i = 1; i < PAGES; i++)
        error |= user_copy_out(USER_VA + i * PAGE_BYTES, &value, sizeof value);
    uint64_t ns = clock_ns() - start;

    bench_report(name, ns, PAGES - 1);
    CHECK(error == 0);
    return ns;
}

static int fault_thread(void *arg)
{
    struct space *space = space_current();
    struct space *child = NULL;

    (void)arg;
    map(space, USER_VA, PAGES, 0);
    CHECK(space_fault(space, USER_VA, VM_WRITE) == 0); /* the tables */
    uint64_t zero_ns = store_to_all("fault_zero");
    uint64_t none_ns = store_to_all("fault_none");

    bench_report_net("fault_zero_net", zero_ns, none_ns + bench_zero_ns(PAGES - 1), PAGES - 1);
    CHECK(space_fork(space, &child) == 0);
    (void)store_to_all("fault_copy");
    space_put(child);
    CHECK(space_fork(space, &child) == 0);
    space_put(child);
    (void)store_to_all("fault_take_over");
    return 0;
}

void bench_space_fault(void)
{
    CHECK(run_in_space(fault_thread) == 0);
}

static int map_thread(void *arg)
{
    struct space *space = space_current();
    uint64_t value = 1;
    uint64_t start = clock_ns();

    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        map(space, USER_VA, 1, 0);
        CHECK(space_unmap(space, USER_VA, PAGE_BYTES) == 0);
    }
    uint64_t ns = clock_ns() - start;

    bench_report("map_unmap", ns, ROUNDS);
    bench_report_net("map_unmap_net", ns, bench_loop_ns(ROUNDS), ROUNDS);
    map(space, USER_VA + 16 * PAGE_BYTES, 1, SPACE_POPULATE); /* so that the table stays */
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        map(space, USER_VA, 1, 0);
        CHECK(user_copy_out(USER_VA, &value, sizeof value) == 0);
        CHECK(space_unmap(space, USER_VA, PAGE_BYTES) == 0);
    }
    bench_report("map_fault_unmap", clock_ns() - start, ROUNDS);
    return 0;
}

void bench_space_map(void)
{
    CHECK(run_in_space(map_thread) == 0);
}

static uint64_t fork_and_drop(struct space *space)
{
    struct space *child = NULL;
    uint64_t start = clock_ns();

    CHECK(space_fork(space, &child) == 0);
    uint64_t ns = clock_ns() - start;

    if (child != NULL)
        space_put(child);
    return ns;
}

/* By table, with one page in each, and with all. */
static int fork_thread(void *arg)
{
    struct space *space = space_current();
    uint64_t empty = 0;

    (void)arg;
    (void)fork_and_drop(space);
    empty = fork_and_drop(space);
    bench_report("fork_empty", empty, 1);
    map(space, 16 * USER_VA, (size_t)TABLES * 512, 0);
    for (unsigned i = 0; i < TABLES; i++)
        CHECK(space_fault(space, 16 * USER_VA + (vaddr_t)i * 512 * PAGE_BYTES, VM_WRITE) == 0);
    (void)fork_and_drop(space);
    bench_report("fork_table_1_page", fork_and_drop(space) - empty, TABLES);
    CHECK(space_pin(space, 16 * USER_VA, (size_t)TABLES * 512 * PAGE_BYTES) == 0);
    (void)fork_and_drop(space);
    bench_report("fork_table_512_pages", fork_and_drop(space) - empty, TABLES);
    return 0;
}

void bench_space_fork(void)
{
    CHECK(run_in_space(fork_thread) == 0);
}
