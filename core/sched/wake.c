/* SPDX-License-Identifier: MIT */
/*
 * Start and wake: a task becomes READY, on the CPU that suits it. The waker holds the lock of the run queue that the
 * task names; because that lock is held across switches, a task found BLOCKED has left its stack.
 */
#include "hotplug_priv.h"

#include <k/errno.h>
#include <sched/latency.h>

void resched_cpu(struct runq *rq)
{
    /* An interrupt between the request and its poke would find the reason pending, and rely on a poke not yet sent. */
    DEBUG_ASSERT(!hal_irq_is_enabled());
    if (load_relaxed(&rq->cpu.need_resched) == RESCHED_ASKED)
        return; /* whoever set it has poked, and the target has not looked yet: it clears the flag under its lock */
    latency_asked(&rq->cpu);
    /* PAIRS(resched): set under the run-queue lock, or by an offer after the enqueue it speaks of. One that polls looks
     * by itself; here it may have stopped since. */
    if (&rq->cpu == this_cpu())
        store_relaxed(&rq->cpu.need_resched, RESCHED_ASKED);
    else if (xchg_acq_rel(&rq->cpu.need_resched, RESCHED_ASKED) == RESCHED_NONE)
        cpu_request(&rq->cpu, IPI_RESCHEDULE);
}

/* A READY task that names `rq` joins its queue. */
static ALWAYS_INLINE void enqueue_and_poke(struct runq *rq, struct task *task, enum enqueue_kind kind)
    REQUIRES(rq->lock)
{
    runq_enqueue_inline(rq, task, kind);
    runq_notice(rq, task);
}

static ALWAYS_INLINE bool is_blocked(const struct task *task)
{
    return task_state_is_blocked(task->state);
}

/* The blocked task becomes READY where it is, which no other CPU may change: whoever waits here and may move, and those
 * who might take it, know nothing new. False: there was something to notice, and what is due is done after the hold: so
 * the fair class's unsorted list is seldom full when somebody wakes, who would have to make room in this hold. */
static ALWAYS_INLINE bool make_ready_here(struct runq *rq, struct task *task) REQUIRES(rq->lock)
{
    rq->blocked--;
    task->state = TASK_READY;
    trace(TRACE_TASK_WAKE, task, rq->cpu.id);
    task->is_woken = true;
    task->since_ticks = hal_clock_ticks();
    if (LIKELY(runq_enqueue_in_class(rq, task, ENQUEUE_WOKEN)))
        store_relaxed(&rq->queued, load_relaxed(&rq->queued) + 1);
    if (LIKELY(runq_is_unchanged_by(rq, task)))
        return true;
    runq_notice_slow(rq, task);
    return false;
}

/* `rq`, which the NEW or blocked task names, is locked; the task becomes READY on `target`. Releases all locks.
 * False: a lock had to be dropped on the way and something about the task changed; the caller looks again. */
static ALWAYS_INLINE bool make_ready_from(enum task_state from, struct runq *rq, struct runq *target,
                                          struct task *task) NO_LOCK_ANALYSIS
{
    if (target != rq && !runq_lock_second(rq, target) &&
        (load_relaxed(&task->base.cpu) != &rq->cpu || task->state != from ||
         !cpumask_contains(&task->affinity, target->cpu.id))) {
        spin_unlock_irqoff(&target->lock);
        spin_unlock_irqoff(&rq->lock);
        return false;
    }
    uint64_t now = hal_clock_ticks();

    if (from == TASK_NEW) {
        rq->started++;
        task->start_ticks = now;
        task->util.at_ticks = now;
    } else {
        rq->blocked--;
    }
    task_set_state(task, from, TASK_READY);
    trace(from == TASK_NEW ? TRACE_TASK_START : TRACE_TASK_WAKE, task, target->cpu.id);
    task->is_woken = true;
    task->since_ticks = now;
    if (target != rq) {
        task_change_cpu(task, rq, target);
        if (from != TASK_NEW) {
            task->stats.migrations++;
            target->stats.migrations_in++;
        }
        spin_unlock_irqoff(&rq->lock); /* from here on the other lock guards the task */
    }
    enqueue_and_poke(target, task, from == TASK_NEW ? ENQUEUE_STARTED : ENQUEUE_WOKEN);
    runq_unlock(target);
    return true;
}

static NOINLINE bool make_ready(struct runq *rq, struct runq *target, struct task *task) NO_LOCK_ANALYSIS
{
    return make_ready_from(task->state, rq, target, task);
}

static ALWAYS_INLINE int start(struct task *task, bool is_admitted) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    bool started = false;

    do {
        struct place_wish wish;
        struct runq *rq = runq_lock_of(task);

        ASSERT(task->state == TASK_NEW);
        if (!is_admitted && !anchor_is_needless(task) && anchor_change(task, &task->affinity) != 0) {
            spin_unlock_irqoff(&rq->lock);
            hal_irq_restore(state);
            return -EINVAL;
        }
        if (place_stays(task, rq)) {
            started = make_ready_from(TASK_NEW, rq, rq, task);
            continue;
        }
        place_wish_of(task, &wish);
        spin_unlock_irqoff(&rq->lock);
        struct runq *target = place_choose_start(&wish);

        rq = runq_lock_of(task);
        if (LIKELY(target != NULL && cpumask_contains(&task->affinity, target->cpu.id)))
            started = make_ready(rq, target, task);
        else
            spin_unlock_irqoff(&rq->lock); /* its affinity was changed meanwhile */
    } while (!started);
    sched_irq_restore(state);
    return 0;
}

int task_start(struct task *task)
{
    return start(task, false);
}

/* Inline in what creates a task. */
ALWAYS_INLINE void task_start_admitted(struct task *task)
{
    (void)start(task, true);
}

/* The task is blocked, and names `rq`, which is locked: it becomes READY where it suits best. The search for that holds
 * no lock. Releases all locks. False: something about the task has changed meanwhile; the caller looks again. */
static bool make_ready_somewhere(struct runq *rq, struct task *task) NO_LOCK_ANALYSIS
{
    enum wait_mode mode = task->wait_mode;
    struct place_wish wish;

    if (place_is_free_for(task, rq))
        return make_ready(rq, rq, task);
    place_wish_of(task, &wish);
    spin_unlock_irqoff(&rq->lock);
    struct runq *target = place_search_wake(&wish, rq);

    rq = runq_lock_of(task);
    if (LIKELY(is_blocked(task) && task->wait_mode == mode && target != NULL &&
               cpumask_contains(&task->affinity, target->cpu.id)))
        return make_ready(rq, target, task);
    spin_unlock_irqoff(&rq->lock);
    return false;
}

/* The task may be blocked, and another CPU may suit it better. True: it was blocked, and is ready now. */
static NOINLINE bool wake_slow(struct task *task) NO_LOCK_ANALYSIS
{
    for (;;) {
        struct runq *rq = runq_lock_of(task);

        if (is_blocked(task)) {
            if (make_ready_somewhere(rq, task))
                return true;
            continue;
        }
        /* Latched: a task on its way to block finds it and goes on. */
        task->wake_pending = task->state == TASK_RUNNING || task->state == TASK_READY;
        if (task->wake_pending)
            trace(TRACE_TASK_LATCH, task, 0);
        spin_unlock_irqoff(&rq->lock);
        return false;
    }
}

ALWAYS_INLINE bool task_wake_irqoff(struct task *task) NO_LOCK_ANALYSIS
{
    struct runq *rq = runq_lock_of(task);

    if (LIKELY(task->state == TASK_BLOCKED) && place_stays(task, rq)) {
        if (LIKELY(make_ready_here(rq, task)))
            spin_unlock_irqoff(&rq->lock);
        else
            runq_unlock(rq);
        return true;
    }
    spin_unlock_irqoff(&rq->lock);
    return wake_slow(task);
}

uint8_t task_own_rank(void)
{
    return (uint8_t)load_relaxed(&this_runq()->running_rank);
}

bool task_wake(struct task *task)
{
    uintptr_t state = hal_irq_save();
    bool woke = task_wake_irqoff(task);

    sched_irq_restore(state);
    return woke;
}

/* It may be in user mode, and looks when it leaves the kernel the next time: let it come in. */
static void poke_user(struct task *task, struct runq *rq)
{
    fence_seq_cst(); /* PAIRS(user_poke): either we see that it has a user, or it sees the notice on its way there */
    if (load_relaxed(&task->is_user) && task->state == TASK_RUNNING && task != current_task())
        cpu_request(&rq->cpu, IPI_RESCHEDULE);
}

/* -ESRCH if it was dead before. Interrupts are disabled. */
static int notify(struct task *task, uint32_t notices) NO_LOCK_ANALYSIS
{
    bool was_alive = false;

    for (;;) {
        struct runq *rq = runq_lock_of(task);

        if (task->state == TASK_DEAD && !was_alive) {
            spin_unlock_irqoff(&rq->lock);
            return -ESRCH;
        }
        /* PAIRS(task_notice): under the lock that a task on its way to block takes before it looks. */
        (void)fetch_or_acq_rel(&task->notices, notices);
        was_alive = true;
        if (!is_blocked(task) || (task->wait_mode & notices) == 0) {
            poke_user(task, rq);
            spin_unlock_irqoff(&rq->lock);
            return 0;
        }
        if (make_ready_somewhere(rq, task))
            return 0;
    }
}

int task_notify(struct task *task, uint32_t notices)
{
    uintptr_t state = hal_irq_save();
    int result = notify(task, notices);

    sched_irq_restore(state);
    return result;
}

int task_kill(struct task *task)
{
    return task_notify(task, TASK_NOTICE_KILL);
}

void task_notice_clear(uint32_t notices)
{
    /* PAIRS(task_notice): what it says was stored before. */
    (void)fetch_and_acq_rel(&current_task()->notices, ~notices);
}

bool task_is_killed(void)
{
    return (load_relaxed(&current_task()->notices) & TASK_NOTICE_KILL) != 0;
}
