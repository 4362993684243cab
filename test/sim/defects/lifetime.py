# SPDX-License-Identifier: MIT
"""Seeded defects: lifetime of tasks, ids and memory."""

from .kinds import Defect, edit

LIFETIME = (
    Defect(
        "reap-without-grace",
        "A task is freed when its last reference goes, without a grace period.",
        ("grace", "memory"),
        edit("core/proc/object.c", "    quiesce_call(&object_of(task)->reclaim, reclaim);",
             "    reclaim(&object_of(task)->reclaim);"),
        scenarios=("lookup-reap", "fork-storm"), hazard=2),
    Defect(
        "quiesce-in-section",
        "A CPU that is asked for a quiescent state reports one in the middle of a read section.",
        ("grace", "memory"),
        edit("core/entry/trap.c", """
        if (current_base()->preempt_count == 0)
            quiesce_pass(cpu); /* the interrupted code is in no read section */
        else
            ask_for_switch(cpu); /* the section's end switches, and a switch reports */
""", """
        quiesce_pass(cpu);
""") + edit("core/entry/trap.c", "static void ask_for_switch(", "[[maybe_unused]] static void ask_for_switch("),
        scenarios=("section-poked",)),
    Defect(
        "quiesce-idle-in-interrupt",
        "An idle CPU that handles an interrupt still counts as quiescent.",
        ("grace", "memory"),
        edit("core/entry/trap.c", """
    if (UNLIKELY(load_relaxed(&cpu->idle_quiescent)))
        quiesce_idle_exit(cpu);
    return cpu;
""", """
    return cpu;
"""),
        scenarios=("grace-readers", "wake-timeout", "lookup-reap")),
    Defect(
        "lookup-without-section",
        "A look-up takes its reference outside of a read section.",
        ("grace", "memory", "story", "sanity"),
        edit("core/proc/id.c", """
    preempt_disable(); /* the read section: neither leaf nor task is freed inside it */
""", "") + edit("core/proc/id.c", """
    if (task != NULL && !task_try_get(task))
        task = NULL;
    preempt_enable();
""", """
    if (task != NULL && !task_try_get(task))
        task = NULL;
"""),
        scenarios=("lookup-stopped",)),
    Defect(
        "lookup-without-try",
        "A look-up takes a reference to a process that has none left.",
        ("memory", "grace", "sanity"),
        edit("core/proc/id.c", """
    if (process != NULL && !process_try_get(process))
        process = NULL;
""", """
    if (process != NULL && !process_try_get(process))
        (void)fetch_add_relaxed(&process->refs, 1);
"""),
        scenarios=("lookup-process",), hazard=26),
    Defect(
        "event-touched-after-wake",
        "The signaller of an event unlocks it after its waiter was woken, who may have freed it.",
        ("memory", "locks"),
        edit("core/sched/event.c", """
    spin_unlock_irqoff(&event->waiters.lock);
    if (LIKELY(waiter != NULL))
        waitq_finish(waiter); /* the event may be gone with its waiter from here on */
""", """
    if (waiter != NULL)
        waitq_finish(waiter);
    spin_unlock_irqoff(&event->waiters.lock);
"""),
        scenarios=("event-vanishes",), build="address", hazard=2),
    Defect(
        "thread-read-after-free",
        "Who drops the last reference to a thread asks the freed thread for its process.",
        ("memory",),
        edit("core/proc/thread.c", "no grace period */\n    process_put(process);",
             "no grace period */\n    (void)process;\n    process_put(thread->process);"),
        scenarios=("exit-wait",), build="address", hazard=2),
    Defect(
        "join-before-code",
        "A task says that it has exited before it stores its exit code.",
        ("story",),
        edit("core/proc/exit.c", """
    hal_irq_disable(); /* until the next task runs */
    spin_lock_irqoff(&self->exit_waiters.lock);
    self->exit_code = code;
    self->has_exited = true;
""", """
    hal_irq_disable(); /* until the next task runs */
    self->has_exited = true;
    spin_lock_irqoff(&self->exit_waiters.lock);
    self->exit_code = code;
"""),
        scenarios=("join-exit",), hazard=6),
    Defect(
        "child-event-read-late",
        "A parent reads the count of its children's ends after it looked at them: an end in between is slept through.",
        ("liveness", "wake-once"),
        edit("core/proc/process.c", """
        uint64_t seen = load_acquire(&parent->child_events); /* PAIRS(child_event) */

        found = find_ended(parent, pid, &child);
""", """
        found = find_ended(parent, pid, &child);
        uint64_t seen = load_acquire(&parent->child_events); /* PAIRS(child_event) */

"""),
        scenarios=("exit-wait", "wait-wait"), hazard=6),
    Defect(
        "reference-leaked",
        "The creator of a thread's task does not drop its own reference.",
        ("conserved",),
        edit("core/proc/thread.c", """
    task_put(task);
    return 0;
}
""", """
    return 0;
}
"""),
        scenarios=("exit-wait",)),
    Defect(
        "id-leaked",
        "A task's number is not given back when there is no memory for the task.",
        ("conserved",),
        edit("core/proc/create.c", """
    if (result != 0) {
        id_release(full.tid);
        return result;
    }
""", """
    if (result != 0)
        return result;
"""),
        scenarios=("create-fails",)),
    Defect(
        "id-released-twice",
        "A task's number is given back at its exit and again when it is freed.",
        ("sanity", "memory", "conserved"),
        edit("core/proc/exit.c", "    id_unpublish_task(self->tid);",
             "    id_unpublish_task(self->tid);\n    id_release(self->tid);"),
        scenarios=("fork-storm", "lookup-reap"), hazard=26),
    Defect(
        "pages-leaked",
        "The pages that a stack already has are not given back when the next one cannot be had.",
        ("conserved",),
        edit("core/mm/kmap.c", """
        if (page == 0) {
            chain_free(chain);
            return -ENOMEM;
        }
""", """
        if (page == 0)
            return -ENOMEM;
"""),
        scenarios=("create-fails",)),
    Defect(
        "object-freed-twice",
        "The unwind path of a task's creation frees the object twice when its registers' area cannot be had.",
        ("memory",),
        edit("core/proc/create.c", """
        result = fpu_area_alloc(&fpu_area);
        if (result != 0)
            goto free_stack;
""", """
        result = fpu_area_alloc(&fpu_area);
        if (result != 0) {
            object_free(object);
            goto free_stack;
        }
"""),
        scenarios=("create-fails",)),
    Defect(
        "tlb-flush-local",
        "Only the CPU that unmaps forgets the translations.",
        ("tlb",),
        edit("core/smp/tlb.c", "    flush_on(&live, &request);", "    flush_here(&request);"),
        scenarios=("kmap-duel", "kmap-storm"), hazard=15),
    Defect(
        "tlb-flush-late",
        "The pages of a freed run go back before the flush.",
        ("tlb",),
        edit("core/mm/kmap.c", """
        unmap_run_locked(&ranges[i], &chain);
    spin_unlock(&kmap.lock);

    tlb_flush_kernel(ranges, count);
""", """
        unmap_run_locked(&ranges[i], &chain);
    spin_unlock(&kmap.lock);
    chain_free(chain);
    chain = 0;

    tlb_flush_kernel(ranges, count);
"""),
        scenarios=("kmap-duel", "kmap-storm"), hazard=15),
)
