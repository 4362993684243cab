/* SPDX-License-Identifier: MIT */
/*
 * core/mm/magazine.c: objects through the magazines of several CPUs against a model that only counts; misuse wherever
 * the object lies; forced failures; and CPUs that allocate, free what others allocated, and reclaim, all at once.
 */
#include "mm_test.h"
#include "steps.h"

#include <time/timer.h>

#define CPUS 3
#define OWN_MAX 400

static struct cpu cpus[CPUS]; /* of one task that goes from one to the other */
static struct slab_cache small, medium, large, plain;
static void *own[OWN_MAX];

static int enter(void **state)
{
    (void)mm_test_boot(state);
    for (unsigned i = 0; i < CPUS; i++)
        cpus[i].id = i;
    slab_cache_init(&small, "small", 40, 8);
    slab_cache_init(&medium, "medium", 2000, 8);
    slab_cache_init(&large, "large", 9000, 8);
    slab_cache_init(&plain, "plain", 64, 64);
    return 0;
}

static void move_to(unsigned cpu)
{
    store_relaxed(&mm_test_task.cpu, &cpus[cpu]);
}

static int begin(void **state)
{
    move_to(0);
    return mm_test_begin(state);
}

#define magazine_test(fn) cmocka_unit_test_setup_teardown(fn, begin, mm_test_end)

static struct slab_stats stats(struct slab_cache *cache)
{
    struct slab_stats now;

    slab_stats_get(cache, &now);
    return now;
}

/* ---- One CPU ---- */

static void magazines_move_by_halves(void **state)
{
    unsigned limit = small.magazine_limit;
    unsigned half = (limit + 1) / 2;

    (void)state;
    assert_true(limit == 25 && medium.magazine_limit == 16384 / medium.stride_bytes);
    for (unsigned i = 0; i < limit + 1; i++) {
        own[i] = slab_alloc(&small);
        assert_true(stats(&small).used == i + 1);
        assert_true(stats(&small).cached == (half - (i + 1) % half) % half);
    }
    /* What the last refill left is there, too. */
    unsigned cached = (unsigned)stats(&small).cached;

    for (unsigned i = 0; i < limit + 1; i++) {
        slab_free(&small, own[i]);
        cached = cached == limit ? limit - half + 1 : cached + 1;
        assert_true(stats(&small).cached == cached && stats(&small).used == limit - i);
    }
    assert_true(stats(&small).magazines == 1);
}

static void the_object_freed_last_comes_first(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        own[i] = slab_alloc(&medium);
    for (unsigned i = 0; i < 5; i++)
        slab_free(&medium, own[i]);
    for (unsigned i = 5; i-- > 0;)
        assert_ptr_equal(slab_alloc(&medium), own[i]);
    for (unsigned i = 0; i < 5; i++)
        slab_free(&medium, own[i]);
}

static void caches_of_large_objects_have_no_magazines(void **state)
{
    (void)state;
    assert_true(large.magazine_limit == 0);
    own[0] = slab_alloc(&large);
    own[1] = slab_alloc(&large);
    slab_free(&large, own[0]);
    assert_true(stats(&large).used == 1 && stats(&large).cached == 0 && stats(&large).magazines == 0);
    slab_free(&large, own[1]);
}

static void more_caches_than_slots(void *arg)
{
    static struct slab_cache many[SLAB_CACHES_MAX + 3];

    (void)arg;
    for (unsigned i = 0; i < ARRAY_COUNT(many); i++)
        slab_cache_init(&many[i], "one of many", 64, 8);
    ASSERT(many[ARRAY_COUNT(many) - 1].magazine_limit == 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ARRAY_COUNT(many); i++)
            ASSERT((own[i] = slab_alloc(&many[i])) != NULL);
        for (unsigned i = 0; i < ARRAY_COUNT(many); i++)
            slab_free(&many[i], own[i]);
    }
    ASSERT(load_relaxed(&this_cpu()->magazines[SLAB_CACHES_MAX]) == NULL);
    slab_reclaim_all();
    for (unsigned i = 0; i < ARRAY_COUNT(many); i++)
        ASSERT(stats(&many[i]).slabs == 0);
    for (unsigned i = 0; i < SLAB_CACHES_MAX; i++)
        ASSERT(load_relaxed(&this_cpu()->magazines[i]) == NULL);
}

static void caches_beyond_the_table_do_without(void **state)
{
    (void)state;
    if (!host_unit_returns_forked(more_caches_than_slots, NULL, &mm_test_result))
        fail_msg("%s%s", mm_test_result.console, mm_test_result.report);
}

static void reclaim_gives_all_back(void **state)
{
    (void)state;
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        move_to(cpu);
        for (unsigned i = 0; i < 20; i++)
            own[20 * cpu + i] = slab_alloc(&small);
    }
    for (unsigned i = 0; i < 20 * CPUS; i++) {
        move_to(i % CPUS);
        slab_free(&small, own[i]);
    }
    assert_true(stats(&small).magazines == CPUS && stats(&small).used == 0 && stats(&small).slabs > 0);
    slab_reclaim_all();
    assert_true(stats(&small).magazines == 0 && stats(&small).cached == 0 && stats(&small).slabs == 0);
    assert_true(mm_test_free_pages() == mm_test_pages_before);
}

/* ---- Forced failures ---- */

static void a_forced_failure_is_not_hidden_by_a_refill(void **state)
{
    unsigned calls = 0;

    (void)state;
    /* One site for each call, and one for each slab; no magazine comes in between. */
    mm_fail_at(MM_FAIL_NEVER);
    for (unsigned i = 0; i < small.per_slab + 1; i++) {
        own[i] = slab_alloc(&small);
        calls++;
        assert_non_null(own[i]);
        assert_true(stats(&small).cached == 0 && stats(&small).magazines == 0);
        assert_true(mm_fail_count() == calls + stats(&small).slabs);
    }
    mm_fail_at(0);
    for (unsigned i = 0; i < calls; i++)
        slab_free(&small, own[i]);
    slab_reclaim_all();
    /* The magazine that is there is used up, and then filled by ones. */
    slab_free(&small, slab_alloc(&small));
    mm_fail_at(MM_FAIL_NEVER);
    calls = 0;
    for (unsigned cached = (unsigned)stats(&small).cached; cached > 0; cached--) {
        own[calls++] = slab_alloc(&small);
        assert_true(stats(&small).cached == cached - 1);
    }
    own[calls++] = slab_alloc(&small);
    assert_true(stats(&small).cached == 0 && mm_fail_count() == calls);
    mm_fail_at(0);
    while (calls > 0)
        slab_free(&small, own[--calls]);
}

static void no_page_for_a_magazine_is_no_failure(void **state)
{
    static paddr_t chain;
    paddr_t page;
    void *object = slab_alloc(&plain);

    (void)state;
    move_to(1);
    while ((page = phys_alloc(0)) != 0) {
        *(paddr_t *)phys_to_virt(page) = chain;
        chain = page;
    }
    /* There may be room for more magazines in the page of those that there are: use it up. */
    for (unsigned i = 0; i < 20; i++) {
        move_to(2);
        own[i] = slab_alloc(&plain);
        move_to(1);
        if (own[i] == NULL)
            break;
    }
    slab_free(&plain, object);
    for (unsigned i = 0; i < 20 && own[i] != NULL; i++) {
        slab_free(&plain, own[i]);
        own[i] = NULL;
    }
    while (chain != 0) {
        page = chain;
        chain = *(paddr_t *)phys_to_virt(page);
        phys_free(page, 0);
    }
    assert_true(slab_used(&plain) == 0);
}

static void what_other_cpus_have_is_taken_before_an_allocation_fails(void **state)
{
    paddr_t chain = 0;
    paddr_t page;
    unsigned count = 0;

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        own[i] = slab_alloc(&plain);
    for (unsigned i = 0; i < 40; i++) {
        move_to(i < 20 ? 1 : 2);
        slab_free(&plain, own[i]);
    }
    while ((page = phys_alloc(0)) != 0) {
        *(paddr_t *)phys_to_virt(page) = chain;
        chain = page;
    }
    move_to(0);
    /* Whoever cannot wait for an interrupt, or wants to see a failure, gets what is here. */
    void *object = slab_alloc(&plain);

    while (object != NULL) {
        own[count++] = object;
        object = slab_alloc(&plain);
    }
    assert_true(stats(&plain).cached >= 20);
    mm_fail_at(MM_FAIL_NEVER);
    hal_irq_enable();
    assert_null(slab_alloc(&plain));
    mm_fail_at(0);
    assert_true(stats(&plain).cached >= 20);
    while ((object = slab_alloc(&plain)) != NULL)
        own[count++] = object;
    hal_irq_disable();
    assert_true(count >= 40 && stats(&plain).cached == 0 && count == stats(&plain).slabs * plain.per_slab);
    while (count > 0)
        slab_free(&plain, own[--count]);
    while (chain != 0) {
        page = chain;
        chain = *(paddr_t *)phys_to_virt(page);
        phys_free(page, 0);
    }
}

/* ---- Misuse ---- */

static void *victim;

static void free_victim(void *unused)
{
    (void)unused;
    slab_free(&small, victim);
}

static void a_second_free_is_found_wherever_the_object_lies(void **state)
{
    (void)state;
    move_to(0);
    victim = slab_alloc(&small);
    void *neighbour = slab_alloc(&small);

    slab_free(&small, victim);
    assert_panics(free_victim, NULL, "free already"); /* in this CPU's magazine */
    move_to(1);
    assert_panics(free_victim, NULL, "free already"); /* in another's */
    slab_reclaim_all();
    assert_panics(free_victim, NULL, "free already"); /* in its slab, which the neighbour keeps */
    slab_free(&small, neighbour);
}

/* As if both had seen it taken. */
static void free_at_once(void)
{
    slab_free(&plain, victim);
    *slab_word(&plain, victim) = SLAB_WORD_TAKEN;
    if (KERNEL_DEBUG)
        memset((char *)victim + plain.object_bytes, 0xbb, plain.stride_bytes - plain.object_bytes - 16);
    move_to(1);
    slab_free(&plain, victim);
}

static void take_what_was_freed_at_once(void *arg)
{
    (void)arg;
    free_at_once();
    (void)slab_alloc(&plain);
    move_to(0);
    (void)slab_alloc(&plain);
}

static void reclaim_what_was_freed_at_once(void *arg)
{
    (void)arg;
    free_at_once();
    slab_reclaim_all();
}

static void two_frees_at_once_are_found_before_the_object_has_two_owners(void **state)
{
    (void)state;
    victim = slab_alloc(&plain);
    assert_panics(take_what_was_freed_at_once, NULL, "freed twice at once");
    assert_panics(reclaim_what_was_freed_at_once, NULL, "freed twice at once");
    slab_free(&plain, victim);
}

static void alloc_under_lock(void *arg) NO_LOCK_ANALYSIS
{
    static struct spinlock lock = SPINLOCK_INIT(LOCK_SLAB);

    (void)arg;
    slab_free(&small, slab_alloc(&small)); /* so that the next one takes no lock */
    spin_lock(&lock);
    (void)slab_alloc(&small);
}

static void a_lock_of_the_wrong_rank_is_found_though_none_is_taken(void **state)
{
    (void)state;
    if (KERNEL_DEBUG)
        assert_panics(alloc_under_lock, NULL, "rank");
}

/* ---- The model ---- */

static struct slab_cache *const modelled[] = {&small, &medium, &plain};

struct model {
    unsigned used;
    unsigned cached[CPUS];
    void *object[OWN_MAX];
    uint64_t mark[OWN_MAX];
};

static struct model models[ARRAY_COUNT(modelled)];

static void model_alloc(struct model *model, struct slab_cache *cache, unsigned cpu, struct unit_random *random)
{
    unsigned half = (cache->magazine_limit + 1) / 2;
    struct slab_stats before = stats(cache);
    uint64_t *object = slab_alloc(cache);

    assert_non_null(object);
    if (model->cached[cpu] == 0) {
        /* Half a magazine, or what the slabs have; a new slab only if they have nothing. */
        uint64_t left = before.slabs * cache->per_slab - before.used - before.cached;

        model->cached[cpu] = (unsigned)MIN((uint64_t)half, left > 0 ? left : cache->per_slab);
    }
    model->cached[cpu]--;
    for (unsigned i = 0; i < model->used && i < 4; i++)
        assert_ptr_not_equal(object, model->object[(model->used - 1 - i)]);
    model->object[model->used] = object;
    model->mark[model->used] = unit_random_next(random);
    object[0] = object[cache->object_bytes / 8 - 1] = model->mark[model->used++];
}

static void model_free(struct model *model, struct slab_cache *cache, unsigned cpu, struct unit_random *random)
{
    unsigned half = (cache->magazine_limit + 1) / 2;
    unsigned i = (unsigned)unit_random_below(random, model->used);
    uint64_t *object = model->object[i];

    assert_true(object[0] == model->mark[i] && object[cache->object_bytes / 8 - 1] == model->mark[i]);
    slab_free(cache, object);
    if (model->cached[cpu] == cache->magazine_limit)
        model->cached[cpu] -= half;
    model->cached[cpu]++;
    model->used--;
    model->object[i] = model->object[model->used];
    model->mark[i] = model->mark[model->used];
}

static void model_compare(const struct model *model, struct slab_cache *cache)
{
    struct slab_stats now = stats(cache);
    unsigned cached = 0;

    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        cached += model->cached[cpu];
    assert_true(now.used == model->used && now.cached == cached);
    assert_true(now.slabs * cache->per_slab >= now.used + now.cached);
}

static void a_counting_model_agrees(void **state)
{
    struct unit_random random = {11};
    unsigned cpu = 0;
    unsigned long long steps = unit_steps(2000000, 2000000);

    (void)state;
    for (unsigned long long step = 0; step < steps; step++) {
        unsigned which = (unsigned)unit_random_below(&random, ARRAY_COUNT(modelled));
        struct model *model = &models[which];
        unsigned grow = step / 5000 % 3 == 0 ? 60 : step / 5000 % 3 == 1 ? 50 : 40;

        if (unit_random_below(&random, 16) == 0)
            move_to(cpu = (unsigned)unit_random_below(&random, CPUS));
        if (unit_random_below(&random, 5000) == 0) {
            slab_reclaim_all();
            for (unsigned i = 0; i < ARRAY_COUNT(modelled); i++)
                memset(models[i].cached, 0, sizeof(models[i].cached));
        }
        if (unit_random_below(&random, 100) < grow && model->used < OWN_MAX)
            model_alloc(model, modelled[which], cpu, &random);
        else if (model->used > 0)
            model_free(model, modelled[which], cpu, &random);
        model_compare(model, modelled[which]);
    }
    for (unsigned which = 0; which < ARRAY_COUNT(modelled); which++)
        while (models[which].used > 0)
            model_free(&models[which], modelled[which], cpu, &random);
}

/* ---- Several CPUs, which are online: they are interrupted by who reclaims ---- */

static struct slab_cache shared[3];

static struct {
    struct timer_queue timers[MM_TEST_CPUS];
    _Atomic(unsigned) inside;
    _Atomic(bool) is_over;
    _Atomic(uint64_t *) shelf[6];
} team;

static void go_online(void)
{
    struct cpu *first = this_cpu();
    struct task_base *tasks = current_base();

    memset(&team, 0, sizeof(team));
    store_relaxed(&team.inside, MM_TEST_CPUS);
    slab_cache_init(&shared[0], "small", 48, 8);
    slab_cache_init(&shared[1], "medium", 1500, 8);
    slab_cache_init(&shared[2], "large", 9000, 8);
    mm_test_all_online(first, tasks, team.timers);
}

/* When all have come here CPU 0 takes all magazines away, while the others still answer. */
static void leave_together(cpu_id_t cpu)
{
    (void)fetch_sub_acq_rel(&team.inside, 1);
    while (cpu == 0 && load_acquire(&team.inside) != 0)
        hal_cpu_relax();
    if (cpu == 0) {
        for (unsigned i = 0; i < ARRAY_COUNT(shared); i++)
            ASSERT(slab_used(&shared[i]) == 0);
        slab_reclaim_all();
        for (unsigned i = 0; i < ARRAY_COUNT(shared); i++)
            ASSERT(stats(&shared[i]).magazines == 0 && stats(&shared[i]).slabs == 0);
        store_release(&team.is_over, true);
    }
    while (!load_acquire(&team.is_over))
        hal_cpu_relax();
    hal_irq_disable();
}

/* What an object is of stands in it: it is freed by whoever finds it. */
static void put_down(uint64_t *object)
{
    struct slab_cache *cache = &shared[object[0] % ARRAY_COUNT(shared)];

    ASSERT(object[0] < ARRAY_COUNT(shared) && object[5] == ~object[0]);
    slab_free(cache, object);
}

static uint64_t *pick_up(uint64_t which)
{
    uint64_t *object = slab_alloc(&shared[which]);

    ASSERT(object != NULL);
    object[0] = which;
    object[5] = ~which;
    return object;
}

static void trade_at_random(cpu_id_t cpu, struct unit_random *random)
{
    uint64_t *mine[24] = {NULL};

    hal_irq_enable();
    for (unsigned turn = 0; turn < 120; turn++) {
        unsigned i = (unsigned)unit_random_below(random, ARRAY_COUNT(mine));
        unsigned place = (unsigned)unit_random_below(random, ARRAY_COUNT(team.shelf));

        if (unit_random_below(random, cpu == 0 ? 6 : 40) == 0)
            slab_reclaim_all();
        if (mine[i] == NULL) {
            mine[i] = pick_up(unit_random_below(random, 8) == 0 ? 2 : unit_random_below(random, 2));
        } else if (unit_random_below(random, 2) == 0) {
            put_down(mine[i]);
            mine[i] = NULL;
        } else {
            mine[i] = xchg_acq_rel(&team.shelf[place], mine[i]);
        }
    }
    for (unsigned i = 0; i < ARRAY_COUNT(mine); i++)
        if (mine[i] != NULL)
            put_down(mine[i]);
    for (unsigned i = 0; i < ARRAY_COUNT(team.shelf); i++) {
        uint64_t *object = xchg_acq_rel(&team.shelf[i], NULL);

        if (object != NULL)
            put_down(object);
    }
    leave_together(cpu);
}

static void objects_change_hands_while_magazines_are_taken_away(void **state)
{
    /* Pokes that arrive at once, and CPUs that stand for long where they were interrupted. */
    const struct host_config config = {
        .ipi_delay_ns_max = 1, .strategy = HOST_PCT, .pct_depth = 40, .pct_steps = 20000,
    };

    (void)state;
    mm_test_run_team_on(&config, go_online, trade_at_random, 200);
    mm_test_run_team(go_online, trade_at_random, 50);
}

int main(void)
{
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(objects_change_hands_while_magazines_are_taken_away),
    };
    const struct CMUnitTest tests[] = {
        magazine_test(magazines_move_by_halves),
        magazine_test(the_object_freed_last_comes_first),
        magazine_test(caches_of_large_objects_have_no_magazines),
        magazine_test(caches_beyond_the_table_do_without),
        magazine_test(reclaim_gives_all_back),
        magazine_test(a_forced_failure_is_not_hidden_by_a_refill),
        magazine_test(no_page_for_a_magazine_is_no_failure),
        magazine_test(what_other_cpus_have_is_taken_before_an_allocation_fails),
        magazine_test(a_second_free_is_found_wherever_the_object_lies),
        magazine_test(two_frees_at_once_are_found_before_the_object_has_two_owners),
        magazine_test(a_lock_of_the_wrong_rank_is_found_though_none_is_taken),
        magazine_test(a_counting_model_agrees),
    };

    /* The teams first: ThreadSanitizer is blind in a child of a process that has had more than one stack. */
    return cmocka_run_group_tests(teams, NULL, NULL) + cmocka_run_group_tests(tests, enter, mm_test_shutdown);
}
