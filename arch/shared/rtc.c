/* SPDX-License-Identifier: MIT */
/* Real-time clocks: shared/rtc.h names the sources. Refuses to set one, or to wait for the beginning of a second. */
#include <shared/rtc.h>

#include <k/types.h>

/* ---- A PC's ---- */

#define STATUS_B_24_HOURS 0x02u
#define STATUS_B_BINARY 0x04u
#define HOUR_IS_PM 0x80u

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to the first of that month. */
static uint64_t days_before(unsigned year, unsigned month)
{
    static const uint16_t before[12] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    unsigned past = year - 1;
    uint64_t leap_days = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);

    return (uint64_t)(year - 1970) * 365 + leap_days + before[month - 1] + (month > 2 && is_leap(year));
}

static unsigned days_of(unsigned year, unsigned month)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

/* 100 or more: no digits. */
static unsigned number_of(uint8_t value, bool is_binary)
{
    if (is_binary)
        return value;
    return (value & 0xf) > 9 || value >> 4 > 9 ? 100 : (value >> 4) * 10u + (value & 0xfu);
}

bool rtc_cmos_seconds(const struct rtc_cmos *cmos, uint64_t *out_seconds)
{
    bool is_binary = (cmos->status_b & STATUS_B_BINARY) != 0, is_12 = (cmos->status_b & STATUS_B_24_HOURS) == 0;
    unsigned second = number_of(cmos->second, is_binary), minute = number_of(cmos->minute, is_binary);
    unsigned hour = number_of(is_12 ? cmos->hour & ~HOUR_IS_PM & 0xff : cmos->hour, is_binary);
    unsigned day = number_of(cmos->day, is_binary), month = number_of(cmos->month, is_binary);
    unsigned year = number_of(cmos->year, is_binary), century = number_of(cmos->century, is_binary);

    if (is_12 && (hour < 1 || hour > 12))
        return false;
    if (is_12)
        hour = hour % 12 + ((cmos->hour & HOUR_IS_PM) != 0 ? 12 : 0);
    if (second > 59 || minute > 59 || hour > 23 || month < 1 || month > 12 || year > 99 || century > 99)
        return false;
    if (century == 0)
        century = year < 70 ? 20 : 19;
    year += century * 100;
    if (year < 1970 || day < 1 || day > days_of(year, month))
        return false;
    *out_seconds = (((days_before(year, month) + day - 1) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

/* ---- Those of device trees ---- */

#define PL031_DATA 0x0u
#define PL031_BYTES 0x20u
#define GOLDFISH_LOW 0x0u /* reading it keeps the other one for the next read */
#define GOLDFISH_HIGH 0x4u
#define GOLDFISH_BYTES 0x8u

static struct rtc_place find(const struct fdt *fdt, const char *name, enum rtc_kind kind, uint64_t bytes_min)
{
    struct rtc_place place = { .kind = kind };
    fdt_node_t node = fdt_find_compatible(fdt, FDT_NODE_NONE, name);

    if (node == FDT_NODE_NONE || fdt_get_reg(fdt, node, 0, &place.base, &place.bytes) != 0 || place.bytes < bytes_min)
        place.kind = RTC_NONE;
    return place;
}

struct rtc_place rtc_find(const struct fdt *fdt)
{
    struct rtc_place place = find(fdt, "arm,pl031", RTC_PL031, PL031_BYTES);

    return place.kind != RTC_NONE ? place : find(fdt, "google,goldfish-rtc", RTC_GOLDFISH, GOLDFISH_BYTES);
}

uint64_t rtc_read_ns(enum rtc_kind kind, vaddr_t va)
{
    if (kind == RTC_PL031)
        return *(const volatile uint32_t *)(va + PL031_DATA) * NS_PER_SEC;
    if (kind != RTC_GOLDFISH)
        return 0;
    uint64_t low = *(const volatile uint32_t *)(va + GOLDFISH_LOW);

    return (uint64_t)*(const volatile uint32_t *)(va + GOLDFISH_HIGH) << 32 | low;
}
