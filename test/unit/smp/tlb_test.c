/* SPDX-License-Identifier: MIT */
/*
 * core/smp/tlb.c: who holds what, who is disturbed, and that no old translation is used. The model is what a page says
 * of itself, and the simulated TLBs, which end a run when a freed page can still be reached.
 */
#include "tlb_test.h"
#include "steps.h"

/* ---- One CPU, or CPUs that the test plays ---- */

static struct tlb_stats stats_before;

static struct tlb_stats since(void)
{
    struct tlb_stats now;

    tlb_stats_get(&now);
    now.shootdowns -= stats_before.shootdowns;
    now.disturbed -= stats_before.disturbed;
    now.deferred -= stats_before.deferred;
    now.late_flushes -= stats_before.late_flushes;
    now.rollovers -= stats_before.rollovers;
    now.rollover_flushes -= stats_before.rollover_flushes;
    now.kernel_flushes -= stats_before.kernel_flushes;
    tlb_stats_get(&stats_before);
    return now;
}

static void unit_begin_limited(unsigned asids, unsigned limit, unsigned cpus, bool has_remote_flush)
{
    struct host_config config = { .cpus = cpus, .seed = 1, .memory_bytes = 4 << 20, .max_steps = UINT64_MAX,
                                  .asids = asids, .has_remote_flush = has_remote_flush };

    host_unit_setup(&config);
    smp_test_cpus(cpus);
    host_unit_enter((struct task *)&smp_test.self[0]);
    pool_fill();
    memset(spaces, 0, sizeof spaces);
    team.kernel_root = page_take();
    hal_mmu_activate_kernel(team.kernel_root);
    tlb_init(team.kernel_root, asids, limit, cpus);
    for (unsigned i = 0; i < SPACES; i++)
        space_make(&spaces[i]);
    tlb_stats_get(&stats_before);
}

static void unit_begin(unsigned asids, unsigned cpus, bool has_remote_flush)
{
    unit_begin_limited(asids, ASIDS_MAX, cpus, has_remote_flush);
}

static unsigned asid_of(const struct test_space *space)
{
    return (unsigned)(load_relaxed(&space->tlb.id) & 0xffff);
}

static uint64_t load(unsigned place)
{
    uint64_t value = 0;

    ASSERT(host_user_load(place_va(place), &value));
    return value;
}

static void a_space_keeps_its_id_until_the_ids_run_out(void **state)
{
    (void)state;
    unit_begin(5, 1, false); /* 1 to 4 */
    assert_int_equal(asid_of(&spaces[0]), 0);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 4; i++) {
            use(&spaces[i]);
            assert_int_equal(asid_of(&spaces[i]), i + 1);
            assert_int_equal(load(0), stamp_of(&spaces[i], 0));
        }
    assert_int_equal(since().rollovers, 0);
    /* One too many: all ids are free again but that of the space that is being left. */
    use(&spaces[4]);
    struct tlb_stats stats = since();

    assert_true(stats.rollovers == 1 && stats.rollover_flushes == 1);
    assert_int_equal(asid_of(&spaces[3]), 4);
    assert_int_equal(load_relaxed(&spaces[3].tlb.id) >> 16, load_relaxed(&spaces[4].tlb.id) >> 16);
    assert_int_equal(asid_of(&spaces[4]), 1);
    assert_int_equal(load(0), stamp_of(&spaces[4], 0));
    use(&spaces[0]);
    assert_int_equal(asid_of(&spaces[0]), 2);
    assert_int_equal(load(0), stamp_of(&spaces[0], 0));
    use(NULL);
    stats = since();
    assert_true(stats.rollovers == 0 && stats.rollover_flushes == 0);
    host_unit_teardown();
}

static void the_dead_do_not_pass_their_id_on_before_a_roll_over(void **state)
{
    (void)state;
    unit_begin(9, 1, false);
    use(&spaces[0]);
    assert_int_equal(load(0), stamp_of(&spaces[0], 0));
    use(NULL);
    for (unsigned i = 0; i < 30; i++) {
        space_unmake(&spaces[0]);
        space_make(&spaces[0]);
        use(&spaces[0]);
        assert_int_equal(asid_of(&spaces[0]), (i + 1) % 8 + 1);
        for (unsigned place = 0; place < PLACES; place++)
            assert_int_equal(load(place), stamp_of(&spaces[0], place));
        use(NULL);
    }
    assert_int_equal(since().rollovers, 3);
    host_unit_teardown();
}

/* CPU 0 shoots; the others only say that they use it. */
static void play_cpu(cpu_id_t id, struct test_space *space)
{
    host_unit_enter((struct task *)&smp_test.self[id]);
    use(space);
    host_unit_enter((struct task *)&smp_test.self[0]);
}

static bool bit_is_set(const _Atomic(uint64_t) *words, cpu_id_t id)
{
    return load_relaxed(&words[id / 64]) >> (id % 64) & 1;
}

static void flush_place(struct test_space *space, unsigned place)
{
    struct tlb_batch batch;

    tlb_batch_init(&batch, &space->tlb);
    tlb_batch_add(&batch, place_va(place), 1);
    hal_irq_enable();
    tlb_batch_flush(&batch);
    hal_irq_disable();
    assert_true(batch.count == 0 && !batch.is_all && batch.space == &space->tlb);
}

static void only_cpus_that_use_the_space_are_disturbed(void **state)
{
    struct tlb_stats stats;

    (void)state;
    unit_begin(256, 6, true);
    flush_place(&spaces[0], 0); /* nobody ever used it */
    stats = since();
    assert_true(stats.shootdowns == 0 && stats.disturbed == 0 && stats.deferred == 0);

    play_cpu(1, &spaces[0]); /* uses it */
    play_cpu(2, &spaces[0]);
    play_cpu(2, &spaces[1]); /* has used it */
    play_cpu(3, &spaces[0]);
    play_cpu(3, NULL);       /* as well */
    play_cpu(4, &spaces[1]); /* never did; 5 neither */
    (void)since();
    flush_place(&spaces[0], 0);
    stats = since();
    assert_true(stats.shootdowns == 1 && stats.disturbed == 1 && stats.deferred == 2);
    for (cpu_id_t id = 0; id < 6; id++) {
        assert_int_equal(bit_is_set(spaces[0].tlb.holders, id), id >= 1 && id <= 3);
        assert_int_equal(bit_is_set(spaces[0].tlb.stale, id), id == 2 || id == 3);
    }
    /* Who comes back flushes once. */
    play_cpu(2, &spaces[0]);
    play_cpu(2, NULL);
    play_cpu(2, &spaces[0]);
    assert_int_equal(since().late_flushes, 1);
    assert_true(!bit_is_set(spaces[0].tlb.stale, 2) && bit_is_set(spaces[0].tlb.stale, 3));

    /* The shooter itself is one of the users, and needs no machinery. */
    use(&spaces[1]);
    play_cpu(2, NULL);
    play_cpu(4, NULL);
    (void)since();
    flush_place(&spaces[1], 0);
    stats = since();
    assert_true(stats.shootdowns == 1 && stats.disturbed == 0 && stats.deferred == 2);
    host_unit_teardown();
}

static void without_ids_holders_are_those_who_use_the_space(void **state)
{
    /* The machine has none; it has, or it may use, too few for six CPUs. */
    static const unsigned asids[][2] = { { 1, 4096 }, { 2, 4096 }, { 12, 4096 }, { 256, 12 }, { 256, 1 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(asids); i++) {
        unit_begin_limited(asids[i][0], asids[i][1], 6, true);
        struct tlb_stats stats = since();

        assert_int_equal(stats.ids, 0);
        play_cpu(1, &spaces[0]);
        play_cpu(2, &spaces[0]);
        play_cpu(2, &spaces[1]);
        play_cpu(3, &spaces[0]);
        play_cpu(3, NULL);
        for (cpu_id_t id = 0; id < 6; id++) {
            assert_int_equal(bit_is_set(spaces[0].tlb.holders, id), id == 1);
            assert_int_equal(bit_is_set(spaces[1].tlb.holders, id), id == 2);
        }
        flush_place(&spaces[0], 0);
        stats = since();
        assert_true(stats.shootdowns == 1 && stats.disturbed == 1 && stats.deferred == 0);
        play_cpu(1, NULL);
        play_cpu(2, NULL);
        assert_int_equal(load_relaxed(&spaces[0].tlb.holders[0]) | load_relaxed(&spaces[1].tlb.holders[0]), 0);
        host_unit_teardown();
    }
}

static void ranges_that_touch_are_one_and_too_many_are_all(void **state)
{
    struct tlb_batch batch;

    (void)state;
    tlb_batch_init(&batch, &spaces[0].tlb);
    tlb_batch_add(&batch, USER_VA, 2);
    tlb_batch_add(&batch, USER_VA + 2 * PAGE_BYTES, 3);
    tlb_batch_add(&batch, USER_VA - PAGE_BYTES, 1);
    assert_true(batch.count == 1 && batch.range[0].va == USER_VA - PAGE_BYTES && batch.range[0].pages == 6);
    for (unsigned i = 1; i < TLB_BATCH_MAX; i++)
        tlb_batch_add(&batch, USER_VA + i * 16 * PAGE_BYTES, 1);
    assert_true(batch.count == TLB_BATCH_MAX && !batch.is_all);
    tlb_batch_add(&batch, USER_VA + (TLB_BATCH_MAX - 1) * 16 * PAGE_BYTES + PAGE_BYTES, 1);
    assert_false(batch.is_all);
    tlb_batch_add(&batch, USER_VA + PAGE_BYTES * 4096, 1);
    assert_true(batch.is_all);
}

static void flush_with_interrupts_off(void *batch)
{
    tlb_batch_add(batch, USER_VA, 1);
    tlb_batch_flush(batch);
}

static void free_while_in_use(void *space)
{
    use(space);
    tlb_space_fini(&((struct test_space *)space)->tlb);
}

static void mistakes_of_the_caller_panic(void **state)
{
    struct tlb_batch batch;

    (void)state;
    unit_begin(256, 1, false);
    tlb_batch_init(&batch, &spaces[0].tlb);
    assert_panics(flush_with_interrupts_off, &batch, "hal_irq_is_enabled");
    assert_panics(free_while_in_use, &spaces[0], "is_used_by");
    host_unit_teardown();
}

/* ---- All at once ---- */

static void look_at_place(const struct test_space *space, struct unit_random *random)
{
    unsigned place = (unsigned)unit_random_below(random, PLACES);
    uint32_t oldest = load_acquire(&space->oldest[place]);
    uint64_t value;

    if (!host_user_load(place_va(place), &value))
        return;
    ASSERT(value >> 32 == ((uint64_t)space->incarnation << 8 | place));
    ASSERT((uint32_t)value >= oldest);
    if (unit_random_below(random, 2) == 0)
        (void)host_user_store(place_va(place) + 8 * (1 + this_cpu_id()), value);
}

/* The page at a place, or all of the space's and their table, are others from here on. */
static void change(struct test_space *space, struct unit_random *random)
{
    bool is_table = unit_random_below(random, 4) == 0;
    unsigned only = (unsigned)unit_random_below(random, PLACES);
    paddr_t dead[PLACES + 1];
    unsigned count = 0;
    struct tlb_batch batch;

    tlb_batch_init(&batch, &space->tlb);
    spin_lock(&space->lock);
    _Atomic(uint64_t) *link = entry_of(space->tlb.root, USER_VA, 1);
    paddr_t table = hal_pte_paddr(load_relaxed(link));

    if (is_table)
        store_relaxed(link, 0);
    for (unsigned place = 0; place < PLACES; place++) {
        if (!is_table && place != only)
            continue;
        if (!is_table)
            store_relaxed(entry_of(space->tlb.root, place_va(place), 0), 0);
        tlb_batch_add(&batch, place_va(place), 1);
        dead[count++] = space->page[place];
        space->version[place]++;
    }
    if (is_table)
        dead[count++] = table;
    if (unit_random_below(random, 8) == 0)
        tlb_batch_add_all(&batch);
    tlb_batch_flush(&batch);
    for (unsigned place = 0; place < PLACES; place++)
        store_release(&space->oldest[place], space->version[place]);
    for (unsigned i = 0; i < count; i++)
        page_give(dead[i]);
    for (unsigned place = 0; place < PLACES; place++)
        if (is_table || place == only)
            place_fill(space, place);
    spin_unlock(&space->lock);
}

/* The CPU leaves the space and takes another one, none, or the same again. */
static struct test_space *change_space(struct test_space *from, struct unit_random *random)
{
    size_t at = unit_random_below(random, SPACES + 1);
    struct test_space *to = at < SPACES ? &spaces[at] : NULL;

    if (to != NULL) {
        spin_lock(&to->lock);
        to->users++;
        spin_unlock(&to->lock);
    }
    use(to);
    if (from != NULL) {
        spin_lock(&from->lock);
        from->users--;
        spin_unlock(&from->lock);
    }
    return to;
}

static void die_and_be_born(struct test_space *space)
{
    spin_lock(&space->lock);
    if (space->users == 0) {
        space_unmake(space);
        space_make(space);
    }
    spin_unlock(&space->lock);
}

static void team_prepare(void)
{
    pool_fill();
    team.kernel_root = page_take();
    hal_mmu_activate_kernel(team.kernel_root);
    memset(spaces, 0, sizeof spaces);
    tlb_init(team.kernel_root, team.asids, ASIDS_MAX, team.cpus);
    for (unsigned i = 0; i < SPACES; i++) {
        spin_init(&spaces[i].lock, LOCK_SPACE);
        space_make(&spaces[i]);
    }
    store_release(&team.is_ready, true);
}

static void team_begin(cpu_id_t cpu)
{
    if (cpu == 0)
        team_prepare();
    while (!load_acquire(&team.is_ready))
        hal_cpu_relax();
    hal_mmu_activate(team.kernel_root, 0);
    hal_irq_enable();
}

/* Others may still call. */
static void team_end(void)
{
    use(NULL);
    (void)fetch_sub_acq_rel(&team.left, 1);
    while (load_acquire(&team.left) != 0)
        hal_cpu_relax();
    hal_irq_disable();
}

static void live(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { team.seed * SMP_TEST_CPUS + cpu };
    struct test_space *mine = NULL;

    (void)arg;
    team_begin(cpu);
    for (unsigned round = 0; round < team.rounds; round++) {
        switch (unit_random_below(&random, 8)) {
        case 0:
        case 1:
        case 2:
            mine = change_space(mine, &random);
            break;
        case 3:
            change(&spaces[unit_random_below(&random, SPACES)], &random);
            break;
        case 4:
            die_and_be_born(&spaces[unit_random_below(&random, SPACES)]);
            break;
        default:
            if (mine != NULL)
                look_at_place(mine, &random);
            break;
        }
    }
    use(NULL);
    if (mine != NULL) {
        spin_lock(&mine->lock);
        mine->users--;
        spin_unlock(&mine->lock);
    }
    team_end();
    for (unsigned i = 0; i < SPACES && cpu == 0; i++)
        ASSERT(spaces[i].users == 0);
}

struct kind {
    unsigned asids; /* 0: just enough for the CPUs */
    bool has_remote_flush;
    unsigned seeds;
};

/* Seldom-switching strategies keep one CPU at a point for as long as another one needs for a whole shoot-down. */
static void team_run(const struct kind *kind, void (*body)(cpu_id_t, void *), unsigned cpus, unsigned rounds,
                     uint64_t seed)
{
    static const enum host_strategy strategies[] = { HOST_PCT, HOST_UNIFORM, HOST_ADVERSARY, HOST_PCT };
    static const unsigned switch_one_in[] = { 4, 16, 64 };
    struct task *tasks[SMP_TEST_CPUS];
    struct host_team host_team = { .tasks = tasks, .body = body };
    struct host_config config = { .cpus = cpus, .seed = seed, .memory_bytes = 4 << 20, .max_steps = 3000000,
                                  .has_remote_flush = kind->has_remote_flush };

    team.cpus = cpus;
    team.asids = kind->asids != 0 ? kind->asids : 2 * cpus + 1;
    team.seed = seed;
    team.rounds = rounds;
    config.asids = team.asids;
    config.strategy = strategies[seed % ARRAY_COUNT(strategies)];
    config.switch_one_in = switch_one_in[seed % ARRAY_COUNT(switch_one_in)];
    config.pct_steps = 100 * rounds * cpus;
    config.pct_depth = 8 + seed % 5 * 12;
    store_relaxed(&team.is_ready, false);
    store_relaxed(&team.left, cpus);
    smp_test_cpus(cpus);
    for (unsigned i = 0; i < cpus; i++)
        tasks[i] = (struct task *)&smp_test.self[i];
    if (host_team_run(&config, &host_team, &smp_test_result) != 0) {
        host_result_print(&config, &smp_test_result);
        fail_msg("%u CPUs, %u ids, seed %llu", cpus, team.asids, (unsigned long long)seed);
    }
}

static void no_cpu_uses_an_old_translation(void **state)
{
    static const struct kind kinds[] = {
        { 0, false, 150 }, { 0, true, 150 }, { 256, false, 60 }, { 256, true, 60 },
        { 1, false, 60 }, { 1, true, 60 }, { 2, false, 60 },
    };
    /* 600 seeds on 4.5 CPUs, in the mean: each of these is so many operations in all. */
    const unsigned rounds = (unsigned)(unit_steps(1080000, 162000) / 2700);

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
        tlb_stats_get(&stats_before);
        for (uint64_t seed = 0; seed < kinds[i].seeds; seed++)
            team_run(&kinds[i], live, 1 + (unsigned)(seed % SMP_TEST_CPUS), rounds, seed);
        struct tlb_stats stats = since();

        assert_true(stats.shootdowns > 0 && stats.disturbed > 0);
        assert_int_equal(stats.rollovers > 0, kinds[i].asids == 0);
        assert_int_equal(stats.deferred > 0, kinds[i].asids == 0 || kinds[i].asids > 2);
        assert_int_equal(stats.late_flushes > 0, stats.deferred > 0);
    }
}

/* Two spaces, and CPUs that shoot at each other while they use the other one's. */
static void duel(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { team.seed * SMP_TEST_CPUS + cpu };

    (void)arg;
    team_begin(cpu);
    for (unsigned round = 0; round < team.rounds; round++) {
        use(&spaces[(cpu + round) % 2]);
        look_at_place(&spaces[(cpu + round) % 2], &random);
        change(&spaces[(cpu + round + 1) % 2], &random);
    }
    team_end();
}

static void cpus_may_shoot_at_each_other(void **state)
{
    static const struct kind kinds[] = { { 256, false, 100 }, { 0, false, 100 }, { 1, false, 100 }, { 256, true, 50 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++)
        for (uint64_t seed = 0; seed < kinds[i].seeds; seed++)
            team_run(&kinds[i], duel, 2, 20, seed);
}

/* CPU 0 shoots at a space that the others come to and leave, by way of another one or of none. */
static void come_and_go(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { team.seed * SMP_TEST_CPUS + cpu };

    (void)arg;
    team_begin(cpu);
    for (unsigned round = 0; round < team.rounds; round++) {
        if (cpu == 0) {
            change(&spaces[0], &random);
            continue;
        }
        use(&spaces[0]);
        for (unsigned i = 0; i < 3; i++)
            look_at_place(&spaces[0], &random);
        if (unit_random_below(&random, 2) == 0) {
            use(&spaces[1 + unit_random_below(&random, SPACES - 1)]);
            (void)load(0);
        }
        if (unit_random_below(&random, 2) == 0)
            use(NULL);
    }
    team_end();
}

/* The same while ids run out: CPU 2 gives birth all the time. */
static void come_and_go_and_be_born(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { team.seed * SMP_TEST_CPUS + cpu };

    (void)arg;
    team_begin(cpu);
    for (unsigned round = 0; round < team.rounds; round++) {
        if (cpu == 2) {
            struct test_space *child = &spaces[1 + round % (SPACES - 1)];

            use(NULL);
            die_and_be_born(child);
            use(child);
            (void)load(0);
            continue;
        }
        use(&spaces[0]);
        for (unsigned i = 0; i < 4; i++)
            look_at_place(&spaces[0], &random);
        if (cpu == 0)
            change(&spaces[0], &random);
        if (unit_random_below(&random, 2) == 0)
            use(NULL);
    }
    team_end();
}

static void a_switch_and_a_roll_over_see_each_other(void **state)
{
    static const struct kind kinds[] = { { 0, false, 1000 }, { 0, true, 200 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
        tlb_stats_get(&stats_before);
        for (uint64_t seed = 0; seed < kinds[i].seeds; seed++)
            team_run(&kinds[i], come_and_go_and_be_born, 3, 20, seed);
        assert_true(since().rollovers > kinds[i].seeds);
    }
}

static void a_switch_and_a_shoot_down_see_each_other(void **state)
{
    static const struct kind kinds[] = {
        { 256, false, 200 }, { 256, true, 200 }, { 0, false, 200 }, { 0, true, 200 }, { 1, false, 300 },
        { 1, true, 100 },    { 2, false, 60 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++)
        for (uint64_t seed = 0; seed < kinds[i].seeds; seed++)
            team_run(&kinds[i], come_and_go, 2 + seed % 2, 20, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_space_keeps_its_id_until_the_ids_run_out),
        cmocka_unit_test(the_dead_do_not_pass_their_id_on_before_a_roll_over),
        cmocka_unit_test(only_cpus_that_use_the_space_are_disturbed),
        cmocka_unit_test(without_ids_holders_are_those_who_use_the_space),
        cmocka_unit_test(ranges_that_touch_are_one_and_too_many_are_all),
        cmocka_unit_test(mistakes_of_the_caller_panic),
        cmocka_unit_test(no_cpu_uses_an_old_translation),
        cmocka_unit_test(cpus_may_shoot_at_each_other),
        cmocka_unit_test(a_switch_and_a_shoot_down_see_each_other),
        cmocka_unit_test(a_switch_and_a_roll_over_see_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
