# SPDX-License-Identifier: MIT
"""Seeded defects: blocking, waking, switching."""

from .kinds import Defect, edit

WAKE = (
    Defect(
        "poll-left-by-store",
        "A CPU that has looked for work for long enough stores that it does not any more, and does not look again.",
        ("wake-once", "liveness", "conservation"),
        edit("core/sched/switch.c",
             "    return !cas_acq_rel(&cpu->need_resched, &seen, RESCHED_NONE) || "
             "load_relaxed(&cpu->irq_count) != interrupts;\n",
             "    if (load_relaxed(&cpu->need_resched) != seen)\n        return true;\n"
             "    store_relaxed(&cpu->need_resched, RESCHED_NONE);\n"
             "    return load_relaxed(&cpu->irq_count) != interrupts;\n"),
        scenarios=("wake-polling", "wake-herd-polling")),
    Defect(
        "poller-believed",
        "Who has seen a CPU look for work does not poke it, though it may have stopped looking since.",
        ("wake-once", "liveness", "conservation"),
        edit("core/sched/wake.c", "    latency_asked(&rq->cpu);\n",
             "    bool polls = load_relaxed(&rq->cpu.need_resched) == RESCHED_POLLING;\n\n"
             "    latency_asked(&rq->cpu);\n") +
        edit("core/sched/wake.c", "    else if (xchg_acq_rel(&rq->cpu.need_resched, RESCHED_ASKED) == RESCHED_NONE)\n",
             "    else if (xchg_acq_rel(&rq->cpu.need_resched, RESCHED_ASKED) == RESCHED_NONE && !polls)\n"),
        scenarios=("wake-polling", "wake-herd-polling")),
    Defect(
        "wake-check-before-lock",
        "A task on its way to block looks for a latched wake-up before it takes the lock.",
        ("wake-once", "liveness"),
        edit("core/sched/switch.c", "    spin_lock_irqoff(&rq->lock);\n    self->wait_mode = mode;",
             "    self->wait_mode = mode;") +
        edit("core/sched/switch.c", """
        stays_awake(rq, self, mode)) {
        spin_unlock_irqoff(&rq->lock);
        return true;
    }
    self->state""", """
        stays_awake(rq, self, mode))
        return true;
    spin_lock_irqoff(&rq->lock);
    self->state""") +
        edit("core/sched/switch.c",
             "bool stays_awake(struct runq *rq, struct task *self, enum wait_mode mode) REQUIRES(rq->lock)",
             "bool stays_awake(struct runq *rq, struct task *self, enum wait_mode mode) NO_LOCK_ANALYSIS"),
        scenarios=("wake-block", "wake-wake", "wake-herd"), hazard=1),
    Defect(
        "wake-latch-ignored",
        "A task that blocks does not look for a wake-up that found it still running.",
        ("wake-once", "liveness"),
        edit("core/sched/switch.c", "    if (self->wake_pending || (mode &", "    if ((mode &"),
        scenarios=("wake-block", "wake-herd"), hazard=1),
    Defect(
        "wake-only-blocked",
        "A wake-up that finds the task running is dropped instead of latched.",
        ("wake-once", "liveness"),
        edit("core/sched/wake.c", """
        task->wake_pending = task->state == TASK_RUNNING || task->state == TASK_READY;
""", """
        task->wake_pending = task->state == TASK_READY;
"""),
        scenarios=("wake-block", "wake-herd"), hazard=1),
    Defect(
        "wake-of-ready",
        "A waker takes every task that does not run for a blocked one, a queued or dead one included.",
        ("wake-once", "edges", "census"),
        edit("core/sched/wake.c", "    if (LIKELY(task->state == TASK_BLOCKED) && place_stays(task, rq)) {",
             "    if (LIKELY(task->state != TASK_RUNNING) && place_stays(task, rq)) {"),
        scenarios=("wake-wake", "wake-block"), hazard=3),
    Defect(
        "settle-twice",
        "A timeout settles a waiter that a waker has settled already.",
        ("wake-once",),
        edit("core/sched/waitq.c", """
    if (load_relaxed(&waiter->status) == WAITER_QUEUED)
        settle_locked(waiter, WAITER_TIMED_OUT);
""", """
    settle_locked(waiter, WAITER_TIMED_OUT);
"""),
        scenarios=("wake-timeout",), hazard=8),
    Defect(
        "kill-flag-after-lock",
        "A killer decides under the lock that the task is awake, and sets the flag only after letting go of it.",
        ("wake-once", "liveness"),
        edit("core/sched/wake.c", """
        (void)fetch_or_acq_rel(&task->notices, notices);
        was_alive = true;
        if (!is_blocked(task) || (task->wait_mode & notices) == 0) {
            poke_user(task, rq);
            spin_unlock_irqoff(&rq->lock);
            return 0;
        }
""", """
        was_alive = true;
        if (!is_blocked(task) || (task->wait_mode & notices) == 0) {
            spin_unlock_irqoff(&rq->lock);
            (void)fetch_or_acq_rel(&task->notices, notices);
            poke_user(task, rq);
            return 0;
        }
        (void)fetch_or_acq_rel(&task->notices, notices);
"""),
        scenarios=("small-kill", "kill-create", "kill-kill", "join-kill"), hazard=5),
    Defect(
        "unlock-before-switch",
        "The run queue is unlocked, and a quiescent state reported, before the switch instead of after it: a queued "
        "task may be stolen before its context is saved.",
        ("one-cpu",),
        edit("core/sched/switch.c", """
        spin_debug_release(&rq->lock);
    }
    hal_context_switch(prev, next);
""", """
        spin_debug_release(&rq->lock);
    }
    store_release(&rq->lock.word, 0);
    quiesce_pass(&rq->cpu);
    hal_context_switch(prev, next);
""") + edit("core/sched/switch.c", """
    if (KERNEL_DEBUG)
        spin_debug_acquire(&rq->lock, true); /* the previous task's record said release before the switch */
    if (LIKELY(rest == 0)) {
        spin_unlock_irqoff(&rq->lock);
        return quiesce_pass(&rq->cpu);
    }
    rq->after_switch = 0;
    spin_unlock_irqoff(&rq->lock);
""", """
    if (LIKELY(rest == 0))
        return quiesce_pass(&rq->cpu);
    rq->after_switch = 0;
"""),
        scenarios=("wake-switch", "steal-storm", "affinity-steal"), hazard=3),
    Defect(
        "lock-of-old-queue",
        "Who locks a task's run queue does not look again whether the task has moved meanwhile.",
        ("edges", "one-cpu"),
        edit("core/sched/sched_priv.h", """
        if (LIKELY(load_relaxed(&task->base.cpu) == cpu))
            return rq;
        spin_unlock_irqoff(&rq->lock); /* it moved between the look and the lock */
""", """
        return rq;
"""),
        hazard=9, scenarios=("wake-migrate", "affinity-affinity", "steal-storm", "priority-change")),
    Defect(
        "no-second-look",
        "A waker that had to drop a lock for the right order does not look again at the task.",
        ("edges", "affinity", "wake-once", "one-cpu"),
        edit("core/sched/wake.c", """
    if (target != rq && !runq_lock_second(rq, target) &&
        (load_relaxed(&task->base.cpu)""", """
    if (target != rq && !runq_lock_second(rq, target) && false &&
        (load_relaxed(&task->base.cpu)"""),
        hazard=9, scenarios=("wake-migrate", "wake-wake", "wake-herd", "affinity-affinity")),
    Defect(
        "bury-before-switch",
        "A task lists itself among the dead before its CPU has left its stack.",
        ("one-cpu", "memory"),
        edit("core/sched/switch.c", """
    rq->died++;
    (void)switch_away(rq, self, SWITCH_EXITED);
""", """
    rq->died++;
    struct list_node *first = load_relaxed(&graveyard.dead);

    do {
        self->queue_link.next = first;
    } while (!cas_release(&graveyard.dead, &first, &self->queue_link));
    (void)switch_away(rq, self, SWITCH_EXITED);
""") + edit("core/sched/switch.c", """
    struct list_node *first = load_relaxed(&graveyard.dead);

    ASSERT(task->state == TASK_DEAD && !list_is_linked(&task->queue_link));
    do {
        task->queue_link.next = first;
    } while (!cas_release(&graveyard.dead, &first, &task->queue_link)); /* PAIRS(sched_dead) */
    if (graveyard""", """
    (void)task;
    if (graveyard"""),
        scenarios=("fork-storm", "join-exit", "exit-backlog"), hazard=2),
    Defect(
        "resched-cleared-late",
        "The request to reschedule is cleared after the lock was released: one that comes in between is lost.",
        ("order", "conservation", "liveness"),
        edit("core/sched/switch.c", """
    store_relaxed(&rq->cpu.need_resched, RESCHED_NONE);
    struct task *next = runq_pick(rq);
""", """
    struct task *next = runq_pick(rq);
""") + edit("core/sched/switch.c", """
    if (LIKELY(rest == 0)) {
        spin_unlock_irqoff(&rq->lock);
        return quiesce_pass(&rq->cpu);
    }
    rq->after_switch = 0;
    spin_unlock_irqoff(&rq->lock);
""", """
    if (LIKELY(rest == 0)) {
        spin_unlock_irqoff(&rq->lock);
        store_relaxed(&rq->cpu.need_resched, RESCHED_NONE);
        return quiesce_pass(&rq->cpu);
    }
    rq->after_switch = 0;
    spin_unlock_irqoff(&rq->lock);
    store_relaxed(&rq->cpu.need_resched, RESCHED_NONE);
""") + edit("core/sched/switch.c", """
        spin_unlock_irqoff(&rq->lock);
        quiesce_pass(&rq->cpu);
        if (UNLIKELY(rest != 0))
            finish_rest(rq, prev, rest);
""", """
        spin_unlock_irqoff(&rq->lock);
        store_relaxed(&rq->cpu.need_resched, RESCHED_NONE);
        quiesce_pass(&rq->cpu);
        if (UNLIKELY(rest != 0))
            finish_rest(rq, prev, rest);
"""),
        scenarios=("urgent-wakes", "wake-idle"), hazard=13),
    Defect(
        "quiet-number-stale",
        "A wake-up is compared with what an earlier FIFO task left, while one with a slice runs.",
        ("order", "liveness"),
        edit("core/sched/sched_priv.h", "        rq->quiet_from = RANK_UNKNOWN;\n        uint64_t slice",
             "        uint64_t slice"),
        scenarios=("priority-change",), hazard=18),
    Defect(
        "event-latched-and-given",
        "An event that was handed to a waiter stays set as well: one signal ends two waits.",
        ("story", "wake-once"),
        edit("core/sched/event.c", "    if (UNLIKELY(waiter == NULL))\n        event->is_set = 1;",
             "    event->is_set = 1;"),
        scenarios=("event-handover",), hazard=1),
)
