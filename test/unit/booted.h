/* SPDX-License-Identifier: MIT */
/*
 * Tests that boot the real kernel on the simulated machine, once per seed and each time in a process of its own. What
 * runs there is one of booted_tests[], as the kernel's init task; test/kernel/check.h has what it checks with.
 *
 * A program that also has tests in unit mode runs them after these: ThreadSanitizer is blind in a child of a process
 * that has had more than one stack.
 */
#pragma once

#include "check.h"

/* Defined by the test program, ends with a NULL name. Each one's name stands on the command line: no blanks in it. */
extern const struct kernel_test booted_tests[];

/*
 * Boot with seeds 0 to seeds - 1 (fewer on a slow machine), on 1 to 8 CPUs in turn, and run that test in each; the
 * first that fails is printed and fails the cmocka test. Every run ends with the counts of check_counts_compare().
 * While it runs, the simulator's checkers (test/sim/) watch all promises; a broken one ends the run and says which.
 */
void booted_run(const char *name, unsigned seeds);

/* The same on so many CPUs, with more words on the command line. */
void booted_run_on(unsigned cpus, const char *name, const char *more, unsigned seeds);

/* What is special about the machine of the runs that follow: 0 is the usual. */
struct booted_machine {
    unsigned step_ns;                /* a slower machine, for stories that take long in virtual time */
    unsigned threads, cores, caches; /* of struct host_config */
    void (*prepare)(void);           /* run there before anything is counted: for what stays; NULL: nothing */
};
extern struct booted_machine booted_machine;

/* The run must end in a panic that says so in these words. */
void booted_panics(unsigned cpus, const char *name, const char *words, unsigned seeds);

void booted_panics_with_seed(unsigned cpus, const char *name, const char *words, uint64_t seed);

/* What the last run printed. */
const char *booted_console(void);

/* The seed of the run, inside it. */
uint64_t booted_seed(void);
