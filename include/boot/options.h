/* SPDX-License-Identifier: MIT */
/* Boot options, from the command line: "init=NAME loglevel=N cpus=N". An unknown or damaged one is named in the log.
 * "kaslr=" is the machine's: core only knows that it is one. */
#pragma once

#include <stdbool.h>

#include <k/limits.h>
#include <k/types.h>

struct boot_options {
    char init[32];     /* which program of boot_programs to run; default "showcase" */
    char argument[96]; /* what follows ':' in init= */
    bool has_init;     /* init= names one of them */
    char first[96];    /* init=/PATH: the first program of the user's; "": the usual ones, if there are files */
    /* What follows the word "--": the first program's arguments, each with its NUL. */
    char arguments[CMDLINE_BYTES];
    unsigned argument_count;
    unsigned cpus_max; /* start at most so many CPUs */
    unsigned asids_max; /* asids= address-space ids in use, at most; with few they run out often */
    bool use_console;  /* console=on: the debug console beside init */
    bool log_latency;  /* latency=on: the ledger at the end of init, and in a panic */
    bool use_huge;     /* huge=on: 2 MiB pages for user memory where they fit */
    uint64_t seed;     /* seed= for tests that use random numbers */
    unsigned rt_percent;       /* rt=PERCENT of a CPU for real-time tasks while others wait; 0: the scheduler's own */
    unsigned deadline_percent; /* deadline=PERCENT of a CPU for deadline tasks; 0: the scheduler's own */
    bool idle_polls;   /* idle=poll: idle CPUs look for work for a while before they wait for an interrupt; idle=halt */
    uint64_t fair_slice_ns; /* slice=MILLISECONDS of a fair task; 0: the scheduler's own */
};

/* Context: boot. */
void boot_options_parse(const char *cmdline, struct boot_options *out);
