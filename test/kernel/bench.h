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

/* Those whose name contains `word`, as a task above all others; the program's exit code. */
int bench_run(const struct bench benches[], size_t count, const char *word);
