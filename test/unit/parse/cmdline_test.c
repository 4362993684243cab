/* SPDX-License-Identifier: MIT */
/* Tests of core/parse/cmdline.c. */
#include "unit.h"

#include <string.h>

#include <parse/cmdline.h>

#include <k/errno.h>

struct expected {
    int result;
    const char *key;
    const char *value; /* NULL: no '=' */
};

/* Take `text` apart and compare each step, up to the end, with the list. */
static void expect_options(const char *text, const struct expected *expected, size_t count)
{
    struct cmdline_option option;
    const char *cursor = text;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(cmdline_next(&cursor, &option), expected[i].result);
        if (expected[i].result == -EINVAL)
            continue;
        assert_string_equal(option.key, expected[i].key);
        assert_int_equal(option.has_value, expected[i].value != NULL);
        assert_string_equal(option.value, expected[i].value != NULL ? expected[i].value : "");
    }
    assert_int_equal(cmdline_next(&cursor, &option), -ENOENT);
    assert_ptr_equal(cursor, text + strlen(text));
    assert_int_equal(cmdline_next(&cursor, &option), -ENOENT);
}

#define EXPECT(text, ...)                                                              \
    expect_options(text, (const struct expected[]){__VA_ARGS__},                       \
                   sizeof((const struct expected[]){__VA_ARGS__}) / sizeof(struct expected))

static void an_empty_line_has_no_options(void **state)
{
    (void)state;
    expect_options("", NULL, 0);
    expect_options(" \t\r\n ", NULL, 0);
}

static void words_are_split_at_blanks(void **state)
{
    (void)state;
    EXPECT("a", {0, "a", NULL});
    EXPECT("  a\tb=1 \n c=\r", {0, "a", NULL}, {0, "b", "1"}, {0, "c", ""});
}

static void only_the_first_equals_sign_separates(void **state)
{
    (void)state;
    EXPECT("root=UUID=12=3", {0, "root", "UUID=12=3"});
}

static void quotes_protect_blanks_and_disappear(void **state)
{
    (void)state;
    EXPECT("a=\"b c\" d", {0, "a", "b c"}, {0, "d", NULL});
    EXPECT("a=x\"y z\"w", {0, "a", "xy zw"});
    EXPECT("\"a=b c\"", {0, "a", "b c"});
    EXPECT("a=\"\"", {0, "a", ""});
    EXPECT("a=\"b\"\"c d\"", {0, "a", "bc d"});
}

static void an_unclosed_quote_or_an_empty_key_is_rejected(void **state)
{
    (void)state;
    EXPECT("a=\"b c", {-EINVAL, NULL, NULL});
    EXPECT("=1 b", {-EINVAL, NULL, NULL}, {0, "b", NULL});
    EXPECT("\"\" b", {-EINVAL, NULL, NULL}, {0, "b", NULL});
    EXPECT("= = b", {-EINVAL, NULL, NULL}, {-EINVAL, NULL, NULL}, {0, "b", NULL});
}

static void a_word_of_exactly_the_room_fits_and_one_more_does_not(void **state)
{
    struct cmdline_option option;
    char text[512];
    const char *cursor;

    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t keys = sizeof(option.key) - 1 + extra, values = sizeof(option.value) - 1 + extra;

        memset(text, 0, sizeof(text));
        memset(text, 'k', keys);
        memcpy(text + keys, " v=", 3);
        memset(text + keys + 3, 'w', values);
        memcpy(text + keys + 3 + values, " next", 5);
        cursor = text;
        assert_int_equal(cmdline_next(&cursor, &option), extra == 0 ? 0 : -E2BIG);
        assert_int_equal(strlen(option.key), sizeof(option.key) - 1);
        assert_int_equal(cmdline_next(&cursor, &option), extra == 0 ? 0 : -E2BIG);
        assert_string_equal(option.key, "v");
        assert_int_equal(strlen(option.value), sizeof(option.value) - 1);
        assert_int_equal(cmdline_next(&cursor, &option), 0);
        assert_string_equal(option.key, "next");
        assert_int_equal(cmdline_next(&cursor, &option), -ENOENT);
    }
}

static void numbers_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t number;
    } good[] = {
        {"0", 0}, {"7", 7}, {"007", 7}, {"18446744073709551615", UINT64_MAX}, {"0x0", 0}, {"0xfF", 255}, {"0X10", 16},
        {"0xffffffffffffffff", UINT64_MAX}, {"1K", 1024}, {"2k", 2048}, {"3M", 3 << 20}, {"0x10m", 16 << 20},
        {"4G", UINT64_C(4) << 30}, {"17179869183g", UINT64_C(17179869183) << 30}, {"0K", 0},
        {"0x00000000000000000001", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t number = 99;

        assert_int_equal(parse_u64(good[i].text, &number), 0);
        assert_int_equal(number, good[i].number);
    }
}

static void numbers_that_are_none_or_too_large_leave_the_result_alone(void **state)
{
    static const struct {
        const char *text;
        int error;
    } bad[] = {
        {"", -EINVAL}, {" 1", -EINVAL}, {"1 ", -EINVAL}, {"-1", -EINVAL}, {"+1", -EINVAL}, {"0x", -EINVAL},
        {"0xg", -EINVAL}, {"0xK", -EINVAL}, {"12a", -EINVAL}, {"K", -EINVAL}, {"1KK", -EINVAL}, {"1T", -EINVAL},
        {"1KB", -EINVAL}, {"x10", -EINVAL}, {"99999999999999999999z", -EINVAL}, {"18446744073709551616", -ERANGE},
        {"99999999999999999999", -ERANGE}, {"0x10000000000000000", -ERANGE}, {"17179869184G", -ERANGE},
        {"18446744073709551615K", -ERANGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t number = 99;

        assert_int_equal(parse_u64(bad[i].text, &number), bad[i].error);
        assert_int_equal(number, 99);
    }
}

static void words_are_taken_as_they_are(void **state)
{
    const char *at = " a=b \"two words\" \"\" longer x\" y";
    char word[10];

    (void)state;
    assert_int_equal(cmdline_next_word(&at, word, sizeof word), 0);
    assert_string_equal(word, "a=b");
    assert_int_equal(cmdline_next_word(&at, word, sizeof word), 0);
    assert_string_equal(word, "two words");
    assert_int_equal(cmdline_next_word(&at, word, sizeof word), 0);
    assert_string_equal(word, "");
    assert_int_equal(cmdline_next_word(&at, word, 6), -E2BIG);
    assert_string_equal(word, "longe");
    assert_int_equal(cmdline_next_word(&at, word, sizeof word), -EINVAL);
    assert_int_equal(cmdline_next_word(&at, word, sizeof word), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_line_has_no_options),
        cmocka_unit_test(words_are_split_at_blanks),
        cmocka_unit_test(only_the_first_equals_sign_separates),
        cmocka_unit_test(quotes_protect_blanks_and_disappear),
        cmocka_unit_test(an_unclosed_quote_or_an_empty_key_is_rejected),
        cmocka_unit_test(a_word_of_exactly_the_room_fits_and_one_more_does_not),
        cmocka_unit_test(words_are_taken_as_they_are),
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(numbers_that_are_none_or_too_large_leave_the_result_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
