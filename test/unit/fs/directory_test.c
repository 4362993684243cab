/* SPDX-License-Identifier: MIT */
/* core/fs/directory.c: getdents64(2) records; names that are there all the while are told once, whatever else
 * happens. */
#include "fs_test.h"

#include <lib/fmt.h>

struct record {
    uint64_t number;
    int64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
} PACKED;

#define KEPT 30

static unsigned seen[KEPT], dots, others;

/* All records of one read; changes go on between two of them. */
static int64_t read_some(struct file *dir, size_t room)
{
    static char buffer[512];
    struct io_span span;

    io_span_kernel(&span, buffer, room);
    int64_t got = file_read_dir(dir, &span);

    for (int64_t at = 0; at < got;) {
        struct record *record = (struct record *)(buffer + at);

        CHECK(record->bytes % 8 == 0 && record->bytes >= 24 && at + record->bytes <= got);
        if (record->name[0] == '.') {
            dots++;
            CHECK(record->type == 4);
        } else if (record->name[0] == 'k') {
            seen[(record->name[1] - 'a') * 10 + record->name[2] - 'a']++;
            CHECK(record->type == 8 && record->number != 0);
        } else {
            others++;
        }
        at += record->bytes;
    }
    return got;
}

/* The records of getdents(2): the name right behind the length, the type in the last byte. */
static void old_records(struct file *dir)
{
    static char buffer[512];
    struct io_span span;
    unsigned count = 0;

    CHECK(file_seek(dir, 0, SEEK_SET) == 0);
    io_span_kernel(&span, buffer, 16);
    CHECK(file_read_dir_old(dir, &span) == -EINVAL);
    io_span_kernel(&span, buffer, sizeof buffer);
    int64_t got = file_read_dir_old(dir, &span);

    for (int64_t at = 0; at < got; count++) {
        const struct record *record = (const struct record *)(buffer + at);
        const char *name = buffer + at + 18;

        CHECK(record->bytes % 8 == 0 && record->bytes >= 24 && at + record->bytes <= got && record->number != 0);
        CHECK(strlen(name) < record->bytes - 19u && buffer[at + record->bytes - 1] == (name[0] == '.' ? 4 : 8));
        at += record->bytes;
    }
    CHECK(got > 0 && count > 2 && file_seek(dir, 0, SEEK_CUR) > 0);
}

static void changes(void)
{
    struct fs_user user = fs_user_create(0);
    struct unit_random random = {booted_seed()};
    struct file *dir;
    char path[16];
    int64_t got;

    dots = 0;
    memset(seen, 0, sizeof seen);
    CHECK(path_mkdir(&user.place, "/d", 0755) == 0);
    for (int i = 0; i < KEPT; i++) {
        (void)fmt_print(path, sizeof path, "/d/k%c%c", 'a' + i / 10, 'a' + i % 10);
        CHECK(make_file(&user.place, path, "") == 0);
    }
    CHECK(path_open(&user.place, "/d", O_RDONLY, 0, &dir) == 0);
    while ((got = read_some(dir, 24 + unit_random_below(&random, 480))) > 0) {
        (void)fmt_print(path, sizeof path, "/d/x%u", (unsigned)unit_random_below(&random, 6));
        if (path_unlink(&user.place, path) != 0)
            CHECK(make_file(&user.place, path, "") == 0);
    }
    CHECK(got == 0 && dots == 2);
    for (unsigned i = 0; i < KEPT; i++)
        CHECK(seen[i] == 1);
    old_records(dir);
    CHECK(file_seek(dir, 0, SEEK_SET) == 0 && read_some(dir, 16) == -EINVAL);
    CHECK(read_some(dir, 24) == 24 && read_some(dir, 24) == 24 && dots == 4);
    for (int i = 0; i < KEPT; i++) {
        (void)fmt_print(path, sizeof path, "/d/k%c%c", 'a' + i / 10, 'a' + i % 10);
        CHECK(path_unlink(&user.place, path) == 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        (void)fmt_print(path, sizeof path, "/d/x%u", i);
        (void)path_unlink(&user.place, path);
    }
    CHECK(read_some(dir, 480) == 0 && path_rmdir(&user.place, "/d") == 0 && read_some(dir, 480) == -ENOENT);
    file_put(dir);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"changes", changes}, {NULL, NULL}};

BOOTED(a_reader_sees_each_lasting_name_once, "changes", 40)

FS_TEST_MAIN(cmocka_unit_test(a_reader_sees_each_lasting_name_once))
