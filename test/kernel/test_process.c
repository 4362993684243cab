/* SPDX-License-Identifier: MIT */
/* Processes and threads: the tree, tasks from threads, exit records. */
#include <k/errno.h>
#include <mm/fail.h>
#include <vm/space.h>
#include <proc/id.h>
#include <proc/process.h>
#include <time/clock.h>

#include "check.h"

static int return_arg(void *arg)
{
    CHECK(process_current() != &process_kernel);
    return (int)(intptr_t)arg;
}

static struct thread_spec spec_of(int (*entry)(void *), void *arg)
{
    return (struct thread_spec){
        .name = "thread", .entry = entry, .arg = arg, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
}

static struct process *new_process(void)
{
    struct process *process = NULL;

    return CHECK(process_create(&process_kernel, "proc", &process) == 0) ? process : NULL;
}

static struct thread *new_thread(struct process *process, int (*entry)(void *), void *arg)
{
    struct thread_spec spec = spec_of(entry, arg);
    struct thread *thread = NULL;

    return CHECK(thread_create(process, &spec, &thread) == 0) ? thread : NULL;
}

static void a_child_lives_and_is_waited_for(void)
{
    struct process *process = new_process();
    struct thread *thread = process != NULL ? new_thread(process, return_arg, (void *)0x123) : NULL;
    int status = -1;

    if (thread == NULL)
        return;
    pid_t pid = process->pid;
    struct process *found = process_lookup(pid);

    CHECK(thread->tid == pid && found == process);
    if (found != NULL)
        process_put(found);
    CHECK(process_wait(&process_kernel, pid, WNOHANG, &status) == 0); /* alive */
    CHECK(thread_schedule(pid, thread->tid, thread) == 0);
    CHECK(process_wait(&process_kernel, pid, 0, &status) == pid);
    CHECK(status == WAIT_STATUS_EXITED(0x23)); /* eight bits of the code */
    CHECK(process_wait(&process_kernel, pid, 0, &status) == -ECHILD); /* the record is gone */
    CHECK(process_lookup(pid) == NULL);
    CHECK(thread->state == THREAD_DEAD && thread->task == NULL);
    CHECK(load_acquire(&thread->exit_code) == 0x123); /* PAIRS(thread_exit) */
    CHECK(task_create_from_thread(pid, thread->tid, thread, &(struct task *){ NULL }) == -ESRCH);
    thread_put(thread);
    process_put(process);
}

static int sleep_until_killed(void *arg)
{
    (void)arg;
    while (task_sleep_for(3600 * NS_PER_SEC) == 0)
        continue;
    return 9;
}

static void a_thread_has_one_task(void)
{
    struct process *process = new_process();
    struct thread *thread = process != NULL ? new_thread(process, sleep_until_killed, NULL) : NULL;
    struct task *task = NULL;
    struct task *second = NULL;

    if (thread == NULL)
        return;
    CHECK(task_create_from_thread(process->pid + 1, thread->tid, thread, &task) == -EINVAL);
    CHECK(task_create_from_thread(process->pid, thread->tid + 1, thread, &task) == -EINVAL);
    if (CHECK(task_create_from_thread(process->pid, thread->tid, thread, &task) == 0)) {
        CHECK(thread->task == task && task->tid == thread->tid && task->pid == process->pid);
        CHECK(task->space == &process->space->tlb && task->priority == PRIORITY_USER_NORMAL);
        struct task *found = task_lookup(thread->tid);

        CHECK(found == task);
        task_put(found);
        CHECK(task_create_from_thread(process->pid, thread->tid, thread, &second) == -EEXIST && second == NULL);
        CHECK(thread_schedule(process->pid, thread->tid, thread) == -EEXIST);
        CHECK(task_start(task) == 0);
        task_put(task);
    }
    CHECK(process_kill(process) == 0);
    CHECK(process_wait(&process_kernel, -1, 0, NULL) == process->pid);
    CHECK(process_kill(process) == -ESRCH);
    thread_put(thread);
    process_put(process);
}

static void schedule_thread_needs_an_online_cpu(void)
{
    struct process *process = new_process();
    struct thread_spec spec = spec_of(return_arg, NULL);
    struct thread *thread = NULL;
    struct cpumask mask;

    if (process == NULL)
        return;
    cpumask_set_single(&mask, CPU_MAX - 1);
    spec.affinity = &mask;
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(thread_schedule(process->pid, thread->tid, thread) == -EINVAL);
    CHECK(thread->task == NULL && thread->state == THREAD_CREATED && task_lookup(thread->tid) == NULL);
    CHECK(thread_discard(thread) == 0);
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    CHECK(thread_create(process, &spec, &(struct thread *){ NULL }) == -ESRCH);
    thread_put(thread);
    process_put(process);
}

/* Must 9: the exit of one thread leaves its siblings reachable, and the process alive. */
static void siblings_survive_a_thread(void)
{
    struct process *process = new_process();
    struct thread *first = process != NULL ? new_thread(process, return_arg, (void *)1) : NULL;
    struct thread *second = process != NULL ? new_thread(process, sleep_until_killed, NULL) : NULL;
    int status = 0;

    if (first == NULL || second == NULL)
        return;
    CHECK(first->tid != second->tid);
    CHECK(thread_schedule(process->pid, second->tid, second) == 0);
    CHECK(thread_schedule(process->pid, first->tid, first) == 0);
    WAIT_FOR(thread_schedule(process->pid, first->tid, first) == -ESRCH); /* it is dead, no more running */
    struct task *found = task_lookup(second->tid);

    CHECK(found != NULL && process->state == PROCESS_ALIVE);
    if (found != NULL)
        task_put(found);
    CHECK(process_wait(&process_kernel, process->pid, WNOHANG, &status) == 0);
    CHECK(process_kill(process) == 0);
    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid && status == WAIT_STATUS_EXITED(9));
    thread_put(first);
    thread_put(second);
    process_put(process);
}

static int parent_of_orphans(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 3; i++) {
        struct process *child = NULL;

        if (!CHECK(process_create(process_current(), "orphan", &child) == 0))
            return 1;
        struct thread *thread = new_thread(child, return_arg, (void *)2);

        CHECK(thread != NULL && thread_schedule(child->pid, thread->tid, thread) == 0);
        if (thread != NULL)
            thread_put(thread);
        process_put(child);
    }
    return 0; /* ends with children alive or unwaited: the kernel's process inherits and buries them */
}

static void orphans_are_buried(void)
{
    struct process *process = new_process();
    struct thread *thread = process != NULL ? new_thread(process, parent_of_orphans, NULL) : NULL;

    if (thread == NULL)
        return;
    CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    CHECK(process_wait(&process_kernel, -1, 0, NULL) == -ECHILD); /* orphans are not ours to wait for */
    thread_put(thread);
    process_put(process);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
}

static int end_at_once(void *arg)
{
    return (int)(intptr_t)arg;
}

/* Hazard 6: a parent that polls sees each child as running or as a zombie, never absent, and each exactly once. */
static void wait_reports_each_child_once(void)
{
    unsigned reported = 0;
    uint64_t seen = 0;

    for (unsigned i = 0; i < 20; i++) {
        struct process *process = new_process();
        struct thread *thread = process != NULL ? new_thread(process, end_at_once, (void *)(uintptr_t)i) : NULL;

        if (thread == NULL)
            return;
        CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
        thread_put(thread);
        process_put(process);
    }
    while (reported < 20) {
        int status = -1;
        pid_t pid = process_wait(&process_kernel, -1, reported % 2 ? WNOHANG : 0, &status);

        if (!CHECK(pid >= 0))
            return;
        if (pid == 0) {
            task_yield();
            continue;
        }
        CHECK((seen >> (status >> 8) & 1) == 0);
        seen |= UINT64_C(1) << (status >> 8);
        reported++;
    }
    CHECK(process_wait(&process_kernel, -1, 0, NULL) == -ECHILD);
    CHECK(process_wait(&process_kernel, -1, 64, NULL) == -EINVAL);
    CHECK(process_wait(&process_kernel, 0, 0, NULL) == -EINVAL);
}

static void failures_in_creation_leave_nothing(void)
{
    bool fired = true;

    for (uint32_t nth = 1; nth < 100 && fired; nth++) {
        struct check_counts before, after;
        struct process *process = NULL;
        struct thread *thread = NULL;
        struct thread_spec spec = spec_of(end_at_once, NULL);

        check_counts_get(&before);
        mm_fail_at(nth);
        int result = process_create(&process_kernel, "proc", &process);

        if (result == 0)
            result = thread_create(process, &spec, &thread);
        if (result == 0)
            result = thread_schedule(process->pid, thread->tid, thread);
        fired = mm_fail_fired();
        CHECK(result == 0 || (result == -ENOMEM && fired));
        if (process != NULL && thread == NULL)
            CHECK(process_discard(process) == 0);
        if (thread != NULL && result != 0)
            CHECK(thread_discard(thread) == 0);
        if (thread != NULL)
            CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
        if (thread != NULL)
            thread_put(thread);
        if (process != NULL)
            process_put(process);
        check_counts_get(&after);
        CHECK(check_counts_compare(&before, &after) == 0);
    }
    CHECK(!fired);
}

const struct kernel_test tests_process[] = {
    { "process: a child lives and is waited for", a_child_lives_and_is_waited_for },
    { "process: a thread has one task", a_thread_has_one_task },
    { "process: scheduling a thread needs an online CPU", schedule_thread_needs_an_online_cpu },
    { "process: siblings survive a thread's exit", siblings_survive_a_thread },
    { "process: orphans are buried", orphans_are_buried },
    { "process: wait reports each child once", wait_reports_each_child_once },
    { "process: failures in creation leave nothing", failures_in_creation_leave_nothing },
    { NULL, NULL },
};
