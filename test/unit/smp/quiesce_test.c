/* SPDX-License-Identifier: MIT */
/* core/smp/quiesce.c: what a reader can reach is not freed, what nobody can reach is, and idle CPUs hold nothing up. */
#include "smp_test.h"

#define OBJECTS 12
#define READERS_DONE 200

static unsigned work_calls;
static _Atomic(unsigned) over_calls;

static void note_work(void)
{
    work_calls++;
}

static _Atomic(unsigned) over_while_idle; /* a CPU ended a period, and woke the collector, while it counted as idle */

static void note_over(void)
{
    (void)fetch_add_relaxed(&over_calls, 1);
    if (load_relaxed(&smp_test.cpu[1].idle_quiescent))
        (void)fetch_add_relaxed(&over_while_idle, 1);
}

/* The protocol step by step: CPU 0 collects, CPU 1 is played by it, too. */

static struct quiesce_head heads[3];
static unsigned freed;

static void note_free(struct quiesce_head *head)
{
    assert_true(head >= heads && head < heads + ARRAY_COUNT(heads));
    freed++;
}

static void two_cpus(void)
{
    smp_test_cpus(2);
    host_unit_enter((struct task *)&smp_test.self[0]);
    for (unsigned i = 0; i < 2; i++)
        quiesce_cpu_online(&smp_test.cpu[i]);
    work_calls = 0;
    freed = 0;
    store_relaxed(&over_calls, 0);
}

static void a_period_begins_with_heads_and_ends_with_the_last_report(void **state)
{
    struct cpu *other = &smp_test.cpu[1];

    (void)state;
    two_cpus();
    assert_false(quiesce_start());
    assert_false(quiesce_has_work());
    for (unsigned i = 0; i < ARRAY_COUNT(heads); i++)
        quiesce_call(&heads[i], note_free);
    assert_true(work_calls >= 1);
    assert_true(quiesce_has_work());
    assert_true(quiesce_start());
    assert_false(quiesce_has_work());
    quiesce_pass(&smp_test.cpu[0]); /* the collector's own CPU alone ends nothing */
    assert_false(quiesce_is_over());
    assert_int_equal(load_relaxed(&over_calls), 0);
    quiesce_pass(other);
    assert_true(quiesce_is_over());
    assert_int_equal(load_relaxed(&over_calls), 1);
    quiesce_pass(other); /* once per period */
    quiesce_report(other);
    assert_int_equal(load_relaxed(&over_calls), 1);
    assert_int_equal(freed, 0);
    assert_int_equal(quiesce_finish(), 3);
    assert_int_equal(freed, 3);
    assert_false(quiesce_start());
}

static void an_idle_cpu_holds_nothing_up_until_an_interrupt(void **state)
{
    struct cpu *other = &smp_test.cpu[1];

    (void)state;
    two_cpus();
    quiesce_idle_enter(other);
    quiesce_call(&heads[0], note_free);
    assert_true(quiesce_start());
    assert_true(quiesce_is_over()); /* reported in its place */
    assert_int_equal(quiesce_finish(), 1);
    quiesce_idle_exit(other);
    quiesce_call(&heads[0], note_free);
    assert_true(quiesce_start());
    assert_false(quiesce_is_over());
    store_relaxed(&over_while_idle, 0);
    quiesce_idle_enter(other); /* a period in flight is reported on the way into idleness, and before it is idle: */
    assert_true(quiesce_is_over());
    assert_int_equal(load_relaxed(&over_while_idle), 0); /* whoever wakes the collector is in a read section */
    assert_int_equal(quiesce_finish(), 1);
    quiesce_idle_exit(other);
    assert_int_equal(freed, 2);
}

static void a_cpu_that_joins_owes_nothing_for_before(void **state)
{
    (void)state;
    store_relaxed(&smp_test.cpu[0].quiesce_seen, 0);
    quiesce_cpu_online(&smp_test.cpu[0]);
    assert_true(load_relaxed(&smp_test.cpu[0].quiesce_seen) == load_relaxed(&quiesce_started));
}

static void heads_that_come_during_a_period_wait_for_the_next(void **state)
{
    struct cpu *other = &smp_test.cpu[1];

    (void)state;
    two_cpus();
    quiesce_call(&heads[0], note_free);
    assert_true(quiesce_start());
    quiesce_call(&heads[1], note_free);
    quiesce_pass(other);
    assert_int_equal(quiesce_finish(), 1);
    assert_int_equal(freed, 1);
    assert_true(quiesce_has_work());
    assert_true(quiesce_start());
    quiesce_pass(other);
    assert_int_equal(quiesce_finish(), 1);
}

static void finish_early(void *arg)
{
    (void)arg;
    two_cpus();
    cpumask_set_single(&cpu_live_mask, 0); /* a panic cannot tell the other to stop */
    quiesce_call(&heads[0], note_free);
    (void)quiesce_start();
    (void)quiesce_finish();
}

static void start_again(void *arg)
{
    (void)arg;
    two_cpus();
    cpumask_set_single(&cpu_live_mask, 0);
    quiesce_call(&heads[0], note_free);
    (void)quiesce_start();
    quiesce_call(&heads[1], note_free);
    (void)quiesce_start();
}

static void a_collector_that_does_not_wait_panics(void **state)
{
    (void)state;
    assert_panics(finish_early, NULL, "quiesce_is_over");
    assert_panics(start_again, NULL, "assertion failed");
}

/* Many CPUs: CPU 0 replaces and retires an object over and over and collects; the others read it, pass, and idle. */

struct object {
    struct quiesce_head head;
    _Atomic(bool) is_alive;
};

static struct {
    struct object object[OBJECTS];
    _Atomic(struct object *) current;
    _Atomic(bool) stop;
    _Atomic(unsigned) reads;
    unsigned freed; /* CPU 0's */
} team;

static void retire(struct quiesce_head *head)
{
    store_relaxed(&container_of(head, struct object, head)->is_alive, false);
    team.freed++;
}

static void collect(void)
{
    unsigned pokes = 0;

    if (!quiesce_start())
        return;
    while (!quiesce_is_over()) {
        hal_cpu_relax();
        if (++pokes % 64 == 0)
            quiesce_poke_laggards();
    }
    (void)quiesce_finish();
}

static void write_and_collect(struct unit_random *random)
{
    for (unsigned i = 1; i < OBJECTS; i++) {
        struct object *old = load_relaxed(&team.current);

        store_relaxed(&team.object[i].is_alive, true);
        store_release(&team.current, &team.object[i]);
        quiesce_call(&old->head, retire);
        if (unit_random_below(random, 2) == 0)
            collect();
    }
    collect();
    store_release(&team.stop, true);
    ASSERT(team.freed == OBJECTS - 1);
}

/* A read section, with interrupts on: a poke in the middle must not report for it. */
static void read_once(struct unit_random *random)
{
    preempt_disable();
    struct object *seen = load_acquire(&team.current);

    for (size_t i = unit_random_below(random, 12); i > 0; i--)
        hal_cpu_relax();
    ASSERT(load_relaxed(&seen->is_alive));
    preempt_enable_no_resched();
    (void)fetch_add_relaxed(&team.reads, 1);
}

static void be_reader(cpu_id_t cpu, struct unit_random *random)
{
    struct cpu *self = &smp_test.cpu[cpu];

    while (!load_acquire(&team.stop)) {
        for (size_t i = unit_random_below(random, 4); i > 0; i--)
            read_once(random);
        switch (unit_random_below(random, 3)) {
        case 0:
            hal_irq_disable();
            quiesce_pass(self); /* a context switch */
            hal_irq_enable();
            break;
        case 1:
            hal_irq_disable();
            quiesce_idle_enter(self);
            for (size_t i = unit_random_below(random, 20); i > 0; i--)
                hal_cpu_relax();
            quiesce_idle_exit(self);
            hal_irq_enable();
            break;
        default:
            hal_cpu_relax(); /* busy: only a poke makes it report */
            break;
        }
    }
}

static void read_or_write(cpu_id_t cpu, void *arg)
{
    struct unit_random random = { *(uint64_t *)arg * SMP_TEST_CPUS + cpu };

    hal_irq_enable();
    if (cpu == 0)
        write_and_collect(&random);
    else
        be_reader(cpu, &random);
    hal_irq_disable();
}

static void what_a_reader_sees_is_alive_and_everything_is_freed(void **state)
{
    unsigned reads = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        memset(&team, 0, sizeof team);
        store_relaxed(&team.object[0].is_alive, true);
        store_relaxed(&team.current, &team.object[0]);
        store_relaxed(&quiesce_started, 0);
        smp_test_team(2 + (unsigned)(seed % 4), seed, read_or_write, &seed);
        reads += load_relaxed(&team.reads);
    }
    assert_true(reads > READERS_DONE * 10);
}

/* A reader that stays in its section for long: nothing is freed before it leaves, however often it is poked. */
static void hold_up(cpu_id_t cpu, void *arg)
{
    (void)arg;
    hal_irq_enable();
    if (cpu == 1) {
        preempt_disable();
        struct object *seen = load_acquire(&team.current);

        store_release(&team.stop, true); /* I am inside */
        for (unsigned i = 0; i < 3000; i++) {
            hal_cpu_relax();
            ASSERT(load_relaxed(&seen->is_alive));
        }
        preempt_enable_no_resched();
        hal_irq_disable();
        quiesce_pass(&smp_test.cpu[1]);
        return;
    }
    while (!load_acquire(&team.stop))
        hal_cpu_relax();
    quiesce_call(&team.object[0].head, retire);
    collect();
    hal_irq_disable();
}

static void a_reader_section_holds_up_the_free(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        memset(&team, 0, sizeof team);
        store_relaxed(&team.object[0].is_alive, true);
        store_relaxed(&team.current, &team.object[0]);
        store_relaxed(&quiesce_started, 0);
        smp_test_team(2, seed, hold_up, NULL);
        assert_int_equal(team.freed, 1);
        assert_true(load_relaxed(&smp_test.cpu[1].need_resched)); /* its poke asked for a switch instead */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(a_period_begins_with_heads_and_ends_with_the_last_report),
        smp_unit_test(an_idle_cpu_holds_nothing_up_until_an_interrupt),
        smp_unit_test(a_cpu_that_joins_owes_nothing_for_before),
        smp_unit_test(heads_that_come_during_a_period_wait_for_the_next),
        smp_unit_test(a_collector_that_does_not_wait_panics),
        cmocka_unit_test(what_a_reader_sees_is_alive_and_everything_is_freed),
        cmocka_unit_test(a_reader_section_holds_up_the_free),
    };

    quiesce_init(note_work, note_over);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
