/* SPDX-License-Identifier: MIT */
/* CPUs that run at the same time (HOST_PARALLEL), and CPU time that passes without steps (host_compute()). */
#include "scratch.h"

#define STEP_NS 10

static struct host_config parallel(unsigned cpus, uint64_t seed)
{
    struct host_config config = config_of(cpus, seed);

    config.strategy = HOST_PARALLEL;
    config.step_ns = STEP_NS;
    return config;
}

static int run_team(const struct host_config *config, void (*body)(cpu_id_t, void *))
{
    struct task *tasks[8];
    struct host_team team = { .tasks = tasks, .body = body };

    (void)scratch_reset(NULL);
    for (unsigned i = 0; i < config->cpus; i++)
        tasks[i] = &scratch.task[i];
    return host_team_run(config, &team, &result);
}

static uint64_t took_ns[8];

static void body_steps(cpu_id_t cpu, void *arg)
{
    uint64_t began = host_virtual_ns();

    (void)arg;
    for (unsigned i = 0; i < 1000; i++)
        (void)load_relaxed(&scratch.flag);
    took_ns[cpu] = host_virtual_ns() - began;
}

static void test_steps_of_others_take_none_of_a_cpus_time(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 8; cpus++) {
        struct host_config config = parallel(cpus, cpus);

        assert_int_equal(run_team(&config, body_steps), 0);
        for (unsigned cpu = 0; cpu < cpus; cpu++)
            assert_int_equal(took_ns[cpu], 1000 * STEP_NS);
    }
}

static uint64_t clock_seen;
static unsigned clock_backwards;
static unsigned turns_missed; /* a CPU went on while another was more than two turns of the longest kind behind */
static uint64_t turn_at[8];

static void body_watch(cpu_id_t cpu, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 300; i++) {
        if (i % 7 == cpu)
            hal_cpu_relax();
        else
            (void)load_relaxed(&scratch.flag);
        clock_backwards += host_virtual_ns() < clock_seen;
        clock_seen = host_virtual_ns();
        turn_at[cpu] = clock_seen;
        for (unsigned other = 0; other < 4; other++)
            turns_missed += i > 0 && turn_at[other] != 0 && turn_at[other] != UINT64_MAX &&
                            turn_at[other] + 10 * STEP_NS < clock_seen;
    }
    turn_at[cpu] = UINT64_MAX;
}

static void test_time_never_goes_back_and_nobody_is_left_behind(void **state)
{
    struct host_config config = parallel(4, 3);

    (void)state;
    assert_int_equal(run_team(&config, body_watch), 0);
    assert_true(clock_seen > 0);
    assert_int_equal(clock_backwards, 0);
    assert_int_equal(turns_missed, 0);
}

static void body_compute(cpu_id_t cpu, void *arg)
{
    uint64_t began = host_virtual_ns();

    (void)arg;
    hal_irq_enable();
    host_compute(UINT64_C(1000000) * (cpu + 1));
    took_ns[cpu] = host_virtual_ns() - began;
    hal_irq_disable();
}

static void test_cpus_compute_at_the_same_time_in_few_steps(void **state)
{
    struct host_config config = parallel(4, 1);

    (void)state;
    assert_int_equal(run_team(&config, body_compute), 0);
    for (unsigned cpu = 0; cpu < 4; cpu++)
        assert_in_range(took_ns[cpu], 1000000 * (cpu + 1), 1000000 * (cpu + 1) + 2000);
    assert_in_range(result.virtual_ns, 4000000, 4100000);
    assert_true(result.steps < 5000);
}

static void test_any_strategy_lets_time_pass_by_computing(void **state)
{
    (void)state;
    for (unsigned strategy = 0; strategy < HOST_STRATEGY_COUNT; strategy++) {
        struct host_config config = parallel(1, strategy);

        config.strategy = (enum host_strategy)strategy;
        assert_int_equal(run_team(&config, body_compute), 0);
        assert_in_range(took_ns[0], 1000000, 1002000);
    }
}

/* The interrupt handler takes 50,000 ns of the CPU, which the computation does not get. */
static void timer_takes_time(void)
{
    uint64_t until = host_virtual_ns() + 50000;

    while (host_virtual_ns() < until)
        hal_cpu_relax();
}

static void body_interrupted(cpu_id_t cpu, void *arg)
{
    uint64_t began = host_virtual_ns();

    (void)arg;
    scratch.on_timer = timer_takes_time;
    hal_timer_arm(hal_clock_ticks() + 100 * 500); /* of 100 MHz: after 500 us */
    hal_irq_enable();
    host_compute(1000000);
    took_ns[cpu] = host_virtual_ns() - began;
    hal_irq_disable();
}

static void test_time_of_an_interrupt_is_not_computed(void **state)
{
    struct host_config config = parallel(1, 5);

    (void)state;
    assert_int_equal(run_team(&config, body_interrupted), 0);
    assert_int_equal(load_relaxed(&scratch.timers), 1);
    assert_in_range(took_ns[0], 1050000, 1055000);
}

static void body_compute_quietly(cpu_id_t cpu, void *arg)
{
    (void)cpu;
    (void)arg;
    host_compute(1);
}

static void test_computing_needs_interrupts_enabled(void **state)
{
    struct host_config config = parallel(1, 5);

    (void)state;
    assert_int_not_equal(run_team(&config, body_compute_quietly), 0);
    assert_int_equal(result.end, HOST_END_CONTRACT);
    assert_non_null(strstr(result.report, "host_compute() on CPU 0 with interrupts disabled"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_of_others_take_none_of_a_cpus_time),
        cmocka_unit_test(test_time_never_goes_back_and_nobody_is_left_behind),
        cmocka_unit_test(test_cpus_compute_at_the_same_time_in_few_steps),
        cmocka_unit_test(test_any_strategy_lets_time_pass_by_computing),
        cmocka_unit_test(test_time_of_an_interrupt_is_not_computed),
        cmocka_unit_test(test_computing_needs_interrupts_enabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
