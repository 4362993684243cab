/* SPDX-License-Identifier: MIT */
/* core/proc/vector.c: vector registers come at their first use, stay a thread's own, and go with it. */
#include "signal_program.h"
#include "unit.h"

#include <hal/context.h>
#include <sched/sched.h>

#define THREADS 3
#define ROUNDS 20

static _Atomic(unsigned) calls, ended;
static _Atomic(uint64_t) seen; /* the word of the frame */
static pid_t self_pid;
static bool is_changed, is_damaged; /* by the handler */

static void expect(uint64_t base)
{
    for (unsigned i = 0; i < HOST_VECTOR_WORDS; i++)
        CHECK(host_vector_peek(i) == base + (base != 0 ? i : 0));
}

static void set(uint64_t base)
{
    for (unsigned i = 0; i < HOST_VECTOR_WORDS; i++)
        host_vector_use(i, base + i);
}

/* ---- Threads ---- */

static void keeps_its_words(uintptr_t area)
{
    CHECK(!host_vector_is_on());
    expect(0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        set(area * 1000 + round);
        (void)sys(SYS_sched_yield, 0, 0, 0, 0);
        expect(area * 1000 + round);
    }
    (void)fetch_add_relaxed(&ended, 1);
    while (load_relaxed(&ended) < THREADS)
        (void)sys(SYS_sched_yield, 0, 0, 0, 0);
    die(self_pid, SIGKILL);
}

static void words_are_a_threads_own(void)
{
    struct task *task[THREADS];
    struct begun begun[THREADS];
    struct process *process = NULL;

    store_relaxed(&ended, 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    self_pid = process->pid;
    for (unsigned i = 0; i < THREADS; i++)
        task[i] = program_thread(process, keeps_its_words, i, &begun[i], NULL);
    for (unsigned i = 1; i < THREADS; i++) {
        CHECK(task_join(task[i], NULL, TIME_NEVER) == 0);
        task_put(task[i]);
    }
    CHECK(program_bury(process, task[0]) == SIGKILL);
}

/* ---- Signals ---- */

static void note(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    uint64_t word = 0;

    (void)number;
    (void)info;
    if (host_vector_is_on()) {
        get(&word, frame + HAL_SIGNAL_VECTOR_AT + sizeof word, sizeof word);
        store_relaxed(&seen, word);
        word = 77;
        if (is_changed)
            put(frame + HAL_SIGNAL_VECTOR_AT + sizeof word, &word, sizeof word);
        if (is_damaged)
            put(frame + HAL_SIGNAL_VECTOR_AT + HOST_VECTOR_WORDS * sizeof word, &word, sizeof word);
    }
    set(500);
    (void)sys(SYS_sched_yield, 0, 0, 0, 0);
    expect(500);
    (void)fetch_add_relaxed(&calls, 1);
}

static void takes_signals(uintptr_t area)
{
    CHECK(handle(area, SIGUSR1, (uintptr_t)note, SA_SIGINFO, 0) == 0);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
    CHECK(load_relaxed(&calls) == 1);
    expect(0); /* the handler was the first to use them, and nothing of it is left */
    set(300);
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
    CHECK(load_relaxed(&calls) == 2 && load_relaxed(&seen) == 301);
    expect(300);
    is_changed = true;
    CHECK(sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0) == 0);
    CHECK(host_vector_peek(0) == 300 && host_vector_peek(1) == 77 && host_vector_peek(2) == 302);
    is_damaged = true;
    (void)sys(SYS_kill, (uintptr_t)self_pid, SIGUSR1, 0, 0);
    CHECK(false);
}

static void words_are_in_the_frame(void)
{
    struct process *process = NULL;
    struct begun begun;

    store_relaxed(&calls, 0);
    is_changed = is_damaged = false;
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    self_pid = process->pid;
    struct task *task = program_thread(process, takes_signals, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGSEGV);
    CHECK(load_relaxed(&calls) == 4);
}

const struct kernel_test booted_tests[] = {
    { "threads", words_are_a_threads_own },
    { "signals", words_are_in_the_frame },
    { NULL, NULL },
};

static void vector_registers_are_a_threads_own_from_their_first_use_on(void **state)
{
    (void)state;
    booted_run("threads", 16);
}

static void a_handler_loses_no_vector_registers_and_may_change_them_in_its_frame(void **state)
{
    (void)state;
    booted_run("signals", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_registers_are_a_threads_own_from_their_first_use_on),
        cmocka_unit_test(a_handler_loses_no_vector_registers_and_may_change_them_in_its_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
