/* SPDX-License-Identifier: MIT */
/*
 * Costs of the scheduler's operations. Under QEMU's -icount shift=0 the clock counts instructions: one is 1
 * ns, so each line is a count of executed instructions and repeats exactly. `bench: NAME VALUE UNIT`.
 */
#include <boot/program.h>
#include <k/atomic.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/phys.h>
#include <sched/event.h>
#include <sched/mutex.h>
#include <sched/waitq.h>
#include <time/clock.h>
#include <time/timer.h>

#include "bench.h"
#include "check.h"

#define ROUNDS 2000u

enum yielder_kind { YIELD_FIFO, YIELD_FAIR, YIELD_MIXED };

void bench_report(const char *name, uint64_t ns, uint64_t operations)
{
    log_info("bench: %s %llu ns", name, (unsigned long long)((ns + operations / 2) / operations));
}

void bench_report_net(const char *name, uint64_t ns, uint64_t taken_off_ns, uint64_t operations)
{
    CHECK(ns > taken_off_ns);
    bench_report(name, ns - taken_off_ns, operations);
}

/* A group of tasks on one CPU that yield to each other. The first to have a turn starts the clock, the first that is
 * through stops it. */
struct yielders {
    unsigned turns;             /* of each task */
    enum yielder_kind kind;
    _Atomic(unsigned) ready;
    _Atomic(bool) go;
    bool is_started, is_over;
    uint64_t start_ns, end_ns;
    uint64_t start_switches, end_switches; /* of the CPU */
};

static uint64_t switches_here(void)
{
    struct sched_cpu_stats stats;

    sched_cpu_stats_get(this_cpu()->id, &stats);
    return stats.switches;
}

/* Of the mixed kind, each has one of 13 weights and one of 7 slices. */
static void become(enum yielder_kind kind, unsigned number)
{
    struct sched_params params = { .policy = kind == YIELD_FIFO ? SCHED_POLICY_FIFO : SCHED_POLICY_FAIR };

    if (kind == YIELD_FIFO) {
        CHECK(task_set_policy(current_task(), SCHED_POLICY_FIFO) == 0);
    } else if (kind == YIELD_MIXED) {
        params.nice = (int8_t)((int)(number % 13) - 6);
        params.slice_ns = (number % 7 + 1) * NS_PER_MS;
        CHECK(task_set_params(current_task(), &params) == 0);
    }
}

static int yielder(void *arg)
{
    struct yielders *group = arg;

    become(group->kind, fetch_add_relaxed(&group->ready, 1));
    while (!load_relaxed(&group->go))
        task_yield();
    if (!group->is_started) {
        group->is_started = true;
        group->start_switches = switches_here();
        group->start_ns = clock_ns();
    }
    for (unsigned i = 0; i < group->turns; i++)
        task_yield();
    if (!group->is_over) {
        group->is_over = true;
        group->end_ns = clock_ns();
        group->end_switches = switches_here();
    }
    return 0;
}

/* What is reported is the time for each switch that there was. Tasks that are all the same have had their turns. */
static void bench_yield(const char *name, unsigned tasks, enum yielder_kind kind)
{
    struct yielders group = { .turns = MAX(20000 / tasks, 3u), .kind = kind };
    struct task **crowd = kmalloc_array(tasks, sizeof *crowd); /* not the image's: it may be 80 KB */

    if (!CHECK(crowd != NULL))
        return;
    for (unsigned i = 0; i < tasks; i++) {
        const struct task_spec spec = {
            .name = "yielder", .entry = yielder, .arg = &group, .stack_bytes = PAGE_BYTES,
            .priority = kind == YIELD_FIFO ? PRIORITY_REALTIME_NORMAL : PRIORITY_DEFAULT,
        };

        if (!CHECK(task_create(&spec, &crowd[i]) > 0))
            return;
    }
    while (load_relaxed(&group.ready) < tasks)
        (void)task_sleep_for(NS_PER_MS);
    store_relaxed(&group.go, true);
    for (unsigned i = 0; i < tasks; i++)
        (void)finish(crowd[i]);
    uint64_t switches = group.end_switches - group.start_switches, turns = (uint64_t)group.turns * tasks;

    CHECK(switches > group.turns);
    if (kind != YIELD_MIXED)
        CHECK(switches + 2 * tasks + turns / 20 >= turns && switches <= turns + 2 * tasks + turns / 20);
    bench_report(name, group.end_ns - group.start_ns, switches);
    kfree(crowd);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void bench_create(void)
{
    uint64_t start = 0;

    for (unsigned i = 0; i < ROUNDS + 100; i++) {
        if (i == 100) {
            reaper_wait_pass();
            start = clock_ns();
        }
        (void)finish(spawn("short", do_nothing, NULL, PRIORITY_DEFAULT, NULL));
    }
    bench_report("create_run_join", clock_ns() - start, ROUNDS);
    reaper_wait_pass();
    bench_report("create_run_join_reclaim", clock_ns() - start, ROUNDS);
}

static struct event pair[2];

static int echo(void *arg)
{
    (void)arg;
    CHECK(task_set_policy(current_task(), SCHED_POLICY_FIFO) == 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)event_wait(&pair[0], TIME_NEVER, WAIT_KILLABLE);
        event_signal(&pair[1]);
    }
    return 0;
}

static int call_echo(void *arg)
{
    CHECK(task_set_policy(current_task(), SCHED_POLICY_FIFO) == 0);
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++) {
        event_signal(&pair[0]);
        (void)event_wait(&pair[1], TIME_NEVER, WAIT_KILLABLE);
    }
    *(uint64_t *)arg = clock_ns() - start;
    return 0;
}

static void bench_events(const char *name, cpu_id_t first, cpu_id_t second)
{
    uint64_t ns = 0;

    event_init(&pair[0]);
    event_init(&pair[1]);
    struct task *other = spawn_on("echo", echo, NULL, PRIORITY_REALTIME_NORMAL, second);
    struct task *caller = spawn_on("caller", call_echo, &ns, PRIORITY_REALTIME_NORMAL, first);

    (void)finish(caller);
    (void)finish(other);
    bench_report(name, ns, ROUNDS);
}

static void bench_mutex(void)
{
    static struct mutex mutex = MUTEX_INIT(mutex);
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++) {
        mutex_lock(&mutex);
        mutex_unlock(&mutex);
    }
    bench_report("mutex_pair", clock_ns() - start, ROUNDS);
}

/* A timer far away, with nothing else in the queue before it: the hardware is programmed once. */
static void never_fires(struct timer *timer)
{
    (void)timer;
    CHECK(false);
}

static void bench_timer(void)
{
    struct timer timer;
    uint64_t deadline = clock_ns() + 3600 * NS_PER_SEC;

    timer_init(&timer, never_fires);
    uintptr_t state = hal_irq_save();
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++) {
        timer_arm(&timer, deadline);
        (void)timer_cancel(&timer);
    }
    uint64_t ns = clock_ns() - start;

    hal_irq_restore(state);
    bench_report("timer_pair", ns, ROUNDS);
}

static void bench_pages(void)
{
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++)
        phys_free(phys_alloc(0), 0);
    bench_report("page_pair", clock_ns() - start, ROUNDS);
}

static void bench_clock(void)
{
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++)
        (void)clock_ns();
    bench_report("clock_read", clock_ns() - start, ROUNDS);
}

/* From the wake on this CPU to the first instruction of the task on an idle other one. */
static struct waitq sleepers = WAITQ_INIT(sleepers);
static uint64_t woken_at_ns, waiting_turn; /* guarded by sleepers.lock */
static _Atomic(uint64_t) latency_sum, latency_count, latency_min = UINT64_MAX;

static int note_wake(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t turn = waiting_turn + 1;

        (void)waitq_wait_until(&sleepers, waiting_turn == turn, TIME_NEVER, WAIT_UNINTERRUPTED);
        uint64_t latency = clock_ns() - woken_at_ns;

        (void)fetch_add_relaxed(&latency_sum, latency);
        store_relaxed(&latency_min, MIN(load_relaxed(&latency_min), latency));
        (void)fetch_add_relaxed(&latency_count, 1);
    }
    return 0;
}

static void bench_remote_wake(void)
{
    uint64_t waker_ns = 0;
    struct task *task = spawn_on("remote", note_wake, NULL, PRIORITY_REALTIME_NORMAL, online_cpu(1));

    for (uint64_t i = 0; i < 100; i++) {
        (void)task_sleep_for(NS_PER_MS); /* the other CPU is idle by then */
        uintptr_t state = spin_lock_irqsave(&sleepers.lock);

        waiting_turn++;
        woken_at_ns = clock_ns();
        (void)waitq_wake_locked(&sleepers, 1);
        spin_unlock_irqoff(&sleepers.lock);
        waker_ns += clock_ns() - woken_at_ns;
        sched_irq_restore(state);
        while (load_relaxed(&latency_count) <= i)
            (void)task_sleep_for(100 * NS_PER_US);
    }
    (void)finish(task);
    /* The whole is a mean of virtual time, in which both CPUs take turns of QEMU's length; the parts are exact: what
     * the waker executes, poke included, and the shortest way, in which the other CPU's turn came at once. */
    bench_report("wake_to_run_remote_idle", load_relaxed(&latency_sum), load_relaxed(&latency_count));
    bench_report("wake_remote_idle_waker", waker_ns, load_relaxed(&latency_count));
    bench_report("wake_to_run_remote_idle_min", load_relaxed(&latency_min), 1);
}

static void yield_fifo(void) { bench_yield("yield_fifo", 2, YIELD_FIFO); }
static void yield_fair(void) { bench_yield("yield_fair", 2, YIELD_FAIR); }

static void crowd(enum yielder_kind kind, const char *const names[4])
{
    static const unsigned tasks[4] = { 10, 100, 1000, 10000 };

    for (unsigned i = 0; i < ARRAY_COUNT(tasks); i++)
        bench_yield(names[i], tasks[i], kind);
}

static void crowd_fifo(void)
{
    static const char *const names[4] = { "crowd_fifo_10", "crowd_fifo_100", "crowd_fifo_1000", "crowd_fifo_10000" };

    crowd(YIELD_FIFO, names);
}

static void crowd_fair(void)
{
    static const char *const names[4] = { "crowd_fair_10", "crowd_fair_100", "crowd_fair_1000", "crowd_fair_10000" };

    crowd(YIELD_FAIR, names);
}

static void crowd_mixed(void)
{
    static const char *const names[4] = { "crowd_mixed_10", "crowd_mixed_100", "crowd_mixed_1000",
                                          "crowd_mixed_10000" };

    crowd(YIELD_MIXED, names);
}

static void events_here(void) { bench_events("event_round_trip", online_cpu(0), online_cpu(0)); }
static void events_remote(void) { bench_events("event_round_trip_remote", online_cpu(0), online_cpu(1)); }

static const struct bench benches[] = {
    { "clock_read", bench_clock, false },
    { "yield_fifo", yield_fifo, false },
    { "yield_fair", yield_fair, false },
    { "create_run_join", bench_create, false },
    { "event_round_trip", events_here, false },
    { "mutex_pair", bench_mutex, false },
    { "timer_pair", bench_timer, false },
    { "page_pair", bench_pages, false },
    { "user", bench_user, false },
    { "crowd_fifo", crowd_fifo, false },
    { "crowd_fair", crowd_fair, false },
    { "crowd_mixed", crowd_mixed, false },
    { "event_round_trip_remote", events_remote, true },
    { "wake_to_run_remote_idle", bench_remote_wake, true },
};

/* Does `name` contain one of the words, which commas separate? The empty word is in all names. */
static bool is_wanted(const char *name, const char *words)
{
    char word[64];

    for (;;) {
        size_t length = 0;

        while (words[length] != 0 && words[length] != ',' && length + 1 < sizeof word) {
            word[length] = words[length];
            length++;
        }
        word[length] = 0;
        if (strstr(name, word) != NULL)
            return true;
        words += length;
        if (*words++ != ',')
            return false;
    }
}

int bench_run(const struct bench table[], size_t count, const char *words)
{
    /* Above all that a benchmark starts, so that it gets to run beside tasks that never sleep. */
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (size_t i = 0; i < count; i++)
        if (table[i].is_remote == (online_count() > 1) && is_wanted(table[i].name, words))
            table[i].run();
    log_info("bench: done");
    return check_failures() == 0 ? 0 : 1;
}

/* bench:WORD,WORD runs those whose name contains one of the words. */
int bench_main(const char *argument)
{
    log_info("bench: boot_to_online %llu ns",
             (unsigned long long)clock_ticks_to_ns(boot_report.online_ticks - boot_report.entry_ticks));
    log_info("bench: boot_to_init %llu ns",
             (unsigned long long)clock_ticks_to_ns(boot_report.ready_ticks - boot_report.entry_ticks));
    return bench_run(benches, ARRAY_COUNT(benches), argument);
}
