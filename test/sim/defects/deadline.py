# SPDX-License-Identifier: MIT
"""Seeded defects: deadline tasks, and the limit of real-time tasks."""

from .kinds import Defect, edit

DEADLINE = (
    Defect(
        "throttle-forgotten",
        "A task that has used up its runtime is queued again as if it had some left.",
        ("deadline",),
        edit("core/sched/class_deadline.c", "    if (own->next_ns == 0 && own->left_ticks > 0)\n",
             "    if (own->next_ns == 0 && (own->left_ticks > 0 || kind == ENQUEUE_PREEMPTED))\n"),
        scenarios=("deadline-full",)),
    Defect(
        "runtime-not-timed",
        "Nobody sets a timer for the end of a deadline task's runtime.",
        ("deadline", "liveness"),
        edit("core/sched/class_deadline.c", "    return (uint64_t)task->deadline.left_ticks;\n",
             "    return TIME_NEVER;\n"),
        scenarios=("deadline-full", "deadline-periodic")),
    Defect(
        "agenda-not-armed-again",
        "A CPU that has replenished those whose time has come sets no timer for the next ones.",
        ("story", "liveness"),
        edit("core/sched/agenda.c", "    if (at_ns != TIME_NEVER)\n        timer_arm(timer, at_ns);\n", ""),
        scenarios=("deadline-everywhere",)),
    Defect(
        "latest-deadline-first",
        "Deadline tasks are queued with the latest deadline first.",
        ("deadline", "order"),
        edit("core/sched/class_deadline.c", """
    return container_of(a, struct task, deadline.node)->deadline.key_ns <
""", """
    return container_of(a, struct task, deadline.node)->deadline.key_ns >
"""),
        scenarios=("deadline-full", "deadline-periodic")),
    Defect(
        "earlier-deadline-waits",
        "A deadline task that becomes ready does not preempt one with a later deadline.",
        ("deadline", "order"),
        edit("core/sched/class_deadline.c",
             "    return woken->deadline.key_ns < running->deadline.key_ns;\n",
             "    return woken->deadline.key_ns < running->deadline.key_ns && running->is_inherited;\n"),
        scenarios=("deadline-full", "deadline-periodic")),
    Defect(
        "promise-outlives-task",
        "A CPU stays promised to a task that has ended.",
        ("story", "deadline", "memory", "race", "sanity"),
        edit("core/sched/switch.c", "    if (UNLIKELY(previous->is_admitted))\n"
             "        deadline_release_dead(previous);\n", ""),
        scenarios=("deadline-churn", "deadline-full")),
    Defect(
        "replenishment-not-armed",
        "A CPU that goes on with the task that it ran forgets to arm its timer for a replenishment.",
        ("liveness", "story", "share"),
        edit("core/sched/switch.c", """
            finish_rest(rq, prev, rest);
""", """
            finish_rest(rq, prev, rest & ~AFTER_AGENDA);
"""),
        scenarios=("rt-limit", "deadline-churn")),
    Defect(
        "long-debt-never-paid",
        "A task that ran too long by more than its runtime waits for ever: such a debt is not paid.",
        ("liveness", "story"),
        edit("core/sched/class_deadline.c",
             "        uint64_t paying = MIN(periods, debt / own->runtime_ticks + 1);\n",
             "        uint64_t paying = MIN(periods, (uint64_t)(debt < own->runtime_ticks));\n"),
        scenarios=("deadline-stops",)),
    Defect(
        "throttled-in-two-trees",
        "A throttled task whose parameters change stays in the count of throttled tasks.",
        ("counts", "census"),
        edit("core/sched/class_deadline.c", "        task->is_throttled = false;\n        rq->throttled--;\n",
             "        task->is_throttled = false;\n"),
        scenarios=("deadline-churn", "deadline-full")),
    Defect(
        "real-time-limit-begins-late",
        "A window of the real-time limit begins only if a real-time task runs when somebody comes to wait.",
        ("story", "share"),
        edit("core/sched/runq.c",
             "    if (load_relaxed(&rq->running_rank) < RANK_FAIR || "
             "(rq->ready_classes & 1u << CLASS_RT) != 0)\n",
             "    if (load_relaxed(&rq->running_rank) < RANK_FAIR)\n"),
        scenarios=("rt-limit",)),
    Defect(
        "period-at-each-wake",
        "A deadline task that sleeps for a moment finds its whole runtime when it wakes.",
        ("share", "deadline"),
        edit("core/sched/class_deadline.c", "    if (!is_too_much(own, now_ns))\n        return true;\n", "\n"),
        scenarios=("deadline-rest",)),
    Defect(
        "real-time-limit-too-high",
        "Real-time tasks get two hundredths more of each window than their limit says.",
        ("share", "story"),
        edit("core/sched/rt_limit.c", "    return RT_WINDOW_NS / 100 * sched_tunables.rt_percent;\n",
             "    return RT_WINDOW_NS / 100 * (sched_tunables.rt_percent + 2);\n"),
        scenarios=("rt-limit",)),
)
