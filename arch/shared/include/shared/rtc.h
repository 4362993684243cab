/* SPDX-License-Identifier: MIT */
/*
 * Clocks that go on while the machine is off, read once at boot: what a PC's says (Motorola MC146818A), and those that
 * a device tree names, PL031 (Arm DDI 0224) and goldfish (Android's goldfish-rtc). They are taken to show UTC. No lock:
 * the boot CPU's alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/compiler.h>
#include <k/types.h>
#include <parse/fdt.h>

/* A PC's registers as they are, in whichever form `status_b` says; `century` 0: there is no such register, and a year
 * below 70 is one of 20xx. */
struct rtc_cmos {
    uint8_t second, minute, hour, day, month, year, century, status_b;
};

/* Seconds since 1970. False: that is no time of day from 1970 on. */
bool rtc_cmos_seconds(const struct rtc_cmos *cmos, uint64_t *out_seconds) MUST_USE;

enum rtc_kind { RTC_NONE, RTC_PL031, RTC_GOLDFISH };

struct rtc_place {
    enum rtc_kind kind;
    paddr_t base;
    uint64_t bytes;
};

/* The first one that can be used; RTC_NONE: there is none. */
struct rtc_place rtc_find(const struct fdt *fdt);

/* What it shows, in ns since 1970; its registers are mapped at `va`. */
uint64_t rtc_read_ns(enum rtc_kind kind, vaddr_t va);
