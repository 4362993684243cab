/* SPDX-License-Identifier: MIT */
/* The portable half of the register patterns: makes them, compares them, names the first register that is wrong. */
#include "torture.h"

#include <k/atomic.h>
#include <lib/string.h>

#include "check.h"

#define FPU_SPINS_MAX 32768 /* often more than one interrupt, and no register written in between */

/* Words of pattern that a seed stands for; distinct with all but certainty. */
static void make_pattern(uint64_t *want, uint64_t words, uint64_t *state)
{
    ASSERT(words <= TORTURE_WORDS_MAX && *state != 0);
    for (uint64_t i = 0; i < words; i++)
        want[i] = random_next(state);
}

static void restrict_to(uint64_t *word, const struct torture_control *control)
{
    *word = (*word & control->mask) | control->base;
}

static void make_general(uint64_t *want, uint64_t *state)
{
    make_pattern(want, torture_isa.general_words, state);
    restrict_to(&want[0], &torture_isa.flags);
}

static void make_fpu(uint64_t *want, uint64_t words, uint64_t *state)
{
    make_pattern(want, words, state);
    restrict_to(&want[0], &torture_isa.fpu_control[0]);
    restrict_to(&want[1], &torture_isa.fpu_control[1]);
}

/* The n-th word of `names`, or its end. */
static const char *find_name(const char *names, uint64_t n, size_t *out_length)
{
    for (const char *end; (end = strchr(names, ' ')) != NULL && n > 0; n--)
        names = end + 1;
    const char *end = strchr(names, ' ');

    *out_length = end != NULL ? (size_t)(end - names) : strlen(names);
    return names;
}

/* Compares the words whose bit in `looked_at` is set; those from 64 on always count. */
static uint64_t first_wrong(const uint64_t *want, const uint64_t *got, uint64_t words, uint64_t looked_at,
                            const char *names)
{
    for (uint64_t i = 0; i < words; i++) {
        if (want[i] == got[i] || (i < 64 && (looked_at >> i & 1) == 0))
            continue;
        size_t length;
        const char *name = find_name(names, i, &length);

        log_error("torture: task %d: %.*s is %#llx and should be %#llx", current_task()->tid, (int)length, name,
                  (unsigned long long)got[i], (unsigned long long)want[i]);
        return i + 1;
    }
    return 0;
}

static uint64_t general(uint64_t seed, uint64_t rounds, void (*through)(const uint64_t *, uint64_t *),
                        uint64_t looked_at)
{
    uint64_t want[TORTURE_WORDS_MAX];
    uint64_t got[TORTURE_WORDS_MAX] = { 0 };
    uint64_t state = seed << 1 | 1;
    uint64_t wrong = 0;

    ASSERT(hal_irq_is_enabled());
    for (; rounds > 0 && wrong == 0; rounds--) {
        make_general(want, &state);
        through(want, got);
        wrong = first_wrong(want, got, torture_isa.general_words, looked_at, torture_general_names);
    }
    return wrong;
}

uint64_t torture_general(uint64_t seed, uint64_t rounds)
{
    return general(seed, rounds, torture_general_hold, UINT64_MAX);
}

uint64_t torture_general_yielding(uint64_t seed, uint64_t rounds)
{
    return general(seed, rounds, torture_general_yield, torture_isa.general_preserved);
}

static void spin(uint64_t state)
{
    for (uint64_t left = random_next(&state) % FPU_SPINS_MAX; left > 0; left--) {
        hal_point(NULL);
        compiler_barrier();
    }
}

static void yield(uint64_t state)
{
    (void)state;
    task_yield();
}

static uint64_t fpu(uint64_t seed, uint64_t rounds, void (*wait)(uint64_t))
{
    uint64_t want[TORTURE_WORDS_MAX];
    uint64_t got[TORTURE_WORDS_MAX];
    uint64_t words = torture_fpu_words();
    uint64_t state = seed << 1 | 1;
    uint64_t wrong = 0;

    ASSERT(current_task()->fpu_area != NULL);
    for (; rounds > 0 && wrong == 0; rounds--) {
        make_fpu(want, words, &state);
        torture_fpu_load(want, words);
        wait(state);
        torture_fpu_dump(got, words);
        wrong = first_wrong(want, got, words, UINT64_MAX, torture_fpu_names);
    }
    return wrong;
}

uint64_t torture_fpu(uint64_t seed, uint64_t rounds)
{
    return fpu(seed, rounds, spin);
}

uint64_t torture_fpu_yielding(uint64_t seed, uint64_t rounds)
{
    return fpu(seed, rounds, yield);
}

uint64_t torture_fpu_is_clean(void)
{
    uint64_t want[TORTURE_WORDS_MAX] = { torture_isa.fpu_control[0].base, torture_isa.fpu_control[1].base };
    uint64_t got[TORTURE_WORDS_MAX];
    uint64_t words = torture_fpu_words();

    torture_fpu_dump(got, words);
    return first_wrong(want, got, words, UINT64_MAX, torture_fpu_names) == 0;
}
