/* SPDX-License-Identifier: MIT */
/*
 * CPUs off and on again under load, in the booted kernel: a self-check of so many rounds, and the program
 * init=hotplug:SECONDS, which goes on. The load: tasks that always run, sleep, wake each other, call all CPUs, make and
 * end tasks, change kernel mappings.
 */
#include <boot/hotplug.h>
#include <k/errno.h>
#include <mm/kstack.h>
#include <parse/cmdline.h>
#include <sched/event.h>
#include <smp/call.h>
#include <smp/preempt.h>
#include <time/clock.h>

#include "check.h"

#define ROUNDS 20          /* of each CPU, in the self-check */
#define BUSY_PER_CPU 2
#define TASKS_MAX 48
#define SECONDS_MAX 864000u
#define PROGRESS_NS (10 * NS_PER_SEC)

static struct {
    struct event ping, pong;
    _Atomic(bool) stop;
    _Atomic(uint64_t) seen[CPU_MAX]; /* looks of busy tasks at where they are */
    uint64_t rounds;                 /* a CPU off and on */
    uint64_t off_ns_max, on_ns_max;
} plug;

static int busy(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        preempt_disable();
        (void)fetch_add_relaxed(&plug.seen[this_cpu_id()], 1);
        preempt_enable();
        for (unsigned i = 0; i < 100; i++)
            hal_cpu_relax();
    }
    return 0;
}

static int napper(void *arg)
{
    while (!load_relaxed(&plug.stop)) {
        uint64_t until_ns = clock_ns() + 50 * NS_PER_US * (1 + (uintptr_t)arg);

        CHECK(task_sleep_until(until_ns) == 0 && clock_ns() >= until_ns);
    }
    return 0;
}

static int ponger(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop))
        if (event_wait(&plug.ping, clock_ns() + NS_PER_MS, WAIT_UNINTERRUPTED) == 0)
            event_signal(&plug.pong);
    return 0;
}

static int pinger(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        event_signal(&plug.ping);
        (void)event_wait(&plug.pong, clock_ns() + NS_PER_MS, WAIT_UNINTERRUPTED);
    }
    return 0;
}

static void count_call(void *arg)
{
    (void)fetch_add_relaxed((_Atomic(unsigned) *)arg, 1);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int meddler(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        _Atomic(unsigned) hits = 0;
        struct kstack stack;

        smp_call_all(count_call, &hits);
        CHECK(load_relaxed(&hits) >= 1 && load_relaxed(&hits) <= load_relaxed(&cpu_started_count));
        if (kstack_alloc(3 * PAGE_BYTES, &stack) == 0)
            kstack_free(&stack);
        struct task *child = spawn("child", nothing, NULL, PRIORITY_DEFAULT, NULL);

        if (child != NULL)
            CHECK(finish(child) == 0);
        (void)task_sleep_for(200 * NS_PER_US);
    }
    return 0;
}

static unsigned load_start(struct task **task)
{
    static int (*const others[])(void *) = { napper, napper, ponger, pinger, meddler };
    unsigned count = 0;

    event_init(&plug.ping);
    event_init(&plug.pong);
    store_relaxed(&plug.stop, false);
    plug.rounds = plug.off_ns_max = plug.on_ns_max = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(others); i++)
        task[count++] = spawn("load", others[i], (void *)(uintptr_t)i, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < BUSY_PER_CPU * online_count() && count < TASKS_MAX; i++)
        task[count++] = spawn("busy", busy, NULL, PRIORITY_DEFAULT, NULL);
    return count;
}

static void load_stop(struct task **task, unsigned count)
{
    store_relaxed(&plug.stop, true);
    for (unsigned i = 0; i < count; i++)
        if (task[i] != NULL)
            CHECK(finish(task[i]) == 0);
}

/* While it is off nobody runs there; when it is back somebody does. */
static void off_and_on(cpu_id_t cpu)
{
    uint64_t start_ns = clock_ns();

    CHECK(cpu_offline(cpu) == 0);
    plug.off_ns_max = MAX(plug.off_ns_max, clock_ns() - start_ns);
    uint64_t seen = load_relaxed(&plug.seen[cpu]);

    CHECK(!cpu_is_online(cpu) && cpu_offline(cpu) == -ENODEV);
    (void)task_sleep_for(NS_PER_MS);
    CHECK(load_relaxed(&plug.seen[cpu]) == seen);
    start_ns = clock_ns();
    CHECK(cpu_online(cpu) == 0);
    plug.on_ns_max = MAX(plug.on_ns_max, clock_ns() - start_ns);
    CHECK(cpu_is_online(cpu) && cpu_online(cpu) == -EBUSY);
    WAIT_FOR(load_relaxed(&plug.seen[cpu]) > seen);
    plug.rounds++;
}

static void say(void)
{
    log_info("hotplug: %llu times off and on, the longest %llu us and %llu us", (unsigned long long)plug.rounds,
             (unsigned long long)(plug.off_ns_max / NS_PER_US), (unsigned long long)(plug.on_ns_max / NS_PER_US));
}

static void all_cpus_under_load(void)
{
    unsigned started = load_relaxed(&cpu_started_count);
    struct task *task[TASKS_MAX];
    unsigned count = load_start(task);

    for (unsigned round = 0; round < ROUNDS; round++)
        for_each_started_cpu(id)
            if (id != 0)
                off_and_on(id);
    load_stop(task, count);
    CHECK(online_count() == started && plug.rounds == ROUNDS * (started - 1));
    say();
}

static int wait_for_ping(void *arg)
{
    (void)arg;
    return event_wait(&plug.ping, TIME_NEVER, WAIT_UNINTERRUPTED);
}

static void refusals(void)
{
    CHECK(cpu_offline(0) == -EBUSY && cpu_online(0) == -EBUSY);
    CHECK(cpu_offline(CPU_MAX) == -EINVAL && cpu_online(CPU_MAX) == -EINVAL);
    if (online_count() == 1)
        return;
    cpu_id_t cpu = online_cpu(1);
    int result = -EBUSY;

    event_init(&plug.ping);
    struct task *pinned = spawn_on("pinned", wait_for_ping, NULL, PRIORITY_DEFAULT, cpu);

    CHECK(cpu_offline(cpu) == -EBUSY && cpu_is_online(cpu));
    (void)task_sleep_for(NS_PER_MS); /* asleep by now, or on its way: it counts in any state */
    CHECK(cpu_offline(cpu) == -EBUSY && cpu_is_online(cpu));
    event_signal(&plug.ping);
    CHECK(finish(pinned) == 0);
    WAIT_FOR(result == 0 || (result = cpu_offline(cpu)) != -EBUSY);
    CHECK(result == 0 && cpu_online(cpu) == 0);
}

const struct kernel_test tests_hotplug[] = {
    { "hotplug: each CPU but the boot CPU goes off and on under load", all_cpus_under_load },
    { "hotplug: what may run nowhere else keeps its CPU on", refusals },
    { NULL, NULL },
};

int hotplug_main(const char *argument)
{
    struct task *task[TASKS_MAX];
    uint64_t seconds = 10;
    struct check_counts before, after;

    if (argument[0] != '\0' && (parse_u64(argument, &seconds) != 0 || seconds == 0 || seconds > SECONDS_MAX)) {
        log_error("hotplug: '%s' is no number of seconds from 1 to %u", argument, SECONDS_MAX);
        return 2;
    }
    check_counts_get(&before);
    unsigned count = load_start(task);
    uint64_t end_ns = clock_ns() + seconds * NS_PER_SEC;
    uint64_t next_ns = clock_ns() + PROGRESS_NS;

    while (online_count() > 1 && clock_ns() < end_ns && check_failures() == 0) {
        for_each_started_cpu(id)
            if (id != 0)
                off_and_on(id);
        if (clock_ns() < next_ns)
            continue;
        next_ns += PROGRESS_NS;
        say();
    }
    load_stop(task, count);
    say();
    check_counts_get(&after);
    CHECK(check_counts_compare(&before, &after) == 0);
    CHECK(check_census());
    log_info("hotplug: %s: %llu times off and on, on %u CPUs, %u checks failed",
             check_failures() == 0 ? "ok" : "FAILED", (unsigned long long)plug.rounds, online_count(),
             check_failures());
    return check_failures() == 0 ? 0 : 1;
}
