/* SPDX-License-Identifier: MIT */
/* core/fs/walk.c: a table of paths and where they lead; symlinks, circles, lengths, rights, mounts. */
#include "fs_test.h"

#include <lib/fmt.h>

/*
 * The tree: /w/d/e (directories), /w/d/f (file), /w/to_d -> d, /w/to_f -> d/f, /w/abs -> /w/d, /w/up -> ../w/d/e,
 * /w/loop -> loop, /w/none -> nothing, /w/slash -> d/f/
 */
static const struct {
    const char *path;
    unsigned flags;
    int error;
    const char *same_as; /* of successes */
} table[] = {
    {"/w", 0, 0, "/w"},
    {"//w///d//", 0, 0, "/w/d"},
    {"/w/d/.", 0, 0, "/w/d"},
    {"/w/d/..", 0, 0, "/w"},
    {"/..", 0, 0, "/"},
    {"/w/d/e/../../d/f", 0, 0, "/w/d/f"},
    {"/w/d/f/..", 0, -ENOTDIR, NULL},
    {"/w/d/f/", 0, -ENOTDIR, NULL},
    {"/w/d/f/.", 0, -ENOTDIR, NULL},
    {"/w/d/g", 0, -ENOENT, NULL},
    {"/w/g/f", 0, -ENOENT, NULL},
    {"", 0, -ENOENT, NULL},
    {"", PATH_EMPTY, 0, "/"},
    {"w/d", 0, 0, "/w/d"},
    {"/w/to_d", 0, 0, "/w/to_d"},
    {"/w/to_d", PATH_FOLLOW, 0, "/w/d"},
    {"/w/to_d/", 0, 0, "/w/d"},
    {"/w/to_d/f", 0, 0, "/w/d/f"},
    {"/w/to_f", PATH_FOLLOW, 0, "/w/d/f"},
    {"/w/to_f/", 0, -ENOTDIR, NULL},
    {"/w/to_f", PATH_FOLLOW | PATH_DIRECTORY, -ENOTDIR, NULL},
    {"/w/abs/e", 0, 0, "/w/d/e"},
    {"/w/up/../f", 0, 0, "/w/d/f"},
    {"/w/up/..", 0, 0, "/w/d"},
    {"/w/loop", 0, 0, "/w/loop"},
    {"/w/loop", PATH_FOLLOW, -ELOOP, NULL},
    {"/w/loop/x", 0, -ELOOP, NULL},
    {"/w/none", PATH_FOLLOW, -ENOENT, NULL},
    {"/w/slash", PATH_FOLLOW, -ENOTDIR, NULL},
};

static void build(const struct path_place *place)
{
    CHECK(path_mkdir(place, "/w", 0755) == 0 && path_mkdir(place, "/w/d", 0755) == 0);
    CHECK(path_mkdir(place, "/w/d/e", 0755) == 0 && make_file(place, "/w/d/f", "f") == 0);
    CHECK(path_symlink(place, "d", "/w/to_d") == 0 && path_symlink(place, "d/f", "/w/to_f") == 0);
    CHECK(path_symlink(place, "/w/d", "/w/abs") == 0 && path_symlink(place, "../w/d/e", "/w/up") == 0);
    CHECK(path_symlink(place, "loop", "/w/loop") == 0 && path_symlink(place, "nothing", "/w/none") == 0);
    CHECK(path_symlink(place, "d/f/", "/w/slash") == 0);
}

static void take_down(const struct path_place *place)
{
    static const char *const files[] = {"d/f", "to_d", "to_f", "abs", "up", "loop", "none", "slash"};
    char path[32];

    for (unsigned i = 0; i < ARRAY_COUNT(files); i++) {
        (void)fmt_print(path, sizeof path, "/w/%s", files[i]);
        CHECK(path_unlink(place, path) == 0);
    }
    CHECK(path_rmdir(place, "/w/d/e") == 0 && path_rmdir(place, "/w/d") == 0 && path_rmdir(place, "/w") == 0);
}

static void paths(void)
{
    struct fs_user user = fs_user_create(0);

    build(&user.place);
    for (unsigned i = 0; i < ARRAY_COUNT(table); i++) {
        struct name *name = NULL;
        int error = path_lookup(&user.place, table[i].path, table[i].flags, &name);
        bool is_right = error == table[i].error &&
                        (error != 0 || name->inode->number == number_of(&user.place, table[i].same_as));

        if (!CHECK(is_right))
            log_error("path '%s': error %d", table[i].path, error);
        if (error == 0)
            name_put(name);
    }
    char text[16];

    CHECK(path_read_link(&user.place, "/w/up", text, sizeof text) == 8 && memcmp(text, "../w/d/e", 8) == 0);
    CHECK(path_read_link(&user.place, "/w/up", text, 3) == 3);
    CHECK(path_read_link(&user.place, "/w/d", text, 3) == -EINVAL);
    take_down(&user.place);
    fs_user_destroy(&user);
}

static void lengths(void)
{
    static char path[PATH_BYTES_MAX + 1];
    struct fs_user user = fs_user_create(0);
    struct name *name;

    memset(path, 'n', sizeof path);
    path[NAME_BYTES_MAX] = 0;
    CHECK(path_mkdir(&user.place, path, 0755) == 0 && path_rmdir(&user.place, path) == 0);
    path[NAME_BYTES_MAX] = 'n';
    path[NAME_BYTES_MAX + 1] = 0;
    CHECK(path_mkdir(&user.place, path, 0755) == -ENAMETOOLONG);
    CHECK(path_unlink(&user.place, path) == -ENAMETOOLONG);
    CHECK(path_lookup(&user.place, path, 0, &name) == -ENAMETOOLONG);
    memset(path, '/', sizeof path);
    path[PATH_BYTES_MAX - 1] = 0;
    CHECK(path_lookup(&user.place, path, 0, &name) == 0);
    name_put(name);
    path[PATH_BYTES_MAX - 1] = '/';
    path[PATH_BYTES_MAX] = 0;
    CHECK(path_lookup(&user.place, path, 0, &name) == -ENAMETOOLONG);
    fs_user_destroy(&user);
}

/* A chain of as many symlinks as may be followed, and one more. */
static void chains(void)
{
    struct fs_user user = fs_user_create(0);
    struct name *name;
    char from[16], to[16];

    CHECK(make_file(&user.place, "/l0", "") == 0);
    for (unsigned i = 0; i <= SYMLINKS_MAX; i++) {
        (void)fmt_print(to, sizeof to, "l%u", i);
        (void)fmt_print(from, sizeof from, "/l%u", i + 1);
        CHECK(path_symlink(&user.place, to, from) == 0);
    }
    CHECK(path_lookup(&user.place, "/l40", PATH_FOLLOW, &name) == 0);
    name_put(name);
    CHECK(path_lookup(&user.place, "/l41", PATH_FOLLOW, &name) == -ELOOP);
    for (unsigned i = 0; i <= SYMLINKS_MAX + 1; i++) {
        (void)fmt_print(from, sizeof from, "/l%u", i);
        CHECK(path_unlink(&user.place, from) == 0);
    }
    fs_user_destroy(&user);
}

static void places(void)
{
    struct fs_user user = fs_user_create(0), other = fs_user_create(7);
    struct path_place at = user.place;
    struct name *dir, *name;

    build(&user.place);
    CHECK(path_lookup(&user.place, "/w/d", 0, &dir) == 0);
    at.at = dir;
    CHECK(number_of(&at, "f") == number_of(&user.place, "/w/d/f") && number_of(&at, "") == 0);
    CHECK(fs_context_set_root(user.context, user.cred, dir) == 0);
    CHECK(number_of(&user.place, "/f") == number_of(&at, "f")); /* the root is /w/d, and nothing leads above it */
    CHECK(number_of(&user.place, "/..") == number_of(&user.place, "/"));
    CHECK(path_lookup(&user.place, "/../../w", 0, &name) == -ENOENT);
    name_put(dir);
    CHECK(path_lookup(&other.place, "/w/d", 0, &dir) == 0);
    CHECK(inode_set_mode(dir->inode, &cred_root, 0600) == 0);
    CHECK(path_lookup(&other.place, "/w/d/f", 0, &name) == -EACCES);
    CHECK(path_lookup(&other.place, "/w/to_f", PATH_FOLLOW, &name) == -EACCES);
    name_put(dir);
    fs_user_destroy(&user);
    user = fs_user_create(0);
    CHECK(path_mount(&user.place, "tmpfs", "/w/d/e", NULL, 0) == 0);
    CHECK(make_file(&user.place, "/w/d/e/x", "x") == 0 && holds(&user.place, "/w/up/x", "x"));
    CHECK(number_of(&user.place, "/w/d/e/..") == number_of(&user.place, "/w/d"));
    CHECK(path_rmdir(&user.place, "/w/d/e") == -EBUSY);
    fs_test_unmount("/w/d/e");
    CHECK(path_mkdir(&user.place, "/w/d/e", 0755) == 0);
    take_down(&user.place);
    fs_user_destroy(&user);
    fs_user_destroy(&other);
}

const struct kernel_test booted_tests[] = {
    {"paths", paths}, {"lengths", lengths}, {"chains", chains}, {"places", places}, {NULL, NULL}};

BOOTED(paths_lead_where_they_should, "paths", 2)
BOOTED(names_and_paths_have_a_longest, "lengths", 1)
BOOTED(so_many_symlinks_are_followed_and_no_more, "chains", 1)
BOOTED(roots_rights_and_mounts_are_respected, "places", 2)

FS_TEST_MAIN(cmocka_unit_test(paths_lead_where_they_should), cmocka_unit_test(names_and_paths_have_a_longest),
             cmocka_unit_test(so_many_symlinks_are_followed_and_no_more),
             cmocka_unit_test(roots_rights_and_mounts_are_respected))
