/* SPDX-License-Identifier: MIT */
/* core/fs/file.c: positions, what a file may be used for, flags; tasks that share one position. */
#include "fs_test.h"

#include <k/atomic.h>

static void positions(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *file;
    struct io_span span;
    char text[32] = "";

    CHECK(path_open(&user.place, "/f", O_CREAT | O_RDWR, 0644, &file) == 0);
    CHECK(write_text(file, "hello world") == 11 && file->position == 11);
    CHECK(file_seek(file, 6, SEEK_SET) == 6 && read_into(file, text, 32) == 5 && memcmp(text, "world", 5) == 0);
    CHECK(read_into(file, text, 32) == 0);
    CHECK(file_seek(file, -5, SEEK_END) == 6 && file_seek(file, -2, SEEK_CUR) == 4);
    CHECK(file_seek(file, -5, SEEK_CUR) == -EINVAL && file_seek(file, INT64_MAX, SEEK_CUR) == -EOVERFLOW);
    CHECK(file_seek(file, 3, SEEK_DATA) == 3 && file_seek(file, 3, SEEK_HOLE) == 11);
    CHECK(file_seek(file, 11, SEEK_DATA) == -ENXIO && file_seek(file, 0, 9) == -EINVAL);
    io_span_kernel(&span, text, 5);
    CHECK(file_seek(file, 1, SEEK_SET) == 1 && file_read_at(file, &span, 6) == 5 && file->position == 1);
    io_span_kernel(&span, text, 5);
    CHECK(file_read_at(file, &span, -1) == -EINVAL);
    io_span_kernel(&span, text, 5);
    CHECK(file_write_at(file, &span, 20) == 5 && holds(&user.place, "/f", "hello world") == false);
    CHECK(file_seek(file, 0, SEEK_END) == 25);
    CHECK(file_truncate(file, 5) == 0 && holds(&user.place, "/f", "hello"));
    CHECK(file_truncate(file, -1) == -EINVAL);
    file_set_flags(file, O_APPEND | O_WRONLY);
    CHECK((load_relaxed(&file->flags) & (O_ACCMODE | O_APPEND)) == (O_RDWR | O_APPEND));
    CHECK(file_seek(file, 0, SEEK_SET) == 0 && write_text(file, "!") == 1 && holds(&user.place, "/f", "hello!"));
    CHECK(file_ioctl(file, FIONREAD, 0) == -ENOTTY);
    file_put(file);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

static void rights(void)
{
    struct fs_user user = fs_user_create(0);
    struct vm_object *object;
    struct file *file;
    char byte = 0;

    CHECK(make_file(&user.place, "/f", "x") == 0);
    CHECK(path_open(&user.place, "/f", O_RDONLY, 0, &file) == 0);
    CHECK(write_from(file, &byte, 1) == -EBADF && file_truncate(file, 0) == -EINVAL);
    CHECK(file_map(file, true, true, &object) == -EACCES && file_map(file, false, true, &object) == 0);
    CHECK(object == file->inode->object);
    vm_object_put(object);
    file_put(file);
    CHECK(path_open(&user.place, "/f", O_WRONLY, 0, &file) == 0);
    CHECK(read_into(file, &byte, 1) == -EBADF && file_map(file, true, true, &object) == -EACCES);
    file_put(file);
    CHECK(path_open(&user.place, "/f", O_PATH, 0, &file) == 0);
    CHECK(read_into(file, &byte, 1) == -EBADF && write_from(file, &byte, 1) == -EBADF);
    CHECK(file_seek(file, 0, SEEK_SET) == -EBADF && file_poll(file, NULL) == POLLNVAL);
    file_put(file);
    CHECK(path_open(&user.place, "/", O_RDONLY, 0, &file) == 0);
    CHECK(read_into(file, &byte, 1) == -EISDIR && file_map(file, false, false, &object) == -ENODEV);
    file_put(file);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

#define RECORDS 30
#define RECORD 100

static struct file *shared;

static int write_records(void *arg)
{
    char record[RECORD];

    memset(record, 'a' + (int)(uintptr_t)arg, sizeof record);
    for (unsigned i = 0; i < RECORDS; i++)
        CHECK(write_from(shared, record, RECORD) == RECORD);
    return 0;
}

/* Each write of a shared position gets a place of its own; so does each append of files opened apart. */
static void sharing(void)
{
    struct fs_user user = fs_user_create(0);
    struct task *task[4];
    char record[RECORD];
    unsigned count[4] = {0};

    CHECK(path_open(&user.place, "/f", O_CREAT | O_RDWR, 0644, &shared) == 0);
    for (uintptr_t i = 0; i < 4; i++)
        task[i] = spawn("writer", write_records, (void *)i, 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(file_seek(shared, 0, SEEK_SET) == 0);
    while (read_into(shared, record, RECORD) == RECORD) {
        for (unsigned i = 1; i < RECORD; i++)
            CHECK(record[i] == record[0]);
        count[record[0] - 'a']++;
    }
    for (unsigned i = 0; i < 4; i++)
        CHECK(count[i] == RECORDS);
    file_put(shared);
    CHECK(path_unlink(&user.place, "/f") == 0);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {
    {"positions", positions}, {"rights", rights}, {"sharing", sharing}, {NULL, NULL}};

BOOTED(positions_move_as_the_manual_says, "positions", 2)
BOOTED(a_file_does_what_it_is_open_for, "rights", 2)
BOOTED(writers_that_share_a_position_do_not_overwrite, "sharing", 40)

FS_TEST_MAIN(cmocka_unit_test(positions_move_as_the_manual_says), cmocka_unit_test(a_file_does_what_it_is_open_for),
             cmocka_unit_test(writers_that_share_a_position_do_not_overwrite))
