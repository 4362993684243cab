/* SPDX-License-Identifier: MIT */
/* core/sched/task.c: what a new task looks like, and references. */
#include "sched_test.h"

static unsigned released;
static struct task *released_task;

static void note_release(struct task *task)
{
    released++;
    released_task = task;
}

static void a_new_task_is_what_its_parameters_say(void **state)
{
    struct cpumask pair;
    struct task *task = &sched_test.task[0];
    int argument = 0;

    (void)state;
    cpumask_clear(&pair);
    cpumask_add(&pair, 1);
    cpumask_add(&pair, 1000);
    struct task_params params = {
        .tid = 7,
        .pid = 5,
        .parent_tid = 3,
        .name = "fifteen letters",
        .entry = sched_test_entry,
        .arg = &argument,
        .stack_base = (vaddr_t)sched_test_stack[4],
        .stack_bytes = sizeof sched_test_stack[4],
        .space = (struct tlb_space *)0x5000,
        .fpu_area = &argument,
        .priority = PRIORITY_USER_LOW,
        .affinity = &pair,
    };

    memset(task, 0xa5, sizeof *task);
    task_init(task, &params);
    assert_true(task->tid == 7 && task->pid == 5 && task->parent_tid == 3 && task->arg == &argument);
    assert_true(task->entry == sched_test_entry && task->fpu_area == &argument);
    assert_true(task->space == (struct tlb_space *)0x5000);
    assert_true(task->stack_base == params.stack_base && task->stack_bytes == params.stack_bytes);
    assert_string_equal(task->name, "fifteen letters");
    assert_int_equal(task->state, TASK_NEW);
    assert_int_equal(task->priority, PRIORITY_USER_LOW);
    assert_ptr_equal(task->class, &class_fair);
    assert_false(task->is_pinned);
    assert_memory_equal(&task->affinity, &pair, sizeof pair);
    assert_int_equal(load_relaxed(&task->refs), 1);
    assert_true(load_relaxed(&task->notices) == 0 && !task->wake_pending && !task->has_exited);
    assert_true(!list_is_linked(&task->queue_link) && !list_is_linked(&task->movable_link));
    assert_true(task->base.preempt_count == 0 && task->base.lock_depth == 0 && task->mutexes_held == 0);
    const struct task_stats none = { 0 };

    assert_memory_equal(&task->stats, &none, sizeof none);
}

static void names_are_cut_and_terminated(void **state)
{
    struct task_params params = {
        .name = "a name that is too long", .entry = sched_test_entry,
        .stack_base = (vaddr_t)sched_test_stack[4], .stack_bytes = sizeof sched_test_stack[4],
    };

    (void)state;
    task_init(&sched_test.task[0], &params);
    assert_string_equal(sched_test.task[0].name, "a name that is ");
}

static void no_affinity_means_every_cpu(void **state)
{
    struct task *task = sched_test_new(0, 60);

    (void)state;
    assert_int_equal(cpumask_count(&task->affinity), CPU_MAX);
    assert_false(task->is_pinned);
}

static void init_with(void *params)
{
    task_init(&sched_test.task[0], params);
}

static void bad_parameters_panic(void **state)
{
    struct task_params good = { .name = "x", .entry = sched_test_entry, .stack_base = 4096, .stack_bytes = 4096 };
    struct task_params bad = good;

    (void)state;
    bad.priority = PRIORITY_IDLE + 1;
    assert_panics(init_with, &bad, "priority_is_valid");
    bad = good;
    bad.priority = -1;
    assert_panics(init_with, &bad, "priority_is_valid");
    bad = good;
    bad.entry = NULL;
    assert_panics(init_with, &bad, "entry");
    bad = good;
    bad.stack_bytes = 0;
    assert_panics(init_with, &bad, "stack_bytes");
}

static void the_last_reference_releases_once(void **state)
{
    struct task *task = sched_test_new(0, 60);

    (void)state;
    released = 0;
    task_get(task);
    assert_true(task_try_get(task));
    task_put(task);
    task_put(task);
    assert_int_equal(released, 0);
    task_put(task);
    assert_int_equal(released, 1);
    assert_ptr_equal(released_task, task);
    assert_false(task_try_get(task));
    assert_false(task_try_get(task));
    assert_int_equal(load_relaxed(&task->refs), 0);
}

static void get_of_none(void *task)
{
    task_get(task);
}

static void put_of_none(void *task)
{
    task_put(task);
}

static void references_out_of_nothing_panic(void **state)
{
    struct task *task = sched_test_new(0, 60);

    (void)state;
    store_relaxed(&task->refs, 0);
    assert_panics(get_of_none, task, "before != 0");
    assert_panics(put_of_none, task, "before != 0");
}

/* Several CPUs try for a reference while the first one's goes away. */
static struct {
    struct cpu cpu[4];
    struct task_base self[4];
    _Atomic(unsigned) holders;
    unsigned payload; /* set by the releaser: nobody may hold a reference then */
} team;

static void try_and_drop(cpu_id_t cpu, void *arg)
{
    struct task *task = arg;

    if (cpu == 0) {
        for (unsigned i = 0; i < 3; i++)
            hal_cpu_relax();
        task_put(task);
        return;
    }
    for (unsigned i = 0; i < 10; i++) {
        if (!task_try_get(task))
            continue;
        (void)fetch_add_relaxed(&team.holders, 1);
        ASSERT(team.payload == 0);
        (void)fetch_sub_relaxed(&team.holders, 1);
        task_put(task);
    }
}

static void release_while_tried(struct task *task)
{
    ASSERT(load_relaxed(&team.holders) == 0);
    team.payload = 1;
    note_release(task);
}

static void (*on_release)(struct task *task);

static void dispatch_release(struct task *task)
{
    on_release(task);
}

static void no_try_succeeds_after_the_last_reference(void **state)
{
    struct task *tasks[4];
    const struct host_team host_team = { .tasks = tasks, .body = try_and_drop, .arg = &sched_test.task[0] };

    (void)state;
    on_release = release_while_tried;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct host_config config = { .cpus = 4, .seed = seed, .max_steps = 100000, .memory_bytes = 4 << 20 };

        memset(&team, 0, sizeof team);
        memset(&sched_test.task[0], 0, sizeof sched_test.task[0]);
        store_relaxed(&sched_test.task[0].refs, 1);
        released = 0;
        for (unsigned i = 0; i < 4; i++) {
            team.cpu[i].id = i;
            store_relaxed(&team.self[i].cpu, &team.cpu[i]);
            tasks[i] = (struct task *)&team.self[i];
        }
        if (host_team_run(&config, &host_team, &sched_test_result) != 0) {
            host_result_print(&config, &sched_test_result);
            fail();
        }
        assert_int_equal(released, 1);
        assert_int_equal(load_relaxed(&sched_test.task[0].refs), 0);
    }
    on_release = note_release;
}

static void every_state_has_a_name(void **state)
{
    static const char *const names[] = { "new", "ready", "running", "blocked", "sleeping", "stopped", "dead" };

    (void)state;
    for (unsigned i = 0; i <= TASK_DEAD; i++)
        assert_string_equal(task_state_name((enum task_state)i), names[i]);
    assert_string_equal(task_state_name((enum task_state)(TASK_DEAD + 1)), "?");
    assert_string_equal(task_state_name((enum task_state)-1), "?");
}

static void wrong_edge(void *task)
{
    task_set_state(task, TASK_RUNNING, TASK_READY);
}

static void a_wrong_state_edge_panics(void **state)
{
    (void)state;
    assert_panics(wrong_edge, sched_test_new(0, 60), "task->state == from");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(a_new_task_is_what_its_parameters_say),
        sched_unit_test(names_are_cut_and_terminated),
        sched_unit_test(no_affinity_means_every_cpu),
        sched_unit_test(bad_parameters_panic),
        sched_unit_test(the_last_reference_releases_once),
        sched_unit_test(references_out_of_nothing_panic),
        cmocka_unit_test(no_try_succeeds_after_the_last_reference),
        sched_unit_test(every_state_has_a_name),
        sched_unit_test(a_wrong_state_edge_panics),
    };

    on_release = note_release;
    task_set_release(dispatch_release);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
