/* SPDX-License-Identifier: MIT */
/* Tests of core/lib/fmt.c: every combination of flags, width, precision and length against the host's snprintf(). */
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <lib/fmt.h>

#pragma clang diagnostic ignored "-Wformat" /* formats are put together here, odd ones on purpose */
#pragma clang diagnostic ignored "-Wformat-nonliteral"
#pragma clang diagnostic ignored "-Wformat-security"

#define ROOM 256

static const char *const flags[] = {"", "-", "0", "+", " ", "#", "-0", "+0", " 0", "#0", "-+", "-#", "+ ", "-+ #0"};
static const char *const widths[] = {"", "1", "2", "7", "25"};
static const char *const precisions[] = {"", ".", ".0", ".1", ".3", ".12", ".30"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Call check(format) with each of flag, width and precision before the given ending. */
static void for_each_spec(const char *ending, void (*check)(const char *format))
{
    for (size_t f = 0; f < COUNT(flags); f++) {
        for (size_t w = 0; w < COUNT(widths); w++) {
            for (size_t p = 0; p < COUNT(precisions); p++) {
                char format[64];

                snprintf(format, sizeof(format), "<%%%s%s%s%s>", flags[f], widths[w], precisions[p], ending);
                check(format);
            }
        }
    }
}

#define EXPECT_SAME(format, ...)                                                        \
    do {                                                                                \
        char ours[ROOM], libc[ROOM];                                                    \
        int our_length = fmt_print(ours, ROOM, format __VA_OPT__(, ) __VA_ARGS__);      \
        int libc_length = snprintf(libc, ROOM, format __VA_OPT__(, ) __VA_ARGS__);      \
                                                                                        \
        assert_string_equal(ours, libc);                                                \
        assert_int_equal(our_length, libc_length);                                      \
    } while (0)

static const int64_t numbers[] = {0, 1, -1, 9, 10, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 123456789, -42,
                                  INT_MAX, INT_MIN, UINT_MAX, INT64_MAX, INT64_MIN, 0x123456789abcdef0, -128, -32768};

static void check_int(const char *format)
{
    for (size_t i = 0; i < COUNT(numbers); i++)
        EXPECT_SAME(format, (int)numbers[i]);
}

static void check_64(const char *format)
{
    for (size_t i = 0; i < COUNT(numbers); i++)
        EXPECT_SAME(format, numbers[i]);
}

static void numbers_of_int_and_smaller_agree_with_libc(void **state)
{
    (void)state;
    for (const char *c = "diuxX"; *c != '\0'; c++) {
        for (size_t l = 0; l < 3; l++) {
            char ending[4];

            snprintf(ending, sizeof(ending), "%s%c", (const char *[]){"", "h", "hh"}[l], *c);
            for_each_spec(ending, check_int);
        }
    }
}

static void numbers_of_64_bits_agree_with_libc(void **state)
{
    (void)state;
    for (const char *c = "diuxX"; *c != '\0'; c++) {
        for (size_t l = 0; l < 5; l++) {
            char ending[4];

            snprintf(ending, sizeof(ending), "%s%c", (const char *[]){"l", "ll", "z", "j", "t"}[l], *c);
            for_each_spec(ending, check_64);
        }
    }
}

static void strings_and_characters_agree_with_libc(void **state)
{
    (void)state;
    for (size_t w = 0; w < COUNT(widths); w++) {
        for (size_t left = 0; left < 2; left++) {
            char format[64];

            snprintf(format, sizeof(format), "<%%%s%sc>", left ? "-" : "", widths[w]);
            EXPECT_SAME(format, 'x');
            EXPECT_SAME(format, 0x141);
            for (size_t p = 0; p < COUNT(precisions); p++) {
                snprintf(format, sizeof(format), "<%%%s%s%ss>", left ? "-" : "", widths[w], precisions[p]);
                EXPECT_SAME(format, "");
                EXPECT_SAME(format, "ab");
                EXPECT_SAME(format, "a longer text");
            }
        }
    }
}

static void pointers_agree_with_libc(void **state)
{
    (void)state;
    EXPECT_SAME("%p|%20p|%-20p|", (void *)0x1234, (void *)UINTPTR_MAX, (void *)1);
}

static void a_null_pointer_is_printed_as_a_number(void **state)
{
    char text[ROOM];

    (void)state;
    assert_int_equal(fmt_print(text, ROOM, "%p", (void *)NULL), 3);
    assert_string_equal(text, "0x0");
}

static void a_null_string_is_named(void **state)
{
    char text[ROOM];

    (void)state;
    fmt_print(text, ROOM, "%s|%8s|%.3s", (char *)NULL, (char *)NULL, (char *)NULL);
    assert_string_equal(text, "(null)|  (null)|(nu");
}

static void stars_take_width_and_precision_from_the_arguments(void **state)
{
    (void)state;
    for (int width = -30; width <= 30; width++) {
        for (int precision = -3; precision <= 20; precision++) {
            EXPECT_SAME("%*.*d|", width, precision, -77);
            EXPECT_SAME("%0*.*x|", width, precision, 0x77);
            EXPECT_SAME("%*.*s|", width, precision, "star");
        }
    }
}

static void several_conversions_share_one_text(void **state)
{
    (void)state;
    EXPECT_SAME("");
    EXPECT_SAME("no conversion");
    EXPECT_SAME("%%");
    EXPECT_SAME("100%% of %d %s cost %lu%c", 3, "pages", 12288ul, '.');
    EXPECT_SAME("%hhd%hd%d%ld%lld%zu%jd%td", (char)-1, (short)-2, -3, -4l, -5ll, (size_t)6, (intmax_t)-7,
                (ptrdiff_t)-8);
}

static void the_text_is_cut_at_the_room_and_terminated(void **state)
{
    (void)state;
    for (size_t room = 0; room < 40; room++) {
        char ours[64], libc[64];
        int our_length, libc_length;

        memset(ours, '#', sizeof(ours));
        memset(libc, '#', sizeof(libc));
        our_length = fmt_print(ours, room, "%5d|%-6s|%#x|%05u", 42, "abc", 255u, 7u);
        libc_length = snprintf(libc, room, "%5d|%-6s|%#x|%05u", 42, "abc", 255u, 7u);
        assert_int_equal(our_length, libc_length);
        assert_memory_equal(ours, libc, sizeof(ours)); /* also: nothing behind the room */
    }
}

static void huge_widths_are_measured_without_being_written(void **state)
{
    char text[8];

    (void)state;
    assert_int_equal(fmt_print(text, sizeof(text), "%2147483647d", 1), INT_MAX);
    assert_string_equal(text, "       ");
    assert_int_equal(fmt_print(text, sizeof(text), "%99999999999d", 1), INT_MAX);
    assert_int_equal(fmt_print(text, sizeof(text), "%2147483647d%2147483647d", 1, 1), INT_MAX);
    assert_int_equal(fmt_print(text, sizeof(text), "%.2147483647d", 1), INT_MAX);
    assert_string_equal(text, "0000000");
    assert_int_equal(fmt_print(text, sizeof(text), "%*d", INT_MIN, 1), INT_MAX);
}

static void unknown_conversions_are_printed_as_they_stand(void **state)
{
    static const char *const odd[] = {"%f", "%n", "%5.3Lg", "%", "%-08", "%l", "%ls", "%hhc", "%y", "%#"};
    char text[ROOM];

    (void)state;
    for (size_t i = 0; i < COUNT(odd); i++) {
        assert_int_equal(fmt_print(text, ROOM, odd[i], 1, 2), (int)strlen(odd[i]));
        assert_string_equal(text, odd[i]);
    }
    fmt_print(text, ROOM, "%f%d", 7);
    assert_string_equal(text, "%f7"); /* it took no argument */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_int_and_smaller_agree_with_libc),
        cmocka_unit_test(numbers_of_64_bits_agree_with_libc),
        cmocka_unit_test(strings_and_characters_agree_with_libc),
        cmocka_unit_test(pointers_agree_with_libc),
        cmocka_unit_test(a_null_pointer_is_printed_as_a_number),
        cmocka_unit_test(a_null_string_is_named),
        cmocka_unit_test(stars_take_width_and_precision_from_the_arguments),
        cmocka_unit_test(several_conversions_share_one_text),
        cmocka_unit_test(the_text_is_cut_at_the_room_and_terminated),
        cmocka_unit_test(huge_widths_are_measured_without_being_written),
        cmocka_unit_test(unknown_conversions_are_printed_as_they_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
