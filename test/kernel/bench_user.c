/* SPDX-License-Identifier: MIT */
/* Costs of the kernel's access to user memory, as in bench.c: a thread of a process, on pages that are there. */
#include <lib/string.h>
#include <mm/user.h>
#include <time/clock.h>

#include "check.h"
#include "userspace.h"

#define ROUNDS 1000u

static struct hand_space space;
static ALIGNED(8) uint8_t buffer[PAGE_BYTES + 8];

static const struct {
    const char *name;
    size_t bytes;
    unsigned shift; /* of the kernel's side */
    bool is_out;
} copies[] = {
    { "user_copy_in_8", 8, 0, false },       { "user_copy_out_8", 8, 0, true },
    { "user_copy_in_64", 64, 0, false },     { "user_copy_out_64", 64, 0, true },
    { "user_copy_in_4096", 4096, 0, false }, { "user_copy_out_4096", 4096, 0, true },
    { "user_copy_in_4095_odd", 4095, 3, false },
    { "user_copy_out_4095_odd", 4095, 3, true },
};

static void report(const char *name, uint64_t start_ns)
{
    log_info("bench: %s %llu ns", name, (unsigned long long)((clock_ns() - start_ns + ROUNDS / 2) / ROUNDS));
}

static void measure_copy(unsigned which)
{
    uint8_t *kernel = buffer + copies[which].shift;
    size_t bytes = copies[which].bytes;
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++)
        if ((copies[which].is_out ? user_copy_out(hand_va(0), kernel, bytes)
                                  : user_copy_in(kernel, hand_va(0), bytes)) != 0)
            CHECK(false);
    report(copies[which].name, start);
}

static int measure(void *unused)
{
    uint32_t word = 0;

    (void)unused;
    for (unsigned which = 0; which < ARRAY_COUNT(copies); which++)
        measure_copy(which);
    CHECK(user_copy_out(hand_va(0), "a name of 16 by.", 17) == 0);
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(user_copy_string((char *)buffer, hand_va(0), PAGE_BYTES) == 16);
    report("user_copy_string_16", start);
    CHECK(user_clear(hand_va(0), PAGE_BYTES) == 0);
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(user_cas32(hand_va(0), &word, word + 1) == 0);
    report("user_cas", start);
    return 0;
}

void bench_user(void)
{
    if (!hand_create(&space) || !CHECK(hand_map(&space, 0, PROT_WRITE)))
        return;
    hand_start(&space, 1, measure);
    hand_finish(&space);
}
