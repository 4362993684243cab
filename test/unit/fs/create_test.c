/* SPDX-License-Identifier: MIT */
/* core/fs/create.c: what names are made with, and what is refused; failing allocations leave no trace. */
#include "fs_test.h"

static void modes(void)
{
    struct fs_user root = fs_user_create(0), user = fs_user_create(7);
    struct path_place *place = &user.place;
    struct inode_stat stat;

    CHECK(path_mkdir(&root.place, "/d", 0777) == 0);
    (void)fs_context_set_umask(user.context, 027);
    CHECK(path_mkdir(place, "/d/e", 0777) == 0 && stat_of(place, "/d/e", &stat) == 0);
    CHECK(stat.mode == (S_IFDIR | 0750) && stat.user == 7 && stat.group == 7 && stat.links == 2);
    CHECK(stat_of(place, "/d", &stat) == 0 && stat.links == 3);
    CHECK(path_mkdir(place, "/d/e/", 0777) == -EEXIST && path_mkdir(place, "/d/.", 0777) == -EEXIST);
    CHECK(path_mkdir(place, "/", 0777) == -EEXIST && path_mkdir(place, "/d/x/y", 0777) == -ENOENT);
    CHECK(path_mkdir(place, "/other", 0777) == -EACCES);
    CHECK(path_mknod(place, "/d/null", S_IFCHR | 0666, DEVICE(1, 3)) == -EPERM);
    CHECK(path_mknod(place, "/d/dir", S_IFDIR | 0666, 0) == -EPERM);
    CHECK(path_mknod(place, "/d/bad", 0170000, 0) == -EINVAL && path_mknod(place, "/d/f/", 0644, 0) == -ENOENT);
    CHECK(path_mknod(&root.place, "/d/null", S_IFCHR | 0666, DEVICE(1, 3)) == 0);
    CHECK(stat_of(place, "/d/null", &stat) == 0 && stat.device == DEVICE(1, 3) && stat.mode == (S_IFCHR | 0666));
    CHECK(path_symlink(place, "", "/d/s") == -ENOENT && path_symlink(place, "a/b", "/d/s") == 0);
    CHECK(stat_of(place, "/d/s", &stat) == 0 && stat.mode == (S_IFLNK | 0777) && stat.bytes == 3);
    /* The group of a set-group-id directory is that of what is made there. */
    struct name *dir;

    CHECK(path_lookup(&root.place, "/d", 0, &dir) == 0 && inode_set_owner(dir->inode, root.cred, 0, 42) == 0);
    CHECK(inode_set_mode(dir->inode, root.cred, 02777) == 0);
    name_put(dir);
    CHECK(path_mkdir(place, "/d/g", 0777) == 0 && stat_of(place, "/d/g", &stat) == 0);
    CHECK(stat.group == 42 && stat.mode == (S_IFDIR | 02750));
    CHECK(path_mknod(place, "/d/h", 02777, 0) == 0 && stat_of(place, "/d/h", &stat) == 0);
    CHECK(stat.group == 42 && stat.mode == (S_IFREG | 0750));
    CHECK(path_unlink(place, "/d/null") == 0 && path_unlink(place, "/d/s") == 0 && path_unlink(place, "/d/h") == 0);
    CHECK(path_rmdir(place, "/d/e") == 0 && path_rmdir(place, "/d/g") == 0 && path_rmdir(&root.place, "/d") == 0);
    fs_user_destroy(&user);
    fs_user_destroy(&root);
}

static void links(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place *place = &user.place;
    struct inode_stat stat;

    CHECK(make_file(place, "/f", "f") == 0 && path_symlink(place, "f", "/s") == 0);
    CHECK(path_link(place, "/f", place, "/g", 0) == 0 && number_of(place, "/f") == number_of(place, "/g"));
    CHECK(path_link(place, "/s", place, "/t", 0) == 0 && number_of(place, "/s") == number_of(place, "/t"));
    CHECK(path_link(place, "/s", place, "/h", PATH_FOLLOW) == 0 && number_of(place, "/f") == number_of(place, "/h"));
    CHECK(stat_of(place, "/f", &stat) == 0 && stat.links == 3);
    CHECK(path_link(place, "/f", place, "/g", 0) == -EEXIST);
    CHECK(path_link(place, "/dev-none", place, "/i", 0) == -ENOENT);
    CHECK(path_mkdir(place, "/d", 0755) == 0 && path_link(place, "/d", place, "/i", 0) == -EPERM);
    CHECK(path_unlink(place, "/f") == 0 && holds(place, "/g", "f"));
    CHECK(path_unlink(place, "/g") == 0 && path_unlink(place, "/h") == 0 && path_unlink(place, "/s") == 0);
    CHECK(path_unlink(place, "/t") == 0 && path_rmdir(place, "/d") == 0);
    fs_user_destroy(&user);
}

static int try_all(void *arg)
{
    struct fs_user *user = arg;
    struct path_place *place = &user->place;
    struct file *file;
    int error = path_mkdir(place, "/d", 0755);

    if (error != 0)
        return error;
    error = path_symlink(place, "some/where", "/d/s");
    if (error == 0)
        error = path_open(place, "/d/f", O_CREAT | O_WRONLY, 0644, &file);
    if (error == 0) {
        int64_t done = write_from(file, "x", 1);

        error = done == 1 ? 0 : (int)done;
        file_put(file);
    }
    if (error == 0)
        error = path_link(place, "/d/f", place, "/d/g", 0);
    (void)path_unlink(place, "/d/s");
    (void)path_unlink(place, "/d/f");
    (void)path_unlink(place, "/d/g");
    CHECK(path_rmdir(place, "/d") == 0);
    return error;
}

static void memory(void)
{
    struct fs_user user = fs_user_create(0);

    fail_each(try_all, &user);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"modes", modes}, {"links", links}, {"memory", memory}, {NULL, NULL}};

BOOTED(new_files_have_the_modes_and_owners_they_should, "modes", 2)
BOOTED(links_are_names_of_one_file, "links", 2)
BOOTED(without_memory_there_is_no_name, "memory", 2)

FS_TEST_MAIN(cmocka_unit_test(new_files_have_the_modes_and_owners_they_should),
             cmocka_unit_test(links_are_names_of_one_file), cmocka_unit_test(without_memory_there_is_no_name))
