/* SPDX-License-Identifier: MIT */
/*
 * The PC's real-time clock (Motorola MC146818A; chipset data sheets), read once at boot. Its registers are wrong while
 * it counts on, which it says; so all are read until two rows are equal and no update came between. No lock: boot.
 */
#include <shared/rtc.h>

#include <hal/boot.h>
#include <hal/clock.h>
#include <lib/string.h>

#include "machine.h"
#include "x86.h"

#define CMOS_INDEX 0x70 /* bit 7 masks the NMI */
#define CMOS_DATA 0x71
#define CMOS_SECOND 0x00
#define CMOS_MINUTE 0x02
#define CMOS_HOUR 0x04
#define CMOS_DAY 0x07
#define CMOS_MONTH 0x08
#define CMOS_YEAR 0x09
#define CMOS_STATUS_A 0x0a
#define CMOS_STATUS_B 0x0b
#define CMOS_REGISTERS 128
#define STATUS_A_UPDATE 0x80

/* An update takes 2 ms at most, and a read 1 us or so: a clock that is never ready is broken, or not there. */
#define READS_MAX 20000

static uint8_t cmos_read(unsigned index)
{
    out8(CMOS_INDEX, (uint8_t)index);
    return in8(CMOS_DATA);
}

static void read_row(unsigned century, struct rtc_cmos *out)
{
    *out = (struct rtc_cmos){
        .second = cmos_read(CMOS_SECOND),
        .minute = cmos_read(CMOS_MINUTE),
        .hour = cmos_read(CMOS_HOUR),
        .day = cmos_read(CMOS_DAY),
        .month = cmos_read(CMOS_MONTH),
        .year = cmos_read(CMOS_YEAR),
        .century = century != 0 ? cmos_read(century) : 0,
        .status_b = cmos_read(CMOS_STATUS_B),
    };
}

void rtc_read(const struct acpi_fadt *fadt, struct boot_info *boot)
{
    unsigned century = fadt->rtc_century < CMOS_REGISTERS ? fadt->rtc_century : 0;
    struct rtc_cmos row, again;
    uint64_t seconds;

    if (fadt->has_no_rtc)
        return;
    for (unsigned i = 0; i < READS_MAX; i++) {
        if ((cmos_read(CMOS_STATUS_A) & STATUS_A_UPDATE) != 0)
            continue;
        boot->wall_at_ticks = hal_clock_ticks();
        read_row(century, &row);
        read_row(century, &again);
        if ((cmos_read(CMOS_STATUS_A) & STATUS_A_UPDATE) != 0 || memcmp(&row, &again, sizeof row) != 0)
            continue;
        if (rtc_cmos_seconds(&row, &seconds))
            boot->wall_ns = seconds * NS_PER_SEC;
        return;
    }
}
