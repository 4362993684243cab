# SPDX-License-Identifier: MIT
"""Seeded defects: CPUs that go off and come back."""

from .kinds import Defect, edit

PLUG = ("plug-storm", "plug-one", "plug-spread", "plug-refuse", "plug-pin", "plug-duel")

HOTPLUG = (
    Defect(
        "offline-no-grace-period",
        "A CPU is evacuated at once: whoever had chosen it before queues a task there afterwards.",
        ("counts", "sanity", "census", "liveness"),
        edit("core/boot/hotplug.c", """
    wait_grace_period();
    sched_cpu_evacuate(cpu);
""", """
    sched_cpu_evacuate(cpu);
"""),
        scenarios=PLUG),
    Defect(
        "offline-timers-stay",
        "The timers of a CPU that goes off stay in its queue.",
        ("time", "liveness"),
        edit("core/sched/hotplug.c", "    timer_hand_over(cpu, successor_of(cpu));", "    (void)successor_of(cpu);"),
        scenarios=("plug-one", "plug-storm")),
    Defect(
        "hand-over-no-poke",
        "The CPU that gets timers from another one is not told.",
        ("liveness", "time"),
        edit("core/time/timer.c", "    cpu_request(to, IPI_TIMER);", "    (void)to;"),
        scenarios=("timer-handed-over",)),
    Defect(
        "cancel-looks-once",
        "timer_cancel() does not look at the queue again once it has the lock: the timer may have moved.",
        ("time", "sanity", "liveness", "race"),
        edit("core/time/timer.c", "        if (UNLIKELY(load_relaxed(&timer->queue) != queue)) {",
             "        if (false) {"),
        scenarios=("plug-storm",)),
    # An affinity that has the closed CPU and lets a task stay there is no defect to look for: whoever evacuates the CPU
    # asks again whom he finds there at each switch, so that task leaves a moment later.
    Defect(
        "runner-is-not-asked",
        "A CPU that goes off gives its queued tasks away, and does not ask the one that runs to leave.",
        ("liveness",),
        edit("core/sched/hotplug.c", "    if (!is_idle_task(rq, running) && running != stopper) {",
             "    if (!is_idle_task(rq, running) && running != stopper && running->is_leaving) {"),
        scenarios=PLUG),
    Defect(
        "sleepers-are-not-asked",
        "Only queued tasks keep a CPU on; one that sleeps and may run nowhere else does not.",
        ("story", "sanity", "liveness"),
        edit("core/sched/hotplug.c", "    if (other == rq)\n        return -EBUSY;",
             "    if (other == rq && task->state != TASK_READY)\n"
             "        return list_remove(&task->anchor_link), -EAGAIN;\n    if (other == rq)\n        return -EBUSY;"),
        scenarios=("plug-refuse", "plug-pin")),
    Defect(
        "back-without-a-flush",
        "A CPU that comes back does not flush what it may have read meanwhile.",
        ("tlb", "sanity"),
        edit("core/boot/bringup.c", "    hal_tlb_flush_local(HAL_ASID_ANY, 0, HAL_TLB_ALL_PAGES);\n", ""),
        scenarios=("plug-storm",)),
    Defect(
        "live-until-it-says-so",
        "A CPU leaves the live set before it has stopped.",
        ("tlb",),
        edit("core/smp/call.c", "    see_off(cpu);\n    cpu_set_change(&cpu_live_mask, cpu->id, false);",
             "    cpu_set_change(&cpu_live_mask, cpu->id, false);\n    see_off(cpu);"),
        scenarios=("plug-storm",)),
    Defect(
        "offline-breaks-promises",
        "A CPU goes off without a look at the deadline tasks that it was promised to.",
        ("story", "deadline", "sanity", "liveness", "census", "counts"),
        edit("core/sched/hotplug.c", "    result = deadline_evacuate(cpu->id);", "    result = 0;"),
        scenarios=("plug-promise", "plug-classes")),
    Defect(
        "agenda-goes-along",
        "The timer for a CPU's deadline and real-time tasks goes to another CPU with the others.",
        ("sanity", "liveness", "time", "counts", "deadline"),
        edit("core/sched/hotplug.c", "    agenda_close(rq);\n", ""),
        scenarios=("plug-classes", "plug-promise")),
    Defect(
        "domains-missing-after-hotplug",
        "A CPU that has come back looks for work in its own node only.",
        ("conservation", "story"),
        edit("core/sched/steal.c", "    return steal_in(rq, &cpu_started_mask, out_contended);",
             "    return steal_in(rq, rq->left_ticks != 0 ? topology_node_cpus(rq->cpu.node) : &cpu_started_mask,\n"
             "                    out_contended);"),
        scenarios=("wasted-domains",)),
)
