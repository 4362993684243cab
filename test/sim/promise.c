/* SPDX-License-Identifier: MIT */
/* The promises by name and in words, and what core's own panics say about them. Pure text; no state. */
#include <string.h>

#include "watch.h"

static const struct {
    const char *name;
    const char *sentence;
} promises[PROMISE_COUNT] = {
    [PROMISE_NONE] = { "none", "every promise was kept" },
    [PROMISE_CENSUS] = { "census", "no task is lost: queued + running + blocked + dead == started" },
    [PROMISE_ONE_CPU] = { "one-cpu", "no task runs on two CPUs, or before its last CPU has left its stack" },
    [PROMISE_EDGES] = { "edges", "a task's state changes along the legal edges, by who may, under the right lock" },
    [PROMISE_COUNTS] = { "counts", "counts equal the lists that they count" },
    [PROMISE_WAKE_ONCE] = { "wake-once", "no wake-up is lost, none is delivered twice" },
    [PROMISE_CONSERVATION] = { "conservation", "no CPU idles for long while a task that may run there waits" },
    [PROMISE_LOCKS] = { "locks",
                        "lock ranks rise, only the run queue's is held across a switch, no sleep in atomic context" },
    [PROMISE_GRACE] = { "grace", "what a grace period guards is freed after it" },
    [PROMISE_MEMORY] = { "memory", "freed memory is not touched; objects and pages are freed once" },
    [PROMISE_TLB] = { "tlb", "no translation to a freed page is left in a TLB" },
    [PROMISE_CONSERVED] = { "conserved", "pages, tasks, ids, stacks and references come back" },
    [PROMISE_AFFINITY] = { "affinity", "a task runs where its affinity says" },
    [PROMISE_ORDER] = { "order", "a more urgent task does not wait for long where a less urgent one runs" },
    [PROMISE_INHERIT] = { "inherit", "a task is as urgent as the most urgent who waits for it, and no more" },
    [PROMISE_DEADLINE] = { "deadline", "no deadline task has more than promised, or has it late beyond a bound" },
    [PROMISE_SHARE] = { "share", "what deadline and real-time tasks may not have of a CPU is left to the rest" },
    [PROMISE_TIME] = { "time", "timers fire once, not early, and not late beyond a bound" },
    [PROMISE_RACE] = { "race", "every access is ordered by C11 rules" },
    [PROMISE_LIVENESS] = { "liveness", "the run comes to its end" },
    [PROMISE_STORY] = { "story", "the scenario's own checks hold" },
    [PROMISE_SANITY] = { "sanity", "no other panic, broken HAL contract or crash" },
};

const char *sim_promise_name(enum sim_promise promise)
{
    return (unsigned)promise < PROMISE_COUNT ? promises[promise].name : "?";
}

const char *sim_promise_sentence(enum sim_promise promise)
{
    return (unsigned)promise < PROMISE_COUNT ? promises[promise].sentence : "?";
}

struct words {
    const char *text;
    enum sim_promise promise;
};

/* Parts of what core says when it panics: messages, and the conditions of its assertions. The first that fits counts,
 * so that a condition about several things stands before those about each of them. */
static const struct words panics[] = {
    /* smp/spinlock.c, smp/spinlock.h, smp/preempt.h; contexts in which one may not sleep or lock */
    { "spinlock of rank", PROMISE_LOCKS },
    { "lock order:", PROMISE_LOCKS },
    { "lock_depth", PROMISE_LOCKS },
    { "lock->rank", PROMISE_LOCKS },
    { "spin_is_held_here", PROMISE_LOCKS },
    { "preempt_count", PROMISE_LOCKS },
    { "irq_depth", PROMISE_LOCKS },
    { "context_can_sleep", PROMISE_LOCKS },
    { "hal_irq_is_enabled()", PROMISE_LOCKS },
    { "mutex", PROMISE_LOCKS },
    { "prev == current_task()", PROMISE_ONE_CPU },
    /* sched/waitq.c */
    { "== WAITER_QUEUED", PROMISE_WAKE_ONCE },
    /* sched/runq.c */
    { "cpumask_contains(&task->affinity", PROMISE_AFFINITY },
    { "is_misplaced", PROMISE_AFFINITY },
    { "queued)", PROMISE_COUNTS },
    { "rq->throttled", PROMISE_COUNTS },
    { "movable_count)", PROMISE_COUNTS },
    { "bitmap", PROMISE_COUNTS },
    { "ready_classes", PROMISE_COUNTS },
    { "in_tree", PROMISE_COUNTS },
    /* sched/class_fair.c */
    { "UNSORTED_MAX", PROMISE_COUNTS },
    { "fair->weights", PROMISE_COUNTS },
    { "fair->excess", PROMISE_COUNTS },
    { "update_least(node)", PROMISE_COUNTS },
    { "fair_deadline", PROMISE_COUNTS },
    /* time/timer.c: an armed timer armed again */
    { "timer->is_queued", PROMISE_TIME },
    /* smp/quiesce.c */
    { "quiesce_is_over()", PROMISE_GRACE },
    /* proc/object.c, proc/reaper.c, sched/task.c: references and what dies with the last one */
    { "refs)", PROMISE_MEMORY },
    { "before != 0", PROMISE_MEMORY },
    { "dead->", PROMISE_MEMORY },
    /* sched: states */
    { "ran after its exit", PROMISE_EDGES },
    { "returned into the scheduler", PROMISE_EDGES },
    { "->state ==", PROMISE_EDGES },
    { "state == TASK_", PROMISE_EDGES },
    /* mm: poison, red zones, wrong frees; a wild pointer */
    { "was written to", PROMISE_MEMORY },
    { "is damaged at", PROMISE_MEMORY },
    { ": free of ", PROMISE_MEMORY },
    { "phys: free ", PROMISE_MEMORY },
    { "guard page", PROMISE_MEMORY },
    { "null pointer", PROMISE_MEMORY },
    { "stack overflow", PROMISE_MEMORY },
    { "read from 0x", PROMISE_MEMORY },
    { "write to 0x", PROMISE_MEMORY },
    { "execution of 0x", PROMISE_MEMORY },
};

/* And of the machine, when core breaks its contract. */
static const struct words reports[] = {
    { "TLB", PROMISE_TLB },
    { "still runs", PROMISE_ONE_CPU },
    { "leaves a task that CPU", PROMISE_ONE_CPU },
    { "prev does not run", PROMISE_ONE_CPU },
    { "deadlock", PROMISE_LIVENESS },
    { "hang", PROMISE_LIVENESS },
};

static enum sim_promise find(const struct words *list, size_t count, const char *line, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        const char *at = strstr(line, list[i].text);

        if (at != NULL && (size_t)(at - line) < length)
            return list[i].promise;
    }
    return PROMISE_NONE;
}

enum sim_promise sim_promise_of_console(const char *console)
{
    const char *line = strstr(console, "panic: ");

    return line == NULL ? PROMISE_NONE : find(panics, sizeof panics / sizeof *panics, line, strcspn(line, "\n"));
}

enum sim_promise sim_promise_of_report(const char *report)
{
    return find(reports, sizeof reports / sizeof *reports, report, strcspn(report, "\n"));
}
