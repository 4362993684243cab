/* SPDX-License-Identifier: MIT */
/* core/smp/spinlock.c: exclusion on many CPUs, the interrupt state, and what a debug build refuses. */
#include "smp_test.h"

static struct spinlock lock = SPINLOCK_INIT(LOCK_WAITQ);
static struct spinlock other = SPINLOCK_INIT(LOCK_RUNQ);
static struct spinlock runq_locks[2] = { SPINLOCK_INIT(LOCK_RUNQ), SPINLOCK_INIT(LOCK_RUNQ) };

/* Exclusion: plain words, whose every use is seen to be alone. */

static struct {
    unsigned inside;  /* guarded by lock */
    unsigned entries; /* guarded by lock */
    _Atomic(unsigned) tries_failed;
} team;

static void enter(cpu_id_t cpu)
{
    ASSERT(spin_is_held_here(&lock) && load_relaxed(&lock.word) == cpu + 1);
    ASSERT(team.inside++ == 0);
    hal_point(NULL);
    unsigned entries = team.entries;

    hal_point(NULL);
    team.entries = entries + 1;
    ASSERT(--team.inside == 0);
}

static void enter_often(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { *(uint64_t *)arg * SMP_TEST_CPUS + cpu };

    for (unsigned i = 0; i < 10; i++) {
        uintptr_t state;

        switch (unit_random_below(&random, 4)) {
        case 0:
            while (!spin_try_lock_irqoff(&lock)) {
                (void)fetch_add_relaxed(&team.tries_failed, 1);
                hal_cpu_relax();
            }
            enter(cpu);
            spin_unlock_irqoff(&lock);
            break;
        case 1:
            spin_lock(&lock);
            ASSERT(current_base()->preempt_count == 1);
            enter(cpu);
            spin_unlock(&lock);
            ASSERT(current_base()->preempt_count == 0);
            break;
        case 2:
            state = spin_lock_irqsave(&lock);
            ASSERT(!hal_irq_is_enabled());
            enter(cpu);
            spin_unlock_irqrestore(&lock, state);
            break;
        default:
            spin_lock_untracked(&lock);
            enter(cpu);
            spin_unlock_untracked(&lock);
            break;
        }
        ASSERT(current_base()->lock_depth == 0);
    }
}

static void one_cpu_at_a_time_is_inside(void **state)
{
    unsigned failed = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        unsigned cpus = 2 + (unsigned)(seed % (SMP_TEST_CPUS - 1));

        memset(&team, 0, sizeof team);
        smp_test_team(cpus, seed, enter_often, &seed);
        assert_int_equal(team.entries, cpus * 10);
        assert_int_equal(load_relaxed(&lock.word), 0);
        failed += load_relaxed(&team.tries_failed) != 0;
    }
    assert_true(failed > 100); /* the lock was fought for */
}

/* What a holder stored is seen by the next one, for every holder in turn. */
static void hand_over(cpu_id_t cpu, void *arg)
{
    unsigned *last = arg; /* guarded by lock */

    for (unsigned turn = 0; turn < 8;) {
        spin_lock_irqoff(&lock);
        if (*last % load_relaxed(&cpu_started_count) == cpu) {
            (*last)++;
            turn++;
        }
        spin_unlock_irqoff(&lock);
        hal_cpu_relax();
    }
}

static void stores_under_the_lock_reach_the_next_holder(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        unsigned last = 0;

        smp_test_team(4, seed, hand_over, &last);
        assert_int_equal(last, 4 * 8);
    }
}

static void the_interrupt_state_comes_back(void **state)
{
    (void)state;
    for (unsigned enabled = 0; enabled < 2; enabled++) {
        if (enabled)
            hal_irq_enable();
        uintptr_t outer = spin_lock_irqsave(&lock);
        uintptr_t inner = spin_lock_irqsave(&other);

        assert_false(hal_irq_is_enabled());
        spin_unlock_irqrestore(&other, inner);
        assert_false(hal_irq_is_enabled());
        spin_unlock_irqrestore(&lock, outer);
        assert_int_equal(hal_irq_is_enabled(), enabled);
    }
    hal_irq_disable();
}

static void a_try_of_a_held_lock_fails_and_leaves_nothing(void **state)
{
    (void)state;
    store_relaxed(&lock.word, 3); /* CPU 2 */
    assert_false(spin_try_lock_irqoff(&lock));
    assert_false(spin_is_held_here(&lock));
    assert_int_equal(current_base()->lock_depth, 0);
    assert_int_equal(load_relaxed(&lock.word), 3);
    store_relaxed(&lock.word, 0);
}

/* Refusals. Locks of these ranks are only ever taken with interrupts disabled, as here. */

static void lock_downwards(void *arg)
{
    (void)arg;
    spin_lock_irqoff(&other);
    spin_lock_irqoff(&lock);
}

static void lock_same_rank(void *arg)
{
    struct spinlock twin = SPINLOCK_INIT(LOCK_WAITQ);

    (void)arg;
    spin_lock_irqoff(&lock);
    spin_lock_irqoff(&twin);
}

static void lock_under_a_middle_rank(void *arg)
{
    struct spinlock slab = SPINLOCK_INIT(LOCK_SLAB);

    (void)arg;
    spin_lock_irqoff(&lock);
    ASSERT(spin_try_lock_irqoff(&slab)); /* a try is legal in any order, but it is held all the same */
    struct spinlock phys = SPINLOCK_INIT(LOCK_PHYS);

    spin_lock_irqoff(&phys); /* above slab, below lock */
}

static void lock_twice(void *arg)
{
    (void)arg;
    spin_lock_untracked(&lock);
    spin_lock_untracked(&lock);
}

static void lock_twice_tracked(void *arg)
{
    (void)arg;
    spin_lock_irqoff(&lock);
    spin_lock_irqoff(&lock);
}

static void unlock_free(void *arg)
{
    (void)arg;
    spin_unlock_irqoff(&lock);
}

static void unlock_others(void *arg)
{
    (void)arg;
    store_relaxed(&lock.word, 3);
    spin_unlock_irqoff(&lock);
}

static void lock_without_rank(void *arg)
{
    struct spinlock none = { .rank = LOCK_NONE };

    (void)arg;
    spin_lock_irqoff(&none);
}

static void lock_preemptible(void *arg)
{
    (void)arg;
    hal_irq_enable();
    spin_lock_irqoff(&lock);
}

static void lock_too_many(void *arg)
{
    static struct spinlock many[9];

    (void)arg;
    for (unsigned i = 0; i < ARRAY_COUNT(many); i++) {
        spin_init(&many[i], LOCK_RUNQ);
        spin_lock_irqoff(&many[i]);
    }
}

static void broken_orders_panic(void **state)
{
    (void)state;
    assert_panics(lock_downwards, NULL, "lock order");
    assert_panics(lock_same_rank, NULL, "lock order");
    assert_panics(lock_under_a_middle_rank, NULL, "lock order");
    assert_panics(lock_without_rank, NULL, "rank");
    assert_panics(lock_preemptible, NULL, "assertion failed");
    assert_panics(lock_too_many, NULL, "lock_depth");
}

static void a_self_deadlock_panics_instead_of_hanging(void **state)
{
    (void)state;
    assert_panics(lock_twice, NULL, "this CPU holds it already");
    assert_panics(lock_twice_tracked, NULL, "lock order");
}

static void unlocking_what_one_does_not_hold_panics(void **state)
{
    (void)state;
    assert_panics(unlock_free, NULL, "spin_is_held_here");
    assert_panics(unlock_others, NULL, "spin_is_held_here");
}

static void two_run_queues_are_the_exception(void **state)
{
    (void)state;
    spin_lock_irqoff(&runq_locks[0]);
    spin_lock_irqoff(&runq_locks[1]);
    assert_int_equal(current_base()->lock_depth, 2);
    spin_unlock_irqoff(&runq_locks[0]); /* in any order */
    assert_int_equal(current_base()->lock_depth, 1);
    spin_unlock_irqoff(&runq_locks[1]);
    assert_int_equal(current_base()->lock_depth, 0);
}

static void every_rank_may_follow_a_lower_one(void **state)
{
    (void)state;
    for (uint32_t low = LOCK_NONE + 1; low < LOCK_RANK_COUNT; low++)
        for (uint32_t high = low + 1; high < LOCK_RANK_COUNT; high++) {
            struct spinlock first, second;

            spin_init(&first, (enum lock_rank)low);
            spin_init(&second, (enum lock_rank)high);
            spin_lock(&first);
            spin_lock_irqoff(&second);
            spin_unlock_irqoff(&second);
            spin_unlock(&first);
        }
}

static void wait_within_bounds(void *arg)
{
    static struct spinlock held = SPINLOCK_INIT(LOCK_WAITQ);

    (void)arg;
    spin_lock_irqoff(&held); /* of rank LOCK_WAITQ: no order is asked for, and a holder is no mistake */
    ASSERT(!spin_lock_bounded(&held, 1000));
    ASSERT(spin_is_held_here(&held));
    spin_unlock_irqoff(&held);

    ASSERT(!spin_lock_bounded(&held, 0));
    ASSERT(spin_lock_bounded(&held, 1) && load_relaxed(&held.word) == SPIN_TOKEN_DYING);
    ASSERT(!spin_lock_bounded(&held, 1000));
    spin_unlock_untracked(&held);
    ASSERT(current_base()->lock_depth == 0);
    spin_lock_irqoff(&held);
    spin_unlock_irqoff(&held);
}

static void a_bounded_wait_gives_up_and_takes_what_is_free(void **state)
{
    (void)state;
    assert_true(host_unit_returns_forked(wait_within_bounds, NULL, &smp_test_result));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(a_bounded_wait_gives_up_and_takes_what_is_free),
        cmocka_unit_test(one_cpu_at_a_time_is_inside),
        cmocka_unit_test(stores_under_the_lock_reach_the_next_holder),
        smp_unit_test(the_interrupt_state_comes_back),
        smp_unit_test(a_try_of_a_held_lock_fails_and_leaves_nothing),
        smp_unit_test(broken_orders_panic),
        smp_unit_test(a_self_deadlock_panics_instead_of_hanging),
        smp_unit_test(unlocking_what_one_does_not_hold_panics),
        smp_unit_test(two_run_queues_are_the_exception),
        smp_unit_test(every_rank_may_follow_a_lower_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
