/* SPDX-License-Identifier: MIT */
/* Creating tasks: what is refused, what is undone, what is reachable. */
#include <k/errno.h>
#include <lib/string.h>
#include <mm/fail.h>
#include <mm/kspace.h>
#include <proc/id.h>
#include <time/clock.h>

#include "check.h"

static int return_arg(void *arg)
{
    return (int)(intptr_t)arg;
}

static struct task_spec good_spec(void)
{
    return (struct task_spec){
        .name = "good",
        .entry = return_arg,
        .arg = (void *)7,
        .stack_bytes = 5000, /* rounded up to pages */
        .priority = PRIORITY_DEFAULT,
    };
}

static tid_t try_with(void (*spoil)(struct task_spec *spec))
{
    struct task_spec spec = good_spec();
    struct task *task = NULL;

    spoil(&spec);
    tid_t tid = task_create(&spec, &task);

    CHECK(tid > 0 || task == NULL);
    if (task != NULL)
        (void)finish(task);
    return tid;
}

static struct cpumask offline_mask;

static void no_name(struct task_spec *spec) { spec->name = NULL; }
static void empty_name(struct task_spec *spec) { spec->name = ""; }
static void no_entry(struct task_spec *spec) { spec->entry = NULL; }
static void negative_priority(struct task_spec *spec) { spec->priority = -1; }
static void priority_100(struct task_spec *spec) { spec->priority = 100; }
static void zero_stack(struct task_spec *spec) { spec->stack_bytes = 0; }
static void absurd_stack(struct task_spec *spec) { spec->stack_bytes = SIZE_MAX; }
static void large_stack(struct task_spec *spec) { spec->stack_bytes = STACK_BYTES_MAX + 1; }
static void largest_stack(struct task_spec *spec) { spec->stack_bytes = STACK_BYTES_MAX; }
static void one_byte_stack(struct task_spec *spec) { spec->stack_bytes = 1; }
static void empty_affinity(struct task_spec *spec)
{
    cpumask_clear(&offline_mask);
    spec->affinity = &offline_mask;
}
static void offline_affinity(struct task_spec *spec)
{
    cpumask_set_single(&offline_mask, CPU_MAX - 1);
    spec->affinity = &offline_mask;
}

static void refuses_bad_arguments(void)
{
    CHECK(try_with(no_name) == -EINVAL);
    CHECK(try_with(empty_name) == -EINVAL);
    CHECK(try_with(no_entry) == -EINVAL);
    CHECK(try_with(negative_priority) == -EINVAL);
    CHECK(try_with(priority_100) == -EINVAL);
    CHECK(try_with(zero_stack) == -EINVAL);
    CHECK(try_with(absurd_stack) == -EINVAL);
    CHECK(try_with(large_stack) == -EINVAL);
    CHECK(try_with(empty_affinity) == -EINVAL);
    CHECK(try_with(offline_affinity) == -EINVAL);
    CHECK(try_with(one_byte_stack) > 0);
    CHECK(try_with(largest_stack) > 0);
}

static void returns_the_exit_code_and_facts(void)
{
    struct task_spec spec = good_spec();
    struct task *task = NULL;
    int code = -1;

    spec.name = "a name that is longer than sixteen";
    tid_t tid = task_create(&spec, &task);

    if (!CHECK(tid > 0 && task != NULL))
        return;
    CHECK(task->tid == tid && task->pid == tid && task->parent_tid == current_task()->tid);
    CHECK(strcmp(task->name, "a name that is ") == 0);
    CHECK(task->stack_bytes == 2 * PAGE_BYTES);
    CHECK(task_join(task, &code, TIME_NEVER) == 0 && code == 7);
    CHECK(task_join(task, &code, TIME_NEVER) == 0 && code == 7); /* a dead task can be joined again */
    task_put(task);
}

/* Make the first, second, ... allocation of a create fail, until one create meets no failure. */
static void undoes_a_failure_at_each_allocation(void)
{
    struct task_spec spec = good_spec();
    unsigned failures = 0;

    spec.stack_bytes = 3 * PAGE_BYTES; /* not the cached size, so that the mapping's allocations are reached */
    spec.uses_fpu = true;
    for (uint32_t nth = 1; nth < 100; nth++) {
        struct check_counts before, after;
        struct task *task = NULL;

        check_counts_get(&before); /* also empties the caches, so that every allocation is a real one */
        mm_fail_at(nth);
        tid_t tid = task_try_create(&spec, &task);
        bool fired = mm_fail_fired();

        if (tid > 0) {
            CHECK(finish(task) == 7);
        } else {
            CHECK(tid == -ENOMEM && fired && task == NULL);
            failures++;
        }
        check_counts_get(&after);
        CHECK(check_counts_compare(&before, &after) == 0);
        if (!fired)
            break;
    }
    CHECK(failures >= 4); /* object, stack, extended state, id leaf at the least */
}

static int wait_for_flag(void *arg)
{
    _Atomic(bool) *flag = arg;

    while (!load_acquire(flag)) /* PAIRS(test_flag) */
        (void)task_sleep_for(100 * NS_PER_US);
    return 5;
}

static void finds_a_live_task_by_tid_and_no_dead_one(void)
{
    static _Atomic(bool) flag;

    store_relaxed(&flag, false);
    struct task *task = spawn("findable", wait_for_flag, &flag, PRIORITY_DEFAULT, NULL);

    if (task == NULL)
        return;
    tid_t tid = task->tid;
    struct task *found = task_lookup(tid);

    CHECK(found == task);
    if (found != NULL)
        task_put(found);
    store_release(&flag, true); /* PAIRS(test_flag) */
    CHECK(finish(task) == 5);
    CHECK(task_lookup(tid) == NULL);
    CHECK(task_lookup(0) == NULL && task_lookup(-1) == NULL && task_lookup(TID_MAX) == NULL);
}

static void does_not_reuse_an_id_at_once(void)
{
    struct task *first = spawn("first", return_arg, NULL, PRIORITY_DEFAULT, NULL);
    tid_t tid = first != NULL ? first->tid : 0;

    (void)finish(first);
    proc_reclaim_all();
    struct task *second = spawn("second", return_arg, NULL, PRIORITY_DEFAULT, NULL);

    CHECK(second != NULL && second->tid != tid);
    (void)finish(second);
}

static int look_beside_own_stack(void *arg)
{
    const struct task *self = current_task();

    (void)arg;
    return kmap_is_guarded(self->stack_base, self->stack_bytes / PAGE_BYTES) ? 7 : 1;
}

/* Cached stacks, new ones and those of all CPUs' idle tasks. */
static void puts_every_stack_between_guards(void)
{
    struct task_spec spec = good_spec();

    spec.entry = look_beside_own_stack;
    for (unsigned pages = 1; pages <= 8; pages++) {
        struct task *task = NULL;

        spec.stack_bytes = pages * PAGE_BYTES;
        CHECK(task_create(&spec, &task) > 0);
        CHECK(task != NULL && finish(task) == 7);
    }
    for (cpu_id_t id = cpumask_next(&cpu_online_mask, 0); id < CPU_MAX; id = cpumask_next(&cpu_online_mask, id + 1)) {
        const struct task *idle = cpu_table[id]->idle_task;

        CHECK(kmap_is_guarded(idle->stack_base, idle->stack_bytes / PAGE_BYTES));
    }
}

const struct kernel_test tests_create[] = {
    { "create refuses bad arguments", refuses_bad_arguments },
    { "create returns the exit code and the facts", returns_the_exit_code_and_facts },
    { "create undoes a failure at each allocation", undoes_a_failure_at_each_allocation },
    { "create makes a task findable by tid until it exits", finds_a_live_task_by_tid_and_no_dead_one },
    { "create does not reuse an id at once", does_not_reuse_an_id_at_once },
    { "create puts every stack between guards", puts_every_stack_between_guards },
    { NULL, NULL },
};
