/* SPDX-License-Identifier: MIT */
/* core/fs/name.c: texts of paths from several roots, removed names, and names that outlive their directories. */
#include "fs_test.h"

static bool path_is(struct name *name, struct name *root, bool shows_deleted, const char *text)
{
    char found[64];

    return name_path(name, root, shows_deleted, found, sizeof found) == (int64_t)strlen(text) &&
           strcmp(found, text) == 0;
}

static struct name *look(const struct path_place *place, const char *path)
{
    struct name *name = NULL;

    CHECK(path_lookup(place, path, 0, &name) == 0);
    return name;
}

static void texts(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place *place = &user.place;
    char small[6];

    CHECK(path_mkdir(place, "/a", 0755) == 0 && path_mkdir(place, "/a/b", 0755) == 0);
    CHECK(path_mkdir(place, "/m", 0755) == 0 && path_mount(place, "tmpfs", "/m", NULL, 0) == 0);
    CHECK(path_mkdir(place, "/m/x", 0755) == 0);
    struct name *root = fs_root(), *a = look(place, "/a"), *b = look(place, "/a/b"), *m = look(place, "/m");
    struct name *x = look(place, "/m/x");

    CHECK(path_is(root, root, false, "/") && path_is(b, root, false, "/a/b") && path_is(b, a, false, "/b"));
    CHECK(path_is(b, b, false, "/") && path_is(a, b, false, "(unreachable)/a"));
    CHECK(path_is(x, root, false, "/m/x") && path_is(m, root, false, "/m") && path_is(x, m, false, "/x"));
    CHECK(name_path(b, root, false, small, 5) == 4 && strcmp(small, "/a/b") == 0);
    CHECK(name_path(b, root, false, small, 4) == -ERANGE);
    CHECK(path_rename(place, "/a/b", place, "/c", 0) == 0 && path_is(b, root, false, "/c"));
    CHECK(path_rmdir(place, "/c") == 0);
    CHECK(name_path(b, root, false, small, sizeof small) == -ENOENT && path_is(b, root, true, "/c (deleted)"));
    CHECK(path_rmdir(place, "/a") == 0);
    name_put(a); /* b was moved: its parent is the root by now */
    name_put(b);
    name_put(m);
    name_put(x);
    name_put(root);
    CHECK(path_rmdir(place, "/m/x") == 0);
    fs_test_unmount("/m");
    fs_user_destroy(&user);
}

/* The last user of a name deep in a removed tree takes all of it along. */
static void chain(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place place = user.place;
    struct name *at = fs_root(), *next;
    enum { DEPTH = 200 };
    struct name *all[DEPTH];

    for (unsigned i = 0; i < DEPTH; i++) {
        place.at = at;
        CHECK(path_mkdir(&place, "x", 0755) == 0 && path_lookup(&place, "x", 0, &next) == 0);
        all[i] = at;
        at = next;
    }
    for (unsigned i = DEPTH; i-- > 0;) {
        place.at = all[i];
        CHECK(path_rmdir(&place, "x") == 0);
        name_put(all[i]);
    }
    place.at = at;
    CHECK(path_mkdir(&place, "y", 0755) == -ENOENT && number_of(&place, "..") != 0);
    name_put(at);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"texts", texts}, {"chain", chain}, {NULL, NULL}};

BOOTED(paths_are_told_from_any_root, "texts", 2)
BOOTED(removed_directories_go_with_their_last_user, "chain", 2)

FS_TEST_MAIN(cmocka_unit_test(paths_are_told_from_any_root),
             cmocka_unit_test(removed_directories_go_with_their_last_user))
