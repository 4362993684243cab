/* SPDX-License-Identifier: MIT */
/* core/proc/signal.c: handlers, masks, stacks and waits of programs, and what forks and execs make of them. */
#include "signal_program.h"
#include "unit.h"

#define R1 36
#define BIT(n) signal_bit(n)

static _Atomic(unsigned) calls, ready;
static pid_t self_pid;

static void called(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    (void)number;
    (void)info;
    (void)frame;
    (void)fetch_add_relaxed(&calls, 1);
}

static struct process *make(host_user_program *program, struct task **task, struct begun *begun)
{
    struct process *process = NULL;

    store_relaxed(&calls, 0);
    store_relaxed(&ready, 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    self_pid = process->pid;
    *task = program_thread(process, program, 0, begun, NULL);
    return process;
}

static void run(host_user_program *program)
{
    struct task *task = NULL;
    struct begun begun;
    struct process *process = make(program, &task, &begun);

    CHECK(program_bury(process, task) == SIGKILL);
}

/* To ignore a signal is to forget it, blocked or not; one that is blocked waits until then. */
static void ignores(uintptr_t area)
{
    CHECK(handle(area, SIGUSR1, (uintptr_t)called, 0, 0) == 0);
    CHECK(handle(area, R1, (uintptr_t)called, 0, 0) == 0);
    (void)mask_change(area, BLOCK, ~UINT64_C(0));
    CHECK(mask_change(area, BLOCK, 0) == ~(BIT(SIGKILL) | BIT(SIGSTOP)));
    for (unsigned i = 0; i < 3; i++) {
        CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
        CHECK(sys(SYS_kill, (uintptr_t)self_pid, R1, 0, 0) == 0);
        CHECK(sys(SYS_tkill, (uintptr_t)self_pid, R1, 0, 0) == 0);
    }
    CHECK(handle(area, R1, SIG_IGN, 0, 0) == 0);
    CHECK(handle(area, R1, (uintptr_t)called, 0, 0) == 0);
    CHECK(signal_record_count() == 0);
    (void)mask_change(area, SETMASK, 0);
    CHECK(load_relaxed(&calls) == 1);
    CHECK(handle(area, SIGKILL, (uintptr_t)called, 0, 0) == -EINVAL);
    CHECK(handle(area, 65, (uintptr_t)called, 0, 0) == -EINVAL);
    die(self_pid, SIGKILL);
}

static void ignoring(void)
{
    run(ignores);
}

static intptr_t timed_wait(uintptr_t area, uint64_t set, int64_t ns, struct signal_info *info)
{
    const int64_t time[2] = { 0, ns };

    put(area, &set, sizeof set);
    put(area + 16, time, sizeof time);
    intptr_t number = sys(SYS_rt_sigtimedwait, area, area + 64, ns < 0 ? 0 : area + 16, 8);

    if (number > 0)
        get(info, area + 64, sizeof *info);
    return number;
}

static void waits(uintptr_t area)
{
    struct signal_info info;
    uint64_t before = clock_ns();

    CHECK(handle(area, SIGUSR1, (uintptr_t)called, SA_RESTART, 0) == 0);
    (void)mask_change(area, BLOCK, BIT(R1) | BIT(SIGUSR2));
    CHECK(timed_wait(area, BIT(R1), 0, &info) == -EAGAIN);
    CHECK(timed_wait(area, BIT(R1), 20000, &info) == -EAGAIN && clock_ns() - before >= 20000);
    CHECK(timed_wait(area, BIT(R1), (int64_t)NS_PER_SEC, &info) == -EINVAL);
    for (uint64_t value = 1; value <= 3; value++) {
        const struct signal_info sent = queued(R1, value);
        const uint8_t rest[128 - sizeof sent] = { 0 };

        put(area, &sent, sizeof sent);
        put(area + sizeof sent, rest, sizeof rest);
        CHECK(sys(SYS_rt_sigqueueinfo, (uintptr_t)self_pid, R1, area, 0) == 0);
    }
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR2, 0, 0) == 0);
    CHECK(timed_wait(area, BIT(R1) | BIT(SIGUSR2), -1, &info) == SIGUSR2 && info.code == SI_USER);
    for (uint64_t value = 1; value <= 3; value++)
        CHECK(timed_wait(area, BIT(R1) | BIT(SIGUSR2), -1, &info) == R1 && info.sent.value == value);
    (void)fetch_add_relaxed(&ready, 1);
    CHECK(timed_wait(area, BIT(R1), -1, &info) == -EINTR); /* another one's handler; never made anew */
    CHECK(load_relaxed(&calls) == 1);
    (void)fetch_add_relaxed(&ready, 1);
    CHECK(timed_wait(area, BIT(SIGUSR2), -1, &info) == SIGUSR2);
    die(self_pid, SIGKILL);
}

static void waiting(void)
{
    struct task *task = NULL;
    struct begun begun;
    struct process *process = make(waits, &task, &begun);

    WAIT_FOR(load_relaxed(&ready) == 1);
    CHECK(post(process, SIGUSR1) == 0);
    WAIT_FOR(load_relaxed(&ready) == 2);
    CHECK(post(process, SIGUSR2) == 0);
    CHECK(program_bury(process, task) == SIGKILL);
}

/* ---- Forks and execs, as their makers call them ---- */

static void stands(uintptr_t area)
{
    const struct signal_stack stack = { .base = area + 4096, .bytes = 8192 };

    CHECK(handle(area, SIGUSR1, (uintptr_t)called, 0, 0) == 0);
    CHECK(handle(area, SIGUSR2, SIG_IGN, 0, 0) == 0);
    put(area, &stack, sizeof stack);
    CHECK(sys(SYS_sigaltstack, area, 0, 0, 0) == 0);
    (void)mask_change(area, BLOCK, BIT(R1));
    (void)fetch_add_relaxed(&ready, 1);
    for (;;)
        CHECK(suspend(area, BIT(R1)) == -EINTR);
}

static uintptr_t handler_of(struct process *process, unsigned number)
{
    return process->signals.handlers->action[number - 1].handler;
}

static void copies(void)
{
    static struct process copy, sharer;
    static struct thread child, *parent;
    struct task *task = NULL;
    struct begun begun;
    struct process *process = NULL;

    store_relaxed(&ready, 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    task = program_thread(process, stands, 0, &begun, &parent);
    WAIT_FOR(load_relaxed(&ready) == 1 && state_of(task) == TASK_BLOCKED);
    process->signals.return_code = 0x7000;
    CHECK(process_signals_init(&copy, process, false) == 0 && process_signals_init(&sharer, process, true) == 0);
    CHECK(handler_of(&copy, SIGUSR1) == (uintptr_t)called && copy.signals.return_code == 0x7000);
    CHECK(sharer.signals.handlers == process->signals.handlers && copy.signals.handlers != process->signals.handlers);
    thread_signals_init(&child, parent, true);
    CHECK(child.signals.mask == BIT(R1) && child.signals.stack_bytes == 8192 && child.signals.own.set == 0);
    thread_signals_init(&child, parent, false);
    CHECK(child.signals.mask == BIT(R1) && child.signals.stack_bytes == 0);
    /* The sharer executes: it alone has all handlers default then, and keeps what is ignored. */
    struct signal_handlers *prepared = NULL;

    CHECK(signal_exec_prepare(&sharer, &prepared) == 0);
    child.process = &sharer;
    signal_exec_commit(&child, prepared);
    CHECK(handler_of(&sharer, SIGUSR1) == SIG_DFL && handler_of(&sharer, SIGUSR2) == SIG_IGN);
    CHECK(handler_of(process, SIGUSR1) == (uintptr_t)called && sharer.signals.return_code == 0);
    CHECK(signal_exec_prepare(&copy, &prepared) == 0);
    signal_exec_cancel(prepared);
    process_signals_fini(&copy);
    process_signals_fini(&sharer);
    thread_put(parent);
    CHECK(post(process, SIGKILL) == 0);
    CHECK(program_bury(process, task) == SIGKILL);
}

/* What was sent before there was a thread to take it is not lost. */
static void takes_at_once(uintptr_t area)
{
    (void)area;
    CHECK(false);
}

static void sent_before_the_first_thread(void)
{
    struct process *process = NULL;
    struct begun begun;

    CHECK(process_create(&process_kernel, "program", &process) == 0);
    CHECK(post(process, SIGQUIT) == 0);
    struct task *task = program_thread(process, takes_at_once, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGQUIT);
}

const struct kernel_test booted_tests[] = {
    { "ignore", ignoring },
    { "wait", waiting },
    { "copies", copies },
    { "early", sent_before_the_first_thread },
    { NULL, NULL },
};

#define BOOTED(function, name)          \
    static void function(void **state)  \
    {                                   \
        (void)state;                    \
        booted_run(name, 16);           \
    }

BOOTED(an_ignored_signal_is_forgotten_and_a_blocked_one_waits, "ignore")
BOOTED(sigtimedwait_takes_what_it_waits_for_in_order, "wait")
BOOTED(handlers_masks_and_stacks_are_copied_shared_and_reset, "copies")
BOOTED(a_signal_may_be_older_than_the_thread_that_takes_it, "early")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ignored_signal_is_forgotten_and_a_blocked_one_waits),
        cmocka_unit_test(sigtimedwait_takes_what_it_waits_for_in_order),
        cmocka_unit_test(handlers_masks_and_stacks_are_copied_shared_and_reset),
        cmocka_unit_test(a_signal_may_be_older_than_the_thread_that_takes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
