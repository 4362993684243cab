/* SPDX-License-Identifier: MIT */
/* Who a process is: its number, its parent, group and session. No state. */
#include <syscall/table.h>

#include <k/errno.h>
#include <proc/group.h>
#include <proc/id.h>
#include <proc/process.h>
#include <sched/task.h>

SYSCALL(getpid)
{
    (void)args;
    return current_task()->pid;
}

SYSCALL(gettid)
{
    (void)args;
    return current_task()->tid;
}

SYSCALL(getppid)
{
    (void)args;
    return process_parent_pid(process_current());
}

SYSCALL(set_tid_address)
{
    thread_current()->user.clear_tid = args->arg[0];
    return current_task()->tid;
}

static int64_t of_process(pid_t pid, pid_t (*get)(struct process *process))
{
    if (pid == 0)
        return get(process_current());
    struct process *process = process_lookup(pid);
    int64_t result = process == NULL ? -ESRCH : get(process);

    if (process != NULL)
        process_put(process);
    return result;
}

SYSCALL(getpgid)
{
    return of_process((pid_t)args->arg[0], process_group_id);
}

SYSCALL(getpgrp)
{
    (void)args;
    return process_group_id(process_current());
}

SYSCALL(getsid)
{
    return of_process((pid_t)args->arg[0], process_session_id);
}

SYSCALL(setpgid)
{
    return process_set_group(process_current(), (pid_t)args->arg[0], (pid_t)args->arg[1]);
}

SYSCALL(setsid)
{
    (void)args;
    return process_new_session(process_current());
}
