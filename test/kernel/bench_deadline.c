/* SPDX-License-Identifier: MIT */
/*
 * Sets of deadline tasks, as full as admission lets them be, beside a real-time and a fair task that want all of the
 * CPU: does each job end in time? And does it if a neighbour wants more than it was promised? One CPU is
 * measured, however many there are: an emulator's busy virtual CPUs take turns of its own length, which no promise of
 * the kernel covers. Sets on all CPUs at once are the simulator's (test/sim/check_deadline.c).
 */
#include <boot/program.h>
#include <k/atomic.h>
#include <sched/latency.h>
#include <time/clock.h>

#include "bench.h"
#include "bench_load.h"
#include "check.h"

#define SET 3u
#define DEADLINE_NS_LONGEST (10 * NS_PER_MS)
/* What a job leaves of its runtime: for waking up, and for the looks at the clock by which it ends. */
#define SPARE_NS (10 * NS_PER_US)

struct job_set {
    const char *name;
    uint64_t span_ns; /* of it, so many periods of each task are run */
    struct {
        uint64_t runtime_ns, deadline_ns, period_ns;
        bool overruns;
    } task[SET];
};

static const struct job_set sets[] = {
    { "0.5", 120 * NS_PER_MS,
      { { 1000000, 4000000, 4000000, false }, { 750000, 6000000, 6000000, false },
        { 1250000, 10000000, 10000000, false } } },
    { "0.9", 80 * NS_PER_MS,
      { { 1000000, 4000000, 4000000, false }, { 2000000, 5000000, 5000000, false },
        { 2500000, 10000000, 10000000, false } } },
    { "0.9,early", 120 * NS_PER_MS, /* by deadlines: by periods it is 0.52 */
      { { 1000000, 2500000, 4000000, false }, { 1000000, 4000000, 6000000, false },
        { 1250000, 5000000, 12000000, false } } },
    { "1.0", 240 * NS_PER_MS,
      { { 1000000, 4000000, 4000000, false }, { 3000000, 6000000, 6000000, false },
        { 2500000, 10000000, 10000000, false } } },
    { "1.0,one-overruns", 240 * NS_PER_MS,
      { { 1000000, 4000000, 4000000, true }, { 3000000, 6000000, 6000000, false },
        { 2500000, 10000000, 10000000, false } } },
};

/* One for each task; read when it has ended. */
struct periodic {
    uint64_t runtime_ns, deadline_ns, period_ns;
    bool overruns;
    unsigned jobs;
    unsigned ended, late;
    int64_t late_ns_max;        /* below 0: the least that was left */
    unsigned response_max;      /* in thousandths of the deadline */
    struct task_snapshot at_end;
};

static _Atomic(uint64_t) begin_ns; /* 0: not yet */
static _Atomic(unsigned) ready;

static uint64_t ran_ticks(void)
{
    struct task_snapshot snapshot;

    task_get_snapshot(current_task(), &snapshot);
    return snapshot.stats.run_ticks;
}

static void run_job(const struct periodic *self)
{
    uint64_t wants = clock_ns_to_ticks(self->overruns ? 3 * self->runtime_ns : self->runtime_ns - SPARE_NS);
    uint64_t start = ran_ticks();

    while (ran_ticks() - start < wants)
        load_spin(200);
}

static int live(void *arg)
{
    struct periodic *self = arg;
    struct sched_params params = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = self->runtime_ns,
                                   .deadline_ns = self->deadline_ns, .period_ns = self->period_ns };
    bool is_in = CHECK(task_set_params(current_task(), &params) == 0);

    (void)fetch_add_relaxed(&ready, 1);
    while (load_relaxed(&begin_ns) == 0)
        (void)task_sleep_for(NS_PER_MS);
    for (unsigned i = 0; is_in && i < self->jobs; i++) {
        uint64_t release = load_relaxed(&begin_ns) + i * self->period_ns;

        if (clock_ns() < release)
            (void)task_sleep_until(release);
        run_job(self);
        int64_t late = (int64_t)(clock_ns() - release - self->deadline_ns);

        self->ended++;
        self->late += late > 0;
        self->late_ns_max = MAX(self->late_ns_max, late);
        self->response_max = MAX(self->response_max, (unsigned)((clock_ns() - release) * 1000 / self->deadline_ns));
    }
    task_get_snapshot(current_task(), &self->at_end);
    return 0;
}

/* The longest time that the CPU was not preempted when it should have been: B of the promise. It never idles here. */
static uint64_t longest_without_preemption_ns(void)
{
    struct latency_entry worst[LATENCY_WORST];
    uint64_t longest = 0;

    for (enum latency_kind kind = 0; kind < LATENCY_KIND_COUNT; kind++) {
        latency_get(online_cpu(1), kind, worst);
        if (kind != LATENCY_IDLE)
            longest = MAX(longest, worst[0].ticks);
    }
    return clock_ticks_to_ns(longest);
}

/* What the tasks that wanted no more than they were promised say together, and what those did that wanted more. */
static void report(const struct job_set *set, const struct periodic *tasks, uint64_t block_ns)
{
    struct periodic sum = { .late_ns_max = INT64_MIN };
    unsigned long long misses = 0, throttles = 0, overruns = 0, kernel_late_ns = 0;

    for (unsigned i = 0; i < SET; i++) {
        const struct task_stats *stats = &tasks[i].at_end.stats;

        misses += stats->deadline_misses;
        kernel_late_ns = MAX(kernel_late_ns, (unsigned long long)stats->deadline_late_ns_max);
        if (tasks[i].overruns) {
            overruns += stats->deadline_overruns;
            continue;
        }
        throttles += stats->deadline_overruns;
        sum.ended += tasks[i].ended;
        sum.late += tasks[i].late;
        sum.late_ns_max = MAX(sum.late_ns_max, tasks[i].late_ns_max);
        sum.response_max = MAX(sum.response_max, tasks[i].response_max);
    }
    log_info("bench-row: deadline %s jobs=%u late=%u misses=%llu least_left_ns=%lld worst_response_permille=%u "
             "throttles=%llu overruns=%llu blocked_ns_max=%llu",
             set->name, sum.ended, sum.late, misses, (long long)-sum.late_ns_max, sum.response_max, throttles, overruns,
             (unsigned long long)block_ns);
    /* The promise: late by (n + 2) times that at most. */
    CHECK(sum.late_ns_max <= (int64_t)((SET + 2) * block_ns));
    CHECK(kernel_late_ns <= (SET + 2) * block_ns);
    CHECK(sum.late == 0 && misses == 0);
    CHECK(throttles == 0);
}

static void run_set(const struct job_set *set)
{
    static struct periodic tasks[SET];
    struct task *task[SET];
    unsigned expected = 0;
    uint64_t overrunning = 0;

    store_relaxed(&begin_ns, 0);
    store_relaxed(&ready, 0);
    load_start(LOAD_MIXED, online_cpu(1));
    for (unsigned i = 0; i < SET; i++) {
        tasks[i] = (struct periodic){ .runtime_ns = set->task[i].runtime_ns,
                                      .deadline_ns = set->task[i].deadline_ns,
                                      .period_ns = set->task[i].period_ns,
                                      .overruns = set->task[i].overruns, .late_ns_max = INT64_MIN };
        tasks[i].jobs = (unsigned)(set->span_ns / tasks[i].period_ns);
        if (tasks[i].overruns)
            tasks[i].jobs /= 3;
        overrunning += tasks[i].overruns;
        expected += tasks[i].overruns ? 0 : tasks[i].jobs;
        task[i] = spawn_on("periodic", live, &tasks[i], PRIORITY_REALTIME_NORMAL, online_cpu(1));
    }
    while (load_relaxed(&ready) < SET)
        (void)task_sleep_for(NS_PER_MS);
    latency_reset(online_cpu(1));
    store_relaxed(&begin_ns, clock_ns() + 10 * NS_PER_MS);
    for (unsigned i = 0; i < SET; i++)
        (void)finish(task[i]);
    uint64_t block_ns = longest_without_preemption_ns();

    load_stop();
    report(set, tasks, block_ns);
    unsigned ended = 0;
    uint64_t overruns = 0;

    for (unsigned i = 0; i < SET; i++) {
        ended += tasks[i].overruns ? 0 : tasks[i].ended;
        overruns += tasks[i].overruns ? tasks[i].at_end.stats.deadline_overruns : 0;
    }
    CHECK(ended == expected);
    CHECK((overrunning != 0) == (overruns != 0));
}

void bench_deadline(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(sets); i++) {
        run_set(&sets[i]);
        (void)task_sleep_for(DEADLINE_NS_LONGEST); /* what the set gave up is free for the next one then: admit.c */
    }
}
