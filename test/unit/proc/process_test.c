/* SPDX-License-Identifier: MIT */
/* core/proc/process.c: the tree: every child is waited for once or buried, whoever dies first. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <mm/fail.h>
#include <mm/stats.h>
#include <proc/id.h>
#include <proc/process.h>
#include <proc/task.h>
#include <smp/preempt.h>
#include <time/clock.h>

static struct thread_spec spec_of(int (*entry)(void *), void *arg)
{
    return (struct thread_spec){
        .name = "thread", .entry = entry, .arg = arg, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
}

/* A child of the calling process that runs entry(arg) in one thread. Its pid. */
static pid_t start_process(int (*entry)(void *), void *arg)
{
    struct process *process = NULL;
    struct thread *thread = NULL;
    struct thread_spec spec = spec_of(entry, arg);

    if (!CHECK(process_create(process_current(), "child", &process) == 0))
        return -1;
    pid_t pid = process->pid;

    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(thread_schedule(pid, thread->tid, thread) == 0);
    thread_put(thread);
    process_put(process);
    return pid;
}

static int leave(void *arg)
{
    uintptr_t code = (uintptr_t)arg;

    for (uintptr_t i = code % 4; i > 0; i--)
        task_yield();
    return (int)code;
}

/* A tree that grows and dies at random: at each node, some children are waited for, the rest become orphans. */
static int grow(void *arg)
{
    uintptr_t depth = (uintptr_t)arg >> 16;
    uint64_t random = booted_seed() * 1000 + (uintptr_t)arg + (uintptr_t)current_task()->tid;
    unsigned children = depth == 0 ? 0 : (unsigned)(random_next(&random) % 4);
    unsigned waits = children == 0 ? 0 : (unsigned)(random_next(&random) % (children + 1));

    for (unsigned i = 0; i < children; i++)
        CHECK(start_process(grow, (void *)((depth - 1) << 16 | i)) > 0);
    for (unsigned i = 0; i < waits; i++) {
        int status = -1;

        CHECK(process_wait(process_current(), -1, 0, &status) > 0);
        CHECK((status & 0xff) == 0 && status >> 8 < 4);
    }
    if (waits == children)
        CHECK(process_wait(process_current(), -1, WNOHANG, NULL) == -ECHILD);
    if (random_next(&random) % 2 == 0)
        (void)task_sleep_for(random_next(&random) % 5000);
    return (int)((uintptr_t)arg & 0xffff);
}

static void trees(void)
{
    pid_t roots[3];

    for (uintptr_t i = 0; i < ARRAY_COUNT(roots); i++)
        roots[i] = start_process(grow, (void *)((uintptr_t)2 << 16 | i));
    for (unsigned i = 0; i < ARRAY_COUNT(roots); i++) {
        int status = -1;

        CHECK(process_wait(&process_kernel, roots[i], 0, &status) == roots[i]);
        CHECK(status == (int)WAIT_STATUS_EXITED(i));
        CHECK(process_wait(&process_kernel, roots[i], 0, &status) == -ECHILD);
        CHECK(process_lookup(roots[i]) == NULL);
    }
    CHECK(process_wait(&process_kernel, -1, 0, NULL) == -ECHILD);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0)); /* the orphans */
}

/* Two tasks of one parent wait for the same children: each child is reported to one of them. */
static _Atomic(uint64_t) reported;

static int wait_for_any(void *arg)
{
    (void)arg;
    for (;;) {
        int status = 0;
        pid_t pid = process_wait(&process_kernel, -1, 0, &status);

        if (pid == -ECHILD)
            return 0;
        if (!CHECK(pid > 0))
            return 1;
        uint64_t bit = UINT64_C(1) << (status >> 8);

        CHECK((fetch_or_relaxed(&reported, bit) & bit) == 0);
    }
}

static void rivals(void)
{
    struct task *waiter[3];

    for (uintptr_t i = 0; i < 12; i++)
        CHECK(start_process(leave, (void *)i) > 0);
    for (unsigned i = 0; i < ARRAY_COUNT(waiter); i++)
        waiter[i] = spawn("waiter", wait_for_any, NULL, 60, NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(waiter); i++)
        CHECK(finish(waiter[i]) == 0);
    CHECK(load_relaxed(&reported) == (1u << 12) - 1);
}

static int sleep_until_killed(void *arg)
{
    while (task_sleep_for(NS_PER_SEC) == 0)
        continue;
    return (int)(uintptr_t)arg;
}

static int be_killed_while_waiting(void *arg)
{
    struct process *self = process_current();

    (void)arg;
    CHECK(start_process(sleep_until_killed, (void *)1) > 0);
    CHECK(process_wait(self, -1, 0, NULL) == -EINTR);
    return 6; /* its child is still alive: the kernel buries it */
}

static void kills(void)
{
    pid_t pid = start_process(be_killed_while_waiting, NULL);
    struct process *process = process_lookup(pid);
    int status = 0;

    CHECK(process_wait(&process_kernel, pid, WNOHANG, &status) == 0);
    WAIT_FOR(process_count() == 2);
    (void)task_sleep_for(20000 + booted_seed() % 7 * 5000);
    struct process *orphan = NULL;

    for (pid_t next = 1; next < 100 && orphan == NULL; next++)
        if (next != pid)
            orphan = process_lookup(next);
    if (!CHECK(process != NULL && orphan != NULL))
        return;
    CHECK(process_kill(process) == 0);
    CHECK(process_wait(&process_kernel, pid, 0, &status) == pid && status == WAIT_STATUS_EXITED(6));
    CHECK(process_kill(process) == -ESRCH);
    CHECK(orphan->is_orphan && orphan->parent == &process_kernel);
    CHECK(process_wait(&process_kernel, orphan->pid, WNOHANG, NULL) == -ECHILD);
    CHECK(process_kill(orphan) == 0);
    process_put(process);
    process_put(orphan);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
}

static void refusals(void)
{
    struct process *process = NULL;
    pid_t pid = 0;

    CHECK(process_create(&process_kernel, NULL, &process) == -EINVAL);
    CHECK(process_create(&process_kernel, "", &process) == -EINVAL && process == NULL);
    CHECK(process_wait(&process_kernel, 0, 0, NULL) == -EINVAL);
    CHECK(process_wait(&process_kernel, -2, 0, NULL) == -EINVAL);
    CHECK(process_wait(&process_kernel, -1, 4, NULL) == -EINVAL);
    CHECK(process_wait(&process_kernel, -1, WNOHANG, NULL) == -ECHILD);
    CHECK(process_current() == &process_kernel);
    /* A process without threads: found at once, taken back by its maker. */
    CHECK(process_create(&process_kernel, "empty", &process) == 0);
    pid = process->pid;
    struct process *found = process_lookup(pid);

    CHECK(found == process && process->state == PROCESS_ALIVE && process->parent == &process_kernel);
    process_put(found);
    CHECK(process_wait(&process_kernel, pid, WNOHANG, NULL) == 0);
    CHECK(process_discard(process) == 0);
    CHECK(process_discard(process) == -EBUSY);
    CHECK(process_lookup(pid) == NULL);
    CHECK(process_wait(&process_kernel, pid, WNOHANG, NULL) == -ECHILD);
    process_put(process);
}

/* The n-th allocation fails, for every n. */
static void failures(void)
{
    uint32_t failed = 0;
    bool fired = true;

    while (fired && failed < 50) {
        struct check_counts before, after;
        struct process *process = NULL;

        check_counts_get(&before);
        mm_fail_at(failed + 1);
        int result = process_create(&process_kernel, "process", &process);

        fired = mm_fail_fired();
        failed += fired;
        CHECK(fired ? result == -ENOMEM && process == NULL : result == 0);
        if (result == 0) {
            CHECK(process_discard(process) == 0);
            process_put(process);
        }
        check_counts_get(&after);
        CHECK(check_counts_compare(&before, &after) == 0);
    }
    CHECK(failed >= 2 && failed < 50);
}

static _Atomic(bool) is_inside, may_leave;

static int stay_in_section(void *arg)
{
    (void)arg;
    preempt_disable();
    store_relaxed(&is_inside, true);
    while (!load_relaxed(&may_leave))
        hal_cpu_relax();
    preempt_enable();
    return 0;
}

static uint64_t tables(void)
{
    struct mm_stats stats;

    mm_stats_get(&stats);
    return stats.pages[MM_TABLES];
}

/* Processes wait for a grace period, which a read section holds up, and their tasks for the reaper; spaces do not. */
static void long_section(void)
{
    const unsigned children = 12;
    uint64_t before = 0;

    if (online_count() < 2)
        return;
    struct task *reader = spawn_on("reader", stay_in_section, NULL, 0, online_cpu(1));

    WAIT_FOR(load_relaxed(&is_inside));
    reaper_set_patience(TIME_NEVER);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < children; i++) {
            pid_t pid = start_process(leave, NULL);

            CHECK(process_wait(process_current(), pid, 0, NULL) == pid);
        }
        if (round == 0)
            before = tables();
        CHECK(tables() <= before + 2); /* the kernel's, for stacks */
    }
    CHECK(process_count() >= 4 * children);
    reaper_set_patience(NS_PER_MS);
    store_relaxed(&may_leave, true);
    CHECK(finish(reader) == 0);
    reaper_wait_pass();
    WAIT_FOR(process_count() == 0);
}

const struct kernel_test booted_tests[] = {
    { "trees", trees },       { "rivals", rivals },     { "kills", kills },
    { "refusals", refusals }, { "failures", failures }, { "long-section", long_section },
    { NULL, NULL },
};

static void random_trees_leave_nothing_behind(void **state)
{
    (void)state;
    booted_run("trees", 160);
}

static void each_child_is_reported_once_to_one_of_many_waiters(void **state)
{
    (void)state;
    booted_run("rivals", 80);
}

static void a_killed_parent_stops_waiting_and_leaves_orphans(void **state)
{
    (void)state;
    booted_run("kills", 60);
}

static void bad_arguments_are_refused_and_an_empty_process_is_taken_back(void **state)
{
    (void)state;
    booted_run("refusals", 16);
}

static void a_failure_at_any_allocation_leaves_nothing(void **state)
{
    (void)state;
    booted_run("failures", 16);
}

static void a_read_section_that_lasts_holds_no_space_back(void **state)
{
    (void)state;
    booted_run("long-section", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trees_leave_nothing_behind),
        cmocka_unit_test(each_child_is_reported_once_to_one_of_many_waiters),
        cmocka_unit_test(a_killed_parent_stops_waiting_and_leaves_orphans),
        cmocka_unit_test(bad_arguments_are_refused_and_an_empty_process_is_taken_back),
        cmocka_unit_test(a_failure_at_any_allocation_leaves_nothing),
        cmocka_unit_test(a_read_section_that_lasts_holds_no_space_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
