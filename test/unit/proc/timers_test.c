/* SPDX-License-Identifier: MIT */
/* core/proc/timers.c: no timer is early, none is lost, and what a timer is late by it says. */
#include "signal_program.h"
#include "unit.h"

#include <proc/clock.h>
#include <proc/limits.h>
#include <proc/timers.h>

enum { SYS_timer_create = 107, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_settime, SYS_timer_delete,
       SYS_clock_settime };

#define R1 36
#define US NS_PER_US
#define BIT(number) signal_bit(number)

struct setting {
    int64_t period_s, period_ns, value_s, value_ns;
};

static intptr_t create(uintptr_t area, int clock, int notify, int number, int tid, int32_t *id)
{
    const struct {
        uint64_t value;
        int32_t number, notify, tid, rest[11];
    } event = { .value = 77, .number = number, .notify = notify, .tid = tid };

    put(area, &event, sizeof event);
    intptr_t result = sys(SYS_timer_create, (uintptr_t)clock, area, area + 128, 0);

    if (result == 0)
        get(id, area + 128, sizeof *id);
    return result;
}

static intptr_t set(uintptr_t area, int32_t id, unsigned flags, uint64_t period_ns, uint64_t value_ns)
{
    const struct setting setting = {
        (int64_t)(period_ns / NS_PER_SEC), (int64_t)(period_ns % NS_PER_SEC),
        (int64_t)(value_ns / NS_PER_SEC), (int64_t)(value_ns % NS_PER_SEC),
    };

    put(area, &setting, sizeof setting);
    return sys(SYS_timer_settime, (uintptr_t)id, flags, area, area + 64);
}

static uint64_t left(uintptr_t area, int32_t id)
{
    struct setting setting;

    CHECK(sys(SYS_timer_gettime, (uintptr_t)id, area, 0, 0) == 0);
    get(&setting, area, sizeof setting);
    return (uint64_t)setting.value_s * NS_PER_SEC + (uint64_t)setting.value_ns;
}

/* sigtimedwait(2) without a limit. */
static intptr_t await(uintptr_t area, uint64_t wanted, struct signal_info *info)
{
    put(area, &wanted, sizeof wanted);
    intptr_t result = sys(SYS_rt_sigtimedwait, area, area + 256, 0, 8);

    if (result > 0)
        get(info, area + 256, sizeof *info);
    return result;
}

static void run(host_user_program *program)
{
    struct process *process = NULL;
    struct begun begun;

    CHECK(process_create(&process_kernel, "program", &process) == 0);
    struct task *task = program_thread(process, program, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGKILL);
    CHECK(timers_count() == 0 && signal_record_count() == 0);
}

static void fires(uintptr_t area)
{
    struct signal_info info;
    int32_t once, often;

    (void)mask_change(area, BLOCK, BIT(SIGUSR1) | BIT(R1));
    CHECK(create(area, CLOCK_MONOTONIC, 0, SIGUSR1, 0, &once) == 0);
    CHECK(create(area, CLOCK_BOOTTIME, 0, R1, 0, &often) == 0 && often != once);
    uint64_t begun = clock_ns();

    CHECK(set(area, once, 0, 0, 30 * US) == 0);
    CHECK(left(area, once) <= 30 * US && left(area, once) > 0);
    CHECK(await(area, BIT(SIGUSR1), &info) == SIGUSR1 && clock_ns() >= begun + 30 * US);
    CHECK(info.code == SI_TIMER && info.timer.value == 77 && info.timer.id == (uint32_t)once);
    CHECK(info.timer.overrun == 0 && left(area, once) == 0);

    /* Periods go on without anybody to see them: they are counted. */
    begun = clock_ns();
    CHECK(set(area, often, 0, 10 * US, 10 * US) == 0);
    host_compute(105 * US);
    CHECK(await(area, BIT(R1), &info) == R1);
    uint64_t passed = clock_ns() - begun;

    CHECK(info.timer.overrun >= 9 && info.timer.overrun + 1 <= passed / (10 * US));
    CHECK(sys(SYS_timer_getoverrun, (uintptr_t)often, 0, 0, 0) == (intptr_t)info.timer.overrun);
    CHECK(await(area, BIT(R1), &info) == R1); /* and it goes on */
    CHECK(left(area, often) > 0 && left(area, often) <= 10 * US);

    /* A period that nobody could keep up with does not stop the machine. */
    CHECK(set(area, often, 0, 1, 1) == 0);
    for (unsigned i = 0; i < 5; i++)
        CHECK(await(area, BIT(R1), &info) == R1);
    CHECK(sys(SYS_timer_delete, (uintptr_t)often, 0, 0, 0) == 0);
    CHECK(sys(SYS_timer_delete, (uintptr_t)often, 0, 0, 0) == -EINVAL);
    CHECK((signals_of(process_current()).shared_set & BIT(R1)) == 0);
    die(process_current()->pid, SIGKILL); /* `once` is the process's end's affair */
}

/* A standard signal of its own does not lose the timer's, and setting takes back what is under way. */
static void beside_others(uintptr_t area)
{
    struct signal_info info;
    int32_t id;

    (void)mask_change(area, BLOCK, BIT(SIGUSR1));
    CHECK(create(area, CLOCK_MONOTONIC, 0, SIGUSR1, 0, &id) == 0);
    CHECK(sys(SYS_kill, (uintptr_t)process_current()->pid, SIGUSR1, 0, 0) == 0);
    CHECK(set(area, id, 0, 0, 1) == 0);
    host_compute(20 * US);
    CHECK(await(area, BIT(SIGUSR1), &info) == SIGUSR1 && info.code == SI_USER);
    CHECK(await(area, BIT(SIGUSR1), &info) == SIGUSR1 && info.code == SI_TIMER);
    CHECK(set(area, id, 0, 0, 1) == 0);
    host_compute(20 * US);
    CHECK((signals_of(process_current()).shared_set & BIT(SIGUSR1)) != 0);
    CHECK(set(area, id, 0, 0, 0) == 0 && signals_of(process_current()).shared_set == 0);

    /* Ignored: nothing is pending, and the periods go on. */
    CHECK(handle(area, SIGUSR1, SIG_IGN, 0, 0) == 0);
    (void)mask_change(area, UNBLOCK, BIT(SIGUSR1));
    CHECK(set(area, id, 0, 10 * US, 10 * US) == 0);
    host_compute(50 * US);
    CHECK(signals_of(process_current()).shared_set == 0 && left(area, id) > 0);
    die(process_current()->pid, SIGKILL);
}

static void refuses(uintptr_t area)
{
    const struct process_limit two = { .soft = 2, .hard = 2 };
    int32_t id, other;

    CHECK(create(area, 99, 0, SIGUSR1, 0, &id) == -EINVAL && create(area, CLOCK_MONOTONIC, 0, 65, 0, &id) == -EINVAL);
    CHECK(create(area, CLOCK_MONOTONIC, 7, SIGUSR1, 0, &id) == -EINVAL);
    CHECK(create(area, CLOCK_MONOTONIC, TIMER_EVENT_THREAD_ID, SIGUSR1, 1, &id) == -EINVAL);
    CHECK(create(area, CLOCK_MONOTONIC_RAW, 0, SIGUSR1, 0, &id) == -EOPNOTSUPP);
    CHECK(process_limit_change(process_current(), LIMIT_SIGPENDING, &two, true, NULL) == 0);
    CHECK(create(area, CLOCK_MONOTONIC, TIMER_EVENT_NONE, 0, 0, &id) == 0);
    CHECK(create(area, CLOCK_MONOTONIC, 0, SIGUSR1, 0, &other) == 0);
    CHECK(create(area, CLOCK_MONOTONIC, 0, SIGUSR1, 0, &other) == -EAGAIN);
    CHECK(sys(SYS_timer_create, CLOCK_MONOTONIC, 0, area, 0) == -EAGAIN);
    CHECK(sys(SYS_timer_delete, (uintptr_t)other, 0, 0, 0) == 0);
    CHECK(sys(SYS_timer_create, CLOCK_MONOTONIC, 0, 0x9000, 0) == -EFAULT); /* and then it is not there */
    CHECK(sys(SYS_timer_create, CLOCK_MONOTONIC, 0, area, 0) == 0);
    CHECK(set(area, id, 0, 0, 20 * US) == 0 && left(area, id) > 0); /* nobody is told */
    host_compute(40 * US);
    CHECK(left(area, id) == 0);
    CHECK(set(area, 1000, 0, 0, 1) == -EINVAL && set(area, -1, 0, 0, 1) == -EINVAL);
    CHECK(sys(SYS_timer_settime, (uintptr_t)id, 0, 0, 0) == -EINVAL);
    CHECK(sys(SYS_timer_getoverrun, 1000, 0, 0, 0) == -EINVAL && sys(SYS_timer_gettime, 1000, area, 0, 0) == -EINVAL);
    die(process_current()->pid, SIGKILL);
}

/* The time of day jumps to where the timer waits; nobody has armed it for that moment. */
static void by_the_wall(uintptr_t area)
{
    const uint64_t day[2] = { 2000000000, 0 }, later[2] = { 3000000000, 1 };
    struct signal_info info;
    int32_t id;

    (void)mask_change(area, BLOCK, BIT(SIGUSR1));
    put(area, day, sizeof day);
    CHECK(clock_set(CLOCK_REALTIME, day[0] * NS_PER_SEC) == 0);
    CHECK(create(area, CLOCK_REALTIME, 0, SIGUSR1, 0, &id) == 0);
    CHECK(set(area, id, 1, 0, 3000000000 * NS_PER_SEC) == 0);
    host_compute(20 * US);
    CHECK(signals_of(process_current()).shared_set == 0);
    CHECK(clock_set(CLOCK_REALTIME, later[0] * NS_PER_SEC) == 0);
    CHECK(await(area, BIT(SIGUSR1), &info) == SIGUSR1 && left(area, id) == 0);
    die(process_current()->pid, SIGKILL);
}

/* Sleeping uses no CPU time, so such a timer is due after so much work, however long that takes. */
static void by_work(uintptr_t area)
{
    const int64_t often[4] = { 0, 100, 0, 100 }, never[4] = { 0 };
    struct signal_info info;
    uint64_t used;
    int32_t id;

    (void)mask_change(area, BLOCK, BIT(SIGUSR1) | BIT(SIGPROF));
    CHECK(create(area, CLOCK_THREAD_CPUTIME_ID, TIMER_EVENT_THREAD_ID, SIGUSR1, current_task()->tid, &id) == 0);
    CHECK(clock_get(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    CHECK(set(area, id, 1, 0, used + 300 * US) == 0);
    const struct { uint64_t set, limit[2]; } wait = { BIT(SIGUSR1), { 0, 1000 * US } };

    put(area, &wait, sizeof wait);
    CHECK(sys(SYS_rt_sigtimedwait, area, 0, area + 8, 8) == -EAGAIN); /* it slept, and the timer with it */
    uint64_t pending = 0;

    while ((pending & BIT(SIGUSR1)) == 0) {
        host_compute(20 * US);
        CHECK(sys(SYS_rt_sigpending, area, 8, 0, 0) == 0);
        get(&pending, area, sizeof pending);
    }
    uint64_t now;

    CHECK(clock_get(CLOCK_THREAD_CPUTIME_ID, &now) == 0 && now >= used + 300 * US);
    CHECK(await(area, BIT(SIGUSR1), &info) == SIGUSR1 && info.code == SI_TIMER);
    put(area, often, sizeof often);
    CHECK(sys(SYS_setitimer, 2, area, area + 64, 0) == 0);
    for (unsigned i = 0; i < 3; pending = 0, i++) {
        while ((pending & BIT(SIGPROF)) == 0) {
            host_compute(20 * US);
            CHECK(sys(SYS_rt_sigpending, area, 8, 0, 0) == 0);
            get(&pending, area, sizeof pending);
        }
        CHECK(await(area, BIT(SIGPROF), &info) == SIGPROF && info.code == SI_KERNEL);
    }
    CHECK(clock_get(CLOCK_THREAD_CPUTIME_ID, &used) == 0 && used >= now + 300 * US);
    put(area, never, sizeof never);
    CHECK(sys(SYS_setitimer, 2, area, area + 64, 0) == 0);
    int64_t old[4];

    get(old, area + 64, sizeof old);
    CHECK(old[1] == 100 && old[3] > 0 && old[3] <= 100);
    die(process_current()->pid, SIGKILL);
}

static void cpu_times(struct process_usage *out)
{
    process_usage_get(process_current(), out);
}

/* Calls and nothing between them, until so much CPU time has passed. */
static void call_for(uintptr_t area, uint64_t ns)
{
    uint64_t begun, now;

    CHECK(clock_get(CLOCK_THREAD_CPUTIME_ID, &begun) == 0);
    do {
        for (unsigned i = 0; i < 100; i++)
            CHECK(sys(SYS_rt_sigpending, area, 8, 0, 0) == 0);
        CHECK(clock_get(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    } while (now < begun + ns);
}

/* The sampler tells the modes apart, also where nothing else interrupts; and ITIMER_VIRTUAL goes by that. */
static void by_mode(uintptr_t area)
{
    const int64_t once[4] = { 0, 0, 0, 100000 };
    struct process_usage first, user, kernel;
    uint64_t pending = 0;

    (void)mask_change(area, BLOCK, BIT(SIGVTALRM));
    cpu_times(&first);
    for (unsigned i = 0; i < 40; i++)
        host_compute(1000 * US);
    cpu_times(&user);
    uint64_t user_ns = clock_ticks_to_ns(user.user_ticks - first.user_ticks);

    CHECK(user_ns >= 36000 * US && clock_ticks_to_ns(user.system_ticks) <= 4000 * US);
    put(area + 64, once, sizeof once);
    CHECK(sys(SYS_setitimer, 1, area + 64, 0, 0) == 0);
    call_for(area, 40000 * US);
    cpu_times(&kernel);
    CHECK(clock_ticks_to_ns(kernel.system_ticks - user.system_ticks) >= 8000 * US);
    CHECK(kernel.user_ticks >= user.user_ticks);
    while ((pending & BIT(SIGVTALRM)) == 0) {
        host_compute(1000 * US);
        CHECK(sys(SYS_rt_sigpending, area, 8, 0, 0) == 0);
        get(&pending, area, sizeof pending);
    }
    struct process_usage now;

    cpu_times(&now);
    CHECK(clock_ticks_to_ns(now.user_ticks - user.user_ticks) >= 100000 * US);
    die(process_current()->pid, SIGKILL);
}

#define STORY(name)               \
    static void run_##name(void)  \
    {                             \
        run(name);                \
    }
STORY(fires)
STORY(beside_others)
STORY(refuses)
STORY(by_the_wall)
STORY(by_work)
STORY(by_mode)

const struct kernel_test booted_tests[] = {
    { "fires", run_fires },
    { "beside", run_beside_others },
    { "refuses", run_refuses },
    { "wall", run_by_the_wall },
    { "work", run_by_work },
    { "mode", run_by_mode },
    { NULL, NULL },
};

static void timers_are_not_early_and_count_what_they_miss(void **state)
{
    (void)state;
    booted_run("fires", 16);
}

static void timers_lose_no_signal_and_leave_none(void **state)
{
    (void)state;
    booted_run("beside", 16);
}

static void timers_are_limited_and_refused(void **state)
{
    (void)state;
    booted_run("refuses", 8);
}

static void a_change_of_the_time_of_day_fires_timers(void **state)
{
    (void)state;
    booted_run("wall", 16);
}

static void timers_by_cpu_time_wait_for_work(void **state)
{
    (void)state;
    booted_run("work", 16);
}

static void user_time_and_system_time_are_told_apart(void **state)
{
    (void)state;
    booted_run("mode", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_are_not_early_and_count_what_they_miss),
        cmocka_unit_test(timers_lose_no_signal_and_leave_none),
        cmocka_unit_test(timers_are_limited_and_refused),
        cmocka_unit_test(a_change_of_the_time_of_day_fires_timers),
        cmocka_unit_test(timers_by_cpu_time_wait_for_work),
        cmocka_unit_test(user_time_and_system_time_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
