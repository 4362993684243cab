/* SPDX-License-Identifier: MIT */
/* User and group ids: credentials(7). As Linux's kernel has it they are each thread's own. No state. */
#include <syscall/table.h>

#include <fs/cred.h>
#include <k/errno.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/process.h>

static const struct cred *own(void)
{
    return thread_current()->user.cred;
}

SYSCALL(getuid)
{
    (void)args;
    return own()->user.real;
}

SYSCALL(geteuid)
{
    (void)args;
    return own()->user.effective;
}

SYSCALL(getgid)
{
    (void)args;
    return own()->group.real;
}

SYSCALL(getegid)
{
    (void)args;
    return own()->group.effective;
}

static int64_t tell_three(const struct syscall_args *args, const struct cred_ids *ids)
{
    const uint32_t value[3] = { ids->real, ids->effective, ids->saved };

    for (unsigned i = 0; i < 3; i++)
        if (user_copy_out(args->arg[i], &value[i], sizeof value[i]) != 0)
            return -EFAULT;
    return 0;
}

SYSCALL(getresuid)
{
    return tell_three(args, &own()->user);
}

SYSCALL(getresgid)
{
    return tell_three(args, &own()->group);
}

/* ---- Changes: a copy, changed, takes the old one's place. ---- */

typedef int cred_change(struct cred *cred, const struct cred *old, const struct syscall_args *args);

static int64_t change(const struct syscall_args *args, cred_change *edit)
{
    const struct cred *old = own();
    struct cred *cred;
    int result = cred_copy(old, &cred);

    if (result != 0)
        return result;
    result = edit(cred, old, args);
    if (result == 0)
        result = thread_set_cred(cred);
    if (result != 0)
        cred_put(cred);
    return result;
}

static int edit_uid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    return cred_set_user(cred, old, (uint32_t)args->arg[0]);
}

static int edit_gid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    return cred_set_group(cred, old, (uint32_t)args->arg[0]);
}

static int edit_reuid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    return cred_set_users(cred, old, (uint32_t)args->arg[0], (uint32_t)args->arg[1]);
}

static int edit_regid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    return cred_set_groups_re(cred, old, (uint32_t)args->arg[0], (uint32_t)args->arg[1]);
}

static int edit_resuid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    return cred_set_all_users(cred, old, (uint32_t)args->arg[0], (uint32_t)args->arg[1], (uint32_t)args->arg[2]);
}

static int edit_resgid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    return cred_set_all_groups(cred, old, (uint32_t)args->arg[0], (uint32_t)args->arg[1], (uint32_t)args->arg[2]);
}

static int edit_fsuid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    (void)old;
    cred_set_fs_user(cred, (uint32_t)args->arg[0]);
    return 0;
}

static int edit_fsgid(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    (void)old;
    cred_set_fs_group(cred, (uint32_t)args->arg[0]);
    return 0;
}

SYSCALL(setuid)
{
    return change(args, edit_uid);
}

SYSCALL(setgid)
{
    return change(args, edit_gid);
}

SYSCALL(setreuid)
{
    return change(args, edit_reuid);
}

SYSCALL(setregid)
{
    return change(args, edit_regid);
}

SYSCALL(setresuid)
{
    return change(args, edit_resuid);
}

SYSCALL(setresgid)
{
    return change(args, edit_resgid);
}

/* setfsuid(2): the old one, whatever happens. */
SYSCALL(setfsuid)
{
    uint32_t old = own()->user.fs;

    (void)change(args, edit_fsuid);
    return old;
}

SYSCALL(setfsgid)
{
    uint32_t old = own()->group.fs;

    (void)change(args, edit_fsgid);
    return old;
}

/* ---- Supplementary groups ---- */

SYSCALL(getgroups)
{
    const struct cred *cred = own();
    int room = (int)args->arg[0];

    if (room < 0)
        return -EINVAL;
    if (room != 0 && (uint32_t)room < cred->group_count)
        return -EINVAL;
    if (room != 0 && cred->group_count != 0 &&
        user_copy_out(args->arg[1], cred->groups, cred->group_count * sizeof cred->groups[0]) != 0)
        return -EFAULT;
    return cred->group_count;
}

static int edit_groups(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    uint32_t count = (uint32_t)args->arg[0];

    if (!cred_can(old, CAP_SETGID))
        return -EPERM;
    if (count > CRED_GROUPS_MAX)
        return -EINVAL;
    uint32_t *groups = kmalloc_array(count, sizeof *groups);

    if (groups == NULL)
        return -ENOMEM;
    int result = user_copy_in(groups, args->arg[1], count * sizeof *groups);

    if (result == 0)
        result = cred_set_groups(cred, groups, count);
    kfree(groups);
    return result;
}

SYSCALL(setgroups)
{
    return change(args, edit_groups);
}
