/* SPDX-License-Identifier: MIT */
/*
 * core/entry/user.c: programs of the simulated machine (functions of the host's) make calls, are interrupted, are
 * moved, and are told of notices, wherever they are at that moment.
 */
#include "booted.h"
#include "unit.h"

#include <entry/user.h>
#include <hal/irq.h>
#include <hal/usermode.h>
#include <host/machine.h>
#include <k/errno.h>
#include <proc/process.h>
#include <proc/task.h>
#include <sched/sched.h>

#define NO_SUCH_CALL 500
#define CALLS 200

static _Atomic(unsigned) rounds; /* that programs have gone */

static intptr_t call(uintptr_t number)
{
    const uintptr_t arg[6] = { 1, 2, 3, 4, 5, 6 };

    return (intptr_t)host_user_call(number, arg);
}

/* The first function of a thread: the program's name is the argument. */
static int begin(void *program)
{
    struct task *self = current_task();
    struct hal_trap *trap = (struct hal_trap *)(self->stack_base + self->stack_bytes) - 1;

    hal_user_init(trap, (uintptr_t)program, 0);
    HAL_USER_ARG(trap, 0) = 77;
    user_begin(trap);
}

static struct process *start(host_user_program *program, struct task **out_task)
{
    const struct thread_spec spec = {
        .name = "program", .entry = begin, .arg = (void *)program, .stack_bytes = STACK_BYTES_DEFAULT,
        .priority_number = 65,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;

    CHECK(process_create(&process_kernel, "program", &process) == 0);
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(task_create_from_thread(process->pid, thread->tid, thread, out_task) == 0);
    CHECK(task_start(*out_task) == 0);
    thread_put(thread);
    return process;
}

static void bury(struct process *process, struct task *task)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    process_put(process);
    task_put(task);
}

/* Between two calls everything may happen to it; in user mode its interrupts are enabled, and nothing of the kernel's
 * is held. */
static void caller(uintptr_t arg)
{
    CHECK(arg == 77);
    for (;;) {
        CHECK(hal_irq_is_enabled() && current_task()->base.preempt_count == 0 && current_task()->is_user);
        CHECK(call(NO_SUCH_CALL) == -ENOSYS);
        CHECK(call(UINTPTR_MAX) == -ENOSYS);
        (void)fetch_add_relaxed(&rounds, 1);
        host_compute(100);
    }
}

static void calls_return_and_a_kill_ends_it(void)
{
    struct task *task = NULL;

    store_relaxed(&rounds, 0);
    struct process *process = start(caller, &task);

    while (load_relaxed(&rounds) < CALLS)
        CHECK(task_sleep_for(NS_PER_US) == 0);
    CHECK(task->is_user);
    CHECK(process_kill(process) == 0);
    bury(process, task);
}

/* It never makes a call: only interrupts bring it into the kernel. On one CPU its slice must end, on several the kill
 * must poke it. */
static void spinner(uintptr_t arg)
{
    (void)arg;
    for (;;) {
        (void)fetch_add_relaxed(&rounds, 1);
        host_compute(100);
    }
}

static void a_spinning_program_is_preempted_and_killed(void)
{
    struct task *task = NULL;

    store_relaxed(&rounds, 0);
    struct process *process = start(spinner, &task);

    while (load_relaxed(&rounds) < 20)
        task_yield();
    CHECK(process_kill(process) == 0);
    bury(process, task);
}

static void killed_before_it_began(void)
{
    struct task *task = NULL;

    for (unsigned i = 0; i < 20; i++) {
        store_relaxed(&rounds, 0);
        struct process *process = start(caller, &task);

        for (unsigned turn = 0; turn < i; turn++)
            task_yield();
        CHECK(process_kill(process) == 0);
        bury(process, task);
    }
}

/* A notice that says nothing is taken back, and the program goes on. */
static void other_notices_pass(void)
{
    struct task *task = NULL;

    store_relaxed(&rounds, 0);
    struct process *process = start(caller, &task);

    for (unsigned i = 1; i <= 20; i++) {
        CHECK(task_notify(task, TASK_NOTICE_WORK) == 0);
        while (load_relaxed(&task->notices) != 0)
            CHECK(task_sleep_for(NS_PER_US) == 0);
        unsigned before = load_relaxed(&rounds);

        while (load_relaxed(&rounds) == before)
            CHECK(task_sleep_for(NS_PER_US) == 0);
    }
    CHECK(process_kill(process) == 0);
    bury(process, task);
}

const struct kernel_test booted_tests[] = {
    { "calls", calls_return_and_a_kill_ends_it },
    { "spinner", a_spinning_program_is_preempted_and_killed },
    { "killed-early", killed_before_it_began },
    { "notices", other_notices_pass },
    { NULL, NULL },
};

static void a_program_makes_calls_and_a_kill_ends_it(void **state)
{
    (void)state;
    booted_run("calls", 16);
}

static void a_program_that_never_calls_is_preempted_and_killed(void **state)
{
    (void)state;
    booted_run("spinner", 16);
}

static void a_program_may_be_killed_before_it_begins(void **state)
{
    (void)state;
    booted_run("killed-early", 16);
}

static void a_notice_ends_no_program(void **state)
{
    (void)state;
    booted_run("notices", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_makes_calls_and_a_kill_ends_it),
        cmocka_unit_test(a_program_that_never_calls_is_preempted_and_killed),
        cmocka_unit_test(a_program_may_be_killed_before_it_begins),
        cmocka_unit_test(a_notice_ends_no_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
