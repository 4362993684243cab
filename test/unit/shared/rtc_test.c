/* SPDX-License-Identifier: MIT */
/* arch/shared/rtc.c: a PC's registers mean what the C library says, in each of their forms; what is no date is refused.
 * That the clocks themselves are read right is seen by boot tests with a date of their own. */
#include "unit.h"

#include <string.h>
#include <time.h>

#include <shared/rtc.h>

#include "../parse/fdt_build.h"

#define BINARY 0x04u
#define HOURS_24 0x02u
#define PM 0x80u

static uint8_t form(int value, uint8_t status_b)
{
    return (uint8_t)((status_b & BINARY) != 0 ? value : value / 10 * 16 + value % 10);
}

static struct rtc_cmos registers_of(const struct tm *tm, uint8_t status_b)
{
    int year = tm->tm_year + 1900, hour = tm->tm_hour;
    uint8_t pm = 0;

    if ((status_b & HOURS_24) == 0) {
        pm = hour >= 12 ? PM : 0;
        hour = hour % 12 == 0 ? 12 : hour % 12;
    }
    return (struct rtc_cmos){
        .second = form(tm->tm_sec, status_b),
        .minute = form(tm->tm_min, status_b),
        .hour = form(hour, status_b) | pm,
        .day = form(tm->tm_mday, status_b),
        .month = form(tm->tm_mon + 1, status_b),
        .year = form(year % 100, status_b),
        .century = form(year / 100, status_b),
        .status_b = status_b,
    };
}

/* A step that is no multiple of anything, over four centuries. */
static void every_form_of_every_year_is_read(void **state)
{
    static const uint8_t forms[] = { 0, BINARY, HOURS_24, BINARY | HOURS_24 };

    (void)state;
    for (time_t t = 0; t < (time_t)500 * 365 * 86400; t += 86400 * 3 + 3607)
        for (unsigned i = 0; i < 4; i++) {
            struct tm tm;
            uint64_t seconds = 0;

            assert_non_null(gmtime_r(&t, &tm));
            struct rtc_cmos cmos = registers_of(&tm, forms[i]);

            assert_true(rtc_cmos_seconds(&cmos, &seconds));
            assert_int_equal(seconds, t);
        }
}

static void without_a_century_it_is_the_one_that_fits(void **state)
{
    struct rtc_cmos cmos = { .day = 1, .month = 1, .year = 0x69, .status_b = HOURS_24 };
    uint64_t seconds;

    (void)state;
    assert_true(rtc_cmos_seconds(&cmos, &seconds));
    assert_int_equal(seconds, 3124224000); /* 2069 */
    cmos.year = 0x70;
    assert_true(rtc_cmos_seconds(&cmos, &seconds));
    assert_int_equal(seconds, 0);
}

static void what_is_no_date_is_refused(void **state)
{
    const struct rtc_cmos good = { .hour = 1, .day = 1, .month = 1, .year = 0x26, .century = 0x20,
                                   .status_b = HOURS_24 };
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {
        { offsetof(struct rtc_cmos, second), 0x60 }, { offsetof(struct rtc_cmos, minute), 0x60 },
        { offsetof(struct rtc_cmos, hour), 0x24 }, { offsetof(struct rtc_cmos, day), 0 },
        { offsetof(struct rtc_cmos, day), 0x32 }, { offsetof(struct rtc_cmos, month), 0 },
        { offsetof(struct rtc_cmos, month), 0x13 }, { offsetof(struct rtc_cmos, year), 0x0a },
        { offsetof(struct rtc_cmos, year), 0xa0 }, { offsetof(struct rtc_cmos, century), 0x18 },
        { offsetof(struct rtc_cmos, second), 0xff },
    };
    uint64_t seconds;

    (void)state;
    assert_true(rtc_cmos_seconds(&good, &seconds));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct rtc_cmos bad = good;

        ((uint8_t *)&bad)[wrong[i].at] = wrong[i].value;
        assert_false(rtc_cmos_seconds(&bad, &seconds));
    }
    struct rtc_cmos bad = good;

    bad.day = 0x29;
    bad.month = 2; /* 2026 is no leap year */
    assert_false(rtc_cmos_seconds(&bad, &seconds));
    bad = good;
    bad.status_b = 0; /* of twelve hours, 0 is none */
    bad.hour = 0;
    assert_false(rtc_cmos_seconds(&bad, &seconds));
    memset(&bad, 0xff, sizeof bad); /* nobody is there */
    assert_false(rtc_cmos_seconds(&bad, &seconds));
}

static struct rtc_place found(const char *compatible, uint32_t bytes)
{
    static struct fdt_build build;
    struct fdt fdt;

    fdt_build_begin(&build);
    fdt_build_node(&build, "");
    FDT_CELLS(&build, "#address-cells", 1);
    FDT_CELLS(&build, "#size-cells", 1);
    fdt_build_node(&build, "rtc@9010000");
    fdt_build_string(&build, "compatible", compatible);
    FDT_CELLS(&build, "reg", 0x9010000, bytes);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_end(&build);
    assert_int_equal(fdt_open(&fdt, build.blob, build.bytes), 0);
    return rtc_find(&fdt);
}

static void device_trees_name_what_can_be_read(void **state)
{
    (void)state;
    assert_int_equal(found("arm,pl031", 0x1000).kind, RTC_PL031);
    assert_int_equal(found("arm,pl031", 0x1000).base, 0x9010000);
    assert_int_equal(found("google,goldfish-rtc", 0x1000).kind, RTC_GOLDFISH);
    assert_int_equal(found("google,goldfish-rtc", 4).kind, RTC_NONE);
    assert_int_equal(found("other", 0x1000).kind, RTC_NONE);
}

static void registers_are_put_together(void **state)
{
    uint32_t row[2] = { 0x89abcdef, 0x01234567 };

    (void)state;
    assert_int_equal(rtc_read_ns(RTC_GOLDFISH, (uintptr_t)row), 0x0123456789abcdef);
    assert_int_equal(rtc_read_ns(RTC_PL031, (uintptr_t)row), 0x89abcdef * NS_PER_SEC);
    assert_int_equal(rtc_read_ns(RTC_NONE, (uintptr_t)row), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_every_year_is_read),
        cmocka_unit_test(without_a_century_it_is_the_one_that_fits),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(device_trees_name_what_can_be_read),
        cmocka_unit_test(registers_are_put_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
