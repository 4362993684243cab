/* SPDX-License-Identifier: MIT */
/* core/fs/procfs_file.c: a text is of the moment of its open, read in any pieces, and there, or not, as a whole. */
#include "fs_test.h"

#include <fs/procfs.h>

static unsigned printed; /* one task runs here */

static int print_long(struct procfs_text *text, void *process)
{
    CHECK(process == NULL);
    procfs_print(text, "%u", printed++);
    procfs_write(text, "\0\n", 2);
    for (unsigned i = 0; i < 1000; i++)
        procfs_print(text, "line %03u\n", i);
    return 0;
}

static int refuse(struct procfs_text *text, void *process)
{
    (void)process;
    procfs_print(text, "not shown");
    return -EACCES;
}

static const struct procfs_file long_file = {.name = "made-long", .print = print_long};
static const struct procfs_file refused = {.name = "made-refused", .print = refuse, .mode = 0400};

static void texts(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *first, *second;
    static char text[16384];
    char piece[7];
    size_t used = 0;
    int64_t bytes;

    procfs_register(&long_file);
    procfs_register(&refused);
    CHECK(path_open(&user.place, "/proc/made-long", O_RDONLY, 0, &first) == 0);
    CHECK(path_open(&user.place, "/proc/made-long", O_RDONLY, 0, &second) == 0 && printed == 2);
    while ((bytes = read_into(first, piece, sizeof piece)) > 0) {
        memcpy(text + used, piece, (size_t)bytes);
        used += (size_t)bytes;
    }
    CHECK(bytes == 0 && used == 9003 && memcmp(text, "0\0\nline 000\n", 12) == 0);
    CHECK(memcmp(text + used - 9, "line 999\n", 9) == 0);
    CHECK(read_into(second, text, sizeof text) == 9003 && text[0] == '1' && printed == 2);
    CHECK(file_seek(second, 9000, SEEK_SET) == 9000 && read_into(second, text, sizeof text) == 3);
    CHECK(file_seek(second, 20000, SEEK_SET) == 20000 && read_into(second, text, sizeof text) == 0);
    CHECK(write_text(second, "x") == -EBADF);
    file_put(first);
    file_put(second);
    CHECK(path_open(&user.place, "/proc/made-refused", O_RDONLY, 0, &first) == -EACCES);
    CHECK(path_open(&user.place, "/proc/made-long", O_WRONLY, 0, &first) == -EACCES);
    fs_user_destroy(&user);
}

static int try_read(void *arg)
{
    struct path_place *place = arg;
    struct file *file;
    int error = path_open(place, "/proc/made-long", O_RDONLY, 0, &file);

    if (error == 0)
        file_put(file);
    return error;
}

static void memory(void)
{
    struct fs_user user = fs_user_create(0);

    procfs_register(&long_file);
    fail_each(try_read, &user.place);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"texts", texts}, {"memory", memory}, {NULL, NULL}};

BOOTED(a_text_is_of_the_moment_of_its_open, "texts", 2)
BOOTED(without_memory_nothing_opens, "memory", 2)

FS_TEST_MAIN(cmocka_unit_test(a_text_is_of_the_moment_of_its_open),
             cmocka_unit_test(without_memory_nothing_opens))
