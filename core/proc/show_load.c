/* SPDX-License-Identifier: MIT */
/*
 * Load averages, as getloadavg(3) and proc(5) have them: every five seconds the number of tasks that run or want to is
 * taken into three exponential averages. Owns them and the timer. They begin with the first program: until then nobody
 * could ask, and a machine without programs has no timer that nobody needs.
 */
#include <proc/show.h>

#include <fs/procfs.h>
#include <hal/irq.h>
#include <proc/id.h>
#include <sched/sched.h>
#include <time/clock.h>
#include <time/timer.h>

#define SAMPLE_NS (5 * NS_PER_SEC)
#define ONE (1u << LOAD_SHIFT)

/* What remains of an average after five seconds: exp(-5 s / 1, 5 and 15 minutes). */
static const uint32_t remains[LOAD_AVERAGES] = { 60296, 64453, 65173 };

static struct {
    struct timer timer;
    uint64_t due_ns;                         /* only the timer's callback, once it is armed */
    _Atomic(uint32_t) average[LOAD_AVERAGES]; /* written by the callback. Order: none */
} load;

uint32_t load_next(unsigned which, uint32_t average, uint64_t active)
{
    uint64_t now = active * ONE;

    /* Rounded towards what it goes to: so it gets there. */
    uint64_t rounds = now >= average ? ONE - 1 : 0;

    return (uint32_t)(((uint64_t)average * remains[which] + now * (ONE - remains[which]) + rounds) / ONE);
}

static void sample(struct timer *timer)
{
    struct sched_census census;

    sched_census_get(&census);
    for (unsigned i = 0; i < LOAD_AVERAGES; i++)
        store_relaxed(&load.average[i],
                      load_next(i, load_relaxed(&load.average[i]), census.queued + census.running));
    load.due_ns += SAMPLE_NS;
    timer_arm(timer, load.due_ns);
}

void show_load_begin(void)
{
    uintptr_t state = hal_irq_save();

    timer_init(&load.timer, sample);
    load.due_ns = clock_ns() + SAMPLE_NS;
    timer_arm(&load.timer, load.due_ns);
    hal_irq_restore(state);
}

void show_load_averages(uint64_t out[LOAD_AVERAGES])
{
    for (unsigned i = 0; i < LOAD_AVERAGES; i++)
        out[i] = load_relaxed(&load.average[i]);
}

int show_load(struct procfs_text *text, void *process)
{
    struct sched_census census;

    (void)process;
    sched_census_get(&census);
    for (unsigned i = 0; i < LOAD_AVERAGES; i++) {
        uint32_t hundredths = (uint32_t)((uint64_t)load_relaxed(&load.average[i]) * 100 / ONE);

        procfs_print(text, "%u.%02u ", hundredths / 100, hundredths % 100);
    }
    procfs_print(text, "%llu/%llu %d\n", (unsigned long long)(census.queued + census.running),
                 (unsigned long long)(census.started - census.died), id_last());
    return 0;
}
