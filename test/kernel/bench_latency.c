/* SPDX-License-Identifier: MIT */
/*
 * How long a woken task waits for a CPU, how late a timer is, and what held interrupts and preemption off longest,
 * beside loads. As in cyclictest, a timer wakes a task, which arms it again; times in between are of a seeded
 * generator, so that the wakes come at all moments of what the load does. Under -icount shift=0 all of it repeats
 * exactly. One CPU alone is measured, and loaded, however many there are: busy ones would take turns of the emulator's
 * length.
 */
#include <boot/program.h>
#include <lib/fmt.h>
#include <mm/kmalloc.h>
#include <sched/event.h>
#include <sched/latency.h>
#include <time/clock.h>
#include <time/timer.h>

#include "bench.h"
#include "bench_load.h"
#include "check.h"

#define SAMPLES 500u
#define SETTLE_NS (5 * NS_PER_MS) /* the load's tasks have all begun */
#define CELL_NS (NS_PER_SEC) /* a cell ends after this, however few samples it has */
/* What a timer, or a real-time or deadline task may wait, in instructions: an interrupt's handler, a switch that holds
 * it off, a switch. That is less than 1,500 on all ISAs; the rest is for instructions of other virtual CPUs. */
#define URGENT_NS_MAX 8000u

struct sampler {
    /* Immutable. */
    struct sched_params params;
    /* One writer at a time: the callback, or the task that it wakes. */
    struct timer timer;
    struct event event, begin;
    uint64_t armed_ns, fired_ns, give_up_ns, seed;
    unsigned count;
    uint64_t woken[SAMPLES]; /* from the wake to the task's first instruction */
    uint64_t late[SAMPLES];  /* from the deadline to the timer's callback */
};

static void fire(struct timer *timer)
{
    struct sampler *sampler = container_of(timer, struct sampler, timer);

    sampler->fired_ns = clock_ns();
    event_signal(&sampler->event);
}

static int sample(void *arg)
{
    struct sampler *sampler = arg;

    CHECK(task_set_params(current_task(), &sampler->params) == 0);
    CHECK(event_wait(&sampler->begin, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    sampler->give_up_ns = clock_ns() + CELL_NS;
    while (sampler->count < SAMPLES && clock_ns() < sampler->give_up_ns) {
        uintptr_t state = hal_irq_save();

        sampler->armed_ns = clock_ns() + 100 * NS_PER_US + random_next(&sampler->seed) % (100 * NS_PER_US);
        timer_arm(&sampler->timer, sampler->armed_ns);
        hal_irq_restore(state);
        CHECK(event_wait(&sampler->event, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        uint64_t now = clock_ns();

        sampler->woken[sampler->count] = now - sampler->fired_ns;
        sampler->late[sampler->count] = sampler->fired_ns - sampler->armed_ns;
        sampler->count++;
    }
    return 0;
}

static void sort(uint64_t *values, unsigned count)
{
    for (unsigned gap = count / 2; gap > 0; gap /= 2)
        for (unsigned i = gap; i < count; i++) {
            uint64_t value = values[i];
            unsigned at = i;

            for (; at >= gap && values[at - gap] > value; at -= gap)
                values[at] = values[at - gap];
            values[at] = value;
        }
}

/* Returns the longest. */
static uint64_t report(const char *what, enum load_kind load, uint64_t *values, unsigned count)
{
    if (!CHECK(count != 0))
        return 0;
    sort(values, count);
    log_info("bench-row: latency %s,%s samples=%u min=%llu median=%llu p99=%llu max=%llu", what, load_name(load), count,
             (unsigned long long)values[0], (unsigned long long)values[count / 2],
             (unsigned long long)values[count - 1 - count / 100], (unsigned long long)values[count - 1]);
    return values[count - 1];
}

/* Of all cells, while samples were taken. */
static struct {
    struct latency_entry entry;
    cpu_id_t cpu;
} longest[LATENCY_KIND_COUNT];

static void keep_longest(cpu_id_t cpu)
{
    struct latency_entry worst[LATENCY_WORST];

    for (enum latency_kind kind = 0; kind < LATENCY_KIND_COUNT; kind++) {
        latency_get(cpu, kind, worst);
        if (worst[0].ticks > longest[kind].entry.ticks) {
            longest[kind].entry = worst[0];
            longest[kind].cpu = cpu;
        }
    }
}

/* One class beside one load; `with_timer`: the timer's own lateness, too. */
static void measure(const char *name, const struct sched_params *params, enum load_kind load, bool with_timer)
{
    struct sampler *sampler = kmalloc(sizeof *sampler);

    if (!CHECK(sampler != NULL))
        return;
    sampler->params = *params;
    sampler->seed = 1;
    sampler->count = 0;
    timer_init(&sampler->timer, fire);
    event_init(&sampler->event);
    event_init(&sampler->begin);
    reaper_wait_pass(); /* nothing is left of an earlier load that another CPU would have to bury */
    load_start(load, online_cpu(1));
    struct task *task = spawn_on("sampler", sample, sampler, PRIORITY_DEFAULT, online_cpu(1));

    (void)task_sleep_for(SETTLE_NS);
    for_each_online_cpu(id)
        latency_reset(id);
    event_signal(&sampler->begin);
    (void)finish(task);
    for_each_online_cpu(id)
        keep_longest(id);
    load_stop();
    uint64_t latest = report(name, load, sampler->woken, sampler->count);

    if (params->policy != SCHED_POLICY_FAIR) {
        CHECK(sampler->count == SAMPLES);
        CHECK(latest <= URGENT_NS_MAX);
    }
    if (with_timer) {
        latest = report("timer", load, sampler->late, sampler->count);
        CHECK(latest <= URGENT_NS_MAX);
    }
    kfree(sampler);
}

static void report_places(void)
{
    char line[224];

    for (enum latency_kind kind = 0; kind < LATENCY_KIND_COUNT; kind++) {
        if (longest[kind].entry.ticks == 0)
            continue;
        (void)latency_format(longest[kind].cpu, kind, &longest[kind].entry, line, sizeof line);
        log_info("bench-place: %s %llu %s", latency_kind_name(kind),
                 (unsigned long long)clock_ticks_to_ns(longest[kind].entry.ticks), line);
    }
}

static void bench_latency(void)
{
    static const struct {
        const char *name;
        struct sched_params params;
    } kinds[] = {
        { "fifo", { .policy = SCHED_POLICY_FIFO, .rt_level = 50 } },
        { "rr", { .policy = SCHED_POLICY_RR, .rt_level = 50 } },
        { "deadline", { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 100 * NS_PER_US, .deadline_ns = NS_PER_MS } },
        { "fair", { .policy = SCHED_POLICY_FAIR } },
        { "fair-short", { .policy = SCHED_POLICY_FAIR, .slice_ns = SCHED_SLICE_NS_MIN } },
    };

    for (enum load_kind load = LOAD_NONE; load <= LOAD_CROWD; load++)
        for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++)
            measure(kinds[i].name, &kinds[i].params, load, kinds[i].params.policy == SCHED_POLICY_FIFO);
    report_places();
}

int bench_time_main(const char *argument)
{
    static const struct bench benches[] = {
        { "deadline", bench_deadline, false }, { "deadline", bench_deadline, true },
        { "latency", bench_latency, false },   { "latency", bench_latency, true },
    };

    return bench_run(benches, ARRAY_COUNT(benches), argument);
}
