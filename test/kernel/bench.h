/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share. Another line is a function and its entry in the program's table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench {
    const char *name; /* of its line, or of the first of its lines */
    void (*run)(void);
    bool is_remote;   /* needs two CPUs; the others are measured on one */
};

/* `bench: NAME VALUE ns`, per operation. */
void bench_report(const char *name, uint64_t ns, uint64_t operations);

/* The same of what is compared with a budget: without the loop around the operation, and whatever else `taken_off_ns`
 * says. */
void bench_report_net(const char *name, uint64_t ns, uint64_t taken_off_ns, uint64_t operations);

/* bench_mm.c: what the benchmarks' own loop takes for so many rounds (at most 1024), each with one access to an array,
 * and one look at the clock; and filling so many pages with zeros, without that. */
uint64_t bench_loop_ns(unsigned rounds);
uint64_t bench_zero_ns(unsigned pages);

/* bench_tables.c */
void bench_page_tables(void);

/* Those whose name contains one of `words`, which commas separate, as a task above all others; the exit code. */
int bench_run(const struct bench benches[], size_t count, const char *words);

/* bench_vm.c, for the table in bench_mm.c. */
void bench_region_find(void);
void bench_region_gap(void);
void bench_region_map(void);
void bench_object_page(void);

/* bench_space.c, for the table in bench_mm.c. */
void bench_space_fault(void);
void bench_space_map(void);
void bench_space_fork(void);

/* bench_deadline.c, for the table in bench_latency.c. */
void bench_deadline(void);

/* bench_shoot.c, for the same table. */
void bench_shootdown(void);
