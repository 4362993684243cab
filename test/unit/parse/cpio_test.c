/* SPDX-License-Identifier: MIT */
/* Tests of core/parse/cpio.c. */
#include "unit.h"

#include <string.h>

#include <parse/cpio.h>

#include <k/errno.h>

#include "cpio_build.h"

static struct cpio_build build;

static void expect_entry(struct cpio *cpio, const char *name, uint32_t mode, const char *data)
{
    struct cpio_entry entry;

    memset(&entry, 0xa5, sizeof(entry));
    assert_int_equal(cpio_next(cpio, &entry), 0);
    assert_string_equal(entry.name, name);
    assert_int_equal(entry.mode, mode);
    assert_int_equal(entry.bytes, strlen(data));
    assert_memory_equal(entry.data, data, entry.bytes);
}

static void expect_end(struct cpio *cpio)
{
    struct cpio_entry entry;

    for (int i = 0; i < 2; i++)
        assert_int_equal(cpio_next(cpio, &entry), -ENOENT);
    assert_null(cpio->reason);
    assert_int_equal(cpio->at, cpio->bytes);
}

static void expect_refused(struct cpio *cpio, size_t at, const char *reason)
{
    struct cpio_entry entry;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(cpio_next(cpio, &entry), -EINVAL);
        assert_string_equal(cpio->reason, reason);
        assert_int_equal(cpio->at, at);
    }
}

static struct cpio open_build(void)
{
    struct cpio cpio;

    cpio_open(&cpio, build.data, build.bytes);
    return cpio;
}

static void nothing_and_zeros_are_archives_without_entries(void **state)
{
    struct cpio cpio;

    (void)state;
    cpio_open(&cpio, NULL, 0);
    expect_end(&cpio);
    cpio_build_begin(&build, 1);
    cpio_build_zeros(&build, 1023);
    cpio = open_build();
    expect_end(&cpio);
}

static void every_field_of_an_entry_is_told(void **state)
{
    struct cpio_entry entry;
    struct cpio cpio;

    (void)state;
    cpio_build_begin(&build, 1);
    cpio_build_zeros(&build, 8);
    cpio_build_field(&build, cpio_build_add(&build, "a", 0100644, "abc", 3), CPIO_NLINK, 0xFFFFFFFF);
    cpio_build_end(&build);
    cpio = open_build();
    assert_int_equal(cpio_next(&cpio, &entry), 0);
    assert_int_equal(entry.uid, 1);
    assert_int_equal(entry.gid, 2);
    assert_int_equal(entry.mtime_seconds, 1001);
    assert_int_equal(entry.link_count, 0xFFFFFFFF);
    assert_int_equal(entry.ino, 1);
    assert_int_equal(entry.dev_major, 3);
    assert_int_equal(entry.dev_minor, 4);
    assert_int_equal(entry.rdev_major, 5);
    assert_int_equal(entry.rdev_minor, 6);
    assert_int_equal(entry.archive, 8);
    assert_ptr_equal(entry.name, build.data + 8 + 110);
    assert_ptr_equal(entry.data, build.data + 8 + 112);
    expect_end(&cpio);
}

static void digits_may_be_large_or_small_letters(void **state)
{
    struct cpio_entry entry;
    struct cpio cpio;

    (void)state;
    cpio_build_begin(&build, 1);
    cpio_build_add(&build, "a", 0100644, NULL, 0);
    cpio_build_end(&build);
    memcpy(build.data + CPIO_FIELD_AT(CPIO_UID), "0aBcDeF9", 8);
    cpio = open_build();
    assert_int_equal(cpio_next(&cpio, &entry), 0);
    assert_int_equal(entry.uid, 0x0abcdef9);
}

static void archives_that_follow_each_other_are_one_sequence(void **state)
{
    struct cpio_entry entry;
    struct cpio cpio;

    (void)state;
    cpio_build_two(&build);
    cpio = open_build();
    expect_entry(&cpio, ".", 040755, "");
    expect_entry(&cpio, "bin", 040755, "");
    expect_entry(&cpio, "bin/busybox", 0100755, "\177ELF and so on");
    expect_entry(&cpio, "bin/sh", 0120777, "busybox");
    expect_entry(&cpio, "dev/console", 0020600, "");
    expect_entry(&cpio, "etc/motd", 0100644, "hello\n");
    expect_entry(&cpio, "pipe", 0010644, "");
    assert_int_equal(cpio_next(&cpio, &entry), 0);
    assert_string_equal(entry.name, "empty");
    assert_int_equal(entry.archive % 512, 0);
    assert_true(entry.archive > 0);
    expect_end(&cpio);
}

static void padding_may_be_missing_at_the_very_end(void **state)
{
    struct cpio cpio;

    (void)state;
    cpio_build_begin(&build, 1);
    cpio_build_end(&build);
    build.bytes = 110 + sizeof("TRAILER!!!");
    assert_int_not_equal(build.bytes % 4, 0);
    cpio = open_build();
    expect_end(&cpio);
}

/* Wherever the bytes end: what came whole is told, nothing behind the end is read, and the cut is reported. */
static void an_archive_that_is_cut_anywhere_keeps_what_was_whole(void **state)
{
    size_t whole;

    (void)state;
    cpio_build_begin(&build, 1);
    cpio_build_add(&build, "a", 0100644, "12345", 5);
    whole = build.bytes;
    cpio_build_add(&build, "b", 0100644, "12345", 5);
    for (size_t bytes = 1; bytes < build.bytes; bytes++) {
        struct cpio_entry entry;
        struct cpio cpio;
        int count = 0;

        cpio_open(&cpio, build.data, bytes);
        while (cpio_next(&cpio, &entry) == 0)
            count++;
        /* The data's padding is not missed. */
        assert_int_equal(count, bytes + 3 >= build.bytes ? 2 : bytes + 3 >= whole ? 1 : 0);
        assert_non_null(cpio.reason);
        assert_true(cpio.at <= bytes);
    }
}

static void an_archive_without_its_last_entry_is_reported(void **state)
{
    struct cpio cpio;

    (void)state;
    cpio_build_begin(&build, 1);
    cpio_build_add(&build, "a", 0100644, "1234", 4);
    cpio = open_build();
    expect_entry(&cpio, "a", 0100644, "1234");
    expect_refused(&cpio, build.bytes, "an archive without its last entry, TRAILER!!!");
    /* The same if the end is in the data's padding. */
    cpio_build_begin(&build, 1);
    cpio_build_add(&build, "a", 0100644, "12345", 5);
    build.bytes--;
    cpio = open_build();
    expect_entry(&cpio, "a", 0100644, "12345");
    expect_refused(&cpio, build.bytes, "an archive without its last entry, TRAILER!!!");
}

/* A good entry, then what `damage` made of the second. */
static void expect_second_refused(size_t at, const char *reason)
{
    struct cpio cpio = open_build();

    expect_entry(&cpio, "good", 0100644, "data");
    expect_refused(&cpio, at, reason);
}

static size_t begin_second(int format, const char *name, uint32_t mode, const char *data)
{
    size_t header;

    cpio_build_begin(&build, format);
    cpio_build_add(&build, "good", 0100644, "data", 4);
    header = cpio_build_add(&build, name, mode, data, strlen(data));
    cpio_build_end(&build);
    return header;
}

#define BAD_NAME "an entry with an empty name, or one that is too long"
#define BAD_LINK "a symbolic link with an empty target, or one that is too long"

static void each_damaged_field_is_reported_with_its_place(void **state)
{
    static const struct {
        int field;
        uint32_t value;
        const char *reason;
    } bad[] = {
        {CPIO_NAME_BYTES, 0, BAD_NAME},
        {CPIO_NAME_BYTES, 1, BAD_NAME},
        {CPIO_NAME_BYTES, CPIO_NAME_MAX + 1, BAD_NAME},
        {CPIO_NAME_BYTES, UINT32_MAX, BAD_NAME},
        {CPIO_NAME_BYTES, CPIO_NAME_MAX, "a name that is cut off"},
        {CPIO_BYTES, 0x10000, "data that is cut off"},
        {CPIO_BYTES, UINT32_MAX, "data that is cut off"},
        {CPIO_MODE, 0644, "an entry of an unknown type"},
        {CPIO_MODE, 0170644, "an entry of an unknown type"},
        {CPIO_MODE, 0300644, "an entry of an unknown type"},
        {CPIO_MODE, 040755, "data of an entry whose type has none"},
        {CPIO_MODE, 020600, "data of an entry whose type has none"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t header = begin_second(1, "name", 0100644, "abc");

        cpio_build_field(&build, header, bad[i].field, bad[i].value);
        expect_second_refused(header, bad[i].reason);
    }
}

static void a_digit_that_is_none_is_reported_with_its_place(void **state)
{
    static const char bad[] = "gG/:@`- x\0";

    (void)state;
    for (int field = 0; field < CPIO_FIELDS; field++) {
        size_t header = begin_second(1, "name", 0100644, "abc"), at = header + CPIO_FIELD_AT(field);

        build.data[at + (size_t)field % 8] = (uint8_t)bad[(size_t)field % sizeof(bad)];
        expect_second_refused(at, "a number that is none");
    }
}

static void a_name_ends_exactly_where_its_length_says(void **state)
{
    size_t header = begin_second(1, "name", 0100644, "abc");

    (void)state;
    cpio_build_field(&build, header, CPIO_NAME_BYTES, 4);
    expect_second_refused(header + 110, "a name that does not end where it should");
    cpio_build_field(&build, header, CPIO_NAME_BYTES, 7);
    expect_second_refused(header + 110, "a name that does not end where it should");
    cpio_build_field(&build, header, CPIO_NAME_BYTES, 6);
    build.data[header + 110] = '\0';
    expect_second_refused(header + 110, "a name that does not end where it should");
}

static void nothing_but_zeros_may_follow_a_name(void **state)
{
    size_t header = begin_second(1, "name", 0100644, "abc");
    struct cpio cpio = open_build();
    struct cpio_entry entry;

    (void)state;
    cpio_build_field(&build, header, CPIO_NAME_BYTES, 6); /* the second NUL was what filled up to the data */
    assert_int_equal(cpio_next(&cpio, &entry), 0);
    assert_int_equal(cpio_next(&cpio, &entry), 0);
    assert_string_equal(entry.name, "name");
    assert_int_equal(entry.bytes, 3);
    assert_memory_equal(entry.data, "abc", 3);
    assert_ptr_equal(entry.data, build.data + header + 116);
}

static void a_link_has_a_target(void **state)
{
    static char target[CPIO_NAME_MAX + 1];
    struct cpio cpio;
    size_t header = begin_second(1, "name", 0120777, "");

    (void)state;
    expect_second_refused(header, BAD_LINK);
    header = begin_second(1, "name", 0120777, "a.b");
    build.data[header + 110 + 6 + 1] = '\0';
    expect_second_refused(header, "a symbolic link with a NUL in its target");
    memset(target, 't', CPIO_NAME_MAX);
    header = begin_second(1, "name", 0120777, target);
    expect_second_refused(header, BAD_LINK);
    target[CPIO_NAME_MAX - 1] = '\0';
    begin_second(1, "name", 0120777, target);
    cpio = open_build();
    expect_entry(&cpio, "good", 0100644, "data");
    expect_entry(&cpio, "name", 0120777, target);
    expect_end(&cpio);
}

static void a_wrong_checksum_is_reported_where_the_format_has_one(void **state)
{
    struct cpio cpio;
    size_t header = begin_second(2, "name", 0100644, "\xff\xff" "abc");

    (void)state;
    cpio = open_build();
    expect_entry(&cpio, "good", 0100644, "data");
    expect_entry(&cpio, "name", 0100644, "\xff\xff" "abc");
    expect_end(&cpio);
    build.data[header + 116] ^= 1;
    expect_second_refused(header, "data with a wrong checksum");
    /* Without checksums the field is not looked at. */
    header = begin_second(1, "name", 0100644, "abc");
    cpio_build_field(&build, header, CPIO_CHECKSUM, 7);
    cpio = open_build();
    expect_entry(&cpio, "good", 0100644, "data");
    expect_entry(&cpio, "name", 0100644, "abc");
}

static void other_formats_are_named(void **state)
{
    static const struct {
        const char *magic;
        size_t bytes;
        const char *reason;
    } others[] = {
        {"\x1f\x8b\x08", 3, "compressed with gzip: unpack it first"},
        {"\x28\xb5\x2f\xfd", 4, "compressed with zstd: unpack it first"},
        {"\xfd" "7zXZ\0", 6, "compressed with xz: unpack it first"},
        {"BZh9", 4, "compressed with bzip2: unpack it first"},
        {"\x5d\0\0\x80", 4, "compressed with lzma: unpack it first"},
        {"\x02\x21\x4c\x18", 4, "compressed with lz4: unpack it first"},
        {"\x89LZO", 4, "compressed with lzop: unpack it first"},
        {"070707", 6, "an old format of cpio (odc): write it as newc"},
        {"\xc7\x71", 2, "an old format of cpio (binary): write it as newc"},
        {"\x71\xc7", 2, "an old format of cpio (binary): write it as newc"},
        {"070703", 6, "no cpio header"},
        {"\x1f", 1, "no cpio header"},
        {"0", 1, "no cpio header"},
        {"hello", 5, "no cpio header"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct cpio cpio;

        cpio_open(&cpio, others[i].magic, others[i].bytes);
        expect_refused(&cpio, 0, others[i].reason);
        /* Behind an archive, too. */
        cpio_build_two(&build);
        memcpy(build.data + build.bytes, others[i].magic, others[i].bytes);
        cpio_open(&cpio, build.data, build.bytes + others[i].bytes);
        for (int entry = 0; entry < 8; entry++)
            assert_int_equal(cpio_next(&cpio, &(struct cpio_entry){0}), 0);
        expect_refused(&cpio, build.bytes, others[i].reason);
    }
}

static void an_archive_begins_at_a_multiple_of_four(void **state)
{
    struct cpio cpio;

    (void)state;
    cpio_build_begin(&build, 1);
    cpio_build_zeros(&build, 5);
    cpio_build_end(&build);
    cpio = open_build();
    expect_refused(&cpio, 5, "an archive that begins at no multiple of 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_and_zeros_are_archives_without_entries),
        cmocka_unit_test(every_field_of_an_entry_is_told),
        cmocka_unit_test(digits_may_be_large_or_small_letters),
        cmocka_unit_test(archives_that_follow_each_other_are_one_sequence),
        cmocka_unit_test(padding_may_be_missing_at_the_very_end),
        cmocka_unit_test(an_archive_that_is_cut_anywhere_keeps_what_was_whole),
        cmocka_unit_test(an_archive_without_its_last_entry_is_reported),
        cmocka_unit_test(each_damaged_field_is_reported_with_its_place),
        cmocka_unit_test(a_digit_that_is_none_is_reported_with_its_place),
        cmocka_unit_test(a_name_ends_exactly_where_its_length_says),
        cmocka_unit_test(nothing_but_zeros_may_follow_a_name),
        cmocka_unit_test(a_link_has_a_target),
        cmocka_unit_test(a_wrong_checksum_is_reported_where_the_format_has_one),
        cmocka_unit_test(other_formats_are_named),
        cmocka_unit_test(an_archive_begins_at_a_multiple_of_four),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
