/* SPDX-License-Identifier: MIT */
/* core/fs/anon.c: files without a name are files like others, of one file system, and leave nothing behind. */
#include "fs_test.h"

#include "../../../core/fs/fs_priv.h"

static unsigned ended;

static void count_end(struct file *file)
{
    CHECK(file->data == &ended);
    ended++;
}

static const struct file_ops ops = {.release = count_end};

static void files(void)
{
    struct file *first, *second;
    char byte = 0;

    CHECK(anon_file_create(&ops, O_RDWR | O_NONBLOCK, &ended, &first) == 0);
    CHECK(anon_file_create(&ops, O_RDONLY, &ended, &second) == 0);
    CHECK(first->inode != second->inode && first->inode->fs == second->inode->fs && first->name == NULL);
    CHECK(first->can_write && !second->can_write && !first->has_position && first->data == &ended);
    CHECK(file_seek(first, 0, SEEK_SET) == -ESPIPE && read_into(first, &byte, 1) == -EINVAL);
    CHECK(file_ioctl(first, 1, 0) == -ENOTTY && (load_relaxed(&first->flags) & O_NONBLOCK) != 0);
    file_put(first);
    CHECK(ended == 1);
    file_put(second);
    CHECK(ended == 2);
}

static int try_create(void *arg)
{
    struct file *file;
    int error = anon_file_create(&ops, O_RDWR, &ended, &file);

    (void)arg;
    if (error == 0)
        file_put(file);
    return error;
}

static void memory(void)
{
    fail_each(try_create, NULL);
}

const struct kernel_test booted_tests[] = {{"files", files}, {"memory", memory}, {NULL, NULL}};

BOOTED(they_are_files_without_a_name, "files", 2)
BOOTED(without_memory_nothing_is_left, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(they_are_files_without_a_name), cmocka_unit_test(without_memory_nothing_is_left))
