/* SPDX-License-Identifier: MIT */
/* User and group ids, capabilities: credentials(7). As Linux has it they are each thread's own. No state. */
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

/* ---- Capabilities ---- */

#define CAPABILITY_VERSION_1 0x19980330u /* of 32 bits */
#define CAPABILITY_VERSION_2 0x20071026u
#define CAPABILITY_VERSION_3 0x20080522u

/* What both calls are given: whose, and in which words. */
struct capability_header {
    uint32_t version;
    int32_t pid;
};

/* Those of 32 capabilities; the low ones come first. */
struct capability_data {
    uint32_t effective, permitted, inheritable;
};

/* The words that this version has. -EINVAL: none; it is told there which would be known. -EFAULT. */
static int header_in(vaddr_t at, struct capability_header *out, unsigned *out_words)
{
    const uint32_t known = CAPABILITY_VERSION_3;
    int result = user_copy_in(&out->version, at, sizeof out->version);

    if (result != 0)
        return result;
    *out_words = out->version == CAPABILITY_VERSION_1 ? 1 : 2;
    if (*out_words == 1 || out->version == CAPABILITY_VERSION_2 || out->version == CAPABILITY_VERSION_3)
        return user_copy_in(&out->pid, at + offsetof(struct capability_header, pid), sizeof out->pid);
    return user_copy_out(at, &known, sizeof known) != 0 ? -EFAULT : -EINVAL;
}

static void fill_data(const struct cred *cred, struct capability_data data[2])
{
    for (unsigned i = 0; i < 2; i++)
        data[i] = (struct capability_data){
            .effective = (uint32_t)(cred->caps_effective >> 32 * i),
            .permitted = (uint32_t)(cred->caps_permitted >> 32 * i),
            .inheritable = (uint32_t)(cred->caps_inheritable >> 32 * i),
        };
}

SYSCALL(capget)
{
    struct capability_header header;
    struct capability_data data[2];
    unsigned words = 0;
    int result = header_in(args->arg[0], &header, &words);

    if (args->arg[1] == 0 && (result == 0 || result == -EINVAL))
        return 0; /* who asks for the version only */
    if (result != 0)
        return result;
    if (header.pid < 0)
        return -EINVAL;
    if (header.pid == 0 || header.pid == thread_current()->tid) {
        fill_data(own(), data);
    } else {
        struct cred *cred;

        result = thread_cred_get(header.pid, &cred);
        if (result != 0)
            return result;
        fill_data(cred, data);
        cred_put(cred);
    }
    return user_copy_out(args->arg[1], data, words * sizeof data[0]);
}

static int edit_caps(struct cred *cred, const struct cred *old, const struct syscall_args *args)
{
    struct capability_header header;
    struct capability_data data[2] = { 0 };
    unsigned words = 0;
    int result = header_in(args->arg[0], &header, &words);

    if (result != 0)
        return result;
    if (header.pid != 0 && header.pid != thread_current()->tid)
        return -EPERM;
    result = user_copy_in(data, args->arg[1], words * sizeof data[0]);
    if (result != 0)
        return result;
    return cred_set_caps(cred, old, data[0].permitted | (uint64_t)data[1].permitted << 32,
                         data[0].effective | (uint64_t)data[1].effective << 32,
                         data[0].inheritable | (uint64_t)data[1].inheritable << 32);
}

SYSCALL(capset)
{
    return change(args, edit_caps);
}
