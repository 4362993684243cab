# SPDX-License-Identifier: MIT
"""Seeded defects: run queues, placement, policy."""

from .kinds import Defect, edit

QUEUES = (
    Defect(
        "queued-not-counted",
        "A misplaced task that moves on stays in its old queue's count.",
        ("counts", "census"),
        edit("core/sched/runq.c", """
        task->is_misplaced = false;
        store_relaxed(&rq->queued, load_relaxed(&rq->queued) - 1);
""", """
        task->is_misplaced = false;
"""),
        scenarios=("affinity-steal", "affinity-self"), hazard=9),
    Defect(
        "movable-not-counted",
        "A task that leaves the list of movable tasks stays in their count.",
        ("counts",),
        edit("core/sched/sched_priv.h", """
        list_remove(&task->movable_link);
        store_relaxed(&rq->movable_count, load_relaxed(&rq->movable_count) - 1);
""", """
        list_remove(&task->movable_link);
"""),
        scenarios=("steal-storm",)),
    Defect(
        "blocked-not-counted",
        "A sleeper that is woken elsewhere stays in the count of blocked tasks.",
        ("census",),
        edit("core/sched/wake.c", "    } else {\n        rq->blocked--;\n    }\n    task_set_state",
             "    } else if (from == TASK_BLOCKED) {\n        rq->blocked--;\n    }\n    task_set_state"),
        scenarios=("sleep-equal", "timer-cancel")),
    Defect(
        "priority-not-requeued",
        "A queued task gets another priority where it stands, without leaving its queue.",
        ("counts", "order", "census"),
        edit("core/sched/policy.c", """
        runq_dequeue(rq, task);
        apply_on(rq, task, change);
        runq_enqueue(rq, task, ENQUEUE_MOVED);
        runq_unlock_notice(rq, task);
""", """
        apply_on(rq, task, change);
        runq_unlock_notice(rq, task);
"""),
        scenarios=("priority-change", "priority-order"), hazard=18),
    Defect(
        "priority-not-noticed",
        "A running task whose priority is lowered keeps the CPU from those who are more urgent now.",
        ("order",),
        edit("core/sched/policy.c", "    return !is_lifted(task, rank_before);\n",
             "    return is_lifted(task, rank_before) && false;\n"),
        scenarios=("priority-order", "priority-change"), hazard=19),
    Defect(
        "preemption-by-equals",
        "A woken task that is more urgent than the running one does not preempt it.",
        ("order",),
        edit("core/sched/runq.c", "    if (queued->rank >= load_relaxed(&rq->running_rank))\n",
             "    if (load_relaxed(&rq->running_rank) != RANK_NOTHING)\n"),
        scenarios=("urgent-wakes", "priority-order"), hazard=18),
    Defect(
        "steal-without-affinity",
        "An idle CPU steals a task that may not run there.",
        ("affinity",),
        edit("core/sched/steal.c", "        if (cpumask_contains(&task->affinity, thief) && (best == NULL",
             "        if ((best == NULL") +
        edit("core/sched/steal.c", "struct task *steal_find(struct runq *victim, cpu_id_t thief)\n{\n",
             "struct task *steal_find(struct runq *victim, cpu_id_t thief)\n{\n    (void)thief;\n"),
        scenarios=("steal-storm", "affinity-steal"), hazard=9),
    Defect(
        "steal-without-second-look",
        "A thief that has found a task takes it, though its affinity was changed since, while no lock was held.",
        ("affinity",),
        edit("core/sched/steal.c", "runq_is_loose(task) && cpumask_contains(&task->affinity, rq->cpu.id)) {",
             "runq_is_loose(task)) {"),
        scenarios=("affinity-narrow",), hazard=9),
    Defect(
        "wake-without-affinity",
        "A pinned task wakes where it last ran, though its affinity was changed while it slept.",
        ("affinity",),
        edit("core/sched/spread_priv.h",
             "    if (LIKELY(task->pinned_cpu == &last->cpu))",
             "    if (LIKELY(task->is_pinned))"),
        scenarios=("wake-migrate", "affinity-affinity"), hazard=9),
    Defect(
        "wake-where-it-was-allowed",
        "Whether a task still may run on the CPU that was found for it, without a lock, is not looked at again.",
        ("affinity",),
        edit("core/sched/wake.c",
             "target != NULL &&\n               cpumask_contains(&task->affinity, target->cpu.id)))",
             "target != NULL))"),
        scenarios=("wake-migrate", "affinity-affinity"), hazard=9),
    Defect(
        "affinity-not-enforced",
        "A task whose affinity excludes the CPU that it runs on is not asked to leave.",
        ("affinity", "story"),
        edit("core/sched/affinity.c", "task->state == TASK_RUNNING && !may_stay(rq, &task->affinity);",
             "task->state == TASK_RUNNING && task->is_pinned && !may_stay(rq, &task->affinity);"),
        scenarios=("affinity-steal", "affinity-affinity", "affinity-self"), hazard=9),
    Defect(
        "move-not-announced",
        "Whoever waits for a task to have left its CPU is not told that it has.",
        ("liveness", "wake-once"),
        edit("core/sched/switch.c", """
    if (rest & AFTER_MOVED)
        affinity_notify_moved();
""", "\n"),
        scenarios=("affinity-affinity", "affinity-exit", "affinity-steal"), hazard=9),
    Defect(
        "queue-locks-swapped",
        "Of two run-queue locks the second is waited for whatever the order.",
        ("locks", "liveness"),
        edit("core/sched/runq.c", "    if (other->cpu.id > held->cpu.id) {", "    if (other != held) {"),
        scenarios=("wake-migrate", "steal-storm", "affinity-steal"), hazard=27),
    Defect(
        "idle-published-late",
        "An idle CPU looks for work before it says that it is idle.",
        ("conservation",),
        edit("core/sched/switch.c", """
        place_mark_idle(&rq->cpu, true);
        if (may_steal(rq) && !load_relaxed(&rq->cpu.need_resched)) {
            found = steal_idle(rq, &contended);
            if (!found && !contended && topology_has_threads())
                balance_idle_core(rq);
        } else if (!may_steal(rq) && steal_was_offered(rq)) {
            steal_pass_on(rq); /* it takes nothing any more */
        }
""", """
        if (may_steal(rq) && !load_relaxed(&rq->cpu.need_resched)) {
            found = steal_idle(rq, &contended);
            if (!found && !contended && topology_has_threads())
                balance_idle_core(rq);
        } else if (!may_steal(rq) && steal_was_offered(rq)) {
            steal_pass_on(rq); /* it takes nothing any more */
        }
        place_mark_idle(&rq->cpu, true);
"""),
        scenarios=("urgent-asleep",), hazard=13, seeds=300, strategies=("order", "uniform", "uneven")),
    Defect(
        "offer-lost",
        "A CPU that was poked to take work, and got other work first, does not pass the offer on.",
        ("conservation",),
        edit("core/sched/switch.c", """
    if (UNLIKELY(steal_was_offered(rq)))
        rq->after_switch |= AFTER_PASS_ON;
""", """
    (void)steal_was_offered(rq);
"""),
        scenarios=("urgent-displaces",), hazard=13),
    Defect(
        "offer-forgotten",
        "A CPU that switches to a more urgent task does not offer the one that it leaves to idle CPUs.",
        ("conservation",),
        edit("core/sched/balance.c",
             "    if (place_has_idle())\n        rq->after_switch |= AFTER_OFFER;\n", ""),
        scenarios=("urgent-displaces",), hazard=13),
    Defect(
        "fair-clock-not-rebased",
        "A fair task that comes to a queue keeps the virtual time of the one that it came from.",
        ("counts", "order", "story"),
        edit("core/sched/class_fair.c", """
        task->fair_vruntime = fair->vtime - (uint64_t)(lag + step);
""", """
"""),
        scenarios=("fair-moves",), hazard=18),
    Defect(
        "fair-debt-leaves",
        "A fair task that blocks takes its weight out of the queue's sums, but not what it owes.",
        ("counts",),
        edit("core/sched/class_fair.c", """
        settle(fair, (int64_t)fair->excess + lag);
""", """
        settle(fair, (int64_t)fair->excess);
"""),
        scenarios=("fair-moves",), hazard=18),
    Defect(
        "fair-summary-stale",
        "A fair task leaves the tree without the summaries above it.",
        ("counts",),
        edit("core/sched/class_fair.c", """
    rb_remove(&fair->tree, &task->fair_node, update_least);
""", """
    rb_remove(&fair->tree, &task->fair_node, NULL);
"""),
        scenarios=("random", "priority-change"), hazard=18),
)
