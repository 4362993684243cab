/* SPDX-License-Identifier: MIT */
/*
 * Register patterns on the simulated machine (torture.h): "registers" are a task's own local variables, which a switch
 * of stacks must keep, and the words of the simulated floating-point unit. Each point is one where other CPUs and
 * interrupts may act. Words: general 0 nothing, the rest locals; floating point 0 and 1 nothing, then the unit's words.
 */
#include "torture.h"

#include <hal/point.h>
#include <host/machine.h>

#include "check.h"

#define LOCALS 15
#define POINTS 64
#define CONTROL_WORDS 2

const struct torture_isa torture_isa = {
    .general_words = 1 + LOCALS,
    .general_preserved = (UINT64_C(1) << (1 + LOCALS)) - 1,
};
const char torture_general_names[] = "none l0 l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 l11 l12 l13 l14";
const char torture_fpu_names[] = "none none w0 w1 w2 w3 w4 w5 w6 w7";
_Static_assert(CONTROL_WORDS + HOST_FPU_WORDS <= TORTURE_WORDS_MAX, "the patterns are too small");

/* Volatile: each is stored on this task's stack and read back from there. */
void torture_general_hold(const uint64_t *want, uint64_t *got)
{
    volatile uint64_t local[1 + LOCALS];

    for (unsigned i = 0; i < ARRAY_COUNT(local); i++)
        local[i] = want[i];
    for (unsigned i = 0; i < POINTS; i++)
        hal_point(NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(local); i++)
        got[i] = local[i];
}

void torture_general_yield(const uint64_t *want, uint64_t *got)
{
    volatile uint64_t local[1 + LOCALS];

    for (unsigned i = 0; i < ARRAY_COUNT(local); i++)
        local[i] = want[i];
    task_yield();
    for (unsigned i = 0; i < ARRAY_COUNT(local); i++)
        got[i] = local[i];
}

uint64_t torture_fpu_words(void)
{
    return CONTROL_WORDS + HOST_FPU_WORDS;
}

void torture_fpu_load(const uint64_t *want, uint64_t words)
{
    for (unsigned i = CONTROL_WORDS; i < words; i++)
        host_fpu_use(i - CONTROL_WORDS, want[i]);
}

void torture_fpu_dump(uint64_t *got, uint64_t words)
{
    got[0] = 0;
    got[1] = 0;
    for (unsigned i = CONTROL_WORDS; i < words; i++)
        got[i] = host_fpu_peek(i - CONTROL_WORDS);
}

void crash_use_fpu(void)
{
    host_fpu_use(0, 1);
}
