/* SPDX-License-Identifier: MIT */
/* core/fs/device.c: the devices that are always there, and those that come later, by any name of their number. */
#include "fs_test.h"

#include <fs/dev.h>

static struct file *open_dev(const struct path_place *place, const char *path)
{
    struct file *file = NULL;

    CHECK(path_open(place, path, O_RDWR, 0, &file) == 0);
    return file;
}

static void always(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place *place = &user.place;
    char bytes[64], more[64];
    struct vm_object *object = (struct vm_object *)bytes;
    struct io_span span;
    struct file *file;

    CHECK(path_mkdir(place, "/dev2", 0755) == 0); /* boot has mounted it at /dev */
    CHECK(path_mount(place, "devtmpfs", "/dev2", NULL, 0) == -EBUSY);
    file = open_dev(place, "/dev/null");
    CHECK(read_into(file, bytes, 10) == 0 && write_from(file, bytes, 64) == 64);
    io_span_kernel(&span, bytes, 10);
    CHECK(file_seek(file, 5, SEEK_SET) == 0 && file_read_at(file, &span, 100) == 0);
    file_put(file);
    file = open_dev(place, "/dev/zero");
    memset(bytes, 1, sizeof bytes);
    CHECK(read_into(file, bytes, 64) == 64 && bytes[0] == 0 && bytes[63] == 0 && write_from(file, bytes, 5) == 5);
    CHECK(file_map(file, true, true, &object) == 0 && object == NULL);
    file_put(file);
    file = open_dev(place, "/dev/full");
    CHECK(read_into(file, bytes, 64) == 64 && write_from(file, bytes, 5) == -ENOSPC);
    file_put(file);
    file = open_dev(place, "/dev/urandom");
    CHECK(read_into(file, bytes, 64) == 64 && read_into(file, more, 64) == 64 && memcmp(bytes, more, 64) != 0);
    CHECK(write_from(file, bytes, 64) == 64);
    file_put(file);
    CHECK(path_mknod(place, "/other-null", S_IFCHR | 0666, DEVICE(1, 3)) == 0);
    file = open_dev(place, "/other-null");
    CHECK(read_into(file, bytes, 10) == 0);
    file_put(file);
    CHECK(path_mknod(place, "/none", S_IFCHR | 0666, DEVICE(99, 3)) == 0);
    CHECK(path_open(place, "/none", O_RDONLY, 0, &file) == -ENXIO);
    CHECK(path_read_link(place, "/dev/stdin", bytes, sizeof bytes) == 15);
    CHECK(path_unlink(place, "/none") == 0 && path_unlink(place, "/other-null") == 0);
    CHECK(path_rmdir(place, "/dev2") == 0);
    fs_user_destroy(&user);
}

static const struct file_ops my_ops;
static const struct device mine = {.name = "mine", .number = DEVICE(10, 300), .mode = 0600, .ops = &my_ops};

/* A device that is registered stays, and so does its memory. */
static void register_mine(void)
{
    CHECK(device_register(&mine) == 0);
}

static void later(void)
{
    struct fs_user user = fs_user_create(0);
    struct inode_stat stat;

    CHECK(device_register(&mine) == -EEXIST);
    CHECK(stat_of(&user.place, "/dev/mine", &stat) == 0 && stat.mode == (S_IFCHR | 0600));
    CHECK(DEVICE_MAJOR(stat.device) == 10 && DEVICE_MINOR(stat.device) == 300);
    fs_user_destroy(&user);
}

static void all(void)
{
    always();
    later();
}

const struct kernel_test booted_tests[] = {{"all", all}, {NULL, NULL}};

static void devices_do_what_their_names_say(void **state)
{
    (void)state;
    booted_machine.prepare = register_mine;
    booted_run("all", 2);
}

FS_TEST_MAIN(cmocka_unit_test(devices_do_what_their_names_say))
