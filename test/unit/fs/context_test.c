/* SPDX-License-Identifier: MIT */
/* core/fs/context.c: copies are apart, shared ones are not; who changes directories while others walk. */
#include "fs_test.h"

static struct fs_user shared;

static int change_dirs(void *arg)
{
    struct name *dir = arg;

    for (unsigned i = 0; i < 40; i++) {
        CHECK(fs_context_set_cwd(shared.context, shared.cred, dir) == 0);
        CHECK(number_of(&shared.place, ".") != 0);
        (void)fs_context_set_umask(shared.context, i);
    }
    return 0;
}

static void copies(void)
{
    struct fs_context *copy = NULL;
    struct task *task[2];
    struct name *dir[2], *root = fs_root(), *cwd;

    shared = fs_user_create(0);
    CHECK(path_mkdir(&shared.place, "/a", 0755) == 0 && path_mkdir(&shared.place, "/b", 0755) == 0);
    CHECK(path_lookup(&shared.place, "/a", 0, &dir[0]) == 0 && path_lookup(&shared.place, "/b", 0, &dir[1]) == 0);
    CHECK(fs_context_set_cwd(shared.context, shared.cred, dir[0]) == 0);
    CHECK(fs_context_set_umask(shared.context, 07777) == 0 && fs_context_copy(shared.context, &copy) == 0);
    CHECK(load_relaxed(&copy->umask) == 0777);
    for (unsigned i = 0; i < 2; i++)
        task[i] = spawn("changer", change_dirs, dir[i], 60, NULL);
    for (unsigned i = 0; i < 2; i++)
        CHECK(finish(task[i]) == 0);
    cwd = fs_context_cwd(copy);
    CHECK(cwd == dir[0]);
    name_put(cwd);
    cwd = fs_context_cwd(shared.context);
    CHECK(cwd == dir[0] || cwd == dir[1]);
    name_put(cwd);
    fs_context_put(copy);
    CHECK(make_file(&shared.place, "/f", "") == 0 && path_lookup(&shared.place, "/f", 0, &cwd) == 0);
    CHECK(fs_context_set_cwd(shared.context, shared.cred, cwd) == -ENOTDIR);
    name_put(cwd);
    CHECK(fs_context_set_cwd(shared.context, shared.cred, root) == 0);
    for (unsigned i = 0; i < 2; i++)
        name_put(dir[i]);
    CHECK(path_unlink(&shared.place, "/f") == 0);
    CHECK(path_rmdir(&shared.place, "/a") == 0 && path_rmdir(&shared.place, "/b") == 0);
    name_put(root);
    fs_user_destroy(&shared);
}

const struct kernel_test booted_tests[] = {{"copies", copies}, {NULL, NULL}};

BOOTED(who_shares_a_context_sees_its_changes, "copies", 20)

FS_TEST_MAIN(cmocka_unit_test(who_shares_a_context_sees_its_changes))
