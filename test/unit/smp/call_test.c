/* SPDX-License-Identifier: MIT */
/* core/smp/call.c: a call runs once on each CPU of its mask, in interrupt context, and is over when it returns. */
#include "smp_test.h"

#include <smp/call.h>

#define CALLS 6

struct call_record {
    unsigned runs[SMP_TEST_CPUS]; /* each written by its CPU alone */
    unsigned irq_depth[SMP_TEST_CPUS];
};

static struct {
    _Atomic(unsigned) left;
} team;

static void note_run(void *arg)
{
    struct call_record *record = arg;
    cpu_id_t self = this_cpu_id();

    ASSERT(!hal_irq_is_enabled());
    record->irq_depth[self] = this_cpu()->irq_depth;
    hal_point(NULL);
    record->runs[self]++;
}

/* All CPUs call all others at once; each goes on answering while it waits. */
static void call_at_random(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { *(uint64_t *)arg * SMP_TEST_CPUS + cpu };
    unsigned count = load_relaxed(&cpu_started_count);

    hal_irq_enable();
    for (unsigned i = 0; i < CALLS; i++) {
        struct call_record record = { 0 };
        struct cpumask mask;

        cpumask_clear(&mask);
        for (cpu_id_t id = 0; id < SMP_TEST_CPUS + 3; id++) /* some that are not online, too */
            if (unit_random_below(&random, 2) == 0)
                cpumask_add(&mask, id);
        if (i == 0) {
            smp_call_all(note_run, &record);
            cpumask_set_all(&mask);
        } else {
            smp_call(&mask, note_run, &record);
        }
        /* Over: what fn stored is visible, and the record may go away. */
        for (cpu_id_t id = 0; id < SMP_TEST_CPUS; id++) {
            ASSERT(record.runs[id] == (id < count && cpumask_contains(&mask, id)));
            ASSERT(record.runs[id] == 0 || record.irq_depth[id] == (id != cpu));
        }
        ASSERT(hal_irq_is_enabled() && current_base()->preempt_count == 0);
        if (unit_random_below(&random, 2) == 0)
            hal_cpu_relax();
    }
    (void)fetch_sub_acq_rel(&team.left, 1);
    while (load_acquire(&team.left) != 0)
        hal_cpu_relax();
    hal_irq_disable();
}

static void a_call_runs_once_on_each_cpu_of_its_mask_before_it_returns(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        unsigned cpus = 1 + (unsigned)(seed % SMP_TEST_CPUS);

        store_relaxed(&team.left, cpus);
        smp_test_team(cpus, seed, call_at_random, &seed);
    }
}

static void an_empty_mask_is_no_call(void **state)
{
    struct call_record record = { 0 };
    struct cpumask none;

    (void)state;
    cpumask_clear(&none);
    hal_irq_enable();
    smp_call(&none, note_run, &record);
    hal_irq_disable();
    assert_int_equal(record.runs[0], 0);
}

static void call_with_interrupts_off(void *arg)
{
    smp_call_all(note_run, arg);
}

static void a_caller_that_could_not_answer_panics(void **state)
{
    struct call_record record = { 0 };

    (void)state;
    assert_panics(call_with_interrupts_off, &record, "hal_irq_is_enabled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_runs_once_on_each_cpu_of_its_mask_before_it_returns),
        smp_unit_test(an_empty_mask_is_no_call),
        smp_unit_test(a_caller_that_could_not_answer_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
