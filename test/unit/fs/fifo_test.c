/* SPDX-License-Identifier: MIT */
/* core/fs/fifo.c: the two sides of a FIFO meet, whoever comes first; who gives up leaves nothing behind. */
#include "fs_test.h"

#include <fs/pipe.h>

static int open_fifo(void *arg)
{
    struct fs_user user = fs_user_create(0);
    uint32_t flags = (uint32_t)(uintptr_t)arg;
    struct file *file;
    char byte = 'x';

    CHECK(path_open(&user.place, "/fifo", flags, 0, &file) == 0);
    if (flags == O_WRONLY)
        CHECK(write_from(file, &byte, 1) == 1);
    else
        CHECK(read_into(file, &byte, 1) == 1 && byte == 'x');
    file_put(file);
    fs_user_destroy(&user);
    return 0;
}

static void fifo(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *file;
    struct task *task[2];

    CHECK(path_mknod(&user.place, "/fifo", S_IFIFO | 0600, 0) == 0);
    CHECK(path_open(&user.place, "/fifo", O_WRONLY | O_NONBLOCK, 0, &file) == -ENXIO);
    CHECK(path_open(&user.place, "/fifo", O_RDONLY | O_NONBLOCK, 0, &file) == 0);
    CHECK(file_poll(file, NULL) == 0); /* nobody has hung up yet */
    CHECK(path_open(&user.place, "/fifo", O_ACCMODE | O_NONBLOCK, 0, &(struct file *){ NULL }) == -EINVAL); /* no end */
    file_put(file);
    for (unsigned i = 0; i < 3; i++) {
        task[0] = spawn("reader", open_fifo, (void *)(uintptr_t)O_RDONLY, 60, NULL);
        task[1] = spawn("writer", open_fifo, (void *)(uintptr_t)O_WRONLY, 60, NULL);
        CHECK(finish(task[0]) == 0 && finish(task[1]) == 0);
    }
    CHECK(path_unlink(&user.place, "/fifo") == 0);
    fs_user_destroy(&user);
}

static int open_until_killed(void *arg)
{
    struct fs_user user = fs_user_create(0);
    struct file *file;

    CHECK(path_open(&user.place, "/fifo", (uint32_t)(uintptr_t)arg, 0, &file) == -EINTR);
    fs_user_destroy(&user);
    return 0;
}

static void give_up(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *file;

    CHECK(path_mknod(&user.place, "/fifo", S_IFIFO | 0600, 0) == 0);
    for (unsigned i = 0; i < 2; i++) {
        uintptr_t flags = i == 0 ? O_RDONLY : O_WRONLY;
        struct task *task = spawn("opener", open_until_killed, (void *)flags, 60, NULL);

        WAIT_FOR(is_blocked(task));
        CHECK(task_kill(task) == 0 && finish(task) == 0);
        CHECK(path_open(&user.place, "/fifo", O_WRONLY | O_NONBLOCK, 0, &file) == -ENXIO); /* nobody reads any more */
    }
    CHECK(path_open(&user.place, "/fifo", O_RDWR, 0, &file) == 0); /* both sides by itself */
    file_put(file);
    CHECK(path_unlink(&user.place, "/fifo") == 0);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"fifo", fifo}, {"give-up", give_up}, {NULL, NULL}};

BOOTED(both_sides_of_a_fifo_meet, "fifo", 40)
BOOTED(who_gives_up_is_counted_no_more, "give-up", 10)

FS_TEST_MAIN(cmocka_unit_test(both_sides_of_a_fifo_meet), cmocka_unit_test(who_gives_up_is_counted_no_more))
