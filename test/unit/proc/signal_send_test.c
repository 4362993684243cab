/* SPDX-License-Identifier: MIT */
/*
 * core/proc/signal_send.c: who gets what, and that nothing is lost or doubled, whatever the receiver does meanwhile:
 * runs, sleeps, is moved, is stopped.
 */
#include "signal_program.h"
#include "unit.h"

#define R1 35
#define SENDERS 3
#define EACH 12
#define BIT(n) signal_bit(n)

static _Atomic(unsigned) got, wrong, ready, standard;
static _Atomic(uint32_t) next_of[SENDERS]; /* the value that sender's next signal has */
static _Atomic(bool) is_enough;
static struct process *target;

/* Each sender's come in their order, and each once. */
static void count(uintptr_t number, uintptr_t info_va, uintptr_t frame)
{
    struct signal_info info;

    (void)frame;
    get(&info, info_va, sizeof info);
    if (number == SIGUSR1) {
        (void)fetch_add_relaxed(&standard, 1);
        return;
    }
    unsigned sender = (unsigned)(info.sent.value >> 32) % SENDERS;
    uint32_t value = (uint32_t)info.sent.value;

    if (info.code != SI_QUEUE || load_relaxed(&next_of[sender]) != value)
        (void)fetch_add_relaxed(&wrong, 1);
    store_relaxed(&next_of[sender], value + 1);
    (void)fetch_add_relaxed(&got, 1);
}

static void install(uintptr_t area)
{
    CHECK(handle(area, R1, (uintptr_t)count, SA_SIGINFO, 0) == 0);
    CHECK(handle(area, SIGUSR1, (uintptr_t)count, SA_SIGINFO, 0) == 0);
    (void)fetch_add_relaxed(&ready, 1);
}

static void runner(uintptr_t area)
{
    install(area);
    for (;;)
        host_compute(200);
}

/* Blocked but while it waits. */
static void sleeper(uintptr_t area)
{
    (void)mask_change(area, BLOCK, BIT(R1));
    install(area);
    for (;;)
        CHECK(suspend(area, 0) == -EINTR);
}

/* Waits by sigtimedwait(), and handles none. */
static void waiter(uintptr_t area)
{
    const uint64_t set = BIT(R1);

    (void)mask_change(area, BLOCK, BIT(R1));
    install(area);
    for (;;) {
        put(area, &set, sizeof set);
        intptr_t number = sys(SYS_rt_sigtimedwait, area, area + 64, 0, 8);

        if (number == R1)
            count(R1, area + 64, 0);
        else
            CHECK(number == -EINTR);
    }
}

/* What does not fit into the queue is refused, and sent again. */
static int sender(void *arg)
{
    uintptr_t self = (uintptr_t)arg;
    uint64_t random = booted_seed() * SENDERS + self + 1;

    for (unsigned i = 0; i < EACH; i++) {
        struct signal_info info = queued(R1, (uint64_t)self << 32 | i);
        int result;

        while ((result = signal_send_process(target, &info)) == -EAGAIN)
            CHECK(task_sleep_for(NS_PER_US) == 0);
        CHECK(result == 0);
        if (random_next(&random) % 4 == 0)
            CHECK(post(target, SIGUSR1) == 0);
        if (random_next(&random) % 8 == 0)
            CHECK(task_sleep_for(random_next(&random) % 5000) == 0);
    }
    return 0;
}

/* Sends it around, stops it and lets it go on. */
static int disturber(void *arg)
{
    struct task *task = arg;
    uint64_t random = booted_seed() + 77;
    struct cpumask mask;

    while (!load_relaxed(&is_enough)) {
        random_online_mask(&random, &mask);
        CHECK(task_set_affinity(task, &mask) == 0);
        CHECK(post(target, SIGSTOP) == 0);
        CHECK(task_sleep_for(random_next(&random) % 3000) == 0);
        CHECK(post(target, SIGCONT) == 0);
        CHECK(task_sleep_for(random_next(&random) % 3000) == 0);
    }
    return 0;
}

static struct process *make(host_user_program *program, struct task **task, struct begun *begun)
{
    struct process *process = NULL;

    store_relaxed(&got, 0);
    store_relaxed(&wrong, 0);
    store_relaxed(&ready, 0);
    store_relaxed(&standard, 0);
    store_relaxed(&is_enough, false);
    for (unsigned i = 0; i < SENDERS; i++)
        store_relaxed(&next_of[i], 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    target = process;
    *task = program_thread(process, program, 0, begun, NULL);
    WAIT_FOR(load_relaxed(&ready) == 1);
    return process;
}

static void storm(host_user_program *program)
{
    struct task *task = NULL, *senders[SENDERS], *disturbs;
    struct begun begun;
    struct process *process = make(program, &task, &begun);

    process->signals.queued_max = 5;
    for (uintptr_t i = 0; i < SENDERS; i++)
        senders[i] = spawn("sender", sender, (void *)i, 40, NULL);
    disturbs = spawn("disturber", disturber, task, 40, NULL);
    for (unsigned i = 0; i < SENDERS; i++)
        CHECK(finish(senders[i]) == 0);
    store_relaxed(&is_enough, true);
    CHECK(finish(disturbs) == 0);
    WAIT_FOR(load_relaxed(&got) == SENDERS * EACH);
    CHECK(load_relaxed(&wrong) == 0 && signals_of(process).queued_count == 0 && signal_record_count() == 0);
    CHECK(load_relaxed(&standard) > 0);
    CHECK(post(process, SIGKILL) == 0);
    CHECK(program_bury(process, task) == SIGKILL);
}

static void storm_running(void)
{
    storm(runner);
}

static void storm_sleeping(void)
{
    storm(sleeper);
}

static void storm_waiting(void)
{
    storm(waiter);
}

/* ---- The rules ---- */

static void stands(uintptr_t area)
{
    CHECK(handle(area, SIGUSR2, SIG_IGN, 0, 0) == 0);
    (void)mask_change(area, SETMASK, BIT(R1) | BIT(SIGUSR1) | BIT(SIGCHLD));
    (void)fetch_add_relaxed(&ready, 1);
    for (;;)
        (void)suspend(area, ~UINT64_C(0));
}

static void rules_of_sending(void)
{
    struct task *task = NULL;
    struct begun begun;
    struct process *process = make(stands, &task, &begun);
    struct process_signals *signals = &process->signals;
    struct signal_info info = queued(R1, 1);

    WAIT_FOR(state_of(task) == TASK_BLOCKED);
    CHECK(signal_kill(process->pid, 0) == 0 && signal_kill(process->pid, 65) == -EINVAL);
    CHECK(signal_kill(TID_MAX - 1, SIGTERM) == -ESRCH);
    CHECK(signal_tgkill(process->pid + 1, process->pid, &info) == -ESRCH);
    CHECK(post(process, SIGUSR2) == 0); /* ignored; blocked at this moment, and so it stays */
    CHECK(signals_of(process).shared_set == BIT(SIGUSR2));
    signals->queued_max = 2;
    CHECK(signal_send_process(process, &info) == 0 && signal_send_process(process, &info) == 0);
    CHECK(signal_send_process(process, &info) == -EAGAIN && signals_of(process).queued_count == 2);
    CHECK(post(process, R1) == 0); /* kill(2) does not fail */
    CHECK(signals_of(process).queued_count == 2);
    /* Stop signals and SIGCONT take each other away. */
    CHECK(post(process, SIGTSTP) == 0 && (signals_of(process).shared_set & BIT(SIGTSTP)) != 0);
    CHECK(post(process, SIGCONT) == 0 && (signals_of(process).shared_set & BIT(SIGTSTP)) == 0);
    CHECK((signals_of(process).shared_set & BIT(SIGCONT)) != 0);
    CHECK(post(process, SIGTTIN) == 0 && (signals_of(process).shared_set & BIT(SIGCONT)) == 0);
    /* Init is reached by nothing that it does not handle. */
    signals->is_protected = true;
    CHECK(post(process, SIGKILL) == 0 && post(process, SIGSTOP) == 0);
    CHECK(!signals_of(process).is_ending && signals_of(process).stop == SIGNAL_RUNNING);
    CHECK(state_of(task) == TASK_BLOCKED);
    signals->is_protected = false;
    CHECK(post(process, SIGKILL) == 0 && signals_of(process).is_ending);
    CHECK(program_bury(process, task) == SIGKILL);
    CHECK(signal_record_count() == 0);
}

/* Of two threads one blocks it: the other is told, and when that blocks it too, it is handed on. */
static void blocks(uintptr_t area)
{
    (void)mask_change(area, BLOCK, BIT(R1));
    (void)fetch_add_relaxed(&ready, 1);
    for (;;)
        CHECK(suspend(area, BIT(R1)) == -EINTR);
}

static void the_other_thread_takes_it(void)
{
    struct task *task[2];
    struct begun begun[2];
    struct process *process = make(blocks, &task[0], &begun[0]);

    task[1] = program_thread(process, runner, 1, &begun[1], NULL);
    WAIT_FOR(load_relaxed(&ready) == 2);
    for (uint32_t i = 0; i < 10; i++) {
        struct signal_info info = queued(R1, i);

        CHECK(signal_send_process(process, &info) == 0);
    }
    WAIT_FOR(load_relaxed(&got) == 10);
    CHECK(load_relaxed(&wrong) == 0);
    CHECK(post(process, SIGTERM) == 0);
    CHECK(task_join(task[1], NULL, TIME_NEVER) == 0);
    task_put(task[1]);
    CHECK(program_bury(process, task[0]) == SIGTERM);
}

/* ---- Parents ---- */

static struct signal_info told;

static void child_died(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    (void)frame;
    CHECK(number == SIGCHLD);
    get(&told, info, sizeof told);
    (void)fetch_add_relaxed(&got, 1);
}

static _Atomic(uint64_t) parent_flags;

static void parent(uintptr_t area)
{
    CHECK(handle(area, SIGCHLD, (uintptr_t)child_died, SA_SIGINFO | load_relaxed(&parent_flags), 0) == 0);
    (void)fetch_add_relaxed(&ready, 1);
    for (;;)
        CHECK(suspend(area, 0) == -EINTR);
}

static void spin(uintptr_t area)
{
    (void)area;
    for (;;)
        host_compute(200);
}

static void parents_are_told(void)
{
    struct task *task = NULL, *child_task = NULL;
    struct begun begun, child_begun;

    for (unsigned flags = 0; flags < 4; flags++) {
        store_relaxed(&parent_flags, flags & (SA_NOCLDSTOP | SA_NOCLDWAIT));
        struct process *process = make(parent, &task, &begun), *child = NULL;
        unsigned want = 0;

        CHECK(process_create(process, "child", &child) == 0);
        pid_t pid = child->pid;

        child_task = program_thread(child, spin, 0, &child_begun, NULL);
        CHECK(post(child, SIGSTOP) == 0);
        WAIT_FOR(signals_of(child).stop == SIGNAL_STOPPED);
        if ((flags & SA_NOCLDSTOP) == 0) {
            want++;
            WAIT_FOR(load_relaxed(&got) == want);
            CHECK(told.code == CLD_STOPPED && told.child.status == SIGSTOP && told.child.pid == (uint32_t)pid);
        }
        CHECK(post(child, SIGCONT) == 0);
        if ((flags & SA_NOCLDSTOP) == 0) {
            want++;
            WAIT_FOR(load_relaxed(&got) == want);
            CHECK(told.code == CLD_CONTINUED && told.child.status == SIGCONT);
        }
        CHECK(post(child, SIGTERM) == 0);
        want++;
        WAIT_FOR(load_relaxed(&got) == want);
        CHECK(told.code == CLD_KILLED && told.child.status == SIGTERM);
        CHECK(task_join(child_task, NULL, TIME_NEVER) == 0);
        task_put(child_task);
        int status = 0;
        bool is_there = process_wait(process, pid, WNOHANG, &status) == pid;

        CHECK(is_there == ((flags & SA_NOCLDWAIT) == 0) && (!is_there || status == SIGTERM));
        process_put(child);
        CHECK(post(process, SIGKILL) == 0);
        CHECK(program_bury(process, task) == SIGKILL);
    }
}

const struct kernel_test booted_tests[] = {
    { "running", storm_running },
    { "sleeping", storm_sleeping },
    { "waiting", storm_waiting },
    { "rules", rules_of_sending },
    { "threads", the_other_thread_takes_it },
    { "parents", parents_are_told },
    { NULL, NULL },
};

#define BOOTED(function, name)          \
    static void function(void **state)  \
    {                                   \
        (void)state;                    \
        booted_run(name, 16);           \
    }

BOOTED(a_program_that_runs_gets_each_signal_once_and_in_order, "running")
BOOTED(a_program_that_sleeps_gets_each_signal_once_and_in_order, "sleeping")
BOOTED(a_program_that_waits_gets_each_signal_once_and_in_order, "waiting")
BOOTED(signals_are_kept_discarded_and_refused_by_their_rules, "rules")
BOOTED(a_thread_that_does_not_block_it_takes_it, "threads")
BOOTED(parents_hear_of_stops_and_ends_as_they_wish, "parents")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_that_runs_gets_each_signal_once_and_in_order),
        cmocka_unit_test(a_program_that_sleeps_gets_each_signal_once_and_in_order),
        cmocka_unit_test(a_program_that_waits_gets_each_signal_once_and_in_order),
        cmocka_unit_test(signals_are_kept_discarded_and_refused_by_their_rules),
        cmocka_unit_test(a_thread_that_does_not_block_it_takes_it),
        cmocka_unit_test(parents_hear_of_stops_and_ends_as_they_wish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
