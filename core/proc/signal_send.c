/* SPDX-License-Identifier: MIT */
/*
 * Sending: what becomes of a signal before anybody takes it, and who is told of it. Everything is decided under the
 * receiving process's lock, so that a signal is either seen by whoever changes handlers or masks, or sees the change.
 */
#include <fs/cred.h>
#include <k/errno.h>
#include <proc/group.h>
#include <proc/id.h>
#include <proc/signo.h>
#include <sched/sched.h>

#include "proc_priv.h"

/* The credentials of a process's threads; NULL: it has none, or no user. */
static const struct cred *cred_of_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    list_for_each(node, &process->threads) {
        const struct cred *cred = list_entry(node, struct thread, link)->user.cred;

        if (cred != NULL)
            return cred;
    }
    return NULL;
}

/* kill(2). The kernel's own may do all. */
static bool may_send(struct process *to, unsigned number) REQUIRES(proc_tree_lock)
{
    const struct thread *self = thread_current();
    const struct cred *cred = self == NULL ? NULL : self->user.cred, *theirs = cred_of_locked(to);

    if (cred == NULL || theirs == NULL || self->process == to || cred_can(cred, CAP_KILL))
        return true;
    if (number == SIGCONT && to->group != NULL && self->process->group->session == to->group->session)
        return true;
    return cred->user.effective == theirs->user.real || cred->user.effective == theirs->user.saved ||
           cred->user.real == theirs->user.real || cred->user.real == theirs->user.saved;
}

static uint32_t user_of_current(void)
{
    const struct thread *self = thread_current();

    return self == NULL || self->user.cred == NULL ? 0 : self->user.cred->user.real;
}

struct signal_info signal_info_sent(unsigned number, int code)
{
    return (struct signal_info){
        .number = (int32_t)number,
        .code = code,
        .sent = { .pid = (uint32_t)process_current()->pid, .uid = user_of_current() },
    };
}

/* ---- Under the receiver's lock ---- */

static struct thread_signals *thread_at(struct list_node *node)
{
    return list_entry(node, struct thread_signals, link);
}

void signals_end(struct process_signals *signals, int status)
{
    if (!signals->is_ending) {
        signals->is_ending = true;
        signals->end_status = status;
    }
    signals->stop = SIGNAL_RUNNING;
    signals->untold = 0;
    list_for_each(node, &signals->threads)
        (void)task_notify(thread_at(node)->task, TASK_NOTICE_KILL);
}

static void drop_everywhere(struct process_signals *signals, uint64_t set, struct signal_record **chain)
    REQUIRES(signals->lock)
{
    signals_drop(signals, &signals->shared, set, chain);
    list_for_each(node, &signals->threads)
        signals_drop(signals, &thread_at(node)->own, set, chain);
}

/* SIGCONT, whatever becomes of it itself. */
static void go_on(struct process_signals *signals)
{
    signals->has_taken_stop = false;
    if (signals->stop == SIGNAL_RUNNING)
        return;
    signals->untold = signals->stop == SIGNAL_STOPPED ? CLD_CONTINUED : CLD_STOPPED;
    signals->stop = SIGNAL_RUNNING;
    list_for_each(node, &signals->threads)
        (void)task_wake(thread_at(node)->task);
    if (signals->thread_count > 0) /* one of them has to tell the parent */
        (void)task_notify(thread_at(signals->threads.next)->task, TASK_NOTICE_SIGNAL);
}

/* Is it discarded at once? `judge`: the thread whose mask decides, or NULL. */
static bool is_discarded(const struct process_signals *signals, const struct thread_signals *judge,
                         const struct signal_action *action, unsigned number)
{
    if (judge == NULL || (judge->mask & signal_bit(number)) != 0)
        return false;
    return signal_is_ignored(action, number) || (signals->is_protected && action->handler == SIG_DFL);
}

/* A thread that would take it: the oldest that has nothing to do for a signal yet, else the oldest. */
static struct thread_signals *choose(struct process_signals *signals, struct thread_signals *only, unsigned number)
{
    struct thread_signals *second = NULL;

    if (only != NULL)
        return (thread_wanted_signals(only) & signal_bit(number)) != 0 ? only : NULL;
    list_for_each(node, &signals->threads) {
        struct thread_signals *thread = thread_at(node);

        if ((thread_wanted_signals(thread) & signal_bit(number)) == 0)
            continue;
        if ((load_relaxed(&thread->task->notices) & TASK_NOTICE_SIGNAL) == 0)
            return thread;
        if (second == NULL)
            second = thread;
    }
    return second;
}

/* It ends the process for sure: then all threads hear of it, not only one that may be busy for long. What is logged
 * waits for the thread that takes it. */
static bool is_fatal(const struct process_signals *signals, const struct thread_signals *target,
                     const struct signal_action *action, unsigned number)
{
    const uint64_t others = SIGNALS_IGNORED | SIGNALS_STOPPING | SIGNALS_DUMPING;

    return action->handler == SIG_DFL && (others & signal_bit(number)) == 0 && !signals->is_protected &&
           (target->mask & signal_bit(number)) == 0;
}

/* `record`: for a real-time signal, or a timer's, or NULL. What is left over goes to *chain. */
static int send_locked(struct process_signals *signals, struct thread_signals *only, const struct signal_info *info,
                       struct signal_record *record, struct signal_record **chain, bool *out_is_pending)
    REQUIRES(signals->lock)
{
    unsigned number = (unsigned)info->number;
    struct thread_signals *judge = only;

    *out_is_pending = false;
    if (signals->handlers == NULL || signals->is_ending)
        return 0;
    if (judge == NULL && !list_is_empty(&signals->threads))
        judge = thread_at(signals->threads.next);
    struct signal_action action = signals_action(signals, number);

    if (signals->is_protected && (SIGNALS_UNBLOCKABLE & signal_bit(number)) != 0)
        return 0;
    if (number == SIGCONT) {
        drop_everywhere(signals, SIGNALS_STOPPING, chain);
        go_on(signals);
    } else if ((SIGNALS_STOPPING & signal_bit(number)) != 0) {
        drop_everywhere(signals, signal_bit(SIGCONT), chain);
    } else if (number == SIGKILL) {
        signals_end(signals, WAIT_STATUS_SIGNALED(SIGKILL));
        return 0;
    }
    if (is_discarded(signals, judge, &action, number))
        return 0;
    bool is_timers = record != NULL && record->is_timers; /* counted already */

    if (number >= SIGNAL_REALTIME && !is_timers && (record == NULL || signals->queued_count >= signals->queued_max)) {
        if (info->code < 0)
            return -EAGAIN;
        record = NULL; /* kill(2) does not fail for that */
    }
    if (signal_pending_add(only != NULL ? &only->own : &signals->shared, info, record) && !is_timers)
        signals->queued_count++;
    *out_is_pending = true;
    struct thread_signals *target = choose(signals, only, number);

    if (target == NULL)
        return 0;
    if (is_fatal(signals, target, &action, number))
        signals_end(signals, WAIT_STATUS_SIGNALED((int)number));
    else
        (void)task_notify(target->task, TASK_NOTICE_SIGNAL);
    return 0;
}

/* ---- Senders ---- */

/* `only`: NULL, or a thread of the process. */
static int send(struct process *process, struct thread_signals *only, const struct signal_info *info)
{
    struct process_signals *signals = &process->signals;
    struct signal_record *record = info->number >= SIGNAL_REALTIME ? signal_record_alloc() : NULL;
    struct signal_record *chain = NULL;
    int result = -ESRCH;
    bool is_used = false, is_pending = false;
    uintptr_t state = signals_lock(signals);
    unsigned before = signals->queued_count;

    if (only == NULL || only->task != NULL)
        result = send_locked(signals, only, info, record, &chain, &is_pending);
    is_used = record != NULL && signals->queued_count > before;
    signals_unlock(signals, state);
    signal_records_free(chain);
    if (record != NULL && !is_used) {
        record->next = NULL;
        signal_records_free(record);
    }
    return result;
}

int signal_send_process(struct process *process, const struct signal_info *info)
{
    return send(process, NULL, info);
}

int signal_send_thread(struct thread *thread, const struct signal_info *info)
{
    return send(thread->process, &thread->signals, info);
}

void signal_send_self(unsigned number)
{
    const struct signal_info info = signal_info_sent(number, SI_USER);

    (void)signal_send_thread(thread_current(), &info);
}

void signal_send_standard(struct process *process, const struct signal_info *info)
{
    struct process_signals *signals = &process->signals;
    struct signal_record *none = NULL;
    bool is_pending;

    ASSERT(info->number < SIGNAL_REALTIME && info->number != SIGCONT &&
           (SIGNALS_STOPPING & signal_bit((unsigned)info->number)) == 0);
    uintptr_t state = signals_lock(signals);

    (void)send_locked(signals, NULL, info, NULL, &none, &is_pending);
    signals_unlock(signals, state);
    ASSERT(none == NULL); /* only those that were asserted away drop others */
}

bool signals_send_record(struct process_signals *signals, struct thread_signals *only, struct signal_record *record)
{
    const struct signal_info info = record->info;
    struct signal_record *none = NULL;
    bool is_pending;

    (void)send_locked(signals, only, &info, record, &none, &is_pending);
    ASSERT(none == NULL); /* what this drops are standard signals, and records of theirs are timers' */
    return is_pending;
}

void signal_force(const struct signal_info *info)
{
    struct thread *thread = thread_current();
    struct process_signals *signals = &thread->process->signals;
    struct thread_signals *self = &thread->signals;
    unsigned number = (unsigned)info->number;
    uintptr_t state = signals_lock(signals);
    struct signal_action action = signals_action(signals, number);

    if ((self->mask & signal_bit(number)) != 0 || action.handler == SIG_IGN) {
        action.handler = SIG_DFL;
        signals_set_action(signals, number, &action);
        self->mask &= ~signal_bit(number);
    }
    if (action.handler == SIG_DFL)
        signals->is_protected = false; /* init, too, cannot go on here */
    self->own.placed &= ~signal_bit(number); /* what is there already knows less */
    (void)signal_pending_add(&self->own, info, NULL);
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
}

/* ---- Processes ---- */

void process_end(struct process *process, int status)
{
    struct process_signals *signals = &process->signals;
    uintptr_t state = signals_lock(signals);

    signals_end(signals, status);
    signals_unlock(signals, state);
}

int process_end_status(struct process *process, int status)
{
    struct process_signals *signals = &process->signals;
    uintptr_t state = signals_lock(signals);

    if (signals->is_ending)
        status = signals->end_status;
    signals_unlock(signals, state);
    return status;
}

/* The parent's action for its children's signal; false: it cannot have one. */
static bool parent_action(struct process *parent, int number, struct signal_action *out)
{
    struct process_signals *signals = &parent->signals;
    uintptr_t state = signals_lock(signals);
    bool has_handlers = signals->handlers != NULL;

    if (has_handlers)
        *out = signals_action(signals, (unsigned)number);
    signals_unlock(signals, state);
    return has_handlers;
}

static struct signal_info child_info(const struct process *child, int number, int code, int status)
{
    return (struct signal_info){
        .number = number,
        .code = code,
        .child = { .pid = (uint32_t)child->pid, .uid = user_of_current(), .status = status },
    };
}

static int send_exit_signal(struct process *parent, const struct signal_info *info)
{
    /* A clone may have asked for any number, a real-time one, too; that needs memory, and may be lost as in Linux. */
    return send(parent, NULL, info);
}

bool signal_child_ended_locked(struct process *child)
{
    struct signal_action action;
    int number = child->exit_signal;
    int ended_by = child->wait_status & 0x7f;

    if (number == 0 || !parent_action(child->parent, number, &action))
        return false;
    bool is_unwanted = number == SIGCHLD && (action.handler == SIG_IGN || (action.flags & SA_NOCLDWAIT) != 0);

    if (number == SIGCHLD && action.handler == SIG_IGN)
        return true;
    struct signal_info info = child_info(child, number, ended_by != 0 ? CLD_KILLED : CLD_EXITED,
                                         ended_by != 0 ? ended_by : child->wait_status >> 8 & 0xff);

    info.child.uid = child->last_user; /* the running thread may have none any more, or be another's */
    (void)send_exit_signal(child->parent, &info);
    return is_unwanted;
}

void signal_tell_parent_locked(struct process *child, int code, int status)
{
    struct process *parent = child->parent;
    struct signal_action action;

    if (parent == NULL || child->state != PROCESS_ALIVE)
        return;
    child->news = code == CLD_STOPPED ? PROCESS_NEWS_STOPPED : PROCESS_NEWS_CONTINUED;
    child->news_signal = status;
    process_tell_parent_locked(child);
    if (child->is_orphan || !parent_action(parent, SIGCHLD, &action))
        return;
    if (action.handler == SIG_IGN || (action.flags & SA_NOCLDSTOP) != 0)
        return;
    struct signal_info info = child_info(child, SIGCHLD, code, status);

    signal_send_standard(parent, &info);
}

/* ---- kill(2) and its like ---- */

static int check_number(int number)
{
    return number < 0 || number > SIGNAL_MAX ? -EINVAL : 0;
}

static int check_rights(struct process *to, unsigned number)
{
    spin_lock(&proc_tree_lock);
    bool may = may_send(to, number);

    spin_unlock(&proc_tree_lock);
    return may ? 0 : -EPERM;
}

/* A reference to the process is given. */
static int send_checked(struct process *to, const struct signal_info *info)
{
    int result = check_rights(to, (unsigned)info->number);

    if (result == 0 && info->number != 0)
        result = send(to, NULL, info);
    return result;
}

/* The process after this one in the tree, in an order in which parents come first; the kernel's own ends it. */
struct process *process_next_locked(struct process *process)
{
    if (!list_is_empty(&process->children))
        return list_entry(process->children.next, struct process, sibling);
    while (process != &process_kernel) {
        struct process *parent = process->parent;

        if (process->sibling.next != &parent->children)
            return list_entry(process->sibling.next, struct process, sibling);
        process = parent;
    }
    return NULL;
}

/* To one of several, all in one section: who is being forked joins them before or after it. Its maker finds either its
 * notice or the count changed, and forks anew, so that nobody slips through. */
static int send_shared(struct process *to, const struct signal_info *info) REQUIRES(proc_tree_lock)
{
    int result = send(to, NULL, info);

    (void)fetch_add_acq_rel(&to->shared_sends, 1); /* PAIRS(shared_send): behind the notice */
    return result;
}

/* To all but init and the sender's own. */
static int send_to_all(const struct signal_info *info)
{
    const struct process *self = process_current();
    unsigned count = 0;
    int result = -ESRCH;

    spin_lock(&proc_tree_lock);
    for (struct process *to = process_next_locked(&process_kernel); to != NULL; to = process_next_locked(to)) {
        if (to->pid <= 1 || to == self || to->state != PROCESS_ALIVE)
            continue;
        count++;
        int one = -EPERM;

        if (may_send(to, (unsigned)info->number))
            one = info->number == 0 ? 0 : send_shared(to, info);
        if (one != -EPERM)
            result = one;
    }
    spin_unlock(&proc_tree_lock);
    return count == 0 ? -ESRCH : result == -ESRCH ? -EPERM : result;
}

void signal_members_locked(const struct process_group *group, int number)
{
    const struct signal_info info = { .number = number, .code = SI_KERNEL };

    list_for_each(node, &group->members)
        (void)send_shared(list_entry(node, struct process, group_link), &info);
}

bool signal_has_stopped_locked(const struct process_group *group)
{
    bool has = false;

    list_for_each(node, &group->members) {
        struct process_signals *signals = &list_entry(node, struct process, group_link)->signals;
        uintptr_t state = signals_lock(signals);

        has |= signals->stop != SIGNAL_RUNNING;
        signals_unlock(signals, state);
    }
    return has;
}

/* -EPERM only if nobody got it. */
static int send_to_group(pid_t pgid, const struct signal_info *info, bool is_kernels)
{
    int result = -ESRCH;

    spin_lock(&proc_tree_lock);
    const struct process_group *group = id_group_locked(pgid);

    if (group != NULL) {
        list_for_each(node, &group->members) {
            struct process *to = list_entry(node, struct process, group_link);
            int one = -EPERM;

            if (is_kernels || may_send(to, (unsigned)info->number))
                one = info->number == 0 ? 0 : send_shared(to, info);
            if (result != 0)
                result = one;
        }
    }
    spin_unlock(&proc_tree_lock);
    return result;
}

void signal_send_group(pid_t group, const struct signal_info *info)
{
    (void)send_to_group(group, info, true);
}

int signal_kill(pid_t pid, unsigned number)
{
    struct signal_info info = signal_info_sent(number, SI_USER);
    int result = check_number((int)number);

    if (result != 0)
        return result;
    if (pid == -1)
        return send_to_all(&info);
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid <= 0)
        return send_to_group(pid == 0 ? process_group_id(process_current()) : -pid, &info, false);
    return signal_queue(pid, &info);
}

/* To the process of which that is a thread. */
static int queue_to_process_of(tid_t tid, const struct signal_info *info)
{
    struct task *task = task_lookup(tid);

    if (task == NULL)
        return -ESRCH;
    struct thread *thread = thread_get_of_task(task);
    int result = -ESRCH;

    if (thread != NULL) {
        result = send_checked(thread->process, info);
        thread_put(thread);
    }
    task_put(task);
    return result;
}

int signal_queue(pid_t pid, const struct signal_info *info)
{
    int result = check_number(info->number);

    if (result != 0)
        return result;
    if (pid <= 0)
        return -ESRCH;
    struct process *to = process_lookup(pid);

    if (to == NULL)
        return queue_to_process_of(pid, info);
    result = send_checked(to, info);
    process_put(to);
    return result;
}

int signal_tgkill(pid_t tgid, tid_t tid, const struct signal_info *info)
{
    int result = check_number(info->number);

    if (result != 0 || tid <= 0 || tgid == 0 || tgid < -1)
        return -EINVAL;
    struct task *task = task_lookup(tid);

    if (task == NULL)
        return -ESRCH;
    struct thread *thread = thread_get_of_task(task);

    result = -ESRCH;
    if (thread != NULL) {
        if (tgid == -1 || thread->process->pid == tgid)
            result = check_rights(thread->process, (unsigned)info->number);
        if (result == 0 && info->number != 0)
            result = signal_send_thread(thread, info);
        thread_put(thread);
    }
    task_put(task);
    return result;
}
