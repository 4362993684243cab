/* SPDX-License-Identifier: MIT */
/* core/time/clock.c and the conversions of include/time/clock.h, from 1 kHz to 100 GHz, against 128-bit arithmetic. */
#include "unit.h"

#include <string.h>

#include <hal/boot.h>
#include <host/machine.h>
#include <k/compiler.h>
#include <smp/cpu.h>
#include <time/clock.h>

typedef unsigned __int128 wide;

static const uint64_t rates[] = {
    1000, 1001, 32768, 999999, 1000000, 1193182, 10000000, 24000000, 62500000, 100000000, 999999999, 1000000000,
    1000000001, 2494137000, 3000000007, 10000000000, 99999999999, 100000000000,
};

static struct cpu cpu;
static struct task_base task;

static int enter(void **state)
{
    struct host_config config = { .cpus = 1, .memory_bytes = 4 << 20 };

    (void)state;
    host_unit_setup(&config);
    store_relaxed(&task.cpu, &cpu);
    host_unit_enter((struct task *)&task);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    host_unit_teardown();
    return 0;
}

/* A number of any size: all magnitudes are equally likely. */
static uint64_t any_size(struct unit_random *random)
{
    return unit_random_next(random) >> unit_random_below(random, 64);
}

static void ticks_become_nanoseconds_to_a_part_in_2_to_the_25(void **state)
{
    struct unit_random random = { 1 };

    (void)state;
    for (unsigned r = 0; r < ARRAY_COUNT(rates); r++) {
        clock_init(rates[r]);
        for (unsigned i = 0; i < 20000; i++) {
            uint64_t ticks = any_size(&random);
            wide exact = (wide)ticks * NS_PER_SEC / rates[r];

            if (exact > UINT64_MAX)
                continue; /* 584 years */
            uint64_t ns = clock_ticks_to_ns(ticks);

            assert_true(ns <= exact && exact - ns <= (exact >> 25) + 1);
        }
    }
}

static void nanoseconds_become_a_deadline_that_is_not_early_and_hardly_late(void **state)
{
    struct unit_random random = { 2 };

    (void)state;
    for (unsigned r = 0; r < ARRAY_COUNT(rates); r++) {
        clock_init(rates[r]);
        for (unsigned i = 0; i < 20000; i++) {
            uint64_t ns = any_size(&random);
            uint64_t ticks = clock_ns_to_ticks(ns);

            /* Not even by the clock's own reading of that tick. */
            if (ticks == TIME_NEVER) {
                assert_true((wide)ns * rates[r] / NS_PER_SEC > (wide)1 << 63 || ns == TIME_NEVER);
                continue;
            }
            /* A clock that reads beyond 64 bits of nanoseconds is 584 years old. */
            if ((wide)ticks * NS_PER_SEC / rates[r] >> 64 == 0)
                assert_true(clock_ticks_to_ns(ticks) >= ns);
            wide exact = (wide)ns * rates[r] / NS_PER_SEC;

            assert_true((wide)ticks <= exact + 3 + (exact >> 24));
            /* The first such tick, or one of the two after it; within 73 years of up-time. */
            if (ticks > 3 && ticks >> 62 == 0 && ns >> 61 == 0 && clock_ticks_to_ns(ticks - 3) >= ns)
                fail_msg("%llu Hz: %llu ns become tick %llu, but tick %llu reads %llu ns", (unsigned long long)rates[r],
                         (unsigned long long)ns, (unsigned long long)ticks, (unsigned long long)(ticks - 3),
                         (unsigned long long)clock_ticks_to_ns(ticks - 3));
        }
    }
}

static void both_directions_are_monotonic(void **state)
{
    struct unit_random random = { 3 };

    (void)state;
    for (unsigned r = 0; r < ARRAY_COUNT(rates); r++) {
        clock_init(rates[r]);
        for (unsigned i = 0; i < 10000; i++) {
            uint64_t a = any_size(&random) >> 8; /* within 2^56 ns or ticks both directions fit 64 bits below 10 GHz */
            uint64_t b = a + any_size(&random) % 1000;

            if ((wide)b * NS_PER_SEC / rates[r] >> 64 == 0)
                assert_true(clock_ticks_to_ns(a) <= clock_ticks_to_ns(b));
            assert_true(clock_ns_to_ticks(a) <= clock_ns_to_ticks(b));
        }
    }
}

static void never_stays_never_and_what_does_not_fit_saturates(void **state)
{
    (void)state;
    for (unsigned r = 0; r < ARRAY_COUNT(rates); r++) {
        clock_init(rates[r]);
        assert_true(clock_ns_to_ticks(TIME_NEVER) == TIME_NEVER);
        if (rates[r] > 2 * NS_PER_SEC)
            assert_true(clock_ns_to_ticks(TIME_NEVER - 1) == TIME_NEVER);
        assert_int_equal(clock_ticks_to_ns(0), 0);
        assert_in_range(clock_ns_to_ticks(0), 0, 2); /* a deadline of now */
    }
}

static void the_clock_reads_the_machines_ticks(void **state)
{
    (void)state;
    clock_init(host_boot_info()->clock_hz);
    uint64_t before = host_virtual_ns();
    uint64_t now = clock_ns();
    uint64_t after = host_virtual_ns();

    assert_in_range(now, before - 10, after);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t next = clock_ns();

        assert_true(next >= now);
        now = next;
    }
}

static void init_with(void *hz)
{
    clock_init(*(const uint64_t *)hz);
}

static void absurd_rates_panic(void **state)
{
    static const uint64_t absurd[] = { 0, 1, 999, UINT64_C(100000000001), UINT64_MAX };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(absurd); i++) {
        static struct host_result result;

        assert_false(host_unit_returns_forked(init_with, (void *)(uintptr_t)&absurd[i], &result));
        assert_non_null(strstr(result.console, "panic: CPU 0: no timer"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_become_nanoseconds_to_a_part_in_2_to_the_25),
        cmocka_unit_test(nanoseconds_become_a_deadline_that_is_not_early_and_hardly_late),
        cmocka_unit_test(both_directions_are_monotonic),
        cmocka_unit_test(never_stays_never_and_what_does_not_fit_saturates),
        cmocka_unit_test(the_clock_reads_the_machines_ticks),
        cmocka_unit_test(absurd_rates_panic),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
