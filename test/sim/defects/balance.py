# SPDX-License-Identifier: MIT
"""Seeded defects: tasks over CPUs, stoppers."""

from .kinds import Defect, edit

BALANCE = (
    Defect(
        "push-forgotten",
        "A CPU that displaces a real-time task does not look for another CPU for it.",
        ("order",),
        edit("core/sched/push.c", """
    if ((int64_t)(now - rq->push_next_ticks) >= 0)
        rq->after_switch |= AFTER_PUSH;
""", """
    (void)rq->push_next_ticks;
"""),
        scenarios=("urgent-spread",), hazard=18),
    Defect(
        "push-once",
        "A CPU that found no place for a waiting real-time task does not look again by itself, nor do others.",
        ("order",),
        edit("core/sched/push.c", """
    push_arm(rq, now);
}

void push_arm""", """
}

void push_arm""") + edit("core/sched/runq.c", """
    if (UNLIKELY(push_is_wanted()) && push_may_pull(rq))
        rq->after_switch |= AFTER_PULL;
""", ""),
        scenarios=("urgent-spread",), hazard=18),
    Defect(
        "push-to-the-busy",
        "A waiting real-time task is sent to the least loaded CPU, whatever that runs.",
        ("order", "liveness"),
        edit("core/sched/push.c",
             "    bool is_better = target != NULL && target != rq && !place_would_wait(target, wish.rank);",
             "    bool is_better = target != NULL && target != rq;") +
        edit("core/sched/place.c",
             "        return waits | (uint64_t)(RANK_NOTHING - running) << 32 | heads;",
             "        return heads;"),
        scenarios=("urgent-spread",), hazard=18),
    Defect(
        "monitor-counts-the-forbidden",
        "The monitor counts the time in which the task that was stolen was not allowed where it went.",
        ("story",),
        edit("core/sched/monitor.c", "    return (int64_t)(task->allowed_since_ticks - task->since_ticks) > 0 ?",
             "    return task->allowed_since_ticks == 1 ?"),
        scenarios=("monitor-agrees",)),
    Defect(
        "shares-by-count",
        "Fair tasks move only where that makes the weights more equal: places are never traded.",
        ("story",),
        edit("core/sched/balance.c", "    if (trader == NULL || (int64_t)(now - rq->rotate_next_ticks) < 0 ||",
             "    if (trader != NULL || (int64_t)(now - rq->rotate_next_ticks) < 0 ||"),
        scenarios=("fair-shares",)),
    Defect(
        "lightest-of-all",
        "Fair tasks look for the lightest CPU, whether or not they may use it.",
        ("story",),
        edit("core/sched/balance.c",
             "cpu_is_online(id) && cpumask_contains(allowed, id) &&",
             "cpu_is_online(id) && allowed != NULL &&"),
        scenarios=("fair-shares",)),
    Defect(
        "idle-sees-its-cache-only",
        "An idle CPU looks for work only among those that share its core or cache.",
        ("conservation", "story"),
        edit("core/sched/steal.c", "    return steal_in(rq, &cpu_started_mask, out_contended);",
             "    return topology_near(&rq->cpu, TOPOLOGY_CACHE) == NULL &&\n"
             "           steal_in(rq, &cpu_started_mask, out_contended);"),
        scenarios=("wasted-level", "wasted-far", "steal-storm", "urgent-asleep"), hazard=13),
    Defect(
        "wake-in-its-cache-only",
        "A task wakes on an idle CPU only if that shares a cache with the CPU where it slept.",
        ("conservation", "story"),
        edit("core/sched/place.c", "        if (id != CPU_NONE)\n            return id;\n    }\n"
             "    return find_in(affinity, node, near->id, whole_core, words);",
             "        return id;\n    }\n    return find_in(affinity, node, near->id, whole_core, words);"),
        scenarios=("wasted-wake", "wasted-level", "urgent-asleep"), hazard=13),
    Defect(
        "stopper-not-woken",
        "What a stopper is asked for is listed, and nobody wakes it.",
        ("liveness", "wake-once"),
        edit("core/sched/class_stop.c",
             "        list_push_back(&rq->stop.works, &work->link);\n"
             "        (void)waitq_wake_locked(&rq->stop.wake, 1);\n",
             "        list_push_back(&rq->stop.works, &work->link);\n"),
        scenarios=("stop-storm",)),
    Defect(
        "stopper-touches-work",
        "A stopper looks into what it was asked for after it has said that it is done.",
        ("race", "memory"),
        edit("core/sched/class_stop.c", """
        if (done != NULL)
            event_signal(done); /* and from here on it may be gone */
""", """
        if (done != NULL)
            event_signal(done);
        list_init(&work->link);
        work->done = NULL;
"""),
        scenarios=("stop-storm",), build="thread", seeds=300),
    Defect(
        "stopper-not-urgent",
        "A stopper is queued with the rank of a fair task.",
        ("order", "counts", "sanity", "story", "liveness"),
        edit("core/sched/class_stop.c", "    task->rank = RANK_STOP;", "    task->rank = RANK_IDLE_CLASS;"),
        scenarios=("stop-storm",)),
)
