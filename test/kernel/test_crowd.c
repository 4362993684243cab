/* SPDX-License-Identifier: MIT */
/*
 * Crowds of tasks that wait: each look at a queue goes as far as it ever does, and finds nothing; each list that has a
 * bound is full. All that could be asserted here is that everybody comes to his end, which is; how long a run-queue
 * lock is held meanwhile is measured from outside (tools/plugin/hold.c, boot.bench-hold).
 */
#include <k/atomic.h>
#include <sched/event.h>
#include <sched/params.h>
#include <time/clock.h>

#include "check.h"

#define CROWD 40u   /* more than any look sees */
#define SLEEPERS 12u
#define ROUNDS 6u

static _Atomic(bool) stop;
static _Atomic(bool) go;

/* Fair tasks of different weights and slices: they stand in the tree. */
static void differ(struct task *task, unsigned i)
{
    const struct sched_params params = {
        .policy = SCHED_POLICY_FAIR,
        .nice = (int8_t)(i * 7 % 39 - 19),
        .slice_ns = i % 3 == 0 ? 0 : SCHED_SLICE_NS_MIN << i % 6,
    };

    CHECK(task_set_params(task, &params) == 0);
}

static int work(void *arg)
{
    for (unsigned turn = (unsigned)(uintptr_t)arg; !load_relaxed(&stop); turn++) {
        if (turn % 4 == 0)
            CHECK(task_sleep_for(30 * NS_PER_US) == 0);
        else if (turn % 4 == 1)
            task_yield();
        else
            for (uint64_t end_ns = clock_ns() + 20 * NS_PER_US; clock_ns() < end_ns;)
                hal_cpu_relax();
    }
    return 0;
}

static int hold_the_cpu(void *arg)
{
    (void)arg;
    while (!load_acquire(&go)) /* PAIRS(test_go) */
        hal_cpu_relax();
    return 0;
}

static void two_cpus(struct cpumask *out, cpu_id_t a, cpu_id_t b)
{
    cpumask_set_single(out, a);
    cpumask_add(out, b);
}

/* A crowd shares two CPUs, and the others look at it in vain, but for one task that now and then may go there. */
static void a_crowd_changes_all_the_time(void)
{
    static struct task *task[CROWD];
    struct cpumask mask;

    if (online_count() < 3)
        return;
    cpu_id_t first = online_cpu(online_count() - 2), second = online_cpu(online_count() - 1);

    store_relaxed(&stop, false);
    two_cpus(&mask, first, second);
    for (unsigned i = 0; i < CROWD; i++) {
        task[i] = spawn("crowd", work, (void *)(uintptr_t)i, PRIORITY_DEFAULT, &mask);
        if (task[i] != NULL)
            differ(task[i], i);
    }
    for (unsigned turn = 0; turn < ROUNDS * CROWD; turn++) {
        struct task *some = task[turn * 7 % CROWD];

        if (some == NULL)
            continue;
        differ(some, turn);
        two_cpus(&mask, turn % 3 == 0 ? online_cpu(0) : first, second);
        CHECK(task_set_affinity(some, &mask) == 0);
        if (turn % 4 == 0)
            CHECK(task_sleep_for(50 * NS_PER_US) == 0);
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < CROWD; i++)
        CHECK(finish(task[i]) == 0);
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* Real-time tasks wait behind more urgent ones on two CPUs, each more urgent than the one before it in the queue. */
static void an_urgent_crowd_waits(void)
{
    static struct task *task[CROWD];
    struct cpumask mask;

    if (online_count() < 3)
        return; /* the tasks that hold the CPUs would hold ours */
    cpu_id_t first = online_cpu(online_count() - 2), second = online_cpu(online_count() - 1);

    cpumask_set_single(&mask, online_cpu(0));
    CHECK(task_set_affinity(current_task(), &mask) == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        store_relaxed(&go, false);
        struct task *holder[2] = { spawn_on("holder", hold_the_cpu, NULL, 0, first),
                                   spawn_on("holder", hold_the_cpu, NULL, 0, second) };

        two_cpus(&mask, first, second);
        for (unsigned i = 0; i < CROWD; i++) {
            if (i % 8 == 7) /* a look of one that goes idle, and may take none of them */
                CHECK(task_sleep_for(20 * NS_PER_US) == 0);
            task[i] = spawn("urgent", end_at_once, NULL, PRIORITY_REALTIME_LOW - (int)(i % 8), &mask);
        }
        store_release(&go, true); /* PAIRS(test_go) */
        for (unsigned i = 0; i < CROWD; i++)
            CHECK(finish(task[i]) == 0);
        CHECK(finish(holder[0]) == 0 && finish(holder[1]) == 0);
    }
    cpumask_set_all(&mask);
    CHECK(task_set_affinity(current_task(), &mask) == 0);
}

static struct event woken[SLEEPERS];

static int wait_and_work(void *arg)
{
    struct event *event = arg;

    while (!load_relaxed(&stop)) {
        CHECK(event_wait(event, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        for (uint64_t end_ns = clock_ns() + 20 * NS_PER_US; clock_ns() < end_ns;)
            hal_cpu_relax();
    }
    return 0;
}

/* A real-time task wakes them all, on the CPU on which all of them must run, and goes on for a while. */
static int wake_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK(task_sleep_for(300 * NS_PER_US) == 0);
        for (unsigned sleeper = 0; sleeper < SLEEPERS; sleeper++)
            event_signal(&woken[sleeper]);
        for (uint64_t end_ns = clock_ns() + 30 * NS_PER_US; clock_ns() < end_ns;)
            hal_cpu_relax();
    }
    return 0;
}

static void many_wake_behind_a_real_time_task(void)
{
    struct task *task[SLEEPERS];
    cpu_id_t cpu = online_cpu(online_count() - 1);

    store_relaxed(&stop, false);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        event_init(&woken[i]);
        task[i] = spawn_on("sleeper", wait_and_work, &woken[i], PRIORITY_DEFAULT, cpu);
        if (task[i] != NULL)
            differ(task[i], 3 * i);
    }
    struct task *waker = spawn_on("waker", wake_all, NULL, PRIORITY_REALTIME_NORMAL, cpu);

    for (unsigned turn = 0; turn < ROUNDS * SLEEPERS; turn++) {
        if (task[turn % SLEEPERS] != NULL)
            differ(task[turn % SLEEPERS], turn); /* in whatever state it is */
        CHECK(task_sleep_for(25 * NS_PER_US) == 0);
    }
    CHECK(finish(waker) == 0);
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        event_signal(&woken[i]);
        CHECK(finish(task[i]) == 0);
    }
}

const struct kernel_test tests_crowd[] = {
    { "crowd: it changes weights and CPUs all the time", a_crowd_changes_all_the_time },
    { "crowd: an urgent one waits on two CPUs", an_urgent_crowd_waits },
    { "crowd: many wake behind a real-time task", many_wake_behind_a_real_time_task },
    { NULL, NULL },
};
