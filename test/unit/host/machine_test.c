/* SPDX-License-Identifier: MIT */
/* The simulated machine: determinism, interleaving, interrupts, time, contexts. */
#include "scratch.h"

static void team_prepare(struct task *tasks[], unsigned count)
{
    (void)scratch_reset(NULL);
    for (unsigned i = 0; i < count; i++)
        tasks[i] = &scratch.task[i];
}

static int run_team(const struct host_config *config, void (*body)(cpu_id_t, void *))
{
    struct task *tasks[8];
    struct host_team team = { .tasks = tasks, .body = body };

    team_prepare(tasks, config->cpus);
    return host_team_run(config, &team, &result);
}

/* Determinism. */

static void body_count(cpu_id_t cpu, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 200; i++) {
        uintptr_t state = hal_irq_save();

        fetch_add_relaxed(&scratch.done, 1);
        hal_irq_restore(state);
        if (i % 50 == cpu)
            hal_cpu_poke((cpu + 1) % 4);
    }
}

static void test_same_seed_gives_the_same_trace(void **state)
{
    uint64_t hash[SEEDS];
    unsigned same = 0;

    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(4, seed);

        assert_int_equal(run_team(&config, body_count), 0);
        hash[seed] = result.hash;
        assert_int_equal(run_team(&config, body_count), 0);
        assert_true(hash[seed] == result.hash);
        for (unsigned other = 0; other < seed; other++)
            same += hash[other] == hash[seed];
    }
    assert_int_equal(same, 0);
}

static void test_a_forked_run_gives_the_same_trace(void **state)
{
    struct host_config config = config_of(4, 7);
    struct task *tasks[8];
    struct host_team team = { .tasks = tasks, .body = body_count };
    uint64_t hash;

    (void)state;
    assert_int_equal(run_team(&config, body_count), 0);
    hash = result.hash;
    team_prepare(tasks, 4);
    assert_int_equal(host_team_run_forked(&config, &team, &result), 0);
    assert_true(hash == result.hash);
    assert_int_equal(load_relaxed(&scratch.done), 0); /* the child's counting is not seen here */
}

static void test_strategies_differ(void **state)
{
    struct host_config config = config_of(4, 7);
    uint64_t hash;

    (void)state;
    assert_int_equal(run_team(&config, body_count), 0);
    hash = result.hash;
    config.strategy = HOST_ROUND_ROBIN;
    assert_int_equal(run_team(&config, body_count), 0);
    assert_true(hash != result.hash);
}

/* Interleaving: a lost update must be found by some seed, and an atomic one by none. */

static void body_lost_update(cpu_id_t cpu, void *arg)
{
    (void)cpu;
    (void)arg;
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = load_relaxed(&scratch.flag);

        store_relaxed(&scratch.flag, value + 1);
        fetch_add_relaxed(&scratch.done, 1);
    }
}

static void test_some_seed_finds_a_lost_update(void **state)
{
    unsigned lost = 0;

    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(2, seed);

        assert_int_equal(run_team(&config, body_lost_update), 0);
        assert_int_equal(load_relaxed(&scratch.done), 8);
        lost += load_relaxed(&scratch.flag) != 8;
    }
    assert_in_range(lost, SEEDS / 10, SEEDS);
}

/* A CPU that spins on relax lets the others work, whoever is chosen. */

static void body_relax(cpu_id_t cpu, void *arg)
{
    (void)arg;
    while (load_acquire(&scratch.flag) != cpu)
        hal_cpu_relax();
    store_release(&scratch.flag, cpu + 1);
}

static void test_relax_lets_the_others_run(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(8, seed);

        config.strategy = seed % 2 == 0 ? HOST_UNIFORM : HOST_ROUND_ROBIN;
        config.max_steps = 20000;
        assert_int_equal(run_team(&config, body_relax), 0);
        assert_int_equal(load_relaxed(&scratch.flag), 8);
    }
}

/* A lone CPU that waits for the clock gets there in few steps. */
static void entry_relax_until_deadline(struct boot_info *boot)
{
    boot_cpu_start();
    while (hal_clock_ticks() < boot->clock_hz)
        hal_cpu_relax();
    hal_machine_exit(0);
}

static void test_waiting_for_time_alone_is_quick(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_relax_until_deadline), 0);
    assert_true(result.virtual_ns >= NS_PER_SEC);
}

/* Interrupts. */

static void entry_disabled(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    hal_cpu_poke(0);
    hal_timer_arm(hal_clock_ticks());
    for (unsigned i = 0; i < 2000; i++)
        hal_point(NULL);
    if (load_relaxed(&scratch.ipis) + load_relaxed(&scratch.timers) != 0)
        hal_machine_exit(1);
    hal_irq_enable();
    if (load_relaxed(&scratch.ipis) != 1 || load_relaxed(&scratch.timers) != 1)
        hal_machine_exit(2);
    if (!hal_irq_is_enabled())
        hal_machine_exit(3);
    hal_machine_exit(0);
}

static void test_no_interrupt_while_disabled(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        assert_int_equal(run_entry(1, seed, entry_disabled), 0);
}

static void note_time(void)
{
    scratch.fired_at[load_relaxed(&scratch.timers) - 1] = hal_clock_ticks();
}

static void entry_timer(struct boot_info *boot)
{
    static const uint64_t due[] = { 1000, 3000, 3000 };
    uint64_t start = hal_clock_ticks();

    (void)boot;
    boot_cpu_start();
    scratch.on_timer = note_time;
    hal_timer_arm(start + 5000); /* replaced before it comes */
    hal_timer_arm(start + 1000);
    hal_cpu_idle();
    hal_timer_arm(start + 3000);
    hal_cpu_idle();
    hal_timer_arm(start); /* past: at once */
    hal_cpu_idle();
    for (unsigned i = 0; i < 3; i++)
        if (scratch.fired_at[i] - start < due[i] || scratch.fired_at[i] - start > due[i] + 100)
            hal_machine_exit(1 + (int)i);
    if (load_relaxed(&scratch.timers) != 3)
        hal_machine_exit(4);
    hal_timer_arm(hal_clock_ticks() + 1000);
    hal_timer_arm(TIME_NEVER);
    hal_cpu_idle(); /* nothing will come: a deadlock, reported */
    hal_machine_exit(5);
}

static void test_the_timer_fires_at_its_last_deadline(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        (void)run_entry(1, seed, entry_timer);
        assert_int_equal(result.end, HOST_END_DEADLOCK);
        assert_int_equal(load_relaxed(&scratch.timers), 3);
    }
}

static void body_timer_order(cpu_id_t cpu, void *arg)
{
    (void)arg;
    hal_timer_arm(10000 + 100 * (uint64_t)(7 - cpu));
    hal_cpu_idle();
    scratch.fired_at[cpu] = fetch_add_relaxed(&scratch.done, 1);
}

static void test_timers_of_several_cpus_fire_in_time_order(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(8, seed);

        /* 100 ticks are 1 us: more than the few steps between an interrupt and the count. */
        assert_int_equal(run_team(&config, body_timer_order), 0);
        for (cpu_id_t cpu = 0; cpu < 8; cpu++)
            assert_int_equal(scratch.fired_at[cpu], 7 - cpu);
    }
}

static void body_coalesce(cpu_id_t cpu, void *arg)
{
    (void)arg;
    if (cpu == 0) {
        for (unsigned i = 0; i < 5; i++)
            hal_cpu_poke(1);
        store_release(&scratch.flag, 1);
        return;
    }
    while (load_acquire(&scratch.flag) == 0)
        hal_cpu_relax();
    hal_cpu_idle();
    /* Longer than any poke is on its way: a second interrupt would be here by now. */
    hal_irq_enable();
    for (unsigned i = 0; i < 1000; i++)
        hal_cpu_relax();
    store_relaxed(&scratch.done, load_relaxed(&scratch.ipis));
}

static void test_pokes_coalesce_while_pending(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct host_config config = config_of(2, seed);

        assert_int_equal(run_team(&config, body_coalesce), 0);
        assert_int_equal(load_relaxed(&scratch.done), 1);
    }
}

/* The sender stores, then pokes; the receiver checks, then idles: no seed may lose the wake-up. */
static void body_idle(cpu_id_t cpu, void *arg)
{
    (void)arg;
    for (unsigned round = 1; round <= 20; round++) {
        if (cpu == 0) {
            store_release(&scratch.flag, round);
            hal_cpu_poke(1);
            while (load_acquire(&scratch.done) != round)
                hal_cpu_relax();
        } else {
            while (load_acquire(&scratch.flag) != round) {
                hal_cpu_idle();
                assert_false(hal_irq_is_enabled());
            }
            store_release(&scratch.done, round);
        }
    }
}

static void test_idle_misses_no_poke(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 5 * SEEDS; seed++) {
        struct host_config config = config_of(2, seed);

        config.ipi_delay_ns_max = 1 + (seed % 5) * 500;
        assert_int_equal(run_team(&config, body_idle), 0);
    }
}

/* Contexts. */

static void task_other(void *arg)
{
    struct task *main_task = arg;

    assert_ptr_equal(hal_current(), &scratch.task[1]);
    assert_false(hal_irq_is_enabled());
    for (;;) {
        scratch.plain++;
        hal_context_switch(&scratch.task[1], main_task);
    }
}

static void entry_switch(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    context_of(&scratch.task[1], task_other, &scratch.task[0]);
    for (unsigned i = 0; i < 1000; i++)
        hal_context_switch(&scratch.task[0], &scratch.task[1]);
    hal_machine_exit(scratch.plain == 1000 && hal_current() == &scratch.task[0] ? 0 : 1);
}

static void test_tasks_switch_to_and_fro(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 3, entry_switch), 0);
}

/* Preemption: the interrupt's way out switches, and the interrupted task finds its interrupts enabled again. */
static void preempt(void)
{
    struct task *self = hal_current();

    hal_context_switch(self, self == &scratch.task[0] ? &scratch.task[1] : &scratch.task[0]);
}

static void rearm(void)
{
    hal_timer_arm(hal_clock_ticks() + 50);
}

static void task_hog(void *arg)
{
    (void)arg;
    hal_irq_enable();
    for (;;) {
        fetch_add_relaxed(&scratch.done, 1);
        assert_true(hal_irq_is_enabled());
    }
}

static void entry_preempt(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    scratch.on_timer = rearm;
    scratch.on_exit = preempt;
    context_of(&scratch.task[1], task_hog, NULL);
    rearm();
    hal_irq_enable();
    while (load_relaxed(&scratch.timers) < 100)
        fetch_add_relaxed(&scratch.flag, 1);
    hal_machine_exit(0);
}

static void test_a_timer_preempts(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 3, entry_preempt), 0);
    assert_true(load_relaxed(&scratch.done) > 100);
    assert_true(load_relaxed(&scratch.flag) > 100);
}

static void entry_resume_running(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    scratch.task[1].context.running_on = 2;
    hal_context_switch(&scratch.task[0], &scratch.task[1]);
}

static void entry_idle_enabled(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    hal_irq_enable();
    hal_cpu_idle();
}

static void test_a_broken_contract_ends_the_run(void **state)
{
    (void)state;
    assert_true(run_entry(2, 1, entry_resume_running) != 0);
    assert_int_equal(result.end, HOST_END_CONTRACT);
    assert_non_null(strstr(result.report, "still runs"));
    assert_true(run_entry(1, 1, entry_idle_enabled) != 0);
    assert_int_equal(result.end, HOST_END_CONTRACT);
}

static void entry_spin(struct boot_info *boot)
{
    (void)boot;
    boot_cpu_start();
    for (;;)
        hal_point(NULL);
}

static void test_a_hang_is_reported(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    config.entry = entry_spin;
    config.max_steps = 1000;
    assert_true(run(&config) != 0);
    assert_int_equal(result.end, HOST_END_STEPS);
    assert_int_equal(result.steps, 1000);
    assert_non_null(strstr(result.report, "atomic"));
}

static void entry_say(struct boot_info *boot)
{
    int c;

    boot_cpu_start();
    while ((c = hal_console_get()) >= 0)
        hal_console_put((char)c);
    for (const char *s = boot->cmdline; *s != '\0'; s++)
        hal_console_put(*s);
    hal_machine_exit(7);
}

static void test_the_console_is_captured_and_the_code_returned(void **state)
{
    struct host_config config = config_of(1, 1);

    (void)state;
    config.entry = entry_say;
    config.console_input = "typed ";
    config.cmdline = "init=none";
    assert_int_equal(run(&config), 7);
    assert_string_equal(result.console, "typed init=none");
}

static void entry_silent(struct boot_info *boot)
{
    struct task *task = &scratch.task[1];

    boot_cpu_start();
    assert_int_equal(boot->cpu_count, 3);
    assert_int_equal(hal_cpu_start(3, 0, task), -EINVAL);
    context_of(task, task_hog, NULL);
    assert_int_equal(hal_cpu_start(1, 0, task), 0);
    for (unsigned i = 0; i < 1000; i++)
        hal_cpu_relax();
    assert_int_equal(load_relaxed(&scratch.done), 0);
    assert_int_equal(hal_cpu_start(1, 0, task), -EAGAIN);
    hal_machine_exit(0);
}

static void test_a_silent_cpu_never_answers(void **state)
{
    struct host_config config = config_of(3, 1);
    struct cpumask silent;

    (void)state;
    cpumask_set_single(&silent, 1);
    config.entry = entry_silent;
    config.silent_cpus = &silent;
    assert_int_equal(run(&config), 0);
}

/* Floating point. */

static void entry_fpu(struct boot_info *boot)
{
    ALIGNED(HAL_FPU_ALIGN) char a[128];
    ALIGNED(HAL_FPU_ALIGN) char b[128];

    (void)boot;
    boot_cpu_start();
    assert_true(hal_fpu_bytes() <= sizeof a);
    hal_fpu_init(a);
    hal_fpu_init(b);
    hal_fpu_switch(NULL, a);
    host_fpu_use(3, 33);
    hal_fpu_switch(a, b);
    assert_int_equal(host_fpu_peek(3), 0);
    hal_fpu_switch(b, a);
    assert_int_equal(host_fpu_peek(3), 33);
    hal_fpu_switch(a, NULL);
    host_fpu_use(0, 1);
    hal_machine_exit(0);
}

static void test_floating_point_belongs_to_who_loaded_it(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_fpu), 40 + FAULT_FPU_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_gives_the_same_trace),
        cmocka_unit_test(test_a_forked_run_gives_the_same_trace),
        cmocka_unit_test(test_strategies_differ),
        cmocka_unit_test(test_some_seed_finds_a_lost_update),
        cmocka_unit_test(test_relax_lets_the_others_run),
        cmocka_unit_test(test_waiting_for_time_alone_is_quick),
        cmocka_unit_test(test_no_interrupt_while_disabled),
        cmocka_unit_test(test_the_timer_fires_at_its_last_deadline),
        cmocka_unit_test(test_timers_of_several_cpus_fire_in_time_order),
        cmocka_unit_test(test_pokes_coalesce_while_pending),
        cmocka_unit_test(test_idle_misses_no_poke),
        cmocka_unit_test(test_tasks_switch_to_and_fro),
        cmocka_unit_test(test_a_timer_preempts),
        cmocka_unit_test(test_a_broken_contract_ends_the_run),
        cmocka_unit_test(test_a_hang_is_reported),
        cmocka_unit_test(test_the_console_is_captured_and_the_code_returned),
        cmocka_unit_test(test_a_silent_cpu_never_answers),
        cmocka_unit_test(test_floating_point_belongs_to_who_loaded_it),
    };

    return cmocka_run_group_tests_name("host machine", tests, scratch_reset, NULL);
}
