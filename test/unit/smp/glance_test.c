/* SPDX-License-Identifier: MIT */
/*
 * core/smp/glance.c: what a looker has taken a reference to in its glance has not ended; a wait is for those who look
 * at the same thing, and for no others.
 */
#include "smp_test.h"

#include <smp/glance.h>

#define CPUS 4
#define ROUNDS 60

struct thing {
    _Atomic(unsigned) refs;
    _Atomic(bool) is_gone;
};

static struct {
    struct thing things[CPUS * ROUNDS];
    _Atomic(struct thing *) here; /* one reference */
    _Atomic(unsigned) next, looked;
} place;

static void drop(struct thing *thing)
{
    unsigned before = fetch_sub_acq_rel(&thing->refs, 1);

    ASSERT(before > 0);
    if (before == 1)
        store_relaxed(&thing->is_gone, true);
}

static void look(void)
{
    hal_irq_disable();
    struct cpu *cpu = this_cpu();

    glance_begin(cpu, &place);
    struct thing *thing = load_acquire(&place.here); /* PAIRS(test_here) */

    if (thing != NULL)
        (void)fetch_add_relaxed(&thing->refs, 1);
    glance_end(cpu);
    hal_irq_enable();
    if (thing == NULL)
        return;
    ASSERT(!load_relaxed(&thing->is_gone));
    (void)fetch_add_relaxed(&place.looked, 1);
    drop(thing);
}

static void change(void)
{
    struct thing *thing = &place.things[fetch_add_relaxed(&place.next, 1)], *old;

    store_relaxed(&thing->refs, 1);
    old = xchg_acq_rel(&place.here, thing); /* PAIRS(test_here) */
    glance_wait(&place);
    if (old != NULL)
        drop(old);
}

static void body(cpu_id_t cpu, void *arg)
{
    struct unit_random random = {*(uint64_t *)arg * CPUS + cpu};

    hal_irq_enable();
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (unit_random_below(&random, 3) == 0)
            change();
        else
            look();
    }
    hal_irq_disable();
}

static void what_was_taken_in_a_glance_is_alive(void **state)
{
    unsigned looked = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        memset(&place, 0, sizeof place);
        smp_test_team(CPUS, seed, body, &seed);
        looked += load_relaxed(&place.looked);
        for (unsigned i = 0; i < load_relaxed(&place.next); i++)
            assert_true(load_relaxed(&place.things[i].is_gone) == (&place.things[i] != load_relaxed(&place.here)));
    }
    assert_true(looked > 300 * ROUNDS); /* of CPUS * ROUNDS * 2 / 3 a seed */
}

static void a_wait_is_for_lookers_at_the_same_thing(void **state)
{
    int here, there;

    (void)state;
    hal_irq_disable();
    glance_begin(this_cpu(), &here);
    glance_wait(&there); /* returns, though this CPU looks at something */
    glance_end(this_cpu());
    glance_wait(&here);
    hal_irq_enable();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_in_a_glance_is_alive),
        smp_unit_test(a_wait_is_for_lookers_at_the_same_thing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
