/* SPDX-License-Identifier: MIT */
/*
 * The switch: decide, commit, go, and settle on the far side. schedule() is entered with this CPU's run-queue lock held
 * and interrupts disabled; the lock travels with the CPU, and finish_switch(), run by whoever comes next, releases it.
 */
#include "hotplug_priv.h"

#include <sched/latency.h>
#include <smp/quiesce.h>
#include <smp/tlb.h>
#include <smp/topology.h>

void task_first_run(void *arg);

static struct {
    _Atomic(struct list_node *) dead; /* PAIRS(sched_dead): a stack of dead tasks, linked by queue_link.next */
    void (*dead_notify)(void);
} graveyard;

void sched_set_dead_notify(void (*notify)(void))
{
    ASSERT(graveyard.dead_notify == NULL);
    graveyard.dead_notify = notify;
}

static void bury(struct task *task)
{
    struct list_node *first = load_relaxed(&graveyard.dead);

    ASSERT(task->state == TASK_DEAD && !list_is_linked(&task->queue_link));
    do {
        task->queue_link.next = first;
    } while (!cas_release(&graveyard.dead, &first, &task->queue_link)); /* PAIRS(sched_dead) */
    if (graveyard.dead_notify != NULL)
        graveyard.dead_notify();
}

void sched_take_dead(struct list_node *out)
{
    struct list_node *node = xchg_acquire(&graveyard.dead, NULL); /* PAIRS(sched_dead) */
    struct list_node *after = out->prev;

    while (node != NULL) {
        struct list_node *next = node->next;

        ASSERT(list_entry(node, struct task, queue_link)->state == TASK_DEAD);
        list_insert_between(node, after, after->next); /* each before the last: the stack comes out oldest first */
        node = next;
    }
}

static void finish_dead(struct task *previous)
{
    if (UNLIKELY(previous->is_admitted))
        deadline_release_dead(previous);
    bury(previous);
}

static NOINLINE void finish_several(struct runq *rq, struct task *previous, uint32_t rest)
{
    if (rest & AFTER_SORT)
        class_fair_sort(rq);
    if (rest & AFTER_DEAD)
        finish_dead(previous);
    if (rest & AFTER_MISPLACED)
        push_misplaced(rq);
    if (rest & AFTER_MOVED)
        affinity_notify_moved();
    if (rest & AFTER_PUSH)
        push_waiting(rq);
    if (rest & AFTER_PULL)
        push_pull_urgent(rq);
    if (rest & AFTER_BALANCE)
        balance_fair(rq);
    if (rest & AFTER_AGENDA)
        agenda_arm(rq);
    if (rest & AFTER_SAMPLER)
        cputime_start(rq);
    if (rest & AFTER_OFFER)
        steal_offer(rq);
    if (rest & AFTER_PASS_ON)
        steal_pass_on(rq);
}

/* What remains to be done after a switch, no lock held. Out of line: it is rare, and inlined it would cost every switch
 * the registers that it needs. A death alone, which is the commonest, should not pay for the others either. */
static NOINLINE void finish_rest(struct runq *rq, struct task *previous, uint32_t rest)
{
    if (LIKELY(rest == AFTER_DEAD))
        finish_dead(previous);
    else
        finish_several(rq, previous, rest);
}

/* The new task's half of a switch; also a new task's first act. Interrupts are disabled, the lock is held. True: it may
 * have woken somebody more urgent, and sched_check() is due. */
static ALWAYS_INLINE bool finish_switch(void) NO_LOCK_ANALYSIS
{
    struct runq *rq = this_runq();
    uint32_t rest = rq->after_switch;

    if (KERNEL_DEBUG)
        spin_debug_acquire(&rq->lock, true); /* the previous task's record said release before the switch */
    if (LIKELY(rest == 0)) {
        spin_unlock_irqoff(&rq->lock);
        return quiesce_pass(&rq->cpu);
    }
    rq->after_switch = 0;
    spin_unlock_irqoff(&rq->lock);
    (void)quiesce_pass(&rq->cpu);
    finish_rest(rq, rq->switched_from, rest); /* this CPU's own word, like after_switch */
    return true;
}

void task_first_run(void *arg)
{
    struct task *self = arg;

    (void)finish_switch();
    hal_irq_enable();
    sched_check();
    self->entry(self->arg);
    panic("task %d '%s': its entry function returned into the scheduler", self->tid, self->name);
}

/* `prev` may not stay here: finish_switch() moves it. */
static NOINLINE void leave_cpu(struct runq *rq, struct task *prev) REQUIRES(rq->lock)
{
    prev->is_leaving = false;
    if (prev->policy != SCHED_POLICY_FIFO && prev->class->block != NULL)
        prev->class->block(rq, prev);
    runq_misplace(rq, prev);
    rq->after_switch |= AFTER_MISPLACED;
}

/* Whoever waits for the task to leave this CPU hears of it after the switch. */
static ALWAYS_INLINE void note_moved(struct runq *rq, struct task *prev) REQUIRES(rq->lock)
{
    if (prev->is_move_awaited) {
        prev->is_move_awaited = false;
        rq->after_switch |= AFTER_MOVED;
    }
}

/* Put the task that was running, and wants to go on, where `reason` says. Its context is not saved yet. */
static ALWAYS_INLINE void requeue_previous(struct runq *rq, struct task *prev, enum switch_reason reason)
    REQUIRES(rq->lock)
{
    task_set_state(prev, TASK_RUNNING, TASK_READY);
    prev->is_woken = false;
    trace(TRACE_TASK_REQUEUE, prev, reason == SWITCH_YIELDED);
    if (UNLIKELY(prev->is_leaving)) {
        leave_cpu(rq, prev);
    } else {
        runq_enqueue_inline(rq, prev, reason == SWITCH_YIELDED ? ENQUEUE_YIELDED : ENQUEUE_PREEMPTED);
    }
}

/* Nobody is queued. What waits elsewhere the idle loop takes, which holds the lock only to do so. */
static NOINLINE struct task *pick_idle(struct runq *rq) REQUIRES(rq->lock)
{
    if (!is_idle_task(rq, rq->running))
        store_relaxed(&rq->idle_since_ticks, hal_clock_ticks());
    return rq->cpu.idle_task;
}

static void dispatch_idle(struct runq *rq, uint64_t now)
{
    struct task *idle = rq->cpu.idle_task;

    idle->since_ticks = now;
    rq->running = idle;
    store_relaxed(&rq->running_rank, RANK_NOTHING);
    trace(TRACE_TASK_RUN, idle, 1);
}

/* The CPU leaves idle with work of its own: if it was poked to take other work, another one must hear of that. */
static NOINLINE void note_offered(struct runq *rq) REQUIRES(rq->lock)
{
    if (UNLIKELY(steal_was_offered(rq)))
        rq->after_switch |= AFTER_PASS_ON;
}

/* `next` is not the idle task. */
static ALWAYS_INLINE void dispatch(struct runq *rq, struct task *next, uint64_t now)
{
    uint64_t waited = elapsed_ticks(next->since_ticks, now);

    next->since_ticks = now;
    rq->running = next;
    task_set_state(next, TASK_READY, TASK_RUNNING);
    trace(TRACE_TASK_RUN, next, 0);
    next->stats.wait_ticks += waited;
    if (UNLIKELY(waited > next->stats.wake_to_run_ticks_max) && next->is_woken)
        next->stats.wake_to_run_ticks_max = waited;
    store_relaxed(&rq->running_rank, next->rank);
}

/* Every task with a user has extras. */
static NOINLINE void switch_extras(struct runq *rq, struct task *prev, struct task *next) REQUIRES(rq->lock)
{
    if (UNLIKELY(!rq->sampler.is_on) && load_relaxed(&next->is_user))
        rq->after_switch |= AFTER_SAMPLER;
    if (prev->fpu_area != next->fpu_area)
        hal_fpu_switch(prev->fpu_area, next->fpu_area);
    if (prev->space != next->space)
        tlb_switch(next->space);
}

/* Inlined where a task blocks or yields, with `reason` known: these two are what switch costs are measured by. `prev`
 * is what runs. True: sched_check() is due. */
static ALWAYS_INLINE bool switch_away(struct runq *rq, struct task *prev, enum switch_reason reason)
    RELEASES(rq->lock) NO_LOCK_ANALYSIS
{
    uint64_t now = hal_clock_ticks();
    bool has_left = reason == SWITCH_BLOCKED || reason == SWITCH_EXITED; /* nobody queues it while we hold the lock */
    bool was_idle = reason == SWITCH_PREEMPTED && is_idle_task(rq, prev); /* it never yields, blocks or exits */

    DEBUG_ASSERT(!hal_irq_is_enabled() && prev == current_task() && prev == rq->running);
    DEBUG_ASSERT(prev->base.preempt_count == 0 && rq->cpu.irq_depth == 0);
    if (was_idle)
        runq_account(rq, now);
    else
        runq_charge(rq, prev, now);
    if (!has_left && LIKELY(!was_idle))
        requeue_previous(rq, prev, reason);
    if (has_left && prev->policy != SCHED_POLICY_FIFO && prev->class->block != NULL)
        prev->class->block(rq, prev);
    if (reason != SWITCH_BLOCKED) /* else stays_awake() has seen to it */
        note_moved(rq, prev);
    /* PAIRS(resched): whoever sets it later has enqueued later, and is seen by the next pass. */
    store_relaxed(&rq->cpu.need_resched, RESCHED_NONE);
    struct task *next = runq_pick(rq);
    bool becomes_idle = false;

    if (UNLIKELY(next == NULL)) {
        next = pick_idle(rq);
        becomes_idle = true;
    } else if (UNLIKELY(was_idle)) {
        note_offered(rq);
    }
    if (UNLIKELY(becomes_idle))
        dispatch_idle(rq, now);
    else
        dispatch(rq, next, now);
    runq_arm_slice(rq, next, now);
    if (KERNEL_DEBUG)
        runq_check_switch(rq);
    if (UNLIKELY(load_relaxed(&rq->movable_count) != 0))
        balance_after_pick(rq, next);
    DEBUG_ASSERT(next != prev || !has_left);
    if (!has_left && next == prev) {
        uint32_t rest = rq->after_switch;

        rq->after_switch = 0;
        spin_unlock_irqoff(&rq->lock);
        quiesce_pass(&rq->cpu);
        if (UNLIKELY(rest != 0))
            finish_rest(rq, prev, rest);
        return true;
    }
    rq->stats.switches++;
    if (reason == SWITCH_PREEMPTED) {
        rq->stats.preemptions += !was_idle;
        prev->stats.involuntary++;
        stat_note_preempted(rq, prev, now);
    } else {
        prev->stats.voluntary++;
        if (UNLIKELY(reason == SWITCH_EXITED)) {
            rq->after_switch |= AFTER_DEAD;
            rq->switched_from = prev;
        }
    }
    if (UNLIKELY(prev->has_extras | next->has_extras))
        switch_extras(rq, prev, next);
    if (KERNEL_DEBUG) {
        DEBUG_ASSERT(prev->base.lock_depth == 1);
        spin_debug_release(&rq->lock);
    }
    hal_context_switch(prev, next);
    return finish_switch(); /* `prev` runs again, perhaps on another CPU: locals about the CPU are stale here */
}

void schedule(struct runq *rq, enum switch_reason reason)
{
    (void)switch_away(rq, rq->running, reason);
}

/* Not inlined: the ledger wants to know who called. */
NOINLINE void sched_preempt(void)
{
    uintptr_t state = hal_irq_save();

    while (load_relaxed(&this_cpu()->need_resched)) {
        struct runq *rq = this_runq();

        latency_acted(&rq->cpu, (uintptr_t)__builtin_return_address(0));
        spin_lock_irqoff(&rq->lock);
        schedule(rq, SWITCH_PREEMPTED);
    }
    hal_irq_restore(state);
}

void task_yield(void)
{
    DEBUG_ASSERT(context_can_sleep());
    hal_irq_disable();
    struct task *self = current_task();
    struct runq *rq = runq_of(load_relaxed(&self->base.cpu));

    DEBUG_ASSERT(!is_idle_task(rq, self));
    spin_lock_irqoff(&rq->lock);
    if (rq->ready_classes == 0 && !load_relaxed(&rq->cpu.need_resched) &&
        self->policy != SCHED_POLICY_DEADLINE)
        spin_unlock_irqoff(&rq->lock); /* nobody to yield to */
    else
        (void)switch_away(rq, self, SWITCH_YIELDED);
    hal_irq_enable();
    sched_check();
}

/* There is something to look at before the task blocks. True: it goes on instead. */
static NOINLINE bool stays_awake(struct runq *rq, struct task *self, enum wait_mode mode) REQUIRES(rq->lock)
{
    /* PAIRS(task_notice): as its caller. */
    if (self->wake_pending || (mode & load_acquire(&self->notices)) != 0) {
        trace(TRACE_TASK_UNLATCH, self, self->wake_pending);
        self->wake_pending = false;
        return true;
    }
    self->is_leaving = false;
    note_moved(rq, self);
    return false;
}

ALWAYS_INLINE bool sched_block_self(struct task *self, enum task_state state, enum wait_mode mode)
{
    struct runq *rq = runq_of(load_relaxed(&self->base.cpu));

    DEBUG_ASSERT(!hal_irq_is_enabled() && self == current_task() && self->state == TASK_RUNNING);
    DEBUG_ASSERT(!is_idle_task(rq, self));
    ASSERT(self->base.preempt_count == 0);
    ASSERT(state == TASK_BLOCKED || state == TASK_SLEEPING || state == TASK_STOPPED);
    spin_lock_irqoff(&rq->lock);
    self->wait_mode = mode;
    /* PAIRS(task_notice): the killer sets the flag under this lock, so either we see it or it sees us blocked. */
    if (UNLIKELY(self->attention != 0 || (mode & load_acquire(&self->notices)) != 0) &&
        stays_awake(rq, self, mode)) {
        spin_unlock_irqoff(&rq->lock);
        return true;
    }
    self->state = state;
    trace(TRACE_TASK_BLOCK, self, state);
    rq->blocked++;
    return switch_away(rq, self, SWITCH_BLOCKED);
}

void sched_block(enum task_state state, enum wait_mode mode)
{
    (void)sched_block_self(current_task(), state, mode);
}

/* Inline in task_exit(), which saves registers once, for nobody. */
ALWAYS_INLINE void sched_exit(void)
{
    struct runq *rq = this_runq();
    struct task *self = current_task();

    DEBUG_ASSERT(!hal_irq_is_enabled());
    ASSERT(self->base.preempt_count == 0 && !is_idle_task(rq, self));
    spin_lock_irqoff(&rq->lock);
    task_set_state(self, TASK_RUNNING, TASK_DEAD);
    trace(TRACE_TASK_EXIT, self, 0);
    self->is_leaving = false;
    if (UNLIKELY(self->is_anchored))
        anchor_drop(self);
    rq->died++;
    (void)switch_away(rq, self, SWITCH_EXITED);
    panic("task %d '%s' ran after its exit", self->tid, self->name);
}

void sched_cpu_online(struct cpu *cpu)
{
    struct runq *rq = runq_of(cpu);
    uint64_t now = hal_clock_ticks();

    ASSERT(current_task() == cpu->idle_task && current_base()->cpu == cpu);
    cpu->idle_task->since_ticks = now;
    rq->util.at_ticks = now;
    rq->online_ticks += now - rq->left_ticks;
    if (cpu_is_in(&cpu_started_mask, cpu->id))
        quiesce_idle_exit(cpu);
    else
        quiesce_cpu_online(cpu);
}

/*
 * Look for a while whether there is something to do, before the CPU waits for an interrupt: who wants it need not poke,
 * and it need not wake up. Interrupts are taken, and end it. False: nothing has come, and whoever comes now pokes; the
 * states are in smp/cpu.h. Interrupts are disabled before and after, the CPU is quiescent.
 */
static bool poll_idle(struct cpu *cpu)
{
    uint32_t seen = RESCHED_NONE;
    uint32_t interrupts = load_relaxed(&cpu->irq_count);
    unsigned turns = sched_tunables.idle_poll_turns;

    if (!cas_acquire(&cpu->need_resched, &seen, RESCHED_POLLING)) /* PAIRS(resched) */
        return true;
    do {
        hal_irq_enable();
        hal_cpu_relax();
        hal_irq_disable();
        if (load_relaxed(&cpu->irq_count) != interrupts)
            break; /* its handlers are what the grace periods must wait for: another round makes it quiescent again */
        seen = load_acquire(&cpu->need_resched); /* PAIRS(resched) */
    } while (seen == RESCHED_POLLING && --turns != 0);
    seen = RESCHED_POLLING;
    /* PAIRS(resched): the last look. */
    return !cas_acq_rel(&cpu->need_resched, &seen, RESCHED_NONE) || load_relaxed(&cpu->irq_count) != interrupts;
}

void sched_idle_loop(void)
{
    for (;;) {
        struct runq *rq = this_runq();
        bool contended = false;
        bool found = false;

        (void)hal_irq_save();
        if (UNLIKELY(load_relaxed(&rq->cpu.state) == CPU_STOPPING))
            hotplug_leave(rq);
        /* Publish "idle", then look: a CPU that queues a task first queues, then looks for idle CPUs. */
        place_mark_idle(&rq->cpu, true);
        if (may_steal(rq) && !load_relaxed(&rq->cpu.need_resched)) {
            found = steal_idle(rq, &contended);
            if (!found && !contended && topology_has_threads())
                balance_idle_core(rq);
        } else if (!may_steal(rq) && steal_was_offered(rq)) {
            steal_pass_on(rq); /* it takes nothing any more */
        }
        if (!found && !contended && !load_relaxed(&rq->cpu.need_resched)) {
            quiesce_idle_enter(&rq->cpu);
            trace(TRACE_IDLE_ENTER, NULL, 0);
            if (!load_relaxed(&rq->cpu.need_resched) &&
                (LIKELY(sched_tunables.idle_poll_turns == 0) || !poll_idle(&rq->cpu)))
                hal_cpu_idle();
            trace(TRACE_IDLE_EXIT, NULL, 0);
            quiesce_idle_exit(&rq->cpu);
        }
        place_mark_idle(&rq->cpu, false);
        if (contended)
            hal_cpu_relax();
        spin_lock_irqoff(&rq->lock);
        schedule(rq, SWITCH_PREEMPTED);
    }
}
