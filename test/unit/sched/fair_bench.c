/* SPDX-License-Identifier: MIT */
/*
 * core/sched/class_fair.c on this machine: nanoseconds of its operations with many tasks, beside a plain binary heap
 * that is given the same keys. `./verdant bench host`; CTest runs a short one, which checks only that both did their
 * work.
 *
 *   fair_bench TASKS TURNS
 *
 * A turn takes the next task, charges it what is left of its request, and puts it back: what a CPU does at the end of a
 * slice. A move takes any task out and puts it back, as a steal or a change of nice does. The heap orders by deadline
 * alone; it does not know who is eligible, and charges nobody. Its entries have their keys beside them, and tasks know
 * their place in it, since without that no task can be taken out of the middle.
 */
#include "sched_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RQ (&sched_test.rq[0])

struct entry {
    uint64_t key;
    unsigned task;
};

static struct {
    struct entry *entry;
    unsigned *place; /* of each task */
    unsigned count;
} heap;

static bool is_less(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static void put(unsigned at, struct entry entry)
{
    heap.entry[at] = entry;
    heap.place[entry.task] = at;
}

static void sift_up(unsigned at, struct entry entry)
{
    while (at != 0 && is_less(entry.key, heap.entry[(at - 1) / 2].key)) {
        put(at, heap.entry[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(at, entry);
}

static void sift_down(unsigned at, struct entry entry)
{
    for (unsigned child; (child = 2 * at + 1) < heap.count; at = child) {
        if (child + 1 < heap.count && is_less(heap.entry[child + 1].key, heap.entry[child].key))
            child++;
        if (!is_less(heap.entry[child].key, entry.key))
            break;
        put(at, heap.entry[child]);
    }
    put(at, entry);
}

static void heap_push(uint64_t key, unsigned task)
{
    sift_up(heap.count++, (struct entry){ key, task });
}

static void heap_remove(unsigned at)
{
    struct entry last = heap.entry[--heap.count];

    if (at == heap.count)
        return;
    if (at != 0 && is_less(last.key, heap.entry[(at - 1) / 2].key))
        sift_up(at, last);
    else
        sift_down(at, last);
}

static uint64_t now_ns(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_nsec;
}

static struct {
    struct task *task;
    unsigned tasks, turns;
    unsigned *pick;  /* which task at each move */
    uint64_t *key;   /* the deadline with which each turn, and then each move, ended */
    uint64_t *first; /* with which each task began */
} bench;

static void report(const char *what, const char *structure, uint64_t since_ns, unsigned operations)
{
    printf("bench: %s_%s_%u %.1f ns\n", what, structure, bench.tasks, (double)(now_ns() - since_ns) / operations);
}

static void *array(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);

    if (memory == NULL)
        abort();
    return memory;
}

static void make_tasks(bool is_mixed, struct unit_random *random)
{
    for (unsigned i = 0; i < bench.tasks; i++) {
        struct task *task = &bench.task[i];
        const struct sched_params params = {
            .policy = SCHED_POLICY_FAIR,
            .nice = (int8_t)(is_mixed ? NICE_MIN + (int)unit_random_below(random, 40) : 0),
            .slice_ns = is_mixed ? NS_PER_MS << unit_random_below(random, 6) : 0,
        };

        memset(task, 0, sizeof *task);
        sched_test_init(task, 0, PRIORITY_DEFAULT);
        task->state = TASK_READY;
        store_relaxed(&task->base.cpu, &RQ->cpu);
        policy_apply(task, &params, PRIORITY_DEFAULT);
    }
    for (unsigned i = 0; i < bench.turns; i++)
        bench.pick[i] = (unsigned)unit_random_below(random, bench.tasks);
}

/* What a CPU does after a switch or a move, if there is something to do. */
static void sort(void)
{
    if (RQ->after_switch != 0)
        class_fair_sort(RQ);
}

static void measure_fair(const char *structure)
{
    uint64_t start = now_ns();

    for (unsigned i = 0; i < bench.tasks; i++) {
        class_fair.enqueue(RQ, &bench.task[i], ENQUEUE_STARTED);
        bench.first[i] = bench.task[i].fair_deadline;
        sort();
    }
    report("enqueue", structure, start, bench.tasks);
    start = now_ns();
    for (unsigned i = 0; i < bench.turns; i++) {
        struct task *task = class_fair.pick(RQ);

        sort();
        class_fair.account(RQ, task, MIN(class_fair.slice(RQ, task), UINT64_C(1) << 30));
        class_fair.enqueue(RQ, task, ENQUEUE_PREEMPTED);
        bench.key[i] = task->fair_deadline;
    }
    report("turn", structure, start, bench.turns);
    start = now_ns();
    for (unsigned i = 0; i < bench.turns; i++) {
        struct task *task = &bench.task[bench.pick[i]];

        class_fair.dequeue(RQ, task);
        class_fair.enqueue(RQ, task, ENQUEUE_MOVED);
        sort();
        bench.key[bench.turns + i] = task->fair_deadline;
    }
    report("move", structure, start, bench.turns);
    assert_int_equal(class_fair.check(RQ, NULL), bench.tasks);
    start = now_ns();
    for (unsigned i = 0; i < bench.tasks; i++)
        class_fair.dequeue(RQ, &bench.task[i]);
    report("dequeue", structure, start, bench.tasks);
    assert_true(RQ->fair.weights == 0 && (RQ->ready_classes & 1u << CLASS_FAIR) == 0);
}

static void measure_heap(const char *structure)
{
    uint64_t start = now_ns();

    for (unsigned i = 0; i < bench.tasks; i++)
        heap_push(bench.first[i], i);
    report("enqueue", structure, start, bench.tasks);
    start = now_ns();
    for (unsigned i = 0; i < bench.turns; i++) {
        unsigned task = heap.entry[0].task;

        heap_remove(0);
        heap_push(bench.key[i], task);
    }
    report("turn", structure, start, bench.turns);
    start = now_ns();
    for (unsigned i = 0; i < bench.turns; i++) {
        heap_remove(heap.place[bench.pick[i]]);
        heap_push(bench.key[bench.turns + i], bench.pick[i]);
    }
    report("move", structure, start, bench.turns);
    for (unsigned at = 1; at < heap.count; at++)
        assert_false(is_less(heap.entry[at].key, heap.entry[(at - 1) / 2].key));
    assert_int_equal(heap.count, bench.tasks);
    start = now_ns();
    for (unsigned i = 0; i < bench.tasks; i++)
        heap_remove(heap.place[i]);
    report("dequeue", structure, start, bench.tasks);
    assert_int_equal(heap.count, 0);
}

static void fair_beside_a_binary_heap(void **state)
{
    struct unit_random random = { 1 };

    (void)state;
    for (unsigned is_mixed = 0; is_mixed < 2; is_mixed++) {
        make_tasks(is_mixed != 0, &random);
        measure_fair(is_mixed != 0 ? "fair_mixed" : "fair_equal");
        measure_heap(is_mixed != 0 ? "heap_mixed" : "heap_equal");
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { sched_unit_test(fair_beside_a_binary_heap) };

    bench.tasks = argc == 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    bench.turns = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    if (bench.tasks == 0 || bench.tasks >= TID_MAX || bench.turns == 0) {
        fprintf(stderr, "usage: %s TASKS TURNS\n", argv[0]);
        return 2;
    }
    bench.task = array(bench.tasks, sizeof *bench.task);
    bench.pick = array(bench.turns, sizeof *bench.pick);
    bench.key = array(2 * (size_t)bench.turns, sizeof *bench.key);
    bench.first = array(bench.tasks, sizeof *bench.first);
    heap.entry = array(bench.tasks, sizeof *heap.entry);
    heap.place = array(bench.tasks, sizeof *heap.place);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
