# SPDX-License-Identifier: MIT
"""Seeded defects: programs that become others, and their ends."""

from .kinds import Defect, edit

PROCESS = (
    Defect(
        "late-thread-not-killed",
        "A thread that is scheduled after the others were killed is not told to end: exec waits for it for ever.",
        ("liveness",),
        edit("core/proc/thread.c", """
    if (process->is_exiting || process->executing != NULL) /* who ends the threads has been here, and saw no task */
        store_relaxed(&object->task.notices, TASK_NOTICE_KILL);
""", "\n"),
        scenarios=("exec-threads", "exec-killed")),
    Defect(
        "second-exec-goes-on",
        "A thread that executes does not look whether another one does.",
        ("liveness", "sanity", "conserved", "story", "memory"),
        edit("core/proc/exec.c", "    if (process->is_exiting || process->executing != NULL) {",
             "    if (process->is_exiting) {"),
        scenarios=("exec-threads", "exec-killed")),
    Defect(
        "group-signal-slips-by",
        "A fork does not look whether its group was sent a signal before the child joined it.",
        ("liveness", "story"),
        edit("core/proc/clone.c", """
    return !has(cloning->request, CLONE_THREAD) && cloning->process->sends_at_fork != cloning->shared_sends;
""", """
    return cloning == NULL;
"""),
        scenarios=("group-kill",), hazard=6),
    Defect(
        "group-signal-not-counted",
        "A signal to a group is given to its members, and who forks meanwhile does not find it counted.",
        ("liveness", "story"),
        edit("core/proc/signal_send.c", """
    (void)fetch_add_acq_rel(&to->shared_sends, 1); /* PAIRS(shared_send): behind the notice */
""", "\n"),
        scenarios=("group-kill",), hazard=6),
    Defect(
        "discarded-child-untold",
        "A child that is taken back half made is no more, and its parent's waits do not hear of it.",
        ("liveness", "wake-once"),
        edit("core/proc/process.c", """
    process_tell_parent_locked(process);
    if (process->is_orphan || signal_child_ended_locked(process)) {
""", """
    if (!process->is_orphan)
        process_tell_parent_locked(process);
    if (process->is_orphan || signal_child_ended_locked(process)) {
"""),
        scenarios=("fork-fails",), hazard=6),
    Defect(
        "adopted-zombie-kept",
        "A record that goes to an heir stays, though the heir ignores the ends of its children.",
        ("story",),
        edit("core/proc/process.c", """
        if (child->is_orphan || signal_child_ended_locked(child)) {""", """
        if (child->is_orphan) {"""),
        scenarios=("adopt",), hazard=6),
    Defect(
        "wait-sleeps-through",
        "A wait for children counts their events after it has looked at them.",
        ("liveness", "wake-once"),
        edit("core/proc/wait.c", """
        int result = waitq_wait_until(&parent->child_wait, load_relaxed(&parent->child_events) != seen, TIME_NEVER,
                                      mode);
""", """
        seen = load_acquire(&parent->child_events);
        int result = waitq_wait_until(&parent->child_wait, load_relaxed(&parent->child_events) != seen, TIME_NEVER,
                                      mode);
"""),
        scenarios=("wait-many", "adopt"), hazard=6),
    Defect(
        "news-not-consumed",
        "A stop that was reported is reported again to the next who waits.",
        ("story", "liveness"),
        edit("core/proc/wait.c", """
        child->news = PROCESS_NEWS_NONE;
        return;
""", """
        return;
"""),
        scenarios=("wait-many",)),
    Defect(
        "stopped-job-forgotten",
        "A job that is stopped when it loses who could continue it is not told so.",
        ("liveness", "story"),
        edit("core/proc/group.c", """
    if (signal_has_stopped_locked(group)) {
        signal_members_locked(group, SIGHUP);""", """
    if (false) {
        signal_members_locked(group, SIGHUP);"""),
        scenarios=("group-orphan",)),
    Defect(
        "lent-memory-kept",
        "A child that becomes another program keeps its maker waiting until its end.",
        ("liveness", "sanity", "story", "conserved"),
        edit("core/proc/exec.c", """
    exec->space = NULL;
    thread_return_memory(exec->self);
""", """
    exec->space = NULL;
    store_relaxed(&exec->self->user.is_lent, false);
"""),
        scenarios=("vfork-end",)),
    Defect(
        "signals-go-with-thread",
        "A thread that ends takes along what is pending for all of its process.",
        ("liveness", "story"),
        edit("core/proc/signal.c", """
    signals_drop(signals, &self->own, UINT64_MAX, &chain);
    signals_retarget(""", """
    signals_drop(signals, &self->own, UINT64_MAX, &chain);
    signals_drop(signals, &signals->shared, UINT64_MAX, &chain);
    signals_retarget("""),
        scenarios=("signal-members",), hazard=6),
    Defect(
        "timer-knows-dead-thread",
        "A timer goes on to mean a thread that has ended.",
        ("memory", "sanity", "story", "conserved", "liveness"),
        edit("core/proc/timers.c", """
            unqueue(timer);
            timer->target = NULL;
            timer->due_ns = 0;
            (void)timer_try_cancel(&timer->timer);
        }
""", """
            unqueue(timer);
        }
"""),
        scenarios=("timers-end",)),
    Defect(
        "limit-outlives-process",
        "The machine's timer for a process's limit of CPU time is left armed when the process goes.",
        ("memory", "sanity", "conserved", "locks"),
        edit("core/proc/cpu_limit.c", """
    if (load_relaxed(&signals->timers.is_limited))
        (void)timer_try_cancel(&signals->timers.limit_timer);
}
""", """
    (void)signals;
}
""") + edit("core/proc/cpu_limit.c", """
    if (load_relaxed(&signals->timers.is_limited))
        (void)timer_cancel(&signals->timers.limit_timer);
""", """
    (void)signals;
"""),
        scenarios=("limits-end",)),
    Defect(
        "user-counted-twice",
        "Who becomes another user is counted with the new one, and stays counted with the old one.",
        ("conserved", "story"),
        edit("core/proc/user.c", """
        user_count_leave_locked(own);
        *own = count;
""", """
        *own = count;
"""),
        scenarios=("user-count",)),
    Defect(
        "failed-exec-keeps-files",
        "An exec that fails keeps the copy of the descriptors that it had made.",
        ("conserved",),
        edit("core/proc/exec.c", """
    if (exec->files != NULL)
        fd_table_put(exec->files);
    if (exec->cred != NULL)
        cred_put(exec->cred);
    if (exec->program""", """
    if (exec->cred != NULL)
        cred_put(exec->cred);
    if (exec->program"""),
        scenarios=("exec-fails",)),
    Defect(
        "child-published-unlocked",
        "What a new thread has for its user is stored without the lock under which others look at it.",
        ("race",),
        edit("core/proc/clone.c", """
    to->cred = from->cred;
    spin_unlock(&proc_tree_lock);
""", """
    spin_unlock(&proc_tree_lock);
    to->cred = from->cred;
"""),
        scenarios=("group-kill", "show-races"), build="thread"),
    Defect(
        "claimed-owner-goes-round",
        "The heir of a mutex that has a signal goes round without leaving the CPU to who hands it over.",
        ("liveness",),
        edit("core/sched/mutex.c", "status == WAITER_CLAIMED ? WAIT_UNINTERRUPTED : mode", "mode"),
        scenarios=("futex-owner",), cpus=1),
    Defect(
        "last-user-leaves-open",
        "The last user of a table of descriptors gives it back with what is open in it.",
        ("liveness", "conserved", "sanity", "memory"),
        edit("core/fs/fd.c", """
    fd_close_range(table, 0, UINT32_MAX);
    free_places(table);
""", """
    free_places(table);
"""),
        scenarios=("files-shared",)),
    Defect(
        "stopped-thread-not-ended",
        "A thread of a stopped process that is killed alone, by one that executes a program, goes round for ever.",
        ("liveness",),
        edit("core/proc/signal_deliver.c",
             "(is_last || (load_relaxed(&current_task()->notices) & TASK_NOTICE_KILL) == 0)) {", "true) {"),
        scenarios=("exec-stopped",)),
)
