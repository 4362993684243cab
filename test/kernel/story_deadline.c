/* SPDX-License-Identifier: MIT */
/* A deadline task that yields. */
#include <k/atomic.h>
#include <time/clock.h>

#include "check.h"
#include "story.h"

static _Atomic(bool) stop;
static _Atomic(unsigned) turns;

static int take_turns(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop)) {
        (void)fetch_add_relaxed(&turns, 1);
        task_yield();
    }
    return 0;
}

unsigned story_yields(uint64_t period_ns, unsigned periods)
{
    struct sched_params params = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = period_ns / 2,
                                   .deadline_ns = period_ns };

    store_relaxed(&stop, false);
    struct task *task = spawn("turns", take_turns, NULL, PRIORITY_REALTIME_LOW, NULL);

    if (task == NULL)
        return 0;
    /* Who died in debt gives its room back late. */
    WAIT_FOR(task_set_params(task, &params) == 0);
    unsigned before = load_relaxed(&turns);
    uint64_t begin_ns = clock_ns();

    (void)task_sleep_for(periods * period_ns);
    WAIT_FOR(load_relaxed(&turns) - before + 1 >= periods);
    unsigned seen = load_relaxed(&turns) - before;

    CHECK(seen <= (clock_ns() - begin_ns) / period_ns + 2); /* one for each period, at most */
    store_relaxed(&stop, true);
    CHECK(finish(task) == 0);
    return seen;
}
