/* SPDX-License-Identifier: MIT */
/*
 * The reaper: one task, two queues. It takes dead tasks that no CPU stands on any more, gives their stacks, spaces and
 * extended state back and drops their existence; and it is the collector of grace periods. It never holds a lock while
 * it frees, and is woken when its backlog has grown or has waited for a while. The dead need no grace period, so they
 * are buried also while one is waited for: a CPU that stands still in a read section must not make memory run out.
 */
#include <k/errno.h>
#include <mm/slab.h>
#include <proc/id.h>
#include <sched/sched.h>
#include <time/clock.h>
#include <time/timer.h>

#include "proc_priv.h"

/* Few dead tasks are not worth a pass: it begins at so many, or this long after the first. */
#define BACKLOG_MAX 16
#define BACKLOG_NS (1 * NS_PER_MS)

/* Stacks are given back by cross-CPU calls, which take long where CPUs are slow to answer, and tasks are made and end
 * on all CPUs meanwhile. With so many dead, which is more than begins a pass, nobody makes more. */
#define DYING_MAX 128

#define EXIT_PATIENCE_NS (100 * NS_PER_US) /* how often proc_reclaim_all() looks again */

/* A CPU that runs one task without ever switching holds a grace period up; after this time it is poked. */
#define GRACE_PATIENCE_NS (1 * NS_PER_MS)

static struct {
    struct waitq wake;        /* the reaper waits here */
    struct waitq passes;      /* those who wait for a pass wait here */
    struct waitq pace;        /* those who must not make more tasks yet wait here */
    uint64_t started_count;   /* guarded by passes.lock */
    uint64_t finished_count;  /* guarded by passes.lock */
    _Atomic(bool) has_work;   /* PAIRS(reaper_work) */
    _Atomic(uint32_t) backlog; /* tasks and heads queued since the last pass began */
    _Atomic(uint32_t) is_timed; /* PAIRS(reaper_timer): the timer is armed; a word, which is cheaper to exchange */
    _Atomic(uint64_t) patience_ns;
    _Atomic(uint32_t) hurried; /* how many wait in reaper_hurry_pass(): a hint */
    _Atomic(struct task *) burying; /* the reaper, while collect() will see in any case what is queued for it */
    struct timer timer;
} reaper = {
    .wake = WAITQ_INIT(reaper.wake),
    .passes = WAITQ_INIT(reaper.passes),
    .pace = WAITQ_INIT(reaper.pace),
    .patience_ns = BACKLOG_NS,
};

void reaper_set_patience(uint64_t ns)
{
    store_relaxed(&reaper.patience_ns, ns);
}

NOINLINE void reaper_notify(void)
{
    uintptr_t state = hal_irq_save(); /* see backlog_grew_irqoff() */

    /* PAIRS(reaper_work): the work was queued before; the reaper clears the flag before it looks. */
    if (!xchg_acq_rel(&reaper.has_work, true))
        (void)waitq_wake_one(&reaper.wake);
    sched_irq_restore(state);
}

static void backlog_timeout(struct timer *timer)
{
    (void)timer;
    /* PAIRS(reaper_timer): cleared before the reaper takes the lists; who finds it set has queued before that. */
    (void)xchg_acq_rel(&reaper.is_timed, 0);
    reaper_notify();
}

static NOINLINE void arm_timer(uint64_t patience_ns)
{
    timer_init(&reaper.timer, backlog_timeout);
    timer_arm(&reaper.timer, clock_ns() + patience_ns);
}

/* Something was queued for the reaper. Context: interrupts disabled, no lock of rank LOCK_TIMER or above held, and the
 * caller looks at need_resched afterwards: the reaper may be more urgent. They stay disabled from the flag to what it
 * promises: a task that is preempted in between would hold everybody's wake-up back. */
static void backlog_grew_irqoff(void)
{
    uint64_t patience_ns = load_relaxed(&reaper.patience_ns);

    if (fetch_add_relaxed(&reaper.backlog, 1) + 1 >= BACKLOG_MAX) {
        reaper_notify();
    } else if (patience_ns != TIME_NEVER && xchg_acq_rel(&reaper.is_timed, 1) == 0) { /* PAIRS(reaper_timer) */
        arm_timer(patience_ns);
    }
}

static NOINLINE void backlog_grew_elsewhere(void)
{
    uintptr_t state = hal_irq_save();

    backlog_grew_irqoff();
    sched_irq_restore(state);
}

/* The same. Context: any. The dead that the reaper itself buries wait for a grace period that it is about to begin. */
static void backlog_grew(void)
{
    if (UNLIKELY(current_task() != load_relaxed(&reaper.burying)))
        backlog_grew_elsewhere();
}

static void bury(struct task *task)
{
    struct task_object *dead = object_of(task);

    ASSERT(task->state == TASK_DEAD && dead->thread == NULL && dead->space == NULL);
    kstack_free(&dead->stack);
    dead->stack = (struct kstack){ 0 };
    fpu_area_free(dead->fpu_area);
    dead->fpu_area = NULL;
    object_count_buried();
    task_put(task); /* its existence; whoever still holds a reference frees it later */
}

/* The caller begins a grace period afterwards, or has another pass begin. */
static void bury_all(void)
{
    struct list_node dead = LIST_INIT(dead);

    sched_take_dead(&dead);
    store_relaxed(&reaper.burying, current_task());
    for (struct list_node *node = list_pop_front(&dead); node != NULL; node = list_pop_front(&dead))
        bury(list_entry(node, struct task, queue_link));
    store_relaxed(&reaper.burying, NULL);
    (void)waitq_wake_all(&reaper.pace);
}

/* What is queued from now on brings new work. */
static void take_notice(void)
{
    (void)xchg_acq_rel(&reaper.has_work, false); /* PAIRS(reaper_work) */
    store_relaxed(&reaper.backlog, 0);
}

static void collect(void)
{
    bool was_noticed = false;

    if (!quiesce_start())
        return;
    uint64_t poke_ns = clock_ns() + (load_relaxed(&reaper.hurried) != 0 ? 0 : GRACE_PATIENCE_NS);

    for (;;) {
        (void)waitq_wait_until(&reaper.wake, quiesce_is_over() || load_relaxed(&reaper.has_work), poke_ns,
                               WAIT_UNINTERRUPTED);
        if (quiesce_is_over())
            break;
        if (load_relaxed(&reaper.has_work)) {
            take_notice();
            bury_all();
            was_noticed = true;
        }
        if (clock_ns() >= poke_ns) {
            quiesce_poke_laggards();
            poke_ns = clock_ns() + GRACE_PATIENCE_NS;
        }
    }
    (void)quiesce_finish();
    if (was_noticed) /* it may have been about something that needs a grace period, or about a pass of its own */
        (void)xchg_acq_rel(&reaper.has_work, true); /* PAIRS(reaper_work) */
}

static int reaper_main(void *arg)
{
    (void)arg;
    for (;;) {
        (void)waitq_wait_until(&reaper.wake, load_relaxed(&reaper.has_work), TIME_NEVER, WAIT_UNINTERRUPTED);
        take_notice();

        uintptr_t state = spin_lock_irqsave(&reaper.passes.lock);

        reaper.started_count++;
        spin_unlock_irqrestore(&reaper.passes.lock, state);
        bury_all();
        collect();
        state = spin_lock_irqsave(&reaper.passes.lock);
        reaper.finished_count++;
        (void)waitq_wake_locked(&reaper.passes, UINT32_MAX);
        spin_unlock_irqrestore(&reaper.passes.lock, state);
    }
}

/* The last report of a grace period: the reaper waits for it inside collect(). */
static void grace_over(void)
{
    (void)waitq_wake_one(&reaper.wake);
}

void reaper_init(void)
{
    static const struct task_spec spec = {
        .name = "reaper",
        .entry = reaper_main,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = PRIORITY_SYSTEM_HIGH,
    };

    quiesce_init(backlog_grew, grace_over);
    sched_set_dead_notify(backlog_grew_irqoff);
    tid_t tid = task_try_create(&spec, NULL);

    if (tid < 0)
        panic("cannot create the reaper: error %d", tid);
}

void reaper_wait_pass(void)
{
    uintptr_t state = spin_lock_irqsave(&reaper.passes.lock);
    uint64_t target = reaper.started_count + 1;

    spin_unlock_irqrestore(&reaper.passes.lock, state);
    reaper_notify();
    (void)waitq_wait_until(&reaper.passes, reaper.finished_count >= target, TIME_NEVER, WAIT_UNINTERRUPTED);
}

void reaper_hurry_pass(void)
{
    (void)fetch_add_relaxed(&reaper.hurried, 1);
    reaper_wait_pass();
    (void)fetch_sub_relaxed(&reaper.hurried, 1);
}

static NOINLINE void reaper_wait_pace(void)
{
    reaper_notify();
    (void)waitq_wait_until(&reaper.pace, object_dying_count() <= DYING_MAX, TIME_NEVER, WAIT_UNINTERRUPTED);
}

ALWAYS_INLINE void reaper_keep_pace(void)
{
    if (UNLIKELY(object_dying_count() > DYING_MAX))
        reaper_wait_pace();
}

void proc_reclaim_all(void)
{
    /* A task whose joiner goes on already may still be on its way off its CPU. */
    for (reaper_wait_pass(); object_dying_count() != 0; reaper_wait_pass())
        (void)task_sleep_for(EXIT_PATIENCE_NS); /* it may be less urgent than we are: let it have the CPU */
    proc_reclaim_now();
}

void proc_reclaim_now(void)
{
    /* A pass frees tasks, the next one the id leaves that they emptied. */
    for (unsigned i = 0; i < 3; i++) {
        reaper_wait_pass();
        id_reclaim();
    }
    reaper_wait_pass();
    kstack_reclaim();
    slab_reclaim_all();
}
