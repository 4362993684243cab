/* SPDX-License-Identifier: MIT */
/* core/proc/cpu_limit.c: a process hears of it when it has used what it may, all its threads together, and ends when it
 * has used all; not before, and not for the time that it sleeps. */
#include "signal_program.h"
#include "unit.h"

#include <proc/clock.h>
#include <proc/limits.h>
#include <proc/timers.h>

enum { SYS_nanosleep = 101 };

#define SEC NS_PER_SEC
#define MS NS_PER_MS
#define LATE_NS (25 * MS) /* a piece of computing, and what it costs to be told */
#define PIECE_NS (5 * MS)

static _Atomic(unsigned) told;
static _Atomic(uint64_t) told_ns[8], last_ns;

/* A program that looks into the kernel: nobody comes in between, since it would be found with a lock. */
static uint64_t used(void)
{
    uintptr_t state = hal_irq_save();
    uint64_t ns = 0;

    CHECK(clock_get(CLOCK_PROCESS_CPUTIME_ID, &ns) == 0);
    hal_irq_restore(state);
    return ns;
}

static void limit_of(unsigned which, uint64_t soft, uint64_t hard)
{
    const struct process_limit wanted = { .soft = soft, .hard = hard };
    uintptr_t state = hal_irq_save();

    CHECK(process_limit_change(process_current(), which, &wanted, true, NULL) == 0);
    hal_irq_restore(state);
    (void)sys(SYS_sched_yield, 0, 0, 0, 0); /* as after a call: what there is to do is found on the way back */
}

static void limit(uint64_t soft, uint64_t hard)
{
    limit_of(LIMIT_CPU, soft, hard);
}

static uint64_t soft_now(unsigned which)
{
    uintptr_t state = hal_irq_save();
    uint64_t soft = process_limit_get(process_current(), which);

    hal_irq_restore(state);
    return soft;
}

static void on_signal(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    (void)info;
    (void)frame;
    unsigned index = fetch_add_relaxed(&told, 1);

    CHECK(number == SIGXCPU && index < ARRAY_COUNT(told_ns));
    store_relaxed(&told_ns[index], used());
}

static void compute_until(uint64_t ns)
{
    uint64_t now;

    while ((now = used()) < ns) {
        store_relaxed(&last_ns, now);
        host_compute(PIECE_NS);
    }
}

static bool is_just_after(uint64_t ns, uint64_t due_ns)
{
    return ns >= due_ns && ns < due_ns + LATE_NS;
}

static int run(host_user_program *program)
{
    struct process *process = NULL;
    struct begun begun;

    store_relaxed(&told, 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    struct task *task = program_thread(process, program, 0, &begun, NULL);

    return program_bury(process, task);
}

/* Twice the soft limit, the second a second after the first; then the hard one. */
static void is_told_and_ends(uintptr_t area)
{
    CHECK(handle(area, SIGXCPU, (uintptr_t)on_signal, 0, 0) == 0);
    limit(1, 3);
    const int64_t time[2] = { 5, 0 };

    put(area, time, sizeof time);
    CHECK(sys(SYS_nanosleep, area, 0, 0, 0) == 0); /* which nobody counts */
    compute_until(SEC / 2);
    CHECK(load_relaxed(&told) == 0);
    compute_until(2 * SEC + SEC / 2);
    CHECK(load_relaxed(&told) == 2 && soft_now(LIMIT_CPU) == 3);
    compute_until(4 * SEC);
    CHECK(false);
}

static void run_told(void)
{
    CHECK(run(is_told_and_ends) == SIGKILL);
    CHECK(is_just_after(load_relaxed(&told_ns[0]), SEC) && is_just_after(load_relaxed(&told_ns[1]), 2 * SEC));
    CHECK(load_relaxed(&last_ns) < 3 * SEC && is_just_after(load_relaxed(&last_ns) + PIECE_NS, 3 * SEC));
}

/* Who does not want to hear of it ends all the same. */
static void does_not_listen(uintptr_t area)
{
    CHECK(handle(area, SIGXCPU, SIG_IGN, 0, 0) == 0);
    limit(1, 2);
    compute_until(3 * SEC);
    CHECK(false);
}

static void run_deaf(void)
{
    CHECK(run(does_not_listen) == SIGKILL);
    CHECK(is_just_after(load_relaxed(&last_ns) + PIECE_NS, 2 * SEC));
}

/* Below what was used already it is due at once, and goes up until it is ahead; without a limit there is none. */
static void is_limited_late(uintptr_t area)
{
    CHECK(handle(area, SIGXCPU, (uintptr_t)on_signal, 0, 0) == 0);
    compute_until(SEC + SEC / 4);
    limit(0, LIMIT_NONE);
    compute_until(SEC + SEC / 2);
    CHECK(load_relaxed(&told) == 2 && soft_now(LIMIT_CPU) == 2);
    CHECK(is_just_after(load_relaxed(&told_ns[0]), SEC + SEC / 4));
    limit(LIMIT_NONE, LIMIT_NONE);
    compute_until(2 * SEC + SEC / 4);
    CHECK(load_relaxed(&told) == 2);
    limit(2, 2);
    compute_until(4 * SEC);
    CHECK(false);
}

static void run_late(void)
{
    CHECK(run(is_limited_late) == SIGKILL);
    CHECK(is_just_after(load_relaxed(&last_ns) + PIECE_NS, 2 * SEC + SEC / 4));
}

/* Several threads use it up together: those as well that began when it was half gone. */
#define THREADS 4
static uint64_t begun_ns;
static _Atomic(bool) wants_more;

static void one_of_several(uintptr_t area)
{
    (void)area;
    compute_until(3 * SEC);
    CHECK(false);
}

static void several(uintptr_t area)
{
    limit(1, LIMIT_NONE);
    compute_until(SEC / 2);
    begun_ns = clock_ns();
    store_relaxed(&wants_more, true);
    one_of_several(area);
}

static void run_several(void)
{
    static struct begun begun[THREADS];
    unsigned at_once = MIN((unsigned)THREADS, online_count());
    struct process *process = NULL;
    struct task *task[THREADS];

    store_relaxed(&wants_more, false);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    task[0] = program_thread(process, several, 0, &begun[0], NULL);
    WAIT_FOR(load_relaxed(&wants_more));
    for (unsigned i = 1; i < THREADS; i++)
        task[i] = program_thread(process, one_of_several, i, &begun[i], NULL);
    CHECK(program_bury(process, task[0]) == SIGXCPU);
    for (unsigned i = 1; i < THREADS; i++)
        CHECK(finish(task[i]) >= 0);
    CHECK(is_just_after(load_relaxed(&last_ns) + THREADS * PIECE_NS, SEC));
    CHECK(clock_ns() - begun_ns < SEC / 2 / at_once + SEC / 10);
}

/* A real-time thread may run for so long at a time; what it ran before it was one does not count. */
#define RUN_NS (100 * MS)
static uint64_t run_begun_ns;

static void be_realtime(void)
{
    const struct sched_params params = { .policy = SCHED_POLICY_FIFO, .rt_level = 20 };
    uintptr_t state = hal_irq_save();

    CHECK(task_set_params(current_task(), &params) == 0);
    hal_irq_restore(state);
}

static void pause_a_while(uintptr_t area)
{
    const int64_t time[2] = { 0, MS };

    put(area, time, sizeof time);
    CHECK(sys(SYS_nanosleep, area, 0, 0, 0) == 0);
}

static void runs_without_a_pause(uintptr_t area)
{
    CHECK(handle(area, SIGXCPU, (uintptr_t)on_signal, 0, 0) == 0);
    limit(LIMIT_NONE, LIMIT_NONE);
    limit_of(LIMIT_RTTIME, RUN_NS / NS_PER_US, 3 * RUN_NS / NS_PER_US);
    compute_until(2 * RUN_NS);
    be_realtime();
    limit_of(LIMIT_RTTIME, RUN_NS / NS_PER_US, 3 * RUN_NS / NS_PER_US);
    for (unsigned i = 0; i < 8; i++) {
        compute_until(used() + RUN_NS / 2);
        pause_a_while(area);
    }
    CHECK(load_relaxed(&told) == 0);
    run_begun_ns = used();
    compute_until(run_begun_ns + 2 * RUN_NS);
    CHECK(load_relaxed(&told) == 1 && soft_now(LIMIT_RTTIME) == (SEC + RUN_NS) / NS_PER_US);
    compute_until(run_begun_ns + 4 * RUN_NS);
    CHECK(false);
}

static void run_realtime(void)
{
    CHECK(run(runs_without_a_pause) == SIGKILL);
    CHECK(is_just_after(load_relaxed(&told_ns[0]), run_begun_ns + RUN_NS));
    CHECK(is_just_after(load_relaxed(&last_ns) + PIECE_NS, run_begun_ns + 3 * RUN_NS));
}

const struct kernel_test booted_tests[] = {
    { "told", run_told },
    { "deaf", run_deaf },
    { "late", run_late },
    { "several", run_several },
    { "realtime", run_realtime },
    { NULL, NULL },
};

static void the_soft_limit_tells_each_second_and_the_hard_one_ends(void **state)
{
    (void)state;
    booted_run("told", 4);
}

static void who_ignores_the_signal_ends_at_the_hard_limit(void **state)
{
    (void)state;
    booted_run("deaf", 4);
}

static void a_limit_below_what_was_used_is_due_at_once(void **state)
{
    (void)state;
    booted_run("late", 4);
}

static void threads_use_it_up_together(void **state)
{
    (void)state;
    booted_run("several", 8);
}

static void a_realtime_thread_has_to_pause(void **state)
{
    (void)state;
    booted_run("realtime", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_soft_limit_tells_each_second_and_the_hard_one_ends),
        cmocka_unit_test(who_ignores_the_signal_ends_at_the_hard_limit),
        cmocka_unit_test(a_limit_below_what_was_used_is_due_at_once),
        cmocka_unit_test(threads_use_it_up_together),
        cmocka_unit_test(a_realtime_thread_has_to_pause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
