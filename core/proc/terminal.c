/* SPDX-License-Identifier: MIT */
/* The terminal's questions about processes. All under the tree lock; nothing is kept. */
#include <proc/terminal.h>

#include <fs/tty.h>
#include <k/errno.h>
#include <proc/group.h>
#include <proc/id.h>
#include <proc/signo.h>

#include "proc_priv.h"

static pid_t own_session(void)
{
    return process_session_id(process_current());
}

static pid_t own_group(void)
{
    return process_group_id(process_current());
}

static bool is_leader(void)
{
    const struct process *self = process_current();

    return self->has_user && own_session() == self->pid;
}

static bool is_in_session(pid_t id, pid_t session)
{
    spin_lock(&proc_tree_lock);
    const struct process_group *group = id_group_locked(id);
    bool result = group != NULL && group->session->id == session;

    spin_unlock(&proc_tree_lock);
    return result;
}

static void signal_group(pid_t group, int number)
{
    const struct signal_info info = { .number = number, .code = SI_KERNEL };

    signal_send_group(group, &info);
}

static int can_stop(int number)
{
    struct process *self = process_current();
    struct thread *thread = thread_current();
    struct process_signals *signals = &self->signals;

    if (thread == NULL || !self->has_user)
        return 0;
    spin_lock(&proc_tree_lock);
    int result = self->group == NULL || group_is_orphaned_locked(self->group) ? -EIO : 1;
    uintptr_t state = signals_lock(signals);
    struct signal_action action = signals_action(signals, (unsigned)number);

    if (action.handler == SIG_IGN || (thread->signals.mask & signal_bit((unsigned)number)) != 0)
        result = 0;
    signals_unlock(signals, state);
    spin_unlock(&proc_tree_lock);
    return result;
}

void terminal_hooks_init(void)
{
    static const struct tty_hooks hooks = {
        .session = own_session,
        .group = own_group,
        .is_leader = is_leader,
        .is_in_session = is_in_session,
        .signal = signal_group,
        .can_stop = can_stop,
    };

    tty_set_hooks(&hooks);
}
