/* SPDX-License-Identifier: MIT */
/*
 * What runs when the kernel is up: a table of named programs, linked in from outside core (test/kernel
 * has the showcase, the self-checks and the benchmarks). The chosen one is the kernel's init task; its
 * return value is the machine's exit code.
 */
#pragma once

#include <k/types.h>

struct boot_info;
struct boot_options;

/* What boot found out, for reports. */
struct boot_report {
    const struct boot_info *info;
    const struct boot_options *options;
    uint64_t entry_ticks;     /* clock at kmain() */
    uint64_t online_ticks;    /* clock when the last CPU was online */
    uint64_t ready_ticks;     /* clock when init began to run */
    unsigned cpus_online;
    unsigned cpus_failed;
    uint64_t ram_bytes;
};
extern struct boot_report boot_report;

struct boot_program {
    const char *name;
    const char *summary;
    int (*main)(const char *argument);
};

/* Ends with a NULL name. Defined by whoever links the image. */
extern const struct boot_program boot_programs[];
