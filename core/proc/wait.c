/* SPDX-License-Identifier: MIT */
/*
 * wait4(2), waitid(2): a parent hears what became of its children. What is to be heard is in the children, under the
 * tree lock; child_events counts the changes, so that one that comes after the look is not slept through.
 */
#include <proc/process.h>

#include <k/errno.h>
#include <proc/group.h>
#include <sched/sched.h>

#include "proc_priv.h"

#define WAIT_STATUS_STOPPED(sig) (((sig) & 0xff) << 8 | 0x7f)
#define WAIT_STATUS_CONTINUED 0xffff

/* Is the child one that the request is about, whatever its state? */
static bool is_meant(const struct wait_request *request, const struct process *child)
{
    bool is_clone = child->exit_signal != PROCESS_SIGCHLD;

    if (child->is_orphan || (request->which == WAIT_PID && child->pid != request->id) ||
        (request->which == WAIT_GROUP && (child->group == NULL || child->group->id != request->id)))
        return false;
    return (request->options & WALL) != 0 || is_clone == ((request->options & WCLONE) != 0);
}

/* Has it something to report that is asked for? Then *out_status, as wait4(2) has it. */
static bool has_news(const struct wait_request *request, const struct process *child, int *out_status)
{
    if (child->state == PROCESS_ZOMBIE) {
        *out_status = child->wait_status;
        return (request->options & WEXITED) != 0;
    }
    if (child->news == PROCESS_NEWS_STOPPED) {
        *out_status = WAIT_STATUS_STOPPED(child->news_signal);
        return (request->options & WUNTRACED) != 0;
    }
    *out_status = WAIT_STATUS_CONTINUED;
    return child->news == PROCESS_NEWS_CONTINUED && (request->options & WCONTINUED) != 0;
}

static void usage_add(struct process_usage *to, const struct process_usage *from)
{
    to->user_ticks += from->user_ticks;
    to->system_ticks += from->system_ticks;
    to->faults += from->faults;
    to->resident_pages_max = MAX(to->resident_pages_max, from->resident_pages_max);
    to->voluntary += from->voluntary;
    to->involuntary += from->involuntary;
}

/* The report, and what it costs the child. *out_gone: a record that is consumed, whose existence the caller drops. */
static void report_locked(struct process *parent, struct process *child, const struct wait_request *request, int status,
                          struct wait_result *out, struct process **out_gone) REQUIRES(proc_tree_lock)
{
    *out = (struct wait_result){
        .pid = child->pid, .user = child->last_user, .status = status, .usage = child->usage,
    };
    usage_add(&out->usage, &child->children_usage);
    if ((request->options & WNOWAIT) != 0)
        return;
    if (child->state != PROCESS_ZOMBIE) {
        child->news = PROCESS_NEWS_NONE;
        return;
    }
    usage_add(&parent->children_usage, &out->usage);
    process_retire_locked(child);
    *out_gone = child;
}

/* 0: *out is filled in. -ECHILD: there is no such child. -EAGAIN: none of them has anything to report. */
static int look(struct process *parent, const struct wait_request *request, struct wait_result *out,
                struct process **out_gone)
{
    int result = -ECHILD;

    spin_lock(&proc_tree_lock);
    list_for_each(node, &parent->children) {
        struct process *child = list_entry(node, struct process, sibling);
        int status = 0;

        if (!is_meant(request, child))
            continue;
        result = -EAGAIN;
        if (has_news(request, child, &status)) {
            report_locked(parent, child, request, status, out, out_gone);
            result = 0;
            break;
        }
    }
    spin_unlock(&proc_tree_lock);
    return result;
}

/* `mode`: what ends the wait. */
static pid_t wait_for(struct process *parent, const struct wait_request *request, struct wait_result *out,
                      enum wait_mode mode)
{
    struct process *gone = NULL;
    int found = 0;

    for (;;) {
        /* Read before the look, so that a child that ends after the look is an event we do not sleep through. */
        uint64_t seen = load_acquire(&parent->child_events); /* PAIRS(child_event) */

        found = look(parent, request, out, &gone);
        if (found != -EAGAIN)
            break;
        if (request->options & WNOHANG)
            return 0;
        int result = waitq_wait_until(&parent->child_wait, load_relaxed(&parent->child_events) != seen, TIME_NEVER,
                                      mode);

        if (result != 0)
            return result;
    }
    if (gone != NULL)
        process_put(gone);
    return found != 0 ? found : out->pid;
}

pid_t process_wait_for(struct process *parent, const struct wait_request *request, struct wait_result *out)
{
    struct wait_request own = *request;

    if (own.which == WAIT_GROUP && own.id == 0)
        own.id = process_group_id(parent);
    return wait_for(parent, &own, out, WAIT_INTERRUPTIBLE);
}

pid_t process_wait(struct process *parent, pid_t pid, unsigned options, int *out_status)
{
    struct wait_request request = {
        .which = pid == -1 ? WAIT_ANY : WAIT_PID, .id = pid, .options = options | WEXITED | WALL,
    };
    struct wait_result result;

    if ((options & ~(WNOHANG | WUNTRACED | WCONTINUED)) != 0 || (pid <= 0 && pid != -1))
        return -EINVAL;
    pid_t ended = wait_for(parent, &request, &result, WAIT_KILLABLE);

    if (ended > 0 && out_status != NULL)
        *out_status = result.status;
    return ended;
}
