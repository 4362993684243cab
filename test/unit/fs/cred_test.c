/* SPDX-License-Identifier: MIT */
/* core/fs/cred.c: the tables of setuid(2) and its relatives, capabilities that follow, groups. */
#include "fs_test.h"

static struct cred *copy_of(const struct cred *from)
{
    struct cred *cred = NULL;

    CHECK(cred_copy(from, &cred) == 0);
    return cred;
}

static bool has_users(const struct cred *cred, uint32_t real, uint32_t effective, uint32_t saved)
{
    return cred->user.real == real && cred->user.effective == effective && cred->user.saved == saved &&
           cred->user.fs == effective;
}

static void users(void)
{
    struct cred *user = copy_of(&cred_root);

    /* A set-user-id program of user 5 that user 7 runs. */
    CHECK(cred_set_user(user, &cred_root, 7) == 0 && has_users(user, 7, 7, 7) && user->caps_permitted == 0);
    cred_exec(user, true, 5, false, 0);
    CHECK(has_users(user, 7, 5, 5) && user->caps_effective == 0);
    struct cred *old = copy_of(user);

    CHECK(cred_set_user(user, old, 0) == -EPERM && has_users(user, 7, 5, 5));
    CHECK(cred_set_user(user, old, 7) == 0 && has_users(user, 7, 7, 5)); /* and back: the saved one stays */
    CHECK(cred_set_user(user, user, 5) == 0 && has_users(user, 7, 5, 5));
    CHECK(cred_set_users(user, old, 5, 7) == 0 && has_users(user, 5, 7, 7)); /* swapped */
    CHECK(cred_set_users(user, old, ID_KEEP, 9) == -EPERM);
    CHECK(cred_set_all_users(user, old, 5, ID_KEEP, 7) == 0 && user->user.real == 5 && user->user.saved == 7);
    CHECK(cred_set_all_users(user, old, 5, ID_KEEP, 8) == -EPERM);
    CHECK(cred_set_user(user, old, ID_KEEP) == -EINVAL);
    cred_put(old);
    cred_put(user);
}

static void sets_of_capabilities(void)
{
    const uint64_t few = UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_LAST;
    struct cred *cred = copy_of(&cred_root), *old = copy_of(cred);

    CHECK(cred_set_caps(cred, old, UINT64_MAX, few, UINT64_MAX) == 0);
    CHECK(cred->caps_permitted == CAPS_ALL && cred->caps_effective == few && cred->caps_inheritable == CAPS_ALL);
    CHECK(cred_set_caps(old, cred, few, few | 1, 0) == -EPERM && old->caps_permitted == CAPS_ALL);
    CHECK(cred_set_caps(old, cred, few, few, 0) == 0 && old->caps_inheritable == 0);
    /* What is gone does not come back; what is inheritable may, of what is permitted. */
    CHECK(cred_set_caps(cred, old, few | 1, few, 0) == -EPERM && cred_set_caps(cred, old, few, few, 1) == -EPERM);
    CHECK(cred_set_caps(cred, old, 0, 0, few) == 0 && cred->caps_inheritable == few);
    CHECK(cred_set_caps(old, cred, 0, 0, few) == 0 && cred_set_caps(old, cred, few, 0, 0) == -EPERM);
    cred_put(cred);
    cred_put(old);
}

static void capabilities(void)
{
    struct cred *cred = copy_of(&cred_root);
    struct cred *old = copy_of(cred);

    CHECK(cred_set_all_users(cred, old, ID_KEEP, 7, ID_KEEP) == 0); /* root, acting as another */
    CHECK(cred->caps_effective == 0 && cred->caps_permitted == CAPS_ALL);
    struct cred *middle = copy_of(cred);

    CHECK(cred_set_all_users(cred, middle, ID_KEEP, 0, ID_KEEP) == 0 && cred->caps_effective == CAPS_ALL);
    cred_set_fs_user(cred, 7);
    CHECK(!cred_can(cred, CAP_DAC_OVERRIDE) && cred_can(cred, CAP_SETUID) && cred->user.fs == 7);
    cred_set_fs_user(cred, 0);
    CHECK(cred_can(cred, CAP_DAC_OVERRIDE));
    CHECK(cred_set_all_users(cred, old, 7, 7, 7) == 0 && cred->caps_permitted == 0);
    cred_set_fs_user(cred, 9);
    CHECK(cred->user.fs == 7);
    cred_exec(cred, true, 0, true, 0);
    CHECK(cred->caps_effective == CAPS_ALL && cred->group.effective == 0 && cred->user.real == 7);
    cred_put(old);
    cred_put(middle);
    cred_put(cred);
}

static void groups(void)
{
    enum { COUNT = 500 };
    static uint32_t many[COUNT];
    struct unit_random random = {booted_seed()};
    struct cred *cred = copy_of(&cred_root);

    for (unsigned i = 0; i < COUNT; i++)
        many[i] = (uint32_t)unit_random_below(&random, 100000) * 2;
    CHECK(cred_set_groups(cred, many, COUNT) == 0);
    struct cred *other = copy_of(cred);

    for (unsigned i = 0; i < COUNT; i++) {
        CHECK(cred_in_group(other, many[i]));
        CHECK(!cred_in_group(other, many[i] + 1));
    }
    CHECK(cred_in_group(other, other->group.fs));
    CHECK(cred_set_groups(other, NULL, 0) == 0 && !cred_in_group(other, many[0] | 1));
    CHECK(cred_set_groups(other, many, CRED_GROUPS_MAX + 1) == -EINVAL);
    cred_put(other);
    cred_put(cred);
}

static int try_copy(void *arg)
{
    struct cred *copy;
    int error = cred_copy(arg, &copy);

    if (error == 0)
        cred_put(copy);
    return error;
}

static void memory(void)
{
    const uint32_t some[] = {3, 1, 2};
    struct cred *cred = copy_of(&cred_root);

    CHECK(cred_set_groups(cred, some, 3) == 0);
    fail_each(try_copy, cred);
    cred_put(cred);
}

const struct kernel_test booted_tests[] = {
    {"users", users}, {"capabilities", capabilities}, {"sets", sets_of_capabilities},
    {"groups", groups}, {"memory", memory}, {NULL, NULL},
};

BOOTED(ids_change_as_the_manual_says, "users", 2)
BOOTED(capabilities_follow_user_ids, "capabilities", 2)
BOOTED(capabilities_are_taken_away_for_good, "sets", 2)
BOOTED(groups_are_found_whatever_their_order, "groups", 4)
BOOTED(a_copy_without_memory_leaves_nothing, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(ids_change_as_the_manual_says), cmocka_unit_test(capabilities_follow_user_ids),
             cmocka_unit_test(capabilities_are_taken_away_for_good),
             cmocka_unit_test(groups_are_found_whatever_their_order),
             cmocka_unit_test(a_copy_without_memory_leaves_nothing))
