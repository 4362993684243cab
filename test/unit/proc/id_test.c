/* SPDX-License-Identifier: MIT */
/*
 * core/proc/id.c against an array of users: cycles, exhaustion, look-up, and leaves that go away when nobody uses them.
 */
#include "mm/mm_test.h"

#include <k/errno.h>
#include <proc/id.h>
#include <proc/process.h>
#include <sched/task.h>
#include <smp/quiesce.h>

static uint8_t users[TID_MAX]; /* the model */
static tid_t held[TID_MAX];
static unsigned held_count;
static uint64_t pages_at_first;

/* Grace periods end at once on a machine of one CPU. */
static void settle(void)
{
    while (quiesce_start())
        (void)quiesce_finish();
    slab_reclaim_all();
}

static int enter(void **state)
{
    int result = mm_test_boot(state);

    cpu_table[0] = &mm_test_cpu;
    store_relaxed(&mm_test_cpu.state, CPU_ONLINE);
    cpumask_set_single(&cpu_online_mask, 0);
    cpumask_set_single(&cpu_live_mask, 0);
    cpumask_set_single(&cpu_started_mask, 0);
    store_relaxed(&cpu_started_count, 1);
    id_init();
    return result;
}

static int begin(void **state)
{
    (void)state;
    memset(users, 0, sizeof users);
    held_count = 0;
    id_reclaim();
    settle();
    pages_at_first = mm_test_free_pages();
    return id_used_count() == 0 ? 0 : -1;
}

/* Every number is free again, and every page: no leaf stays behind. */
static int end(void **state)
{
    (void)state;
    id_reclaim();
    settle();
    return id_used_count() == 0 && mm_test_free_pages() == pages_at_first ? 0 : -1;
}

static tid_t take(void)
{
    tid_t id = 0;

    assert_int_equal(id_alloc(&id), 0);
    assert_true(id > 0 && id < TID_MAX && users[id] == 0);
    users[id] = 1;
    held[held_count++] = id;
    return id;
}

static void drop(unsigned at)
{
    tid_t id = held[at];

    id_release(id);
    if (--users[id] == 0)
        held[at] = held[--held_count];
}

static void drop_all(void)
{
    while (held_count > 0)
        drop(held_count - 1);
}

static void random_users_match_an_array(void **state)
{
    struct unit_random random = { 5 };

    (void)state;
    for (unsigned step = 0; step < 60000; step++) {
        bool grow = unit_random_below(&random, 100) < (step / 5000 % 2 == 0 ? 70 : 30);
        unsigned at = held_count == 0 ? 0 : (unsigned)unit_random_below(&random, held_count);

        if (held_count == 0 || (grow && unit_random_below(&random, 4) != 0)) {
            (void)take();
        } else if (grow) {
            if (users[held[at]] < 200) {
                id_hold(held[at]);
                users[held[at]]++;
            }
        } else {
            drop(at);
        }
        assert_int_equal(id_used_count(), held_count);
    }
    drop_all();
}

static void numbers_go_up_and_rest_before_they_come_again(void **state)
{
    tid_t first = take();
    tid_t last = first;

    (void)state;
    drop_all();
    for (unsigned i = 0; i < TID_MAX - 2; i++) {
        tid_t id = take();

        drop_all();
        assert_int_equal(id, last + 1 < TID_MAX ? last + 1 : 1); /* never one that was just free */
        last = id;
        if (i % 1024 == 0)
            settle();
    }
    assert_int_equal(take(), first); /* all the others had their turn */
    drop_all();
}

static void all_numbers_then_eagain_then_the_freed_one(void **state)
{
    tid_t id = 0;

    (void)state;
    for (unsigned i = 1; i < TID_MAX; i++)
        (void)take();
    assert_int_equal(id_used_count(), TID_MAX - 1);
    assert_int_equal(id_alloc(&id), -EAGAIN);
    assert_int_equal(id, 0);
    tid_t freed = held[1000];

    drop(1000);
    assert_int_equal(take(), freed);
    assert_int_equal(id_alloc(&id), -EAGAIN);
    drop_all();
}

static void a_held_number_is_not_given_again(void **state)
{
    tid_t id = take();

    (void)state;
    id_hold(id);
    id_release(id);
    for (unsigned i = 0; i < TID_MAX - 2; i++)
        (void)take();
    assert_int_equal(id_alloc(&id), -EAGAIN);
    drop_all();
}

static void no_memory_for_a_leaf_is_an_error_that_leaves_nothing(void **state)
{
    tid_t id = 0;

    (void)state;
    /* The next number may stand in a leaf that is kept: go on until a new one is needed. */
    for (unsigned i = 0; i < 300; i++) {
        unsigned before = id_used_count();

        mm_fail_at(1);
        int result = id_alloc(&id);

        if (mm_fail_fired()) {
            assert_int_equal(result, -ENOMEM);
            assert_int_equal(id_used_count(), before);
            assert_int_equal(id_alloc(&id), 0);
            id_release(id);
            drop_all();
            return;
        }
        assert_int_equal(result, 0);
        users[id] = 1;
        held[held_count++] = id;
    }
    fail_msg("no leaf was ever allocated");
}

static void lookups_find_what_is_published_and_take_a_reference(void **state)
{
    static struct task task;
    static struct process process;
    tid_t id = take();

    (void)state;
    memset(&task, 0, sizeof task);
    memset(&process, 0, sizeof process);
    task.tid = id;
    process.pid = id;
    store_relaxed(&task.refs, 1);
    store_relaxed(&process.refs, 1);
    assert_null(task_lookup(id));
    assert_null(process_lookup(id));
    id_publish_task(id, &task);
    assert_ptr_equal(task_lookup(id), &task);
    assert_null(process_lookup(id)); /* two kinds under one number */
    id_publish_process(id, &process);
    assert_ptr_equal(process_lookup(id), &process);
    assert_true(load_relaxed(&task.refs) == 2 && load_relaxed(&process.refs) == 2);
    store_relaxed(&task.refs, 0); /* past its end: there is no reference to be had */
    store_relaxed(&process.refs, 0);
    assert_null(task_lookup(id));
    assert_null(process_lookup(id));
    assert_true(load_relaxed(&task.refs) == 0 && load_relaxed(&process.refs) == 0);
    store_relaxed(&task.refs, 1);
    id_unpublish_task(id);
    id_unpublish_process(id);
    assert_null(task_lookup(id));
    assert_null(process_lookup(id));
    drop_all();
}

static void numbers_that_cannot_be_ids_find_nothing(void **state)
{
    static const tid_t impossible[] = { 0, -1, INT32_MIN, TID_MAX, TID_MAX + 1, INT32_MAX };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(impossible); i++) {
        assert_null(task_lookup(impossible[i]));
        assert_null(process_lookup(impossible[i]));
    }
    assert_null(task_lookup(TID_MAX - 1)); /* possible, and nobody's: no leaf even */
}

/* Every third task has passed its end: the walk sees the others, each once, in order, from wherever it starts. */
static void a_walk_finds_each_living_task_once(void **state)
{
    static struct task task[300];
    tid_t last = 0;
    unsigned found = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++) {
        for (unsigned gap = i % 7 == 0 ? 40 : 1; gap > 0; gap--) /* numbers without a task lie between */
            task[i].tid = take();
        store_relaxed(&task[i].refs, i % 3 == 0 ? 0 : 1);
        id_publish_task(task[i].tid, &task[i]);
    }
    for (struct task *at = task_lookup_next(-5); at != NULL; at = task_lookup_next(last + 1)) {
        assert_true(at->tid > last && load_relaxed(&at->refs) == 2);
        store_relaxed(&at->refs, 1);
        assert_ptr_equal(task_lookup_next(at->tid), at);
        store_relaxed(&at->refs, 1);
        last = at->tid;
        found++;
    }
    assert_int_equal(found, ARRAY_COUNT(task) - ARRAY_COUNT(task) / 3);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        id_unpublish_task(task[i].tid);
    assert_null(task_lookup_next(1));
    assert_null(task_lookup_next(TID_MAX - 1));
    assert_null(task_lookup_next(INT32_MAX));
    drop_all();
}

static void release_free(void *arg)
{
    (void)arg;
    tid_t id = 0;

    ASSERT(id_alloc(&id) == 0);
    ASSERT(id_alloc(&(tid_t){ 0 }) == 0);
    id_release(id);
    id_release(id);
}

static void release_published(void *arg)
{
    static struct task task;

    ASSERT(id_alloc(&task.tid) == 0);
    id_publish_task(task.tid, &task);
    id_release(task.tid);
    (void)arg;
}

static void publish_under_another_number(void *arg)
{
    static struct task task;
    tid_t id = 0;

    (void)arg;
    ASSERT(id_alloc(&id) == 0);
    task.tid = id + 1;
    id_publish_task(id, &task);
}

static void mistakes_with_numbers_panic(void **state)
{
    (void)state;
    assert_panics(release_free, NULL, "assertion failed");
    assert_panics(release_published, NULL, "assertion failed");
    assert_panics(publish_under_another_number, NULL, "task->tid == id");
}

#define id_test(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        id_test(random_users_match_an_array),
        id_test(numbers_go_up_and_rest_before_they_come_again),
        id_test(all_numbers_then_eagain_then_the_freed_one),
        id_test(a_held_number_is_not_given_again),
        id_test(no_memory_for_a_leaf_is_an_error_that_leaves_nothing),
        id_test(lookups_find_what_is_published_and_take_a_reference),
        id_test(numbers_that_cannot_be_ids_find_nothing),
        id_test(a_walk_finds_each_living_task_once),
        id_test(mistakes_with_numbers_panic),
    };

    return cmocka_run_group_tests(tests, enter, mm_test_shutdown);
}
