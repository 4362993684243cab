/* SPDX-License-Identifier: MIT */
/* core/trace/backtrace.c: made-up chains of frame records, whole and damaged in every way; it always ends, inside. */
#include "smp/smp_test.h"

#include <hal/debug.h>
#include <k/limits.h>
#include <trace/backtrace.h>
#include <trace/log.h>

#define WORDS 400
#define FIRST_PC 0x1000

/* The stack under test, with words on either side that a backtrace must not read: they would make it go on. */
static struct {
    uintptr_t before[16];
    uintptr_t word[WORDS];
    uintptr_t after[16];
} stack;

#define LOW ((uintptr_t)stack.word)
#define HIGH ((uintptr_t)(stack.word + WORDS))

/* A frame pointer whose record starts at word `at`: the two offsets may be negative. */
static uintptr_t frame_at(unsigned at)
{
    return LOW + at * sizeof(uintptr_t) - (uintptr_t)MIN(HAL_FRAME_NEXT, HAL_FRAME_RETURN);
}

static void set_record(uintptr_t frame, uintptr_t next, uintptr_t return_address)
{
    *(uintptr_t *)(frame + (uintptr_t)HAL_FRAME_NEXT) = next;
    *(uintptr_t *)(frame + (uintptr_t)HAL_FRAME_RETURN) = return_address;
}

/* Frames at the given distances in words, the last with next 0 and return address `last_return`. */
static void build_chain(unsigned frames, unsigned apart, uintptr_t last_return)
{
    memset(&stack, 0, sizeof stack);
    for (unsigned i = 0; i < frames; i++) {
        bool is_last = i + 1 == frames;

        set_record(frame_at(i * apart), is_last ? 0 : frame_at((i + 1) * apart), is_last ? last_return : FIRST_PC + i);
    }
}

struct walk {
    uintptr_t pc, frame, low, high;
};

static void walk_it(void *arg)
{
    const struct walk *walk = arg;

    backtrace_print(walk->pc, walk->frame, walk->low, walk->high);
}

/* How many frames were printed; each on a line of its own, numbered from 0. */
static unsigned walk_stack(uintptr_t pc, uintptr_t frame, uintptr_t low, uintptr_t high)
{
    struct walk walk = { pc, frame, low, high };
    unsigned lines = 0;

    assert_true(host_unit_returns(walk_it, &walk, &smp_test_result));
    for (const char *at = smp_test_result.console; (at = strstr(at, "  #")) != NULL; at++) {
        char number[8];
        int bytes = snprintf(number, sizeof number, "  #%u ", lines++);

        assert_int_equal(strncmp(at, number, (size_t)bytes), 0);
    }
    return lines;
}

static void a_whole_chain_is_printed_in_order(void **state)
{
    (void)state;
    for (unsigned frames = 1; frames < 20; frames++) {
        build_chain(frames, 3, 0);
        assert_int_equal(walk_stack(0, frame_at(0), LOW, HIGH), frames - 1); /* the outermost has no return address */
        assert_int_equal(walk_stack(0x4242, frame_at(0), LOW, HIGH), frames);
        assert_non_null(strstr(smp_test_result.console, "#0 0x0000000000004242"));
        if (frames > 2)
            assert_non_null(strstr(smp_test_result.console, "#1 0x0000000000001000"));
    }
}

static void a_chain_that_ends_without_a_mark_ends_at_the_null_frame(void **state)
{
    (void)state;
    build_chain(5, 2, 0x5555);
    assert_int_equal(walk_stack(0, frame_at(0), LOW, HIGH), 5);
}

static void a_long_chain_is_cut(void **state)
{
    (void)state;
    build_chain(100, 2, 0);
    assert_int_equal(walk_stack(0, frame_at(0), LOW, HIGH), BACKTRACE_FRAMES_MAX);
    assert_int_equal(walk_stack(1, frame_at(0), LOW, HIGH), BACKTRACE_FRAMES_MAX);
}

static void cycles_end(void **state)
{
    (void)state;
    build_chain(6, 2, 0x5555);
    set_record(frame_at(4), frame_at(4), 0x77); /* itself */
    assert_int_equal(walk_stack(0, frame_at(0), LOW, HIGH), 3);
    set_record(frame_at(4), frame_at(0), 0x77); /* back to the start */
    assert_int_equal(walk_stack(0, frame_at(0), LOW, HIGH), 3);
}

static void a_record_must_lie_in_the_stack_as_a_whole(void **state)
{
    (void)state;
    memset(&stack, 0x11, sizeof stack); /* reading anything here would print it */
    assert_int_equal(walk_stack(0, frame_at(0) - sizeof(uintptr_t), LOW, HIGH), 0);
    assert_int_equal(walk_stack(0, frame_at(WORDS - 1), LOW, HIGH), 0);
    assert_int_equal(walk_stack(0, frame_at(WORDS), LOW, HIGH), 0);
    set_record(frame_at(WORDS - 2), 0, 0x99);
    assert_int_equal(walk_stack(0, frame_at(WORDS - 2), LOW, HIGH), 1);
}

static void wild_frame_pointers_are_not_followed(void **state)
{
    static const uintptr_t wild[] = { 0, 1, 8, 16, 0x1000, UINTPTR_MAX, UINTPTR_MAX - 7, UINTPTR_MAX - 15,
                                      UINTPTR_MAX / 2 + 1, UINT64_C(0xffff800000000000) };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(wild); i++) {
        build_chain(4, 2, 0x5555);
        assert_int_equal(walk_stack(0, wild[i], LOW, HIGH), 0);
        set_record(frame_at(2), wild[i], 0x77);
        assert_int_equal(walk_stack(0, frame_at(0), LOW, HIGH), 2);
    }
    for (unsigned off = 1; off < sizeof(uintptr_t); off++)
        assert_int_equal(walk_stack(0, frame_at(0) + off, LOW, HIGH), 0);
}

/* Random words as a stack: it ends, and reads nothing outside (the sanitizer looks at the bounds of `stack`). */
static void random_stacks_are_survived(void **state)
{
    struct unit_random random = { 12 };

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        for (unsigned word = 0; word < WORDS; word++) {
            uintptr_t value = LOW + unit_random_below(&random, sizeof stack.word + 64) - 32;

            stack.word[word] = unit_random_below(&random, 3) == 0 ? (uintptr_t)unit_random_next(&random)
                               : unit_random_below(&random, 4) == 0 ? value
                                                                    : value & ~(uintptr_t)7;
        }
        assert_in_range(walk_stack(0, frame_at((unsigned)unit_random_below(&random, WORDS)), LOW, HIGH), 0,
                        BACKTRACE_FRAMES_MAX);
    }
}

static void an_address_outside_the_table_has_no_name(void **state)
{
    char name[8];

    (void)state;
    symbol_format(0, name, sizeof name);
    assert_string_equal(name, "?");
    symbol_format(UINTPTR_MAX, name, sizeof name);
    assert_string_equal(name, "?");
    symbol_format((uintptr_t)symbol_format, name, 1); /* no room but for the end */
    assert_string_equal(name, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(a_whole_chain_is_printed_in_order),
        smp_unit_test(a_chain_that_ends_without_a_mark_ends_at_the_null_frame),
        smp_unit_test(a_long_chain_is_cut),
        smp_unit_test(cycles_end),
        smp_unit_test(a_record_must_lie_in_the_stack_as_a_whole),
        smp_unit_test(wild_frame_pointers_are_not_followed),
        smp_unit_test(random_stacks_are_survived),
        smp_unit_test(an_address_outside_the_table_has_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
