/* SPDX-License-Identifier: MIT */
/* core/sched/hotplug.c, anchors: random affinities, starts, ends, closings, against a model that looks at all tasks. */
#include "hotplug_priv.h"
#include "sched_test.h"

#include <k/errno.h>
#include <sched/hotplug.h>

static bool is_satisfied(const struct task *task, cpu_id_t without)
{
    for (cpu_id_t id = 0; id < SCHED_TEST_CPUS; id++)
        if (id != without && cpu_is_online(id) && cpumask_contains(&task->affinity, id))
            return true;
    return false;
}

static void some_mask(struct unit_random *random, struct cpumask *out)
{
    cpumask_clear(out);
    for (cpu_id_t id = 0; id < SCHED_TEST_CPUS; id++)
        if (unit_random_below(random, 3) == 0)
            cpumask_add(out, id);
}

static void everything_that_counts_on_a_cpu_keeps_it(void **state)
{
    struct unit_random random = { 23 };
    bool is_live[SCHED_TEST_TASKS] = { false };
    unsigned closed = 0, refused = 0, invalid = 0;

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
        (void)sched_test_new(i, 60);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)unit_random_below(&random, SCHED_TEST_TASKS);
        struct task *task = &sched_test.task[i];
        cpu_id_t cpu = 1 + (cpu_id_t)unit_random_below(&random, SCHED_TEST_CPUS - 1);

        switch (unit_random_below(&random, 4)) {
        case 0: { /* a new affinity */
            struct cpumask before = task->affinity, mask;

            some_mask(&random, &mask);
            int error = anchor_change(task, &mask);

            assert_int_equal(error, cpumask_intersects(&mask, &cpu_online_mask) ? 0 : -EINVAL);
            assert_memory_equal(&task->affinity, error == 0 ? &mask : &before, sizeof mask);
            is_live[i] |= error == 0;
            invalid += error != 0;
            break;
        }
        case 1: /* it ends */
            task_dismiss(task);
            is_live[i] = false;
            break;
        case 2: { /* a CPU goes off */
            bool may_go = true;

            if (!cpu_is_online(cpu))
                break;
            for (unsigned j = 0; j < SCHED_TEST_TASKS; j++)
                may_go = may_go && (!is_live[j] || is_satisfied(&sched_test.task[j], cpu));
            assert_int_equal(sched_cpu_close(&sched_test.rq[cpu].cpu), may_go ? 0 : -EBUSY);
            assert_int_equal(cpu_is_online(cpu), !may_go);
            closed += may_go;
            refused += !may_go;
            break;
        }
        default: /* and comes back */
            cpu_set_change(&cpu_online_mask, cpu, true);
        }
        for (unsigned j = 0; j < SCHED_TEST_TASKS; j++)
            assert_true(!is_live[j] || is_satisfied(&sched_test.task[j], CPU_NONE));
        /* So that not everything is refused soon. */
        if (step % 64 == 0)
            for (unsigned j = 0; j < SCHED_TEST_TASKS; j++) {
                task_dismiss(&sched_test.task[j]);
                is_live[j] = false;
            }
    }
    assert_true(closed > 100 && refused > 100 && invalid > 10);
}

/* What is queued on a closed CPU is offered to others, and a wake that would go there goes elsewhere. */
static void a_closed_cpu_is_not_chosen(void **state)
{
    struct task *task = sched_test_new(0, 60);
    struct place_wish wish;

    (void)state;
    place_wish_of(task, &wish);
    assert_true(place_is_free_for(task, &sched_test.rq[2]));
    assert_int_equal(sched_cpu_close(&sched_test.rq[2].cpu), 0);
    assert_false(may_steal(&sched_test.rq[2]));
    assert_true(may_steal(&sched_test.rq[1]));
    for (unsigned i = 0; i < 8; i++) {
        assert_ptr_not_equal(place_choose_start(&wish), &sched_test.rq[2]);
        assert_ptr_not_equal(place_search_wake(&wish, &sched_test.rq[2]), &sched_test.rq[2]);
    }
    assert_false(place_is_free_for(task, &sched_test.rq[2]));
    /* The task has another affinity by now; what the wish was made of is gone. */
    cpumask_set_single(&wish.affinity, 2);
    assert_null(place_choose_start(&wish));
    assert_null(place_search_wake(&wish, &sched_test.rq[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_smp_test(everything_that_counts_on_a_cpu_keeps_it),
        sched_smp_test(a_closed_cpu_is_not_chosen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
