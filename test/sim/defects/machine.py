# SPDX-License-Identifier: MIT
"""Seeded defects: interrupts between CPUs, timers, locks."""

from .kinds import Defect, edit

MACHINE = (
    Defect(
        "ipi-only-to-idle",
        "Only idle CPUs are poked: a busy one does not hear of a request.",
        ("liveness", "order"),
        edit("core/smp/cpu.c", "    if ((fetch_or_acq_rel(&cpu->ipi_pending, reason) & reason) != reason)",
             "    if ((fetch_or_acq_rel(&cpu->ipi_pending, reason) & reason) != reason &&\n"
             "        load_relaxed(&cpu->idle_quiescent))"),
        scenarios=("call-storm", "kmap-duel"), hazard=10),
    Defect(
        "ipi-reason-skipped",
        "A request for a reschedule is stored, but its CPU is not poked.",
        ("conservation", "order", "liveness"),
        edit("core/smp/cpu.c", "    if ((fetch_or_acq_rel(&cpu->ipi_pending, reason) & reason) != reason)",
             "    if ((fetch_or_acq_rel(&cpu->ipi_pending, reason) & reason) != reason &&\n"
             "        reason != IPI_RESCHEDULE)"),
        scenarios=("wake-idle", "wake-first", "steal-storm"), hazard=10),
    Defect(
        "ipi-poke-of-others",
        "Who finds any reason set leaves the poke to whoever set it, who may have been interrupted before it pokes.",
        ("conservation",),
        edit("core/smp/cpu.c", "    if ((fetch_or_acq_rel(&cpu->ipi_pending, reason) & reason) != reason)",
             "    if (fetch_or_acq_rel(&cpu->ipi_pending, reason) == 0)"),
        scenarios=("plug-storm",), hazard=10, cpus=16, strategies=("pct", "round-robin")),
    Defect(
        "ipi-cleared-after",
        "Reasons are cleared after they were handled: one that is set in between is lost.",
        ("liveness",),
        edit("core/entry/trap.c", "    uint32_t reasons = xchg_acq_rel(&cpu->ipi_pending, 0);",
             "    uint32_t reasons = load_acquire(&cpu->ipi_pending);") +
        edit("core/entry/trap.c", """
    /* IPI_RESCHEDULE: need_resched is set already; trap_exit() looks at it. */
""", """
    store_relaxed(&cpu->ipi_pending, 0);
"""),
        scenarios=("call-storm", "kmap-duel"), hazard=10),
    Defect(
        "call-lock-irqs-off",
        "A caller of other CPUs spins for the call slot with interrupts disabled: two callers wait for each other.",
        ("liveness",),
        edit("core/smp/call.c", "    spin_lock(&call.lock);\n    for_each_live_cpu(id)",
             "    uintptr_t masked = hal_irq_save();\n\n    spin_lock(&call.lock);\n    hal_irq_restore(masked);\n"
             "    for_each_live_cpu(id)"),
        scenarios=("call-storm", "kmap-duel"), hazard=14),
    Defect(
        "timer-cancel-no-wait",
        "Cancelling a timer does not wait for its callback that runs on another CPU.",
        ("time", "wake-once", "memory", "story", "locks"),
        edit("core/time/timer.c", "        if (was_queued || !is_running)\n", "        if (was_queued || true)\n") +
        edit("core/time/timer.c", "        bool is_running = queue->running == timer;\n",
             "        bool is_running = queue->running == timer;\n\n        (void)is_running;\n"),
        scenarios=("timer-cancel", "wake-timeout", "wake-timeout-kill", "sleep-kill"), hazard=8),
    Defect(
        "timer-early",
        "Timers that are due within the next microsecond are fired along with one that is due.",
        ("time", "story"),
        edit("core/time/timer.c", "timer->deadline_ticks > now_ticks)", "timer->deadline_ticks > now_ticks + 100)"),
        scenarios=("sleep-equal", "timer-cancel", "timer-chain"), hazard=17),
    Defect(
        "timer-not-programmed",
        "A new earliest timer does not move the hardware's deadline.",
        ("time", "liveness"),
        edit("core/time/timer.c", """
    timer_program(cpu, timer->deadline_ticks);
    spin_unlock""", """
    if (cpu->armed_deadline_ticks == TIME_NEVER)
        timer_program(cpu, timer->deadline_ticks);
    spin_unlock"""),
        scenarios=("sleep-equal", "timer-cancel"), hazard=17),
    Defect(
        "timer-lock-order",
        "A waiter arms its timer while it holds the lock of the queue that it joins.",
        ("locks",),
        edit("core/sched/waitq.c", """
    join(queue, list, &waiter, current_task());
    timer_init(&waiter.timer, waiter_timeout);
    timer_arm(&waiter.timer, deadline_ns);
""", """
    timer_init(&waiter.timer, waiter_timeout);
    timer_arm(&waiter.timer, deadline_ns);
    join(queue, list, &waiter, current_task());
"""),
        scenarios=("wake-timeout",), hazard=27),
    Defect(
        "lock-held-too-long",
        "The reaper buries the dead while it holds the lock of those who wait for it.",
        ("locks",),
        edit("core/proc/reaper.c", """
        reaper.started_count++;
        spin_unlock_irqrestore(&reaper.passes.lock, state);
        bury_all();
        collect();
""", """
        reaper.started_count++;
        bury_all();
        spin_unlock_irqrestore(&reaper.passes.lock, state);
        collect();
"""),
        scenarios=("fork-storm",), hazard=27),
    Defect(
        "sleep-under-spinlock",
        "A thread that begins to wait for a child keeps the tree lock.",
        ("locks",),
        edit("core/proc/process.c", """
        if (options & WNOHANG)
            return 0;
        int result = waitq_wait_until""", """
        if (options & WNOHANG)
            return 0;
        preempt_disable();
        int result = waitq_wait_until""") +
        edit("core/proc/process.c", """
        if (result != 0)
            return result;
    }
    if (found != 0)
""", """
        preempt_enable();
        if (result != 0)
            return result;
    }
    if (found != 0)
"""),
        scenarios=("exit-wait",), hazard=27),
    Defect(
        "preempt-count-lost",
        "A look-up that meets a dying task returns without enabling preemption again.",
        ("locks", "liveness"),
        edit("core/proc/id.c", """
    if (task != NULL && !task_try_get(task))
        task = NULL;
    preempt_enable();
""", """
    if (task == NULL || !task_try_get(task))
        return NULL;
    preempt_enable();
"""),
        scenarios=("lookup-reap",), hazard=27),
)
