/* SPDX-License-Identifier: MIT */
/*
 * Credentials: the rules by which ids and capabilities change. Knows no task: who changes whose credentials, and when
 * others see them, is the caller's matter. No lock: what is shared does not change.
 */
#include <fs/cred.h>

#include <k/assert.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/slab.h>

/* Those that a change of the fs user id gives and takes: capabilities(7). */
#define CAP_DAC_READ_SEARCH 2u
#define CAP_LINUX_IMMUTABLE 9u
#define CAP_MAC_OVERRIDE 32u
#define CAPS_FS                                                                                                 \
    (UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH |          \
     UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_LINUX_IMMUTABLE |               \
     UINT64_C(1) << CAP_MKNOD | UINT64_C(1) << CAP_MAC_OVERRIDE)

static struct slab_cache cred_cache;

struct cred cred_root = {
    .refs = 1,
    .caps_permitted = CAPS_ALL,
    .caps_effective = CAPS_ALL,
};

void cred_init(void)
{
    slab_cache_init(&cred_cache, "cred", sizeof(struct cred), _Alignof(struct cred));
}

void cred_get(struct cred *cred)
{
    uint32_t before = fetch_add_relaxed(&cred->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}

void cred_put(struct cred *cred)
{
    /* PAIRS(cred_ref): the last one frees after all others have read. */
    uint32_t before = fetch_sub_acq_rel(&cred->refs, 1); /* PAIRS(cred_ref) */

    ASSERT(before > 0);
    if (before > 1)
        return;
    ASSERT(cred != &cred_root);
    kfree(cred->groups);
    slab_free(&cred_cache, cred);
}

int cred_copy(const struct cred *from, struct cred **out)
{
    struct cred *cred = slab_alloc(&cred_cache);

    if (cred == NULL)
        return -ENOMEM;
    cred->user = from->user;
    cred->group = from->group;
    cred->caps_permitted = from->caps_permitted;
    cred->caps_effective = from->caps_effective;
    cred->caps_inheritable = from->caps_inheritable;
    cred->group_count = 0;
    cred->groups = NULL;
    store_relaxed(&cred->refs, 1);
    if (cred_set_groups(cred, from->groups, from->group_count) != 0) {
        slab_free(&cred_cache, cred);
        return -ENOMEM;
    }
    *out = cred;
    return 0;
}

/* ---- Ids ---- */

static bool is_one_of(uint32_t id, const struct cred_ids *old, bool with_saved)
{
    return id == ID_KEEP || id == old->real || id == old->effective || (with_saved && id == old->saved);
}

/* setuid(2) and setgid(2). */
static int set_one(struct cred_ids *ids, const struct cred_ids *old, bool may, uint32_t id)
{
    if (id == ID_KEEP)
        return -EINVAL;
    if (!may && id != old->real && id != old->saved)
        return -EPERM;
    if (may)
        ids->real = ids->saved = id;
    ids->effective = ids->fs = id;
    return 0;
}

/* setreuid(2) and setregid(2): the saved id follows unless only the effective one goes back to the real one. */
static int set_two(struct cred_ids *ids, const struct cred_ids *old, bool may, uint32_t real, uint32_t effective)
{
    if (!may && (!is_one_of(real, old, false) || !is_one_of(effective, old, true)))
        return -EPERM;
    if (real != ID_KEEP)
        ids->real = real;
    if (effective != ID_KEEP)
        ids->effective = effective;
    if (real != ID_KEEP || (effective != ID_KEEP && effective != old->real))
        ids->saved = ids->effective;
    ids->fs = ids->effective;
    return 0;
}

/* setresuid(2) and setresgid(2). */
static int set_three(struct cred_ids *ids, const struct cred_ids *old, bool may, const uint32_t wanted[3])
{
    for (unsigned i = 0; i < 3 && !may; i++)
        if (!is_one_of(wanted[i], old, true))
            return -EPERM;
    if (wanted[0] != ID_KEEP)
        ids->real = wanted[0];
    if (wanted[1] != ID_KEEP)
        ids->effective = wanted[1];
    if (wanted[2] != ID_KEEP)
        ids->saved = wanted[2];
    ids->fs = ids->effective;
    return 0;
}

static bool has_root(const struct cred_ids *ids)
{
    return ids->real == 0 || ids->effective == 0 || ids->saved == 0;
}

static void follow_fs_user(struct cred *cred, uint32_t old)
{
    if (old == 0 && cred->user.fs != 0)
        cred->caps_effective &= ~CAPS_FS;
    else if (old != 0 && cred->user.fs == 0)
        cred->caps_effective |= cred->caps_permitted & CAPS_FS;
}

/* capabilities(7): what a change of user ids does to them. */
static int follow_users(struct cred *cred, const struct cred_ids *old, int error)
{
    if (error != 0)
        return error;
    if (has_root(old) && !has_root(&cred->user))
        cred->caps_permitted = cred->caps_effective = 0;
    if (old->effective == 0 && cred->user.effective != 0)
        cred->caps_effective = 0;
    else if (old->effective != 0 && cred->user.effective == 0)
        cred->caps_effective = cred->caps_permitted;
    return 0;
}

int cred_set_user(struct cred *cred, const struct cred *old, uint32_t id)
{
    return follow_users(cred, &old->user, set_one(&cred->user, &old->user, cred_can(old, CAP_SETUID), id));
}

int cred_set_group(struct cred *cred, const struct cred *old, uint32_t id)
{
    return set_one(&cred->group, &old->group, cred_can(old, CAP_SETGID), id);
}

int cred_set_users(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective)
{
    return follow_users(cred, &old->user,
                        set_two(&cred->user, &old->user, cred_can(old, CAP_SETUID), real, effective));
}

int cred_set_groups_re(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective)
{
    return set_two(&cred->group, &old->group, cred_can(old, CAP_SETGID), real, effective);
}

int cred_set_all_users(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective, uint32_t saved)
{
    const uint32_t wanted[] = {real, effective, saved};

    return follow_users(cred, &old->user, set_three(&cred->user, &old->user, cred_can(old, CAP_SETUID), wanted));
}

int cred_set_all_groups(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective, uint32_t saved)
{
    const uint32_t wanted[] = {real, effective, saved};

    return set_three(&cred->group, &old->group, cred_can(old, CAP_SETGID), wanted);
}

void cred_set_fs_user(struct cred *cred, uint32_t id)
{
    uint32_t old = cred->user.fs;

    if (id == ID_KEEP || (!is_one_of(id, &cred->user, true) && id != old && !cred_can(cred, CAP_SETUID)))
        return;
    cred->user.fs = id;
    follow_fs_user(cred, old);
}

void cred_set_fs_group(struct cred *cred, uint32_t id)
{
    if (id != ID_KEEP && (is_one_of(id, &cred->group, true) || id == cred->group.fs || cred_can(cred, CAP_SETGID)))
        cred->group.fs = id;
}

int cred_set_caps(struct cred *cred, const struct cred *old, uint64_t permitted, uint64_t effective,
                  uint64_t inheritable)
{
    permitted &= CAPS_ALL;
    effective &= CAPS_ALL;
    inheritable &= CAPS_ALL;
    if (!cred_can(old, CAP_SETPCAP) && (inheritable & ~(old->caps_inheritable | old->caps_permitted)) != 0)
        return -EPERM;
    if ((permitted & ~old->caps_permitted) != 0 || (effective & ~permitted) != 0)
        return -EPERM;
    cred->caps_permitted = permitted;
    cred->caps_effective = effective;
    cred->caps_inheritable = inheritable;
    return 0;
}

void cred_exec(struct cred *cred, bool sets_user, uint32_t user, bool sets_group, uint32_t group)
{
    if (sets_user)
        cred->user.effective = user;
    if (sets_group)
        cred->group.effective = group;
    cred->user.saved = cred->user.fs = cred->user.effective;
    cred->group.saved = cred->group.fs = cred->group.effective;
    /* Only user 0 has capabilities after an exec: files carry none. */
    bool is_root = cred->user.effective == 0 || cred->user.real == 0;

    cred->caps_permitted = is_root ? CAPS_ALL : 0;
    cred->caps_effective = cred->user.effective == 0 ? CAPS_ALL : 0;
}

/* ---- Supplementary groups ---- */

/* Shell sort by Ciura's gaps, and beyond them by 2.25: no recursion, no memory, well below a quadratic time. */
static void sort(uint32_t *ids, uint32_t count)
{
    static const uint32_t gaps[] = {40382, 17947, 7976, 3545, 1575, 701, 301, 132, 57, 23, 10, 4, 1};

    for (unsigned g = 0; g < ARRAY_COUNT(gaps); g++)
        for (uint32_t i = gaps[g]; i < count; i++) {
            uint32_t id = ids[i], at = i;

            for (; at >= gaps[g] && ids[at - gaps[g]] > id; at -= gaps[g])
                ids[at] = ids[at - gaps[g]];
            ids[at] = id;
        }
}

int cred_set_groups(struct cred *cred, const uint32_t *groups, uint32_t count)
{
    uint32_t *copy = NULL;

    if (count > CRED_GROUPS_MAX)
        return -EINVAL;
    if (count > 0) {
        copy = kmalloc_array(count, sizeof *copy);
        if (copy == NULL)
            return -ENOMEM;
        memcpy(copy, groups, count * sizeof *copy);
        sort(copy, count);
    }
    kfree(cred->groups);
    cred->groups = copy;
    cred->group_count = count;
    return 0;
}

bool cred_in_group(const struct cred *cred, uint32_t group)
{
    uint32_t low = 0, high = cred->group_count;

    if (cred->group.fs == group)
        return true;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (cred->groups[middle] == group)
            return true;
        if (cred->groups[middle] < group)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
