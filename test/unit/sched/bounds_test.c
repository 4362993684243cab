/* SPDX-License-Identifier: MIT */
/*
 * What a search for a CPU looks at, counted on 1,024 CPUs in 64 nodes: each look at a word that others write is one
 * step of the simulated machine.
 */
#include "sched_test.h"

#include <stdlib.h>

#include <smp/topology.h>

#define NODES 64u
#define WORDS (CPU_MAX / 64)

static struct boot_info boot;
static struct runq *more; /* those beyond SCHED_TEST_CPUS */
static struct task *idle;
static void *topology_memory;

static void *zeroed(size_t bytes)
{
    void *memory = aligned_alloc(CACHE_LINE_BYTES, ROUND_UP(bytes, (size_t)CACHE_LINE_BYTES));

    assert_non_null(memory);
    return memset(memory, 0, bytes);
}

static int begin(void **state)
{
    const cpu_id_t count = CPU_MAX - SCHED_TEST_CPUS;

    (void)state;
    sched_test_enter(SCHED_TEST_CPUS);
    more = zeroed(count * sizeof *more);
    idle = zeroed(count * sizeof *idle);
    topology_memory = zeroed(topology_bytes(CPU_MAX));
    for (cpu_id_t i = 0; i < count; i++) {
        sched_test_init(&idle[i], 0, PRIORITY_IDLE);
        (void)sched_cpu_init(&more[i], SCHED_TEST_CPUS + i, 1000 + i, &idle[i]);
        cpumask_add(&cpu_online_mask, SCHED_TEST_CPUS + i);
        cpumask_add(&cpu_started_mask, SCHED_TEST_CPUS + i);
    }
    boot = (struct boot_info){ .has_places = true, .node_count = NODES };
    for (cpu_id_t id = 0; id < CPU_MAX; id++) {
        boot.cpu_place[id] = (struct boot_cpu_place){ .core = id / 2, .cache = id / 8, .node = id / (CPU_MAX / NODES) };
        store_relaxed(&runq_by_id(id)->running_rank, RANK_FAIR);
    }
    topology_init(topology_memory, &boot, CPU_MAX);
    store_relaxed(&cpu_started_count, CPU_MAX);
    return 0;
}

static int end(void **state)
{
    int result = sched_test_end(state);

    free(more);
    free(idle);
    free(topology_memory);
    return result;
}

static uint64_t steps_of_offer(struct runq *rq)
{
    uint64_t before = host_trace_steps();

    steal_offer(rq);
    return host_trace_steps() - before;
}

static void fill(struct runq *rq, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        runq_enqueue(rq, sched_test_ready(i, 60, rq), ENQUEUE_WOKEN);
}

static void empty(struct runq *rq, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        runq_dequeue(rq, &sched_test.task[i]);
}

static void an_offer_to_nobody_costs_a_look(void **state)
{
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    fill(rq, SCHED_TEST_TASKS);
    assert_in_range(steps_of_offer(rq), 1, 4);
    empty(rq, SCHED_TEST_TASKS);
}

/* The only idle CPU is one that none of many waiting tasks may use. */
static void an_offer_in_vain_looks_at_each_word_once_for_each_of_a_few_tasks(void **state)
{
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++) {
        struct task *task = sched_test_ready(i, 60, rq);

        cpumask_remove(&task->affinity, CPU_MAX - 1);
        runq_enqueue(rq, task, ENQUEUE_WOKEN);
    }
    place_mark_idle(cpu_table[CPU_MAX - 1], true);
    /* Eight tasks and the monitor's; the words, whether anybody idles, and a few of its own. */
    assert_in_range(steps_of_offer(rq), WORDS, 9 * (WORDS + 4));
    place_mark_idle(cpu_table[CPU_MAX - 1], false);
    empty(rq, SCHED_TEST_TASKS);
}

/* The one that idles is in the last node to be looked at: that is the longest search there is. */
static void the_longest_search_is_bounded(void **state)
{
    struct cpumask all;

    (void)state;
    cpumask_set_all(&all);
    place_mark_idle(cpu_table[CPU_MAX - 1], true);
    store_relaxed(&runq_by_id(CPU_MAX - 1)->running_rank, RANK_NOTHING);
    uint64_t before = host_trace_steps();

    assert_int_equal(place_find_idle(&all, cpu_table[0]), CPU_MAX - 1);
    /* The words once, and that of the nodes that share the last one's again. */
    assert_in_range(host_trace_steps() - before, WORDS, WORDS + 16);
    place_mark_idle(cpu_table[CPU_MAX - 1], false);
    store_relaxed(&runq_by_id(CPU_MAX - 1)->running_rank, RANK_FAIR);
}

static void a_comparison_sees_sixteen(void **state)
{
    struct place_wish wish;

    (void)state;
    place_wish_of(sched_test_new(0, 60), &wish);
    uint64_t before = host_trace_steps();

    assert_non_null(place_least_loaded(&wish, 0));
    assert_in_range(host_trace_steps() - before, PLACE_SCAN_MAX, 6 * PLACE_SCAN_MAX);
}

#define bounds_test(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        bounds_test(an_offer_to_nobody_costs_a_look),
        bounds_test(an_offer_in_vain_looks_at_each_word_once_for_each_of_a_few_tasks),
        bounds_test(the_longest_search_is_bounded),
        bounds_test(a_comparison_sees_sixteen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
