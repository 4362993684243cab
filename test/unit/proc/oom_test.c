/* SPDX-License-Identifier: MIT */
/* core/proc/oom.c: who is chosen, that the others go on, and that the memory comes back. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <fs/socket.h>
#include <mm/phys.h>
#include <proc/oom.h>
#include <vm/space.h>

static void points_test(void)
{
    CHECK(oom_points(10, 0, 10000) == OOM_SMALL_PAGES);
    CHECK(oom_points(5000, 0, 10000) == 5000);
    CHECK(oom_points(5000, 100, 10000) == 6000);
    CHECK(oom_points(5000, -1000, 10000) == 0 && oom_points(5000, -999, 10000) == OOM_SMALL_PAGES);
}

/* Maps and touches without end. */
static void hog(uintptr_t arg)
{
    (void)arg;
    for (;;) {
        struct space_request request = { .bytes = 64 * PAGE_BYTES, .rights = VM_READ | VM_WRITE,
                                         .flags = SPACE_PRIVATE };
        vaddr_t va = 0;

        CHECK(space_map(space_current(), &request, &va) == 0);
        for (vaddr_t at = va; at < va + 64 * PAGE_BYTES; at += PAGE_BYTES)
            program_store(at, 1);
    }
}

/* It asks for memory when there is none: the hog goes. */
static void asks(uintptr_t arg)
{
    (void)arg;
    for (;;)
        (void)program_call("sched_yield");
}

static void choice_test(void)
{
    struct process *bystander = program_start(asks, 0), *protected = program_start(asks, 0);
    struct process *hungry = program_start(hog, 0);

    CHECK(oom_adjust_set(protected, OOM_ADJUST_NEVER, false) == -EACCES && oom_adjust_get(protected) == 0);
    CHECK(oom_adjust_set(protected, OOM_ADJUST_NEVER - 1, true) == -EINVAL);
    CHECK(oom_adjust_set(protected, OOM_ADJUST_NEVER, true) == 0 && oom_score_get(protected) == 0);
    CHECK(program_finish(hungry) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    CHECK(process_kill(bystander) == 0 && program_finish(bystander) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    CHECK(process_kill(protected) == 0 && program_finish(protected) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
}

/* ---- What descriptors keep ---- */

#define ENDS PROGRAM_MEMORY /* two descriptors */
#define SOURCE (PROGRAM_MEMORY + PAGE_BYTES)
#define SOURCE_BYTES (PROGRAM_MEMORY_BYTES - PAGE_BYTES)
#define KEPT_BYTES (100 * SOURCE_BYTES)

static _Atomic(unsigned) full; /* how many have come so far */

static void be_full(void)
{
    (void)fetch_add_relaxed(&full, 1);
    for (;;)
        (void)program_call("sched_yield");
}

/* Until there is no memory, or no descriptor. */
static void fill_streams(uintptr_t is_socket)
{
    intptr_t error;

    do {
        error = is_socket != 0 ? program_call("socketpair", AF_UNIX, SOCK_STREAM | O_NONBLOCK, 0, ENDS)
                               : program_call("pipe2", ENDS, O_NONBLOCK);
        CHECK(error == 0 || error == -ENOMEM || error == -EMFILE);
        uint64_t ends = program_load(ENDS);

        while (error == 0) {
            intptr_t done = program_call("write", ends >> 32, SOURCE, SOURCE_BYTES);

            CHECK(done > 0 || done == -EAGAIN || done == -ENOMEM);
            if (done < 0)
                error = done;
        }
    } while (error == -EAGAIN);
    be_full();
}

/* So much in a file without a name; a name for it does not matter. */
static void fill_memfd(uintptr_t arg)
{
    intptr_t fd = program_call("memfd_create", SOURCE, 0);

    (void)arg;
    CHECK(fd >= 0);
    for (size_t done = 0; done < KEPT_BYTES; done += SOURCE_BYTES)
        CHECK(program_call("write", fd, SOURCE, SOURCE_BYTES) == (intptr_t)SOURCE_BYTES);
    CHECK(program_call("dup", fd) >= 0 && program_call("dup", fd) >= 0);
    be_full();
}

static void take_little(uintptr_t pages)
{
    struct space_request request = { .bytes = pages * PAGE_BYTES, .rights = VM_READ | VM_WRITE,
                                     .flags = SPACE_PRIVATE };
    vaddr_t va = 0;

    CHECK(space_map(space_current(), &request, &va) == 0);
    for (vaddr_t at = va; at < va + request.bytes; at += PAGE_BYTES)
        program_store(at, 1);
    program_exit(0);
}

static void wait_for_full(unsigned count)
{
    while (load_relaxed(&full) < count)
        CHECK(task_sleep_for(NS_PER_MS) == 0);
}

/* The others stop while there is memory to begin something with. Who takes that would be the victim, if what they keep
 * counted for nobody. */
static void streams_test(void)
{
    struct process *holder[2];
    struct phys_stats stats;
    unsigned killed = 0;

    store_relaxed(&full, 0);
    for (unsigned i = 0; i < 2; i++)
        holder[i] = program_start(fill_streams, i);
    wait_for_full(2);
    phys_stats_get(&stats);
    CHECK(!phys_is_short() && stats.free_pages <= 4 * stats.reserve_pages);
    CHECK(program_finish(program_start(take_little, 3 * stats.reserve_pages)) == 0);
    for (unsigned i = 0; i < 2; i++)
        killed += process_kill(holder[i]) != 0;
    CHECK(killed == 1);
    for (unsigned i = 0; i < 2; i++)
        CHECK(program_finish(holder[i]) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
}

static void memfd_test(void)
{
    struct phys_stats stats;

    store_relaxed(&full, 0);
    struct process *holder = program_start(fill_memfd, 0);

    wait_for_full(1);
    phys_stats_get(&stats);
    unsigned score = (unsigned)(KEPT_BYTES / PAGE_BYTES * OOM_ADJUST_MAX / stats.total_pages);

    CHECK(oom_score_get(holder) >= score && oom_score_get(holder) <= score + 20);
    CHECK(process_kill(holder) == 0 && program_finish(holder) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
}

const struct kernel_test booted_tests[] = { { "points", points_test },
                                            { "choice", choice_test },
                                            { "streams", streams_test },
                                            { "memfd", memfd_test },
                                            { NULL, NULL } };

static void adjustments_count_in_thousandths_and_small_ones_are_equal(void **state)
{
    (void)state;
    booted_run("points", 1);
}

static void the_largest_is_the_victim_and_the_others_live(void **state)
{
    (void)state;
    booted_run("choice", 2);
}

static void what_waits_in_pipes_and_sockets_is_their_readers(void **state)
{
    (void)state;
    booted_run("streams", 2);
}

static void a_file_without_a_name_is_its_holders(void **state)
{
    (void)state;
    booted_run("memfd", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adjustments_count_in_thousandths_and_small_ones_are_equal),
        cmocka_unit_test(the_largest_is_the_victim_and_the_others_live),
        cmocka_unit_test(what_waits_in_pipes_and_sockets_is_their_readers),
        cmocka_unit_test(a_file_without_a_name_is_its_holders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
