/* SPDX-License-Identifier: MIT */
/*
 * The frame of the fuzzers: damages a valid input at random and hands it over beside a page that cannot be read, so
 * that a read past either end is a fault even without a sanitizer. Iteration i of seed s is the same on every machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz_random {
    uint64_t state;
};

uint64_t fuzz_random_next(struct fuzz_random *random);
size_t fuzz_random_below(struct fuzz_random *random, size_t bound);

#define FUZZ_BYTES_MAX 8192

struct fuzz_target {
    const char *name;
    /* Write a valid input, at most FUZZ_BYTES_MAX bytes; returns its size. */
    size_t (*make)(struct fuzz_random *random, uint8_t *to);
    /* After the damage: repair sizes or checksums, sometimes, so that the damage gets past the first checks. */
    size_t (*repair)(struct fuzz_random *random, uint8_t *data, size_t bytes);
    /* Feed it to the code under test and to every function behind it. True if it was accepted. */
    bool (*run)(const uint8_t *data, size_t bytes);
};

/* A place for `bytes` bytes that ends (or, for at_start, begins) at an unreadable page. Two of them: 0 and 1. */
uint8_t *fuzz_guarded(unsigned which, size_t bytes, bool at_start);

/* A broken promise of the code under test. */
#define FUZZ_CHECK(cond)                                                \
    do {                                                                \
        if (!(cond))                                                    \
            fuzz_fail(#cond, __FILE_NAME__, __LINE__);                  \
    } while (0)
[[noreturn]] void fuzz_fail(const char *condition, const char *file, int line);

/* --iterations N --seed S --first I; 0 if nothing failed and both accepted and refused inputs were met. */
int fuzz_main(const struct fuzz_target *target, int argc, char **argv);
