/* SPDX-License-Identifier: MIT */
/* core/proc/signal_deliver.c: programs take signals, in handlers and without. */
#include "signal_program.h"
#include "unit.h"

#define R1 40
#define BIT(n) signal_bit(n)

static _Atomic(unsigned) calls, returns;
static _Atomic(uint64_t) seen_mask, seen_frame, inner_calls;
static struct signal_info seen_info;
static pid_t self_pid;

static void note(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    get(&seen_info, info, sizeof seen_info);
    CHECK(seen_info.number == (int)number);
    store_relaxed(&seen_frame, frame);
    store_relaxed(&seen_mask, mask_change(frame - 64, BLOCK, 0)); /* below the frame there is room */
    (void)fetch_add_relaxed(&calls, 1);
}

static struct process *begin(host_user_program *program, struct task **task, struct begun *begun)
{
    struct process *process = NULL;

    store_relaxed(&calls, 0);
    store_relaxed(&returns, 0);
    store_relaxed(&inner_calls, 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    self_pid = process->pid;
    *task = program_thread(process, program, 0, begun, NULL);
    return process;
}

static int run(host_user_program *program)
{
    struct task *task = NULL;
    struct begun begun;
    struct process *process = begin(program, &task, &begun);

    return program_bury(process, task);
}

/* ---- Handlers ---- */

static void handles_its_own(uintptr_t area)
{
    CHECK(handle(area, SIGUSR1, (uintptr_t)note, SA_SIGINFO, BIT(SIGUSR2)) == 0);
    CHECK(mask_change(area, BLOCK, BIT(SIGHUP)) == 0);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
    CHECK(load_relaxed(&calls) == 1);
    CHECK(seen_info.code == SI_USER && seen_info.sent.pid == (uint32_t)self_pid);
    CHECK(load_relaxed(&seen_mask) == (BIT(SIGHUP) | BIT(SIGUSR1) | BIT(SIGUSR2)));
    CHECK(mask_change(area, BLOCK, 0) == BIT(SIGHUP));
    CHECK(sys(SYS_tgkill, (uintptr_t)self_pid, (uintptr_t)self_pid, SIGUSR1, 0) == 0);
    CHECK(load_relaxed(&calls) == 2 && seen_info.code == SI_TKILL);
    /* Once only, and not blocked meanwhile. */
    CHECK(handle(area, SIGUSR1, (uintptr_t)note, SA_SIGINFO | SA_RESETHAND | SA_NODEFER, 0) == 0);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
    CHECK(load_relaxed(&calls) == 3 && load_relaxed(&seen_mask) == BIT(SIGHUP));
    die(self_pid, SIGUSR1);
}

static void handlers_are_entered(void)
{
    CHECK(run(handles_its_own) == SIGUSR1);
    CHECK(load_relaxed(&calls) == 3);
}

static void inner(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    (void)number;
    (void)info;
    (void)frame;
    CHECK(load_relaxed(&inner_calls) == load_relaxed(&calls)); /* the lower number was entered last, and runs first */
    (void)fetch_add_relaxed(&inner_calls, 1);
}

static void outer(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    (void)info;
    (void)frame;
    (void)fetch_add_relaxed(&calls, 1);
    if (number == SIGUSR2)
        CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
}

/* Blocked, then let in together: one frame stands on the other. And one that comes in a handler. */
static void nests(uintptr_t area)
{
    CHECK(handle(area, SIGUSR1, (uintptr_t)inner, 0, 0) == 0);
    CHECK(handle(area, R1, (uintptr_t)outer, 0, 0) == 0);
    CHECK(handle(area, SIGUSR2, (uintptr_t)outer, 0, BIT(SIGUSR1)) == 0);
    (void)mask_change(area, BLOCK, BIT(SIGUSR1) | BIT(R1));
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, R1, 0, 0) == 0);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, R1, 0, 0) == 0);
    CHECK(sys(SYS_rt_sigpending, area, 8, 0, 0) == 0);
    uint64_t pending = 0;

    get(&pending, area, sizeof pending);
    CHECK(pending == (BIT(SIGUSR1) | BIT(R1)) && load_relaxed(&calls) == 0);
    store_relaxed(&inner_calls, 1);
    (void)mask_change(area, UNBLOCK, BIT(R1));
    CHECK(load_relaxed(&calls) == 2);
    store_relaxed(&inner_calls, 2);
    (void)mask_change(area, UNBLOCK, BIT(SIGUSR1));
    CHECK(load_relaxed(&inner_calls) == 3);
    store_relaxed(&inner_calls, 3);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR2, 0, 0) == 0);
    CHECK(load_relaxed(&calls) == 3 && load_relaxed(&inner_calls) == 4);
    die(self_pid, SIGKILL);
}

static void handlers_nest(void)
{
    CHECK(run(nests) == SIGKILL);
    CHECK(load_relaxed(&inner_calls) == 4);
}

/* ---- Waiting ---- */

static void suspends(uintptr_t area)
{
    CHECK(handle(area, SIGUSR1, (uintptr_t)note, SA_SIGINFO | SA_RESTART, 0) == 0);
    (void)mask_change(area, SETMASK, BIT(SIGUSR1) | BIT(SIGHUP));
    (void)fetch_add_relaxed(&returns, 1);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(suspend(area, BIT(SIGUSR2)) == -EINTR);
        CHECK(load_relaxed(&seen_mask) == (BIT(SIGUSR2) | BIT(SIGUSR1)));
        CHECK(mask_change(area, BLOCK, 0) == (BIT(SIGUSR1) | BIT(SIGHUP)));
        (void)fetch_add_relaxed(&returns, 1);
    }
    die(self_pid, SIGTERM);
}

static void a_suspended_program_takes_what_comes(void)
{
    struct task *task = NULL;
    struct begun begun;
    struct process *process = begin(suspends, &task, &begun);

    for (unsigned i = 1; i <= 5; i++) {
        while (load_relaxed(&returns) < i)
            CHECK(task_sleep_for(NS_PER_US) == 0);
        if (i % 2 == 0)
            CHECK(task_sleep_for(20 * NS_PER_US) == 0); /* it may sleep already, or not */
        CHECK(post(process, SIGUSR1) == 0);
    }
    CHECK(program_bury(process, task) == SIGTERM);
    CHECK(load_relaxed(&calls) == 5);
}

/* ---- Stopping ---- */

static void pauses(uintptr_t area)
{
    CHECK(handle(area, SIGUSR1, (uintptr_t)note, SA_SIGINFO, 0) == 0);
    (void)fetch_add_relaxed(&returns, 1);
    CHECK(suspend(area, 0) == -EINTR);
    (void)fetch_add_relaxed(&returns, 1);
    die(self_pid, SIGKILL);
}

/* Stopped and continued, its call goes on as if nothing had been; a signal that comes while it is stopped waits. */
static void a_stop_is_no_end_of_a_wait(void)
{
    struct task *task = NULL;
    struct begun begun;
    struct process *process = begin(pauses, &task, &begun);

    while (load_relaxed(&returns) == 0)
        CHECK(task_sleep_for(NS_PER_US) == 0);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(post(process, i % 2 == 0 ? SIGSTOP : SIGTSTP) == 0);
        WAIT_FOR(signals_of(process).stop == SIGNAL_STOPPED && state_of(task) == TASK_STOPPED);
        if (i == 4)
            CHECK(post(process, SIGUSR1) == 0);
        CHECK(task_sleep_for(10 * NS_PER_US) == 0);
        CHECK(state_of(task) == TASK_STOPPED && load_relaxed(&returns) == 1);
        CHECK(post(process, SIGCONT) == 0);
        CHECK(signals_of(process).stop == SIGNAL_RUNNING);
    }
    CHECK(program_bury(process, task) == SIGKILL);
    CHECK(load_relaxed(&calls) == 1);
}

static void spins(uintptr_t area)
{
    (void)area;
    for (;;) {
        (void)fetch_add_relaxed(&returns, 1);
        host_compute(100);
    }
}

/* All threads stop; none moves until SIGCONT; SIGKILL ends them where they stand. */
static void all_threads_stop(void)
{
    struct task *task[3];
    struct begun begun[3];
    struct process *process = begin(spins, &task[0], &begun[0]);

    for (unsigned n = 1; n < 3; n++)
        task[n] = program_thread(process, spins, n, &begun[n], NULL);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(post(process, SIGSTOP) == 0);
        WAIT_FOR(signals_of(process).stop == SIGNAL_STOPPED);
        unsigned before = load_relaxed(&returns);

        CHECK(task_sleep_for(20 * NS_PER_US) == 0);
        CHECK(load_relaxed(&returns) == before);
        if (i == 4)
            break;
        CHECK(post(process, SIGCONT) == 0);
        WAIT_FOR(load_relaxed(&returns) != before);
    }
    CHECK(post(process, SIGKILL) == 0);
    for (unsigned n = 1; n < 3; n++) {
        CHECK(task_join(task[n], NULL, TIME_NEVER) == 0);
        task_put(task[n]);
    }
    CHECK(program_bury(process, task[0]) == SIGKILL);
}

/* ---- Stacks ---- */

static void on_other_stack(uintptr_t area)
{
    const struct signal_stack stack = { .base = area + 4096, .bytes = 8192 };
    const struct signal_stack small = { .base = area + 4096, .bytes = HAL_SIGNAL_STACK_BYTES_MIN - 1 };
    struct signal_stack old;

    put(area, &small, sizeof small);
    CHECK(sys(SYS_sigaltstack, area, 0, 0, 0) == -ENOMEM);
    put(area, &stack, sizeof stack);
    CHECK(sys(SYS_sigaltstack, area, area + 64, 0, 0) == 0);
    get(&old, area + 64, sizeof old);
    CHECK(old.flags == SS_DISABLE);
    CHECK(handle(area, SIGUSR1, (uintptr_t)note, SA_SIGINFO | SA_ONSTACK, 0) == 0);
    CHECK(handle(area, SIGUSR2, (uintptr_t)note, SA_SIGINFO, 0) == 0);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
    CHECK(load_relaxed(&seen_frame) > stack.base && load_relaxed(&seen_frame) < stack.base + stack.bytes);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR2, 0, 0) == 0);
    CHECK(load_relaxed(&seen_frame) > stack.base + stack.bytes);
    /* A stack that is not there: the handler cannot be entered, and SIGSEGV has none. */
    const struct signal_stack nowhere = { .base = 0x30000, .bytes = 8192 };

    put(area, &nowhere, sizeof nowhere);
    CHECK(sys(SYS_sigaltstack, area, 0, 0, 0) == 0);
    die(self_pid, SIGUSR1);
}

static void alternate_stacks(void)
{
    CHECK(run(on_other_stack) == SIGSEGV);
    CHECK(load_relaxed(&calls) == 2);
}

/* rt_sigreturn() without a handler: what lies on the stack is no frame. */
static void returns_from_nothing(uintptr_t area)
{
    (void)area;
    (void)sys(SYS_rt_sigreturn, 0, 0, 0, 0);
    CHECK(false);
}

static void a_bad_frame_is_the_end(void)
{
    CHECK(run(returns_from_nothing) == SIGSEGV);
}

const struct kernel_test booted_tests[] = {
    { "handlers", handlers_are_entered },
    { "nest", handlers_nest },
    { "suspend", a_suspended_program_takes_what_comes },
    { "stop", a_stop_is_no_end_of_a_wait },
    { "stop-all", all_threads_stop },
    { "stacks", alternate_stacks },
    { "bad-frame", a_bad_frame_is_the_end },
    { NULL, NULL },
};

#define BOOTED(function, name)          \
    static void function(void **state)  \
    {                                   \
        (void)state;                    \
        booted_run(name, 16);           \
    }

BOOTED(a_handler_has_its_mask_and_information_and_the_old_mask_comes_back, "handlers")
BOOTED(handlers_stand_on_each_other, "nest")
BOOTED(sigsuspend_takes_each_signal_once_and_gives_the_mask_back, "suspend")
BOOTED(a_stopped_program_goes_on_with_its_call, "stop")
BOOTED(all_threads_of_a_program_stop_and_die_together, "stop-all")
BOOTED(a_handler_runs_on_the_alternate_stack_if_there_is_one, "stacks")
BOOTED(a_frame_that_is_none_is_the_end, "bad-frame")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_has_its_mask_and_information_and_the_old_mask_comes_back),
        cmocka_unit_test(handlers_stand_on_each_other),
        cmocka_unit_test(sigsuspend_takes_each_signal_once_and_gives_the_mask_back),
        cmocka_unit_test(a_stopped_program_goes_on_with_its_call),
        cmocka_unit_test(all_threads_of_a_program_stop_and_die_together),
        cmocka_unit_test(a_handler_runs_on_the_alternate_stack_if_there_is_one),
        cmocka_unit_test(a_frame_that_is_none_is_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
