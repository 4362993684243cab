/* SPDX-License-Identifier: MIT */
/* Exploration on the simulated machine: strategies, what they find, records and scripts that repeat them, quiet. */
#include "scratch.h"

#define CPUS 4
#define PREEMPTION_ROOM (1u << 16)
#define TOUCH_ROOM 256u

static const enum host_strategy chance_strategies[] = { HOST_UNIFORM, HOST_PCT, HOST_ADVERSARY, HOST_ORDER, HOST_UNEVEN,
                                                          HOST_POSTPONE };

static struct host_record *record; /* in shared memory: children fill it */

static int record_create(void **state)
{
    record = host_shared_alloc(sizeof *record);
    assert_non_null(record);
    record->preemption_room = PREEMPTION_ROOM;
    record->preemption = host_shared_alloc(PREEMPTION_ROOM * sizeof *record->preemption);
    record->touch_room = TOUCH_ROOM;
    record->touch = host_shared_alloc(TOUCH_ROOM * sizeof *record->touch);
    assert_true(record->preemption != NULL && record->touch != NULL);
    return scratch_reset(state);
}

static int record_destroy(void **state)
{
    (void)state;
    host_shared_free(record->preemption, PREEMPTION_ROOM * sizeof *record->preemption);
    host_shared_free(record->touch, TOUCH_ROOM * sizeof *record->touch);
    host_shared_free(record, sizeof *record);
    return 0;
}

static struct host_config config_by(enum host_strategy strategy, unsigned cpus, uint64_t seed)
{
    struct host_config config = config_of(cpus, seed);

    config.strategy = strategy;
    config.pct_steps = 2000;
    return config;
}

static struct host_team team_of(struct task *tasks[], void (*body)(cpu_id_t, void *))
{
    (void)scratch_reset(NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(scratch.task); i++)
        tasks[i] = &scratch.task[i];
    return (struct host_team){ .tasks = tasks, .body = body };
}

static int run_team(const struct host_config *config, void (*body)(cpu_id_t, void *))
{
    struct task *tasks[8];
    struct host_team team = team_of(tasks, body);

    return host_team_run(config, &team, &result);
}

static int run_team_forked(const struct host_config *config, void (*body)(cpu_id_t, void *))
{
    struct task *tasks[8];
    struct host_team team = team_of(tasks, body);

    return host_team_run_forked(config, &team, &result);
}

/* Everything at which somebody else may be stepped: words, spinning, interrupts, timers, pokes, waiting. */
static void body_of_all_kinds(cpu_id_t cpu, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 30; i++) {
        uintptr_t state = hal_irq_save();
        unsigned expected = 0;

        while (!cas_acquire(&scratch.flag, &expected, 1)) {
            hal_cpu_relax();
            expected = 0;
        }
        scratch.plain++;
        store_release(&scratch.flag, 0);
        hal_irq_restore(state);
        hal_cpu_poke((cpu + 1 + i % 2) % CPUS);
        if (i % 7 == cpu) {
            hal_irq_enable();
            hal_irq_disable();
        }
        if (i % 10 == 2 * cpu) {
            hal_timer_arm(hal_clock_ticks() + 20 * i);
            hal_cpu_idle();
        }
    }
    fetch_add_relaxed(&scratch.done, 1);
}

static void test_names_are_those_of_the_strategies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HOST_STRATEGY_COUNT; i++)
        assert_int_equal(host_strategy_by_name(host_strategy_name((enum host_strategy)i)), i);
    assert_int_equal(host_strategy_by_name("pct"), HOST_PCT);
    assert_int_equal(host_strategy_by_name("best"), HOST_STRATEGY_COUNT);
}

/* Determinism. */

static void test_the_same_seed_gives_the_same_run_everywhere(void **state)
{
    (void)state;
    for (unsigned strategy = 0; strategy < HOST_STRATEGY_COUNT; strategy++) {
        for (unsigned seed = 0; seed < 10; seed++) {
            struct host_config config = config_by((enum host_strategy)strategy, CPUS, seed);
            uint64_t hash;

            assert_int_equal(run_team(&config, body_of_all_kinds), 0);
            assert_int_equal(scratch.plain, CPUS * 30);
            hash = result.hash;
            assert_int_equal(run_team(&config, body_of_all_kinds), 0);
            assert_true(result.hash == hash);
            for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(run_team_forked(&config, body_of_all_kinds), 0);
                assert_true(result.hash == hash);
            }
        }
    }
}

static void test_other_seeds_and_strategies_give_other_runs(void **state)
{
    uint64_t hash[ARRAY_COUNT(chance_strategies) * 50];
    unsigned count = 0;
    unsigned same = 0;

    (void)state;
    for (unsigned strategy = 0; strategy < ARRAY_COUNT(chance_strategies); strategy++) {
        for (unsigned seed = 0; seed < 50; seed++) {
            struct host_config config = config_by(chance_strategies[strategy], CPUS, seed);

            assert_int_equal(run_team(&config, body_of_all_kinds), 0);
            for (unsigned other = 0; other < count; other++)
                same += hash[other] == result.hash;
            hash[count++] = result.hash;
        }
    }
    assert_int_equal(same, 0);
}

static uint8_t entropy_seen;

static void entry_entropy(struct boot_info *boot)
{
    boot_cpu_start();
    for (unsigned i = 0; i < boot->entropy_bytes; i++)
        entropy_seen = (uint8_t)(entropy_seen * 31 + boot->entropy[i]);
    hal_machine_exit(0);
}

static void test_the_machine_is_the_seeds_whoever_is_stepped(void **state)
{
    unsigned differ = 0;

    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        uint8_t first = 0;

        for (unsigned strategy = 0; strategy < HOST_STRATEGY_COUNT; strategy++) {
            struct host_config config = config_by((enum host_strategy)strategy, 1, seed);

            config.entry = entry_entropy;
            entropy_seen = 0;
            assert_int_equal(run(&config), 0);
            if (strategy > 0)
                assert_int_equal(entropy_seen, first);
            first = entropy_seen;
        }
        differ += first != 0;
    }
    assert_in_range(differ, 10, 20);
}

/* Records and scripts. */

/* Run by `strategy`, then again by what was recorded. */
static void assert_repeats(enum host_strategy strategy, uint64_t seed, bool is_forked)
{
    int (*how)(const struct host_config *, void (*)(cpu_id_t, void *)) = is_forked ? run_team_forked : run_team;
    struct host_config config = config_by(strategy, CPUS, seed);
    struct host_preemption *script;
    size_t count;
    uint64_t hash;

    config.record = record;
    assert_int_equal(how(&config, body_of_all_kinds), 0);
    hash = result.hash;
    count = record->preemption_count;
    /* All delays may fall where the CPU makes way anyway, or behind the end. */
    assert_in_range(count, strategy == HOST_DELAY ? 0 : 1, PREEMPTION_ROOM);
    script = malloc((count + 1) * sizeof *script);
    assert_non_null(script);
    memcpy(script, record->preemption, count * sizeof *script);
    config.strategy = HOST_SCRIPT;
    config.script = script;
    config.script_count = count;
    assert_int_equal(how(&config, body_of_all_kinds), 0);
    assert_true(result.hash == hash);
    /* What a script did is recorded as it was written. */
    assert_int_equal(record->preemption_count, count);
    assert_memory_equal(record->preemption, script, count * sizeof *script);
    free(script);
}

static void test_a_record_repeats_its_run(void **state)
{
    (void)state;
    for (unsigned strategy = 0; strategy < HOST_SCRIPT; strategy++)
        for (unsigned seed = 0; seed < 50; seed++)
            assert_repeats((enum host_strategy)strategy, seed, seed % 10 == 0);
}

static void test_the_default_needs_no_record(void **state)
{
    struct host_config config = config_by(HOST_SCRIPT, CPUS, 1);

    (void)state;
    config.record = record;
    assert_int_equal(run_team(&config, body_of_all_kinds), 0);
    assert_int_equal(record->preemption_count, 0);
}

static void test_what_does_not_fit_is_counted(void **state)
{
    struct host_config config = config_by(HOST_UNIFORM, CPUS, 1);
    size_t count;

    (void)state;
    config.record = record;
    assert_int_equal(run_team(&config, body_of_all_kinds), 0);
    count = record->preemption_count;
    assert_true(count > 10);
    record->preemption_room = 10;
    record->preemption[10].at = 0;
    assert_int_equal(run_team(&config, body_of_all_kinds), 0);
    record->preemption_room = PREEMPTION_ROOM;
    assert_int_equal(record->preemption_count, count);
    assert_int_equal(record->preemption[10].at, 0);
}

/* A lost update in a window, and all the ways to preempt CPU 0 in there: only before its store is it lost. */

static void body_window(cpu_id_t cpu, void *arg)
{
    unsigned value;

    (void)arg;
    if (cpu == 0)
        host_window(true);
    value = load_relaxed(&scratch.flag);
    fetch_add_relaxed(&scratch.done, 1);
    store_relaxed(&scratch.flag, value + 1);
    if (cpu == 0)
        host_window(false);
    fetch_add_relaxed(&scratch.done, 1);
}

static void test_touches_in_the_window_are_recorded(void **state)
{
    struct host_config config = config_by(HOST_SCRIPT, 2, 1);
    const struct host_touch *touch;

    (void)state;
    config.record = record;
    assert_int_equal(run_team_forked(&config, body_window), 0);
    touch = record->touch;
    assert_int_equal(record->touch_count, 3);
    assert_true(touch[0].word == (uintptr_t)&scratch.flag && touch[2].word == (uintptr_t)&scratch.flag);
    assert_true(touch[1].word == (uintptr_t)&scratch.done);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(touch[i].cpu, 0);
        assert_true(touch[i].at == touch[0].at + i);
    }
}

static void test_a_script_preempts_exactly_where_it_says(void **state)
{
    struct host_config config = config_by(HOST_SCRIPT, 2, 1);
    struct host_touch touch[3];

    (void)state;
    config.record = record;
    assert_int_equal(run_team(&config, body_window), 0);
    assert_int_equal(load_relaxed(&scratch.flag), 2);
    memcpy(touch, record->touch, sizeof touch);
    config.record = NULL;
    for (unsigned i = 0; i < 3; i++) {
        struct host_preemption script[] = {
            { .cpu = 1, .to = 0, .at = UINT64_MAX }, /* never comes */
            { .cpu = 0, .to = 1, .at = touch[i].at },
            { .cpu = 0, .to = 7, .at = touch[0].at - 1 }, /* there is no such CPU */
        };

        config.script = script;
        config.script_count = ARRAY_COUNT(script);
        assert_int_equal(run_team(&config, body_window), 0);
        assert_int_equal(load_relaxed(&scratch.flag), i == 0 ? 2 : 1);
    }
}

/* What they find. */

/* CPU 1 comes long after CPU 0, unless somebody is held up between its load and its store. */
static void body_late_update(cpu_id_t cpu, void *arg)
{
    unsigned value;

    (void)arg;
    for (unsigned i = 0; i < 100 * cpu; i++)
        hal_point(NULL);
    value = load_relaxed(&scratch.flag);
    store_relaxed(&scratch.flag, value + 1);
}

static unsigned lost_updates(enum host_strategy strategy, unsigned seeds)
{
    unsigned lost = 0;

    for (unsigned seed = 0; seed < seeds; seed++) {
        struct host_config config = config_by(strategy, 2, seed);

        config.pct_depth = 2;
        config.pct_steps = 150;
        assert_int_equal(run_team(&config, body_late_update), 0);
        lost += load_relaxed(&scratch.flag) != 2;
    }
    return lost;
}

/*
 * The paper's bound for n CPUs, k steps and depth d is 1 / (n * k^(d - 1)): 1/300 here, so that 1,000 seeds should find
 * it three times. Taking turns never does.
 */
static void test_pct_finds_what_taking_turns_cannot(void **state)
{
    (void)state;
    assert_int_equal(lost_updates(HOST_ROUND_ROBIN, 100), 0);
    assert_in_range(lost_updates(HOST_PCT, 1000), 3, 1000);
    /* One delay, at one of 150 steps: 1/150, were it not that the run's end is earlier. */
    assert_in_range(lost_updates(HOST_DELAY, 1000), 3, 1000);
}

/* With a tenth of the steps between, who is slow loses its update to who is fast. */
static void test_uneven_speeds_find_it_too(void **state)
{
    (void)state;
    assert_in_range(lost_updates(HOST_UNEVEN, 1000), 3, 1000);
}

/* A lock that checks, then takes; most of the time is spent elsewhere, on words of one's own. */
static void body_broken_lock(cpu_id_t cpu, void *arg)
{
    static _Atomic(unsigned) own[2][64];

    (void)arg;
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 100; i++)
            fetch_add_relaxed(&own[cpu][i % 64], 1);
        while (load_acquire(&scratch.flag) != 0)
            hal_cpu_relax();
        store_relaxed(&scratch.flag, 1);
        if (fetch_add_relaxed(&scratch.done, 1) != 0)
            store_relaxed(&scratch.timers, 1); /* two are inside */
        fetch_sub_relaxed(&scratch.done, 1);
        store_release(&scratch.flag, 0);
    }
}

static unsigned broken_locks(enum host_strategy strategy, unsigned seeds)
{
    unsigned found = 0;

    for (unsigned seed = 0; seed < seeds; seed++) {
        struct host_config config = config_by(strategy, 2, seed);

        assert_int_equal(run_team(&config, body_broken_lock), 0);
        found += load_relaxed(&scratch.timers);
    }
    return found;
}

/* One seed in two, where uniform chance needs about twenty. */
static void test_the_adversary_finds_a_check_that_is_no_lock(void **state)
{
    unsigned adversary = broken_locks(HOST_ADVERSARY, 100);
    unsigned uniform = broken_locks(HOST_UNIFORM, 100);

    (void)state;
    assert_in_range(adversary, 30, 100);
    assert_in_range(uniform, 1, adversary / 3);
}

/* Both are about accesses that meet, and better than chance where few do. */
static void test_orders_and_holds_find_a_check_that_is_no_lock(void **state)
{
    unsigned uniform = broken_locks(HOST_UNIFORM, 100);

    (void)state;
    assert_in_range(broken_locks(HOST_ORDER, 100), uniform + 1, 100);
    assert_in_range(broken_locks(HOST_POSTPONE, 100), uniform + 1, 100);
}

/* More lines than the adversary remembers: its map forgets, and still repeats. */
static void body_many_lines(cpu_id_t cpu, void *arg)
{
    static char lines[80000][64];

    (void)arg;
    for (unsigned i = 0; i < ARRAY_COUNT(lines); i++)
        hal_point(lines[cpu % 2 == 0 ? i : ARRAY_COUNT(lines) - 1 - i]);
}

static void test_the_adversary_forgets_and_repeats(void **state)
{
    struct host_config config = config_by(HOST_ADVERSARY, 4, 3);
    uint64_t hash;

    (void)state;
    assert_int_equal(run_team(&config, body_many_lines), 0);
    hash = result.hash;
    assert_int_equal(run_team_forked(&config, body_many_lines), 0);
    assert_true(result.hash == hash);
}

/* A loop that never relaxes starves nobody for ever, and spinners make way. */

static void body_stubborn(cpu_id_t cpu, void *arg)
{
    (void)arg;
    while (load_acquire(&scratch.flag) != cpu)
        ;
    store_release(&scratch.flag, cpu + 1);
    while (load_acquire(&scratch.flag) < CPUS)
        hal_cpu_relax();
}

static void test_no_strategy_starves_a_cpu_for_ever(void **state)
{
    (void)state;
    for (unsigned strategy = 0; strategy < HOST_STRATEGY_COUNT; strategy++) {
        for (unsigned seed = 0; seed < 20; seed++) {
            struct host_config config = config_by((enum host_strategy)strategy, CPUS, seed);

            config.max_steps = 2 * CPUS * CPUS * (uint64_t)HOST_FAIR_STEPS;
            assert_int_equal(run_team(&config, body_stubborn), 0);
        }
    }
}

/* Quiet, and facts. */

static void entry_quiet(struct boot_info *boot)
{
    uint64_t steps, ns;
    bool was;

    (void)boot;
    boot_cpu_start();
    hal_timer_arm(hal_clock_ticks() + 1);
    hal_irq_enable();
    steps = host_trace_steps();
    ns = host_virtual_ns();
    was = host_quiet(true);
    if (was || !host_quiet(true))
        hal_machine_exit(1);
    for (unsigned i = 0; i < 1000; i++) {
        uintptr_t state = hal_irq_save();

        store_relaxed(&scratch.flag, i);
        (void)hal_clock_ticks();
        hal_cpu_relax();
        if (hal_irq_is_enabled())
            hal_machine_exit(2);
        hal_irq_restore(state);
        if (!hal_irq_is_enabled())
            hal_machine_exit(3);
    }
    if (host_trace_steps() != steps || host_virtual_ns() != ns || host_cpu_steps(0) != steps)
        hal_machine_exit(4);
    (void)host_quiet(was);
    while (load_relaxed(&scratch.timers) == 0)
        hal_cpu_relax();
    hal_machine_exit(host_trace_steps() > steps ? 0 : 5);
}

static void test_nothing_is_a_step_while_it_is_quiet(void **state)
{
    (void)state;
    assert_int_equal(run_entry(1, 1, entry_quiet), 0);
}

static void body_facts(cpu_id_t cpu, void *arg)
{
    (void)arg;
    hal_point(NULL);
    if (host_cpu_id() != cpu || host_cpu_is_idle(cpu) || host_cpu_steps(cpu) == 0)
        hal_machine_exit(1);
    if (cpu == 1) {
        hal_cpu_idle();
        return;
    }
    while (!host_cpu_is_idle(1))
        hal_cpu_relax();
    hal_cpu_poke(1);
    while (host_cpu_is_idle(1))
        hal_cpu_relax();
}

static void test_facts_about_a_cpu(void **state)
{
    (void)state;
    assert_int_equal(host_cpu_id(), CPU_NONE);
    for (unsigned strategy = 0; strategy < HOST_STRATEGY_COUNT; strategy++) {
        struct host_config config = config_by((enum host_strategy)strategy, 2, 1);

        assert_int_equal(run_team(&config, body_facts), 0);
    }
}

static void test_a_debuggers_stop_changes_nothing(void **state)
{
    struct host_config config = config_by(HOST_UNIFORM, CPUS, 1);
    uint64_t hash;

    (void)state;
    assert_int_equal(run_team(&config, body_of_all_kinds), 0);
    hash = result.hash;
    config.stop_at_step = 100;
    assert_int_equal(run_team(&config, body_of_all_kinds), 0);
    assert_true(result.hash == hash);
    config.max_steps = 100; /* both at once: the limit ends the run */
    config.stop_at_step = 101;
    assert_int_equal(run_team(&config, body_of_all_kinds), 100 + HOST_END_STEPS);
    assert_int_equal(result.steps, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_those_of_the_strategies),
        cmocka_unit_test(test_the_same_seed_gives_the_same_run_everywhere),
        cmocka_unit_test(test_other_seeds_and_strategies_give_other_runs),
        cmocka_unit_test(test_the_machine_is_the_seeds_whoever_is_stepped),
        cmocka_unit_test(test_a_record_repeats_its_run),
        cmocka_unit_test(test_the_default_needs_no_record),
        cmocka_unit_test(test_what_does_not_fit_is_counted),
        cmocka_unit_test(test_touches_in_the_window_are_recorded),
        cmocka_unit_test(test_a_script_preempts_exactly_where_it_says),
        cmocka_unit_test(test_pct_finds_what_taking_turns_cannot),
        cmocka_unit_test(test_the_adversary_finds_a_check_that_is_no_lock),
        cmocka_unit_test(test_uneven_speeds_find_it_too),
        cmocka_unit_test(test_orders_and_holds_find_a_check_that_is_no_lock),
        cmocka_unit_test(test_the_adversary_forgets_and_repeats),
        cmocka_unit_test(test_no_strategy_starves_a_cpu_for_ever),
        cmocka_unit_test(test_nothing_is_a_step_while_it_is_quiet),
        cmocka_unit_test(test_facts_about_a_cpu),
        cmocka_unit_test(test_a_debuggers_stop_changes_nothing),
    };

    return cmocka_run_group_tests_name("host strategies", tests, record_create, record_destroy);
}
