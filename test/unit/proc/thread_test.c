/* SPDX-License-Identifier: MIT */
/* core/proc/thread.c: a thread has at most one task, ever; a process ends with its last one, whoever comes or goes. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <mm/fail.h>
#include <vm/space.h>
#include <proc/id.h>
#include <proc/process.h>
#include <proc/task.h>
#include <time/clock.h>

#include "proc_priv.h"

static struct thread_spec spec_of(int (*entry)(void *), void *arg)
{
    return (struct thread_spec){
        .name = "thread", .entry = entry, .arg = arg, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
}

static int leave(void *arg)
{
    for (uintptr_t i = (uintptr_t)arg % 3; i > 0; i--)
        task_yield();
    return (int)(uintptr_t)arg;
}

static struct process *new_process(void)
{
    struct process *process = NULL;

    CHECK(process_create(&process_kernel, "process", &process) == 0);
    return process;
}

/* Wait until it has ended; the status. */
static int bury(struct process *process)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    process_put(process);
    return status;
}

/* The task carries what the thread says. */

static int check_self(void *arg)
{
    struct task *self = current_task();
    struct process *process = process_current();

    CHECK(process != &process_kernel && self->pid == process->pid);
    CHECK(self->space == &process->space->tlb);
    CHECK(arg == (void *)44);
    return 3;
}

static void links(void)
{
    for (int number = 0; number <= 90; number += 10) {
        struct process *process = new_process();
        struct thread_spec spec = spec_of(check_self, (void *)44);
        struct thread *thread = NULL;
        struct task *task = NULL;
        struct cpumask mask;

        cpumask_set_single(&mask, online_cpu((unsigned)number / 10));
        spec.affinity = &mask;
        spec.priority_number = number;
        spec.user_stack = 0x7000;
        spec.tls_base = 0x8000;
        CHECK(thread_create(process, &spec, &thread) == 0);
        CHECK(thread->tid == process->pid && thread->state == THREAD_CREATED && thread->task == NULL);
        CHECK(task_create_from_thread(process->pid, thread->tid, thread, &task) == 0);
        CHECK(thread->task == task && thread->state == THREAD_SCHEDULED && task->state == TASK_NEW);
        CHECK(task->tid == thread->tid && task->pid == process->pid);
        CHECK(task->priority == priority_from_thread_number(number) && task->is_pinned);
        CHECK(task->user_stack == 0x7000 && task->tls_base == 0x8000);
        CHECK(thread_discard(thread) == -EBUSY);
        CHECK(task_start(task) == 0);
        CHECK(bury(process) == WAIT_STATUS_EXITED(3));
        CHECK(thread->state == THREAD_DEAD && thread->task == NULL && load_acquire(&thread->exit_code) == 3);
        CHECK(thread_discard(thread) == -EBUSY);
        thread_put(thread);
        task_put(task);
    }
}

/* Several try to schedule the same thread: one succeeds, the others hear why not. */

struct contest {
    struct process *process;
    struct thread *thread;
    _Atomic(unsigned) scheduled;
};

static int schedule_it(void *arg)
{
    struct contest *contest = arg;
    int result = thread_schedule(contest->process->pid, contest->thread->tid, contest->thread);

    if (result == 0)
        (void)fetch_add_relaxed(&contest->scheduled, 1);
    else
        CHECK(result == -EEXIST || result == -ESRCH);
    return 0;
}

static void one_task_each(void)
{
    for (unsigned round = 0; round < 4; round++) {
        struct contest contest = { .process = new_process() };
        struct thread_spec spec = spec_of(leave, (void *)5);
        struct task *rival[4];

        CHECK(thread_create(contest.process, &spec, &contest.thread) == 0);
        for (unsigned i = 0; i < ARRAY_COUNT(rival); i++)
            rival[i] = spawn("rival", schedule_it, &contest, 60, NULL);
        for (unsigned i = 0; i < ARRAY_COUNT(rival); i++)
            CHECK(finish(rival[i]) == 0);
        CHECK(load_relaxed(&contest.scheduled) == 1);
        CHECK(bury(contest.process) == WAIT_STATUS_EXITED(5));
        thread_put(contest.thread);
    }
}

/* Threads are made, scheduled and taken back by several tasks while others of the process end: it ends once, after its
 * last thread, and then takes no more. */

static int add_threads(void *arg)
{
    struct process *process = arg;
    uint64_t random = booted_seed() * 3 + (uintptr_t)current_task()->tid;

    for (unsigned i = 0; i < 6; i++) {
        struct thread_spec spec = spec_of(leave, (void *)(uintptr_t)(random_next(&random) % 50));
        struct thread *thread = NULL;
        int result = thread_create(process, &spec, &thread);

        if (result != 0) {
            CHECK(result == -ESRCH && process->state != PROCESS_ALIVE);
            break;
        }
        if (random_next(&random) % 3 == 0)
            CHECK(thread_discard(thread) == 0);
        else
            CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
        if (random_next(&random) % 2 == 0)
            (void)task_sleep_for(random_next(&random) % 3000);
        thread_put(thread);
    }
    return 0;
}

static void coming_and_going(void)
{
    struct process *process = new_process();
    struct thread_spec spec = spec_of(leave, (void *)2);
    struct thread *first = NULL;
    struct task *adder[3];

    CHECK(thread_create(process, &spec, &first) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(adder); i++)
        adder[i] = spawn("adder", add_threads, process, 60, NULL);
    CHECK(thread_schedule(process->pid, first->tid, first) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(adder); i++)
        CHECK(finish(adder[i]) == 0);
    thread_put(first);
    process_get(process);
    (void)bury(process);
    CHECK(process->threads_alive == 0 && list_is_empty(&process->threads));
    struct thread *late = NULL;

    CHECK(thread_create(process, &spec, &late) == -ESRCH && late == NULL);
    process_put(process);
}

static void refusals(void)
{
    struct process *process = new_process();
    struct thread_spec good = spec_of(leave, NULL);
    struct thread *thread = NULL;
    struct thread_spec spec = good;
    struct cpumask mask;

    CHECK(thread_create(&process_kernel, &good, &thread) == -EINVAL);
    spec.name = NULL;
    CHECK(thread_create(process, &spec, &thread) == -EINVAL);
    spec.name = "";
    CHECK(thread_create(process, &spec, &thread) == -EINVAL);
    spec = good;
    spec.entry = NULL;
    CHECK(thread_create(process, &spec, &thread) == -EINVAL);
    spec = good;
    spec.stack_bytes = 0;
    CHECK(thread_create(process, &spec, &thread) == -EINVAL);
    spec.stack_bytes = STACK_BYTES_MAX + 1;
    CHECK(thread_create(process, &spec, &thread) == -EINVAL);
    CHECK(thread == NULL && process->threads_alive == 0 && !process->had_thread);
    spec = good;
    cpumask_set_single(&mask, CPU_MAX - 1);
    spec.affinity = &mask;
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(thread_schedule(process->pid, thread->tid, thread) == -EINVAL); /* no online CPU: and no task */
    CHECK(thread->task == NULL && thread->state == THREAD_CREATED && task_lookup(thread->tid) == NULL);
    CHECK(thread_schedule(process->pid + 1, thread->tid, thread) == -EINVAL);
    CHECK(thread_schedule(process->pid, thread->tid + 1, thread) == -EINVAL);
    CHECK(thread_discard(thread) == 0); /* the last one: the process ends */
    CHECK(thread_schedule(process->pid, thread->tid, thread) < 0);
    thread_put(thread);
    (void)bury(process);
}

/* Numbers up to the end of a leaf of the id table (128, id.c), so that the next one needs memory. */
static unsigned fill_leaf(tid_t ids[128])
{
    unsigned count = 0;

    do {
        CHECK(id_alloc(&ids[count]) == 0);
    } while (ids[count++] % 128 != 127 && count < 128);
    return count;
}

/* The n-th allocation of making a second thread and its task fails, for every n. */
static void failures(void)
{
    uint32_t failed = 0;
    bool fired = true;

    while (fired && failed < 50) {
        struct check_counts before, after;
        struct process *process = NULL;
        struct thread_spec spec = spec_of(leave, (void *)1);
        struct thread *first = NULL;
        struct thread *second = NULL;
        tid_t ids[128];

        check_counts_get(&before);
        process = new_process();
        CHECK(thread_create(process, &spec, &first) == 0);
        unsigned filled = fill_leaf(ids);

        spec.uses_fpu = true;
        mm_fail_at(failed + 1);
        int result = thread_create(process, &spec, &second);

        if (result == 0)
            result = thread_schedule(process->pid, second->tid, second);
        fired = mm_fail_fired();
        failed += fired;
        CHECK(fired ? result == -ENOMEM : result == 0);
        if (result != 0 && second != NULL) {
            CHECK(second->state == THREAD_CREATED && second->task == NULL && task_lookup(second->tid) == NULL);
            CHECK(thread_discard(second) == 0);
        }
        CHECK(second != NULL || process->threads_alive == 1);
        CHECK(thread_schedule(process->pid, first->tid, first) == 0); /* the process is none the worse */
        (void)bury(process);
        while (filled > 0)
            id_release(ids[--filled]);
        thread_put(first);
        if (second != NULL)
            thread_put(second);
        check_counts_get(&after);
        CHECK(check_counts_compare(&before, &after) == 0);
    }
    CHECK(failed >= 5 && failed < 50); /* thread, leaf, object, stack and extended state at least */
}

/* Threads die in one order for everybody: once one is seen dead, a status that comes later is the process's. */

static int sleep_until_killed(void *arg)
{
    (void)arg;
    while (!task_is_killed())
        (void)task_sleep_until(TIME_NEVER - 1);
    return 9;
}

static bool is_dead(const struct thread *thread)
{
    spin_lock(&proc_tree_lock);
    bool dead = thread->state == THREAD_DEAD;

    spin_unlock(&proc_tree_lock);
    return dead;
}

/* The first thread is the least urgent of all, so that whoever wakes holds it up wherever it happens to be. */
static void last_word(uint64_t nap_ns)
{
    struct process *process = new_process();
    struct thread_spec quick = spec_of(leave, (void *)1);
    struct thread_spec slow = spec_of(sleep_until_killed, NULL);
    struct thread *first = NULL;
    struct thread *last = NULL;

    quick.priority_number = 99;
    slow.priority_number = 1;
    CHECK(thread_create(process, &quick, &first) == 0 && thread_create(process, &slow, &last) == 0);
    CHECK(thread_schedule(process->pid, last->tid, last) == 0);
    CHECK(thread_schedule(process->pid, first->tid, first) == 0);
    for (; !is_dead(first); nap_ns *= 2) /* longer and longer: a nap that is over at once would starve it */
        (void)task_sleep_for(nap_ns);
    CHECK(process_kill(process) == 0);
    thread_put(first);
    thread_put(last);
    CHECK(bury(process) == WAIT_STATUS_EXITED(9));
}

static void last_words(void)
{
    uint64_t random = booted_seed() + 1;

    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < 12; i++)
        last_word(500 + random_next(&random) % 8000);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

const struct kernel_test booted_tests[] = {
    { "links", links },       { "one-task-each", one_task_each }, { "coming-and-going", coming_and_going },
    { "refusals", refusals }, { "failures", failures },           { "last-words", last_words },
    { NULL, NULL },
};

static void a_task_carries_what_its_thread_says(void **state)
{
    (void)state;
    booted_run("links", 24);
}

static void of_many_that_schedule_a_thread_one_succeeds(void **state)
{
    (void)state;
    booted_run("one-task-each", 80);
}

static void a_process_ends_once_with_its_last_thread(void **state)
{
    (void)state;
    booted_run("coming-and-going", 200);
}

static void bad_threads_are_refused_and_leave_nothing(void **state)
{
    (void)state;
    booted_run("refusals", 16);
}

static void a_failure_at_any_allocation_leaves_nothing(void **state)
{
    (void)state;
    booted_run("failures", 16);
}

static void the_last_thread_to_die_says_how_the_process_ended(void **state)
{
    (void)state;
    booted_run_on(1, "last-words", "", 60);
    booted_run_on(2, "last-words", "", 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_carries_what_its_thread_says),
        cmocka_unit_test(of_many_that_schedule_a_thread_one_succeeds),
        cmocka_unit_test(a_process_ends_once_with_its_last_thread),
        cmocka_unit_test(bad_threads_are_refused_and_leave_nothing),
        cmocka_unit_test(a_failure_at_any_allocation_leaves_nothing),
        cmocka_unit_test(the_last_thread_to_die_says_how_the_process_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
