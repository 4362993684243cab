/* SPDX-License-Identifier: MIT */
/* Process groups and sessions. All under the tree lock; what is needed is allocated before it is taken. */
#include <proc/group.h>

#include <k/errno.h>
#include <proc/id.h>
#include <proc/signo.h>

#include "proc_priv.h"

static struct slab_cache groups, sessions;

void group_cache_init(void)
{
    slab_cache_init(&groups, "process group", sizeof(struct process_group), alignof(struct process_group));
    slab_cache_init(&sessions, "session", sizeof(struct process_session), alignof(struct process_session));
}

void group_join_locked(struct process *process, struct process_group *group)
{
    process->group = group;
    list_push_back(&group->members, &process->group_link);
}

void group_leave_locked(struct process *process)
{
    struct process_group *group = process->group;
    struct process_session *session = group->session;

    process->group = NULL;
    list_remove(&process->group_link);
    if (!list_is_empty(&group->members))
        return;
    id_publish_group(group->id, NULL);
    id_release(group->id);
    slab_free(&groups, group);
    if (--session->groups == 0) {
        id_release(session->id);
        slab_free(&sessions, session);
    }
}

/* Into a new group, named after the process. */
static void found_group_locked(struct process *process, struct process_group *group, struct process_session *session)
    REQUIRES(proc_tree_lock)
{
    *group = (struct process_group){ .id = process->pid, .session = session };
    list_init(&group->members);
    id_hold(group->id);
    session->groups++;
    id_publish_group(group->id, group);
    if (process->group != NULL)
        group_leave_locked(process);
    group_join_locked(process, group);
}

static int new_session(struct process *process)
{
    struct process_group *group = slab_alloc(&groups);
    struct process_session *session = slab_alloc(&sessions);
    int result = -ENOMEM;

    if (group != NULL && session != NULL) {
        result = -EPERM;
        spin_lock(&proc_tree_lock);
        if (id_group_locked(process->pid) == NULL) {
            *session = (struct process_session){ .id = process->pid };
            id_hold(session->id);
            found_group_locked(process, group, session);
            result = 0;
        }
        spin_unlock(&proc_tree_lock);
    }
    if (result != 0) {
        if (group != NULL)
            slab_free(&groups, group);
        if (session != NULL)
            slab_free(&sessions, session);
    }
    return result;
}

int process_group_begin(struct process *process)
{
    return new_session(process);
}

pid_t process_new_session(struct process *caller)
{
    int result = new_session(caller);

    return result != 0 ? result : caller->pid;
}

/* Nobody is left who could continue it: no parent of a member is in another group of the same session. A zombie is no
 * member here: nothing of it could stop. */
bool group_is_orphaned_locked(const struct process_group *group)
{
    list_for_each(node, &group->members) {
        const struct process *member = list_entry(node, struct process, group_link);
        const struct process *parent = member->state == PROCESS_ALIVE ? member->parent : NULL;
        const struct process_group *above = parent == NULL ? NULL : parent->group;

        if (above != NULL && above != group && above->session == group->session)
            return false;
    }
    return true;
}

void group_parent_gone_locked(const struct process_group *group, const struct process *parent)
{
    const struct process_group *above = parent->group;

    /* POSIX: the group becomes an orphaned one now. One that had been, hears of nothing. */
    if (above == NULL || above == group || above->session != group->session || !group_is_orphaned_locked(group))
        return;
    if (signal_has_stopped_locked(group)) {
        signal_members_locked(group, SIGHUP);
        signal_members_locked(group, SIGCONT);
    }
}

/* The caller itself, or a child of its that has not executed. */
static int find_target_locked(struct process *caller, pid_t pid, struct process **out) REQUIRES(proc_tree_lock)
{
    *out = caller;
    if (pid == 0 || pid == caller->pid)
        return 0;
    list_for_each(node, &caller->children) {
        struct process *child = list_entry(node, struct process, sibling);

        if (child->pid != pid || child->group == NULL)
            continue;
        *out = child;
        if (child->group->session != caller->group->session)
            return -EPERM;
        return child->has_executed ? -EACCES : 0;
    }
    return -ESRCH;
}

/* *spare is a group that may be used, and is NULL then. */
static int set_group_locked(struct process *caller, pid_t pid, pid_t pgid, struct process_group **spare)
    REQUIRES(proc_tree_lock)
{
    struct process *target;
    int result = find_target_locked(caller, pid, &target);

    if (result != 0)
        return result;
    struct process_session *session = caller->group->session;
    struct process_group *group = id_group_locked(pgid == 0 ? target->pid : pgid);

    if (session->id == target->pid)
        return -EPERM; /* the leader of a session stays where it is */
    if (group == NULL && pgid != 0 && pgid != target->pid)
        return -EPERM;
    if (group != NULL && group->session != session)
        return -EPERM;
    if (group == target->group)
        return 0;
    if (group == NULL) {
        found_group_locked(target, *spare, session);
        *spare = NULL;
        return 0;
    }
    group_leave_locked(target);
    group_join_locked(target, group);
    return 0;
}

int process_set_group(struct process *caller, pid_t pid, pid_t pgid)
{
    if (pgid < 0 || pid < 0)
        return pgid < 0 ? -EINVAL : -ESRCH;
    struct process_group *spare = slab_alloc(&groups);

    if (spare == NULL)
        return -ENOMEM;
    spin_lock(&proc_tree_lock);
    int result = set_group_locked(caller, pid, pgid, &spare);

    spin_unlock(&proc_tree_lock);
    if (spare != NULL)
        slab_free(&groups, spare);
    return result;
}

pid_t process_group_id(struct process *process)
{
    spin_lock(&proc_tree_lock);
    pid_t id = process->group != NULL ? process->group->id : 0;

    spin_unlock(&proc_tree_lock);
    return id;
}

pid_t process_session_id(struct process *process)
{
    spin_lock(&proc_tree_lock);
    pid_t id = process->group != NULL ? process->group->session->id : 0;

    spin_unlock(&proc_tree_lock);
    return id;
}
