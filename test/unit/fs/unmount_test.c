/* SPDX-License-Identifier: MIT */
/* core/fs/unmount.c, and what filesystem.c makes of it: who keeps a mount from going, and what goes when. */
#include "fs_test.h"

#include <lib/fmt.h>
#include <mm/stats.h>

static struct fs_user user;
static struct path_place *place;

static void begin(void)
{
    user = fs_user_create(0);
    place = &user.place;
    CHECK(path_mkdir(place, "/m", 0755) == 0 && path_mount(place, "tmpfs", "/m", NULL, 0) == 0);
}

static void end(void)
{
    CHECK(path_rmdir(place, "/m") == 0);
    fs_user_destroy(&user);
}

static void fill(void)
{
    char path[32];

    CHECK(path_mkdir(place, "/m/a", 0755) == 0 && path_mkdir(place, "/m/a/b", 0755) == 0);
    for (unsigned i = 0; i < 40; i++) {
        (void)fmt_print(path, sizeof path, i % 2 == 0 ? "/m/a/%u" : "/m/a/b/%u", i);
        CHECK(make_file(place, path, "some") == 0);
    }
    CHECK(path_symlink(place, "b", "/m/a/link") == 0 && path_link(place, "/m/a/0", place, "/m/again", 0) == 0);
}

static uint64_t object_pages(void)
{
    struct mm_stats stats;

    mm_stats_get(&stats);
    return stats.pages[MM_OBJECT];
}

static void idle(void)
{
    struct inode_stat stat;
    uint64_t pages = object_pages();

    begin();
    CHECK(path_unmount(place, "/", 0) == -EINVAL && path_unmount(place, "/m/none", 0) == -ENOENT);
    fill();
    CHECK(path_unmount(place, "/m/a", 0) == -EINVAL);
    CHECK(path_unmount(place, "/m", 0) == 0 && stat_of(place, "/m/a", &stat) == -ENOENT);
    CHECK(path_unmount(place, "/m", 0) == -EINVAL && object_pages() == pages);
    CHECK(path_mount(place, "tmpfs", "/m", NULL, 0) == 0 && path_mount(place, "ramfs", "/m", NULL, 0) == 0);
    CHECK(path_symlink(place, "/m", "/to-m") == 0);
    CHECK(path_unmount(place, "/to-m", UMOUNT_NOFOLLOW) == -EINVAL && path_unmount(place, "/to-m", 0) == 0);
    CHECK(path_unlink(place, "/to-m") == 0 && path_unmount(place, "/m", 0) == 0);
    end();
}

/* An open file, one that was removed, a directory that somebody is in, another mount. */
static void busy(void)
{
    static const char *const paths[] = {"/m", "/m/a", "/m/a/b", "/m/a/b/39", "/m/again"};
    struct file *file = NULL;

    begin();
    fill();
    for (unsigned i = 0; i < ARRAY_COUNT(paths); i++) {
        CHECK(path_open(place, paths[i], O_PATH, 0, &file) == 0 && path_unmount(place, "/m", 0) == -EBUSY);
        file_put(file);
    }
    CHECK(path_open(place, "/m/a/b/1", O_RDONLY, 0, &file) == 0 && path_unlink(place, "/m/a/b/1") == 0);
    CHECK(path_unmount(place, "/m", 0) == -EBUSY);
    file_put(file);
    struct name *dir, *root = fs_root();

    CHECK(path_lookup(place, "/m/a/b", 0, &dir) == 0 && fs_context_set_cwd(user.context, user.cred, dir) == 0);
    name_put(dir);
    CHECK(path_unmount(place, "/m", 0) == -EBUSY && fs_context_set_cwd(user.context, user.cred, root) == 0);
    name_put(root);
    CHECK(path_mount(place, "tmpfs", "/m/a/b", NULL, 0) == 0 && path_unmount(place, "/m", 0) == -EBUSY);
    CHECK(path_unmount(place, "/m/a/b", 0) == 0 && path_unmount(place, "/m", 0) == 0);
    end();
}

/* What somebody is in goes when they leave, with all that was mounted in it; names lead there no more. */
static void detached(void)
{
    uint64_t pages = object_pages();
    struct inode_stat stat;
    struct file *file, *other;

    begin();
    fill();
    CHECK(path_mount(place, "tmpfs", "/m/a/b", NULL, 0) == 0 && make_file(place, "/m/a/b/in", "inner") == 0);
    CHECK(path_open(place, "/m/a/0", O_RDONLY, 0, &file) == 0);
    CHECK(path_open(place, "/m/a", O_RDONLY | O_DIRECTORY, 0, &other) == 0);
    CHECK(path_unmount(place, "/m", MNT_DETACH) == 0 && stat_of(place, "/m/a", &stat) == -ENOENT);
    struct path_place inside = *place;

    inside.at = other->name;
    CHECK(holds(&inside, "2", "some") && path_mount(&inside, "tmpfs", "b", NULL, 0) == -EINVAL);
    CHECK(make_file(&inside, "new", "new") == 0);
    file_put(file);
    CHECK(holds(&inside, "new", "new"));
    file_put(other);
    CHECK(object_pages() == pages);
    end();
}

/* Memory of its files that is mapped outlives it, and so does what it is counted in. */
static void mapped(void)
{
    struct vm_object *object = NULL;
    struct file *file = NULL;

    begin();
    CHECK(make_file(place, "/m/f", "") == 0 && path_open(place, "/m/f", O_RDWR, 0, &file) == 0);
    CHECK(file_truncate(file, PAGE_BYTES) == 0 && file_map(file, true, true, &object) == 0);
    file_put(file);
    CHECK(path_unmount(place, "/m", 0) == 0);
    CHECK(vm_object_write(object, 0, "late", 4) == 4);
    vm_object_put(object);
    end();
}

static void flags(void)
{
    struct inode_stat stat;
    struct file *file = NULL;
    struct name *name;

    begin();
    CHECK(make_file(place, "/m/f", "x") == 0 && path_mknod(place, "/m/null", S_IFCHR | 0666, DEVICE(1, 3)) == 0);
    CHECK(path_open(place, "/m/f", O_WRONLY, 0, &file) == 0);
    CHECK(path_remount(place, "/m", MS_RDONLY) == -EBUSY && path_remount(place, "/m/f", MS_RDONLY) == -EINVAL);
    file_put(file);
    CHECK(path_remount(place, "/m", MS_RDONLY) == 0 && make_file(place, "/m/g", "x") == -EROFS);
    CHECK(path_open(place, "/m/f", O_RDWR, 0, &file) == -EROFS && path_truncate(place, "/m/f", 0) == -EROFS);
    CHECK(path_unlink(place, "/m/f") == -EROFS && path_mkdir(place, "/m/d", 0755) == -EROFS);
    CHECK(path_rename(place, "/m/f", place, "/m/g", 0) == -EROFS);
    CHECK(path_link(place, "/m/f", place, "/m/g", 0) == -EROFS);
    CHECK(path_lookup(place, "/m/f", 0, &name) == 0 && inode_set_mode(name->inode, user.cred, 0) == -EROFS);
    CHECK(inode_set_owner(name->inode, user.cred, 0, 0) == -EROFS);
    CHECK(inode_set_times(name->inode, user.cred, TIME_NOW, TIME_NOW) == -EROFS);
    name_put(name);
    CHECK(holds(place, "/m/f", "x") && stat_of(place, "/m/f", &stat) == 0 && stat.mode == (S_IFREG | 0644));
    CHECK(path_open(place, "/m/null", O_RDWR, 0, &file) == 0); /* a device is not written to there */
    file_put(file);
    CHECK(path_remount(place, "/m", MS_NODEV) == 0 && path_open(place, "/m/null", O_RDWR, 0, &file) == -EACCES);
    CHECK(make_file(place, "/m/g", "x") == 0 && path_unmount(place, "/m", 0) == 0);
    CHECK(path_mount(place, "tmpfs", "/m", NULL, MS_RDONLY) == 0 && make_file(place, "/m/f", "x") == -EROFS);
    CHECK(path_unmount(place, "/m", MNT_FORCE) == 0);
    end();
}

/* ---- Somebody goes in and out meanwhile ---- */

static int visit(void *arg)
{
    struct file *file = NULL;

    (void)arg;
    for (unsigned i = 0; i < 30; i++) {
        int error = path_open(place, "/m/a/b/1", O_RDONLY, 0, &file);

        if (CHECK(error == 0 || error == -ENOENT) && error == 0) {
            CHECK(path_unmount(place, "/m", 0) == -EBUSY); /* as long as this is open, it is what is mounted */
            file_put(file);
        }
    }
    return 0;
}

/* Who has come in keeps it from going. */
static void race(void)
{
    struct task *task[2];

    begin();
    fill();
    for (unsigned i = 0; i < 2; i++)
        task[i] = spawn("visitor", visit, NULL, 60, NULL);
    for (unsigned i = 0; i < 10; i++) {
        int error = path_unmount(place, "/m", 0);

        CHECK(error == 0 || error == -EBUSY);
        if (error == 0) {
            CHECK(path_mount(place, "tmpfs", "/m", NULL, 0) == 0);
            fill();
        }
        task_yield();
    }
    for (unsigned i = 0; i < 2; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(path_unmount(place, "/m", 0) == 0);
    end();
}

const struct kernel_test booted_tests[] = {{"idle", idle},     {"busy", busy},   {"detached", detached},
                                           {"mapped", mapped}, {"flags", flags}, {"race", race}, {NULL, NULL}};

BOOTED(what_nobody_is_in_goes, "idle", 2)
BOOTED(who_is_in_it_keeps_it, "busy", 2)
BOOTED(what_is_detached_goes_with_its_last_user, "detached", 2)
BOOTED(mapped_memory_outlives_it, "mapped", 2)
BOOTED(flags_are_kept_to, "flags", 2)
BOOTED(who_comes_in_meanwhile_keeps_it, "race", 16)

FS_TEST_MAIN(cmocka_unit_test(what_nobody_is_in_goes), cmocka_unit_test(who_is_in_it_keeps_it),
             cmocka_unit_test(what_is_detached_goes_with_its_last_user), cmocka_unit_test(mapped_memory_outlives_it),
             cmocka_unit_test(flags_are_kept_to), cmocka_unit_test(who_comes_in_meanwhile_keeps_it))
