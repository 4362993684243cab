/* SPDX-License-Identifier: MIT */
/* How many tasks each user has (RLIMIT_NPROC). Owns the table, under the tree lock. */
#include <fs/cred.h>
#include <k/errno.h>
#include <mm/kmalloc.h>
#include <proc/limits.h>

#include "proc_priv.h"

static struct rb_tree counts; /* by user; guarded by the tree lock */

static bool is_less(const struct rb_node *a, const struct rb_node *b)
{
    return container_of(a, const struct user_count, node)->user < container_of(b, const struct user_count, node)->user;
}

static struct user_count *find_locked(uint32_t user) REQUIRES(proc_tree_lock)
{
    for (struct rb_node *node = counts.root; node != NULL;) {
        struct user_count *count = container_of(node, struct user_count, node);

        if (count->user == user)
            return count;
        node = user < count->user ? node->left : node->right;
    }
    return NULL;
}

/* `fresh`: what a user gets that has none yet; or NULL, and then *out is NULL for such a one. */
static int join_locked(uint32_t user, uint64_t max, struct user_count **fresh, struct user_count **out)
    REQUIRES(proc_tree_lock)
{
    struct user_count *count = find_locked(user);

    *out = NULL;
    if ((count != NULL ? count->tasks : 0) >= max)
        return -EAGAIN;
    if (count == NULL) {
        count = *fresh;
        *fresh = NULL;
        if (count == NULL)
            return 0;
        *count = (struct user_count){ .user = user };
        rb_insert(&counts, &count->node, is_less, NULL);
    }
    count->tasks++;
    *out = count;
    return 0;
}

int user_count_join(uint32_t user, uint64_t max, struct user_count **out)
{
    struct user_count *fresh = NULL;

    spin_lock(&proc_tree_lock);
    int result = join_locked(user, max, &fresh, out);

    spin_unlock(&proc_tree_lock);
    if (result != 0 || *out != NULL)
        return result;
    fresh = kmalloc(sizeof *fresh);
    if (fresh == NULL)
        return -ENOMEM;
    spin_lock(&proc_tree_lock);
    result = join_locked(user, max, &fresh, out);
    spin_unlock(&proc_tree_lock);
    kfree(fresh); /* somebody was faster */
    return result;
}

void user_count_leave_locked(struct user_count **count)
{
    struct user_count *left = *count;

    *count = NULL;
    if (left == NULL || --left->tasks != 0)
        return;
    rb_remove(&counts, &left->node, NULL);
    kfree(left);
}

void user_count_leave(struct user_count **count)
{
    spin_lock(&proc_tree_lock);
    user_count_leave_locked(count);
    spin_unlock(&proc_tree_lock);
}

struct user_count **user_count_of_locked(struct thread *thread)
{
    return thread->tid == thread->process->pid ? &thread->process->counted : &thread->user.counted;
}

uint64_t user_count_limit(const struct thread *thread)
{
    const struct cred *cred = thread->user.cred;

    if (cred->user.real == 0 || cred_can(cred, CAP_SYS_RESOURCE) || cred_can(cred, CAP_SYS_ADMIN))
        return LIMIT_NONE;
    return process_limit_get(thread->process, LIMIT_NPROC);
}
