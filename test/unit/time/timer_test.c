/* SPDX-License-Identifier: MIT */
/* core/time/timer.c: random timers against a sorted model, cancellation from other CPUs, the programmed deadline. */
#include "smp/smp_test.h"

#include <k/panic.h>
#include <time/clock.h>

#define TIMERS 64
#define CPU0 (&smp_test.cpu[0])

static struct {
    struct timer timer;
    bool is_armed;
    uint64_t deadline_ticks;
    uint64_t order; /* of arming */
} model[TIMERS];

static unsigned fired;         /* in this batch */
static unsigned order_fired[TIMERS];
static struct unit_random random_now;

static int enter(void **state)
{
    int result = smp_test_begin(state);

    memset(model, 0, sizeof model);
    fired = 0;
    clock_init(host_boot_info()->clock_hz);
    return result;
}

static void note_fire(struct timer *timer)
{
    order_fired[fired++] = (unsigned)(container_of(timer, typeof(model[0]), timer) - model);
}

static uint64_t first_deadline(void)
{
    uint64_t first = TIME_NEVER;

    for (unsigned i = 0; i < TIMERS; i++)
        if (model[i].is_armed)
            first = MIN(first, model[i].deadline_ticks);
    return first;
}

static void arm(unsigned i, uint64_t deadline_ns, uint64_t order)
{
    timer_arm(&model[i].timer, deadline_ns);
    model[i].is_armed = true;
    model[i].deadline_ticks = clock_ns_to_ticks(deadline_ns);
    model[i].order = order;
    assert_true(model[i].timer.deadline_ticks == model[i].deadline_ticks);
}

/* Run what is due and compare: exactly the due ones, by deadline, among equals in the order of arming. */
static void run_until(uint64_t now_ticks)
{
    unsigned due = 0;

    fired = 0;
    timer_run_expired(CPU0, now_ticks);
    for (unsigned i = 0; i < TIMERS; i++)
        due += model[i].is_armed && model[i].deadline_ticks <= now_ticks;
    assert_int_equal(fired, due);
    for (unsigned n = 0; n < fired; n++) {
        unsigned i = order_fired[n];

        assert_true(model[i].is_armed && model[i].deadline_ticks <= now_ticks);
        assert_false(model[i].timer.is_queued);
        if (n > 0) {
            unsigned last = order_fired[n - 1];

            assert_true(model[last].deadline_ticks < model[i].deadline_ticks ||
                        (model[last].deadline_ticks == model[i].deadline_ticks && model[last].order < model[i].order));
        }
    }
    for (unsigned n = 0; n < fired; n++)
        model[order_fired[n]].is_armed = false;
}

static void random_timers_match_a_sorted_model(void **state)
{
    uint64_t now_ns = 1000;

    (void)state;
    random_now.state = 6;
    for (unsigned i = 0; i < TIMERS; i++)
        timer_init(&model[i].timer, note_fire);
    for (uint64_t step = 0; step < 30000; step++) {
        unsigned i = (unsigned)unit_random_below(&random_now, TIMERS);

        switch (unit_random_below(&random_now, 4)) {
        case 0:
        case 1:
            if (!model[i].is_armed)
                arm(i,
                    unit_random_below(&random_now, 50) == 0 ? TIME_NEVER
                                                            : now_ns + 10 * unit_random_below(&random_now, 300),
                    step);
            break;
        case 2:
            assert_int_equal(timer_cancel(&model[i].timer), model[i].is_armed);
            model[i].is_armed = false;
            assert_false(timer_cancel(&model[i].timer));
            break;
        default:
            now_ns += unit_random_below(&random_now, 200);
            run_until(clock_ns_to_ticks(now_ns));
            break;
        }
        /* What is armed in the hardware is never later than the first deadline. */
        timer_reprogram(CPU0);
        assert_true(CPU0->armed_deadline_ticks <= first_deadline());
    }
    run_until(TIME_NEVER);
    assert_true(first_deadline() == TIME_NEVER && rb_is_empty(&smp_test.timers[0].tree));
}

/* Callbacks may arm timers, their own one too. */
static unsigned rounds;

static void arm_again(struct timer *timer)
{
    if (++rounds < 5)
        timer_arm(timer, clock_ticks_to_ns(timer->deadline_ticks) + 1000);
}

static void a_callback_may_arm_its_own_timer_again(void **state)
{
    (void)state;
    rounds = 0;
    timer_init(&model[0].timer, arm_again);
    timer_arm(&model[0].timer, 5000);
    for (uint64_t ns = 4000; ns < 12000; ns += 500)
        timer_run_expired(CPU0, clock_ns_to_ticks(ns));
    assert_int_equal(rounds, 5);
    assert_false(model[0].timer.is_queued);
}

static void a_timer_that_was_never_armed_is_not_cancelled(void **state)
{
    (void)state;
    timer_init(&model[0].timer, note_fire);
    assert_false(timer_cancel(&model[0].timer));
}

static void arm_twice(void *arg)
{
    (void)arg;
    timer_init(&model[0].timer, note_fire);
    timer_arm(&model[0].timer, 100);
    timer_arm(&model[0].timer, 100);
}

static void arming_twice_panics(void **state)
{
    (void)state;
    assert_panics(arm_twice, NULL, "is_queued");
}

/* The hardware: the interrupt comes at the first deadline, not before; none comes when nothing is armed. */

static uint64_t fired_ns;

static void note_time(struct timer *timer)
{
    (void)timer;
    fired_ns = clock_ns();
    fired++;
}

static void the_interrupt_comes_after_the_deadline_and_soon(void **state)
{
    (void)state;
    random_now.state = 8;
    for (unsigned i = 0; i < 300; i++) {
        uint64_t deadline = clock_ns() + unit_random_below(&random_now, 1 + i * 3000);

        fired = 0;
        timer_init(&model[0].timer, note_time);
        timer_init(&model[1].timer, note_time);
        timer_arm(&model[1].timer, deadline + NS_PER_SEC);
        timer_arm(&model[0].timer, deadline);
        while (fired == 0)
            hal_cpu_idle();
        assert_int_equal(fired, 1);
        assert_in_range(fired_ns, deadline, deadline + 2000);
        assert_true(timer_cancel(&model[1].timer));
    }
}

static void the_end_of_a_slice_is_programmed_like_a_timer(void **state)
{
    uint64_t far = clock_ns() + NS_PER_SEC;

    (void)state;
    timer_init(&model[0].timer, note_fire);
    timer_arm(&model[0].timer, far);
    store_relaxed(&CPU0->slice_deadline_ticks, clock_ns_to_ticks(far - 1000));
    timer_reprogram(CPU0);
    assert_true(CPU0->armed_deadline_ticks == clock_ns_to_ticks(far - 1000));
    assert_true(timer_cancel(&model[0].timer));
    store_relaxed(&CPU0->slice_deadline_ticks, TIME_NEVER);
    timer_run_expired(CPU0, hal_clock_ticks()); /* what was armed is spent */
    assert_true(CPU0->armed_deadline_ticks == TIME_NEVER);
    timer_reprogram(CPU0);
    assert_true(CPU0->armed_deadline_ticks == TIME_NEVER);
}

/* Other CPUs cancel while it fires: after the return the callback neither runs nor will. */

#define ROUNDS 10

static struct {
    struct timer timer[SMP_TEST_CPUS];
    _Atomic(bool) is_valid[SMP_TEST_CPUS]; /* the memory around the timer, as it were */
    _Atomic(unsigned) turn[SMP_TEST_CPUS]; /* odd: armed by its owner, may be cancelled */
    _Atomic(unsigned) left;
    unsigned fires[SMP_TEST_CPUS];
    unsigned cancels[SMP_TEST_CPUS];
} team;

static void use_memory(struct timer *timer)
{
    unsigned i = (unsigned)(timer - team.timer);

    ASSERT(this_cpu_id() == i && this_cpu()->irq_depth == 1);
    ASSERT(load_relaxed(&team.is_valid[i]));
    for (unsigned spins = 0; spins < 5; spins++)
        hal_cpu_relax();
    ASSERT(load_relaxed(&team.is_valid[i]));
    team.fires[i]++;
}

static void arm_and_cancel(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { *(uint64_t *)arg * SMP_TEST_CPUS + cpu };
    unsigned count = load_relaxed(&cpu_started_count);
    unsigned next = (cpu + 1) % count; /* whose timer this CPU cancels */

    hal_irq_enable();
    for (unsigned round = 0; round < ROUNDS; round++) {
        hal_irq_disable();
        store_relaxed(&team.is_valid[cpu], true);
        timer_init(&team.timer[cpu], use_memory);
        timer_arm(&team.timer[cpu], clock_ns() + unit_random_below(&random, 2000));
        store_release(&team.turn[cpu], 2 * round + 1);
        hal_irq_enable();
        while (load_acquire(&team.turn[next]) != 2 * round + 1)
            hal_cpu_relax();
        for (size_t i = unit_random_below(&random, 60); i > 0; i--)
            hal_cpu_relax();
        team.cancels[next] += timer_cancel(&team.timer[next]);
        store_relaxed(&team.is_valid[next], false);
        store_release(&team.turn[next], 2 * round + 2);
        while (load_acquire(&team.turn[cpu]) != 2 * round + 2)
            hal_cpu_relax();
    }
    (void)fetch_sub_acq_rel(&team.left, 1);
    while (load_acquire(&team.left) != 0)
        hal_cpu_relax();
    hal_irq_disable();
}

static void after_a_cancel_the_callback_neither_runs_nor_will(void **state)
{
    unsigned fires = 0;
    unsigned cancels = 0;

    (void)state;
    clock_init(100000000);
    for (uint64_t seed = 0; seed < 300; seed++) {
        unsigned cpus = 2 + (unsigned)(seed % 4);

        memset(&team, 0, sizeof team);
        store_relaxed(&team.left, cpus);
        smp_test_team(cpus, seed, arm_and_cancel, &seed);
        for (unsigned i = 0; i < cpus; i++) {
            assert_int_equal(team.fires[i] + team.cancels[i], ROUNDS); /* each armed timer ended in one way */
            fires += team.fires[i];
            cancels += team.cancels[i];
        }
    }
    assert_true(fires > 500 && cancels > 500); /* both were met */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_timers_match_a_sorted_model, enter, smp_test_end),
        cmocka_unit_test_setup_teardown(a_callback_may_arm_its_own_timer_again, enter, smp_test_end),
        cmocka_unit_test_setup_teardown(a_timer_that_was_never_armed_is_not_cancelled, enter, smp_test_end),
        cmocka_unit_test_setup_teardown(arming_twice_panics, enter, smp_test_end),
        cmocka_unit_test_setup_teardown(the_interrupt_comes_after_the_deadline_and_soon, enter, smp_test_end),
        cmocka_unit_test_setup_teardown(the_end_of_a_slice_is_programmed_like_a_timer, enter, smp_test_end),
        cmocka_unit_test(after_a_cancel_the_callback_neither_runs_nor_will),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
