/* SPDX-License-Identifier: MIT */
/* core/smp/cpu.c: the reasons of a poke: none is lost, and what was stored before one is visible to its handler. */
#include "smp_test.h"

static void the_first_reason_pokes_and_others_join_it(void **state)
{
    (void)state;
    cpu_request(&smp_test.cpu[0], IPI_RESCHEDULE);
    assert_int_equal(load_relaxed(&smp_test.cpu[0].ipi_pending), IPI_RESCHEDULE);
    cpu_request(&smp_test.cpu[0], IPI_QUIESCE);
    cpu_request(&smp_test.cpu[0], IPI_RESCHEDULE);
    assert_int_equal(load_relaxed(&smp_test.cpu[0].ipi_pending), IPI_RESCHEDULE | IPI_QUIESCE);
    assert_int_equal(smp_test.cpu[0].irq_count, 0);
    (void)hal_cpu_idle(); /* takes what is on its way, and there is something: else the machine is at its end */
    assert_int_equal(load_relaxed(&smp_test.cpu[0].ipi_pending), 0);
    assert_int_equal(smp_test.cpu[0].irq_count, 1); /* one poke for all three */
}

/* As one leaves it that was interrupted after it had set its bit: what others ask for does not wait for that one. */
static void a_poke_not_sent_yet_stands_for_its_own_reason_only(void **state)
{
    (void)state;
    store_relaxed(&smp_test.cpu[0].ipi_pending, IPI_QUIESCE);
    cpu_request(&smp_test.cpu[0], IPI_RESCHEDULE);
    (void)hal_cpu_idle(); /* without a poke the machine is at its end here */
    assert_int_equal(load_relaxed(&smp_test.cpu[0].ipi_pending), 0);
    assert_int_equal(smp_test.cpu[0].irq_count, 1);
}

static void request_nothing(void *arg)
{
    (void)arg;
    cpu_request(&smp_test.cpu[0], 0);
}

static void request_nobody(void *arg)
{
    (void)arg;
    cpu_request(NULL, IPI_RESCHEDULE);
}

static void a_request_names_a_cpu_and_a_reason(void **state)
{
    (void)state;
    assert_panics(request_nothing, NULL, "reason != 0");
    assert_panics(request_nobody, NULL, "cpu != NULL");
}

/* Each CPU asks others for a report of the grace period in flight (the handler that leaves a trace), over and over. */
static struct {
    _Atomic(unsigned) asked[SMP_TEST_CPUS]; /* requests made to a CPU */
    _Atomic(unsigned) left;
} team;

static void ask_at_random(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { *(uint64_t *)arg * SMP_TEST_CPUS + cpu };
    unsigned count = load_relaxed(&cpu_started_count);

    hal_irq_enable();
    for (unsigned i = 0; i < 30; i++) {
        cpu_id_t target = (cpu_id_t)unit_random_below(&random, count);

        (void)fetch_add_relaxed(&team.asked[target], 1);
        cpu_request(cpu_table[target], IPI_RESCHEDULE);
        if (unit_random_below(&random, 8) == 0)
            hal_cpu_relax();
    }
    (void)fetch_sub_acq_rel(&team.left, 1);
    while (load_acquire(&team.left) != 0)
        hal_cpu_relax();
    /* Nobody asks any more: what was asked of this CPU is answered within the poke's delay, never forgotten. */
    while (load_relaxed(&smp_test.cpu[cpu].ipi_pending) != 0)
        hal_cpu_relax();
    hal_irq_disable();
    ASSERT((smp_test.cpu[cpu].irq_count != 0) == (load_relaxed(&team.asked[cpu]) != 0));
    ASSERT(smp_test.cpu[cpu].irq_count <= load_relaxed(&team.asked[cpu]));
}

static void no_request_is_forgotten(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        unsigned cpus = 2 + (unsigned)(seed % (SMP_TEST_CPUS - 1));

        memset(&team, 0, sizeof team);
        store_relaxed(&team.left, cpus);
        smp_test_team(cpus, seed, ask_at_random, &seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(the_first_reason_pokes_and_others_join_it),
        smp_unit_test(a_poke_not_sent_yet_stands_for_its_own_reason_only),
        smp_unit_test(a_request_names_a_cpu_and_a_reason),
        cmocka_unit_test(no_request_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
