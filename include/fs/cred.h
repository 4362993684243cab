/* SPDX-License-Identifier: MIT */
/*
 * Credentials: who a task acts for (credentials(7), capabilities(7)). Immutable once more than one holder knows them:
 * who wants others copies, changes the copy, and puts it in the old one's place. So whoever holds a reference may read
 * without a lock.
 *
 * Capabilities are sets of bits with Linux's numbers. User 0 has all of them; a change of user ids from 0 to others
 * clears them, and back gives them again, by the rules of capabilities(7), "Effect of user ID changes on capabilities".
 * There are no file capabilities, no bounding set and no securebits.
 *
 * Context: task, where not said otherwise.
 */
#pragma once

#include <stdbool.h>

#include <k/atomic.h>
#include <k/compiler.h>
#include <k/types.h>

#define CAP_CHOWN 0u
#define CAP_DAC_OVERRIDE 1u
#define CAP_FOWNER 3u
#define CAP_FSETID 4u
#define CAP_KILL 5u
#define CAP_SETGID 6u
#define CAP_SETUID 7u
#define CAP_SETPCAP 8u
#define CAP_SYS_CHROOT 18u
#define CAP_SYS_PTRACE 19u
#define CAP_SYS_ADMIN 21u
#define CAP_SYS_BOOT 22u
#define CAP_SYS_NICE 23u
#define CAP_SYS_RESOURCE 24u
#define CAP_SYS_TIME 25u
#define CAP_MKNOD 27u
#define CAP_LAST 40u
#define CAPS_ALL ((UINT64_C(1) << (CAP_LAST + 1)) - 1)

#define CRED_GROUPS_MAX 65536u
#define ID_KEEP UINT32_MAX /* of the set calls: leave this one as it is */

struct cred_ids {
    uint32_t real, effective, saved, fs;
};

struct cred {
    _Atomic(uint32_t) refs; /* PAIRS(cred_ref) */

    /* Immutable once shared. */
    struct cred_ids user, group;
    uint64_t caps_permitted, caps_effective, caps_inheritable;
    uint32_t group_count;
    uint32_t *groups; /* supplementary, ascending; NULL: none */
};

/* User 0, group 0, all capabilities: lives for ever. */
extern struct cred cred_root;

/* Boot: the cache behind credentials. */
void cred_init(void);

/* Context: any. Order: none. */
void cred_get(struct cred *cred);
void cred_put(struct cred *cred);

/* A copy with one reference, the caller's to change until it is shared. -ENOMEM. */
int cred_copy(const struct cred *from, struct cred **out) MUST_USE;

/* What the calls of those names do to a copy that is not shared yet; `old` are the caller's credentials. ID_KEEP leaves
 * an id alone. -EPERM: not allowed, -EINVAL: no id; nothing is changed then. setuid(2), setgid(2); setreuid(2),
 * setregid(2); setresuid(2), setresgid(2). */
int cred_set_user(struct cred *cred, const struct cred *old, uint32_t id) MUST_USE;
int cred_set_group(struct cred *cred, const struct cred *old, uint32_t id) MUST_USE;
int cred_set_users(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective) MUST_USE;
int cred_set_groups_re(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective) MUST_USE;
int cred_set_all_users(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective, uint32_t saved)
    MUST_USE;
int cred_set_all_groups(struct cred *cred, const struct cred *old, uint32_t real, uint32_t effective, uint32_t saved)
    MUST_USE;
/* setfsuid(2), setfsgid(2): an id that is not allowed is ignored. */
void cred_set_fs_user(struct cred *cred, uint32_t id);
void cred_set_fs_group(struct cred *cred, uint32_t id);

/* capset(2): sets of bits; those of no capability are ignored. Permitted ones only go, effective ones are permitted,
 * inheritable ones were, or were permitted, unless one may add to them (CAP_SETPCAP). -EPERM. */
int cred_set_caps(struct cred *cred, const struct cred *old, uint64_t permitted, uint64_t effective,
                  uint64_t inheritable) MUST_USE;

/* setgroups(2): copies. -EINVAL: too many; -ENOMEM; nothing is changed then. The caller has looked at CAP_SETGID. */
int cred_set_groups(struct cred *cred, const uint32_t *groups, uint32_t count) MUST_USE;

/* A program with these set-user-id and set-group-id bits is executed: the new ids, and what they do to capabilities. */
void cred_exec(struct cred *cred, bool sets_user, uint32_t user, bool sets_group, uint32_t group);

/* Context: any. */
bool cred_in_group(const struct cred *cred, uint32_t group); /* its fs group, or a supplementary one */

static inline bool cred_can(const struct cred *cred, unsigned capability)
{
    return (cred->caps_effective >> capability & 1) != 0;
}
