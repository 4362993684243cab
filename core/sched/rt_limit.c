/* SPDX-License-Identifier: MIT */
/*
 * Real-time tasks of a CPU together use at most a share of each window of time, as long as a task of a class behind
 * them waits. Nothing is counted for that while real-time tasks run. A window begins when somebody waits behind one;
 * when the real-time tasks' share of it has passed and the others have not had theirs, CLASS_BELOW is made ready. It
 * comes before the real-time class and picks from the classes behind it, so the queues stay as they are and the fast
 * path from one real-time task to the next tests nothing more: it is taken only if no class before them is ready. It
 * ends when the others have had their share, or the window is over. Whether somebody waits is looked at again only
 * then.
 *
 * Deadline tasks are not limited: what was promised to them was admitted.
 */
#include "sched_priv.h"

#include <time/clock.h>

#define RT_WINDOW_NS NS_PER_SEC
#define READY_BELOW (~((2u << CLASS_RT) - 1)) /* classes behind the real-time one */

static bool is_wanted(const struct runq *rq)
{
    uint32_t rank = load_relaxed(&rq->running_rank);
    bool runs_rt = rank >= RANK_RT && rank < RANK_FAIR;
    bool runs_below = rank >= RANK_FAIR && rank != RANK_NOTHING;
    bool has_rt = runs_rt || (rq->ready_classes & 1u << CLASS_RT) != 0;

    return has_rt && (runs_below || (rq->ready_classes & READY_BELOW) != 0);
}

static uint64_t rt_share_ns(void)
{
    return RT_WINDOW_NS / 100 * sched_tunables.rt_percent;
}

static void begin_window(struct runq *rq, uint64_t now_ns)
{
    rq->rt_limit.is_watching = true;
    rq->rt_limit.window_ns = now_ns;
    rq->rt_limit.below_ticks = rq->below_rt_ticks;
    rq->rt_limit.event_ns = now_ns + rt_share_ns();
}

NOINLINE void rt_limit_look(struct runq *rq)
{
    if (rq->rt_limit.is_watching || sched_tunables.rt_percent == 100 || !is_wanted(rq))
        return;
    begin_window(rq, clock_ns());
    agenda_want(rq, rq->rt_limit.event_ns);
}

static void serve(struct runq *rq, bool is_on)
{
    rq->rt_limit.is_serving = is_on;
    if (is_on)
        rq->ready_classes |= 1u << CLASS_BELOW;
    else
        rq->ready_classes &= ~(1u << CLASS_BELOW);
    resched_cpu(rq);
}

uint64_t rt_limit_event(struct runq *rq, uint64_t now_ns)
{
    struct rt_limit *limit = &rq->rt_limit;
    uint64_t end_ns = limit->window_ns + RT_WINDOW_NS;

    if (!limit->is_watching || now_ns < limit->event_ns)
        return limit->event_ns;
    runq_account(rq, hal_clock_ticks());
    uint64_t had_ns = clock_ticks_to_ns(rq->below_rt_ticks - limit->below_ticks);
    uint64_t share_ns = RT_WINDOW_NS - rt_share_ns();
    bool is_due = now_ns < end_ns && had_ns < share_ns && is_wanted(rq);

    if (is_due != limit->is_serving)
        serve(rq, is_due);
    if (now_ns < end_ns) {
        limit->event_ns = is_due ? MIN(end_ns, now_ns + (share_ns - had_ns)) : end_ns;
    } else if (is_wanted(rq)) {
        begin_window(rq, now_ns);
    } else {
        limit->is_watching = false;
        limit->event_ns = TIME_NEVER;
    }
    return limit->event_ns;
}

void rt_limit_forget(struct runq *rq)
{
    rq->rt_limit.is_watching = false;
    rq->rt_limit.is_serving = false;
    rq->rt_limit.event_ns = TIME_NEVER;
    rq->ready_classes &= ~(1u << CLASS_BELOW);
}

static struct task *below_pick(struct runq *rq) NO_LOCK_ANALYSIS
{
    uint32_t ready = rq->ready_classes & READY_BELOW;

    for (unsigned i = CLASS_RT + 1; i < CLASS_COUNT; i++)
        if ((ready >> i & 1) != 0)
            return sched_classes[i]->pick(rq);
    /* Nobody waits any more. */
    rq->rt_limit.is_serving = false;
    rq->ready_classes &= ~(1u << CLASS_BELOW);
    return rq->ready_classes != 0 ? runq_pick_by_table(rq) : NULL;
}

/* No task is of this class: its other operations are never called. */
const struct sched_class class_below = {
    .name = "below",
    .id = CLASS_BELOW,
    .pick = below_pick,
};
