/* SPDX-License-Identifier: MIT */
/* Time and scheduling: clock_gettime(2), nanosleep(2), timers, sched_setscheduler(2) and its like, setpriority(2). */
#include "check.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

#define SECOND 1000000000ll

static long long now(clockid_t clock)
{
    struct timespec time;

    GOOD(syscall(SYS_clock_gettime, clock, &time));
    TRUE(time.tv_nsec >= 0 && time.tv_nsec < SECOND);
    return time.tv_sec * SECOND + time.tv_nsec;
}

CHECK(clock_gettime, clocks_go_on)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW,
                                       CLOCK_MONOTONIC_COARSE, CLOCK_REALTIME_COARSE};
    long long before, used = now(CLOCK_PROCESS_CPUTIME_ID);

    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        before = now(clocks[i]);
        for (int turn = 0; turn < 1000; turn++) {
            long long then = now(clocks[i]);

            TRUE(then >= before);
            before = then;
        }
    }
    TRUE(now(CLOCK_PROCESS_CPUTIME_ID) > used); /* those calls have cost something */
    TRUE(now(CLOCK_THREAD_CPUTIME_ID) > 0);
}

CHECK(clock_gettime, refuses_what_is_wrong)
{
    struct timespec time;

    FAILS(EINVAL, syscall(SYS_clock_gettime, 99, &time));
    FAILS(EINVAL, syscall(SYS_clock_getres, 99, &time));
    GOOD(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL));
    GOOD(syscall(SYS_clock_getres, CLOCK_MONOTONIC, &time));
    TRUE(time.tv_sec == 0 && time.tv_nsec > 0);
    BAD_TARGETS(sizeof(time), syscall(SYS_clock_gettime, CLOCK_MONOTONIC, bad));
    BAD_TARGETS(sizeof(time), UNLESS_NULL(bad, syscall(SYS_clock_getres, CLOCK_MONOTONIC, bad)));
    BAD_TARGETS(sizeof(struct timeval), UNLESS_NULL(bad, syscall(SYS_gettimeofday, bad, NULL)));
}

CHECK(nanosleep, sleeps_no_less_than_asked_for)
{
    struct timespec time = {.tv_nsec = 3000000}, wrong = {.tv_nsec = SECOND}, negative = {.tv_sec = -1};
    long long before = now(CLOCK_MONOTONIC), until;

    GOOD(syscall(SYS_nanosleep, &time, NULL));
    TRUE(now(CLOCK_MONOTONIC) - before >= time.tv_nsec);
    until = now(CLOCK_MONOTONIC) + 2000000;
    time = (struct timespec){until / SECOND, until % SECOND};
    EQUAL(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL), 0);
    TRUE(now(CLOCK_MONOTONIC) >= until);
    EQUAL(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL), 0); /* past */
    FAILS(EINVAL, syscall(SYS_nanosleep, &wrong, NULL));
    FAILS(EINVAL, syscall(SYS_nanosleep, &negative, NULL));
    FAILS(EINVAL, syscall(SYS_clock_nanosleep, 99, 0, &time, NULL));
    FAILS(EOPNOTSUPP, syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &time, NULL));
    BAD_SOURCES(sizeof(time), syscall(SYS_nanosleep, bad, NULL));
}

static void on_signal(int number)
{
    (void)number;
}

static int interrupt_parent(void *arg)
{
    (void)arg;
    while (!check_sleeps(getppid()))
        ;
    return kill(getppid(), SIGUSR1);
}

CHECK(nanosleep, an_interrupted_sleep_tells_what_is_left)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct timespec time = {.tv_sec = 1000}, left = {0};
    int pid;

    GOOD(sigaction(SIGUSR1, &action, NULL));
    pid = check_fork(interrupt_parent, NULL);
    FAILS(EINTR, syscall(SYS_nanosleep, &time, &left));
    TRUE(left.tv_sec > 0 && left.tv_sec <= 1000); /* a sleep may be asked to take a little longer: timer slack */
    EQUAL(check_wait(pid), 0);
}

CHECK(timer_create, fires_and_is_gone)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value = {.sival_int = 77}};
    struct itimerspec time = {.it_value = {.tv_nsec = 1000000}}, left;
    siginfo_t info;
    sigset_t set;
    int timer;

    check_block(&set, SIGUSR1);
    GOOD(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    GOOD(syscall(SYS_timer_settime, timer, 0, &time, NULL));
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    EQUAL(info.si_code, SI_TIMER);
    EQUAL(info.si_value.sival_int, 77);
    GOOD(syscall(SYS_timer_gettime, timer, &left));
    EQUAL(left.it_value.tv_sec + left.it_value.tv_nsec, 0);
    EQUAL(syscall(SYS_timer_getoverrun, timer), 0);
    time.it_value.tv_nsec = SECOND;
    FAILS(EINVAL, syscall(SYS_timer_settime, timer, 0, &time, NULL));
    BAD_SOURCES(sizeof(time), UNLESS_NULL(bad, syscall(SYS_timer_settime, timer, 0, bad, NULL)));
    FAILS(EINVAL, syscall(SYS_timer_settime, timer, 0, NULL, NULL));
    BAD_TARGETS(sizeof(left), syscall(SYS_timer_gettime, timer, bad));
    GOOD(syscall(SYS_timer_delete, timer));
    FAILS(EINVAL, syscall(SYS_timer_delete, timer));
    FAILS(EINVAL, syscall(SYS_timer_create, 99, &event, &timer));
    event.sigev_signo = 65;
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    BAD_SOURCES(sizeof(event), UNLESS_NULL(bad, syscall(SYS_timer_create, CLOCK_MONOTONIC, bad, &timer)));
}

static struct itimerspec in_ns(long first, long period)
{
    return (struct itimerspec){.it_value = {0, first}, .it_interval = {0, period}};
}

CHECK(timer_getoverrun, counts_what_nobody_took)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerspec time = in_ns(1000000, 1000000), stop = in_ns(0, 0);
    struct timespec wait = {.tv_nsec = 20000000};
    siginfo_t info;
    sigset_t set;
    int timer;

    check_block(&set, SIGRTMIN);
    GOOD(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    GOOD(syscall(SYS_timer_settime, timer, 0, &time, NULL));
    GOOD(syscall(SYS_nanosleep, &wait, NULL));
    EQUAL(sigwaitinfo(&set, &info), SIGRTMIN);
    TRUE(info.si_overrun >= 18);
    EQUAL(syscall(SYS_timer_getoverrun, timer), info.si_overrun);
    EQUAL(sigwaitinfo(&set, &info), SIGRTMIN); /* it goes on */
    GOOD(syscall(SYS_timer_settime, timer, 0, &stop, &time));
    EQUAL(time.it_interval.tv_nsec, 1000000);
    FAILS(EINVAL, syscall(SYS_timer_getoverrun, timer + 1));
    GOOD(syscall(SYS_timer_delete, timer));
}

static int has_no_timer(void *arg)
{
    int timer = *(int *)arg;
    struct itimerspec left;

    return syscall(SYS_timer_gettime, timer, &left) == -1 && errno == EINVAL ? 0 : 1;
}

CHECK(timer_create, of_one_thread_and_not_of_children)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    struct itimerspec time = in_ns(1000000, 0);
    siginfo_t info;
    sigset_t set;
    int timer;

    check_block(&set, SIGUSR1);
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    GOOD(syscall(SYS_timer_create, CLOCK_REALTIME, &event, &timer));
    check_child(has_no_timer, &timer);
    GOOD(syscall(SYS_timer_settime, timer, 0, &time, NULL));
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    event._sigev_un._tid = getppid();
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_REALTIME, &event, &timer));
    event.sigev_notify = 77;
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_REALTIME, &event, &timer));
    GOOD(syscall(SYS_timer_create, CLOCK_TAI, NULL, &timer)); /* SIGALRM */
    FAILS(EOPNOTSUPP, syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, NULL, &timer));
}

static void work_until(const sigset_t *set)
{
    const struct timespec none = {0};

    while (syscall(SYS_rt_sigtimedwait, set, NULL, &none, 8ul) == -1)
        EQUAL(errno, EAGAIN);
}

CHECK(timer_create, by_cpu_time)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec time = in_ns(20000000, 0);
    const clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    sigset_t set;

    check_block(&set, SIGUSR1);
    for (int i = 0; i < 2; i++) {
        int timer;
        long long begun = now(clocks[i]);

        GOOD(syscall(SYS_timer_create, clocks[i], &event, &timer));
        GOOD(syscall(SYS_timer_settime, timer, 0, &time, NULL));
        work_until(&set);
        TRUE(now(clocks[i]) >= begun + 20000000);
        GOOD(syscall(SYS_timer_delete, timer));
    }
}

CHECK(setitimer, by_cpu_time)
{
    const int which[] = {ITIMER_VIRTUAL, ITIMER_PROF}, numbers[] = {SIGVTALRM, SIGPROF};
    struct itimerval time = {.it_value = {0, 5000}, .it_interval = {0, 5000}}, stop = {0}, old;

    for (int i = 0; i < 2; i++) {
        sigset_t set;

        check_block(&set, numbers[i]);
        GOOD(syscall(SYS_setitimer, which[i], &time, NULL));
        for (int round = 0; round < 3; round++)
            work_until(&set);
        GOOD(syscall(SYS_setitimer, which[i], &stop, &old));
        TRUE(old.it_interval.tv_usec > 0);
    }
}

CHECK(setitimer, repeats_until_it_is_stopped)
{
    struct itimerval time = {.it_value = {0, 1000}, .it_interval = {0, 1000}}, stop = {0}, old;
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    alarm(0); /* this check's own */
    GOOD(sigprocmask(SIG_BLOCK, &set, NULL));
    GOOD(syscall(SYS_setitimer, ITIMER_REAL, &time, NULL));
    for (int i = 0; i < 3; i++)
        EQUAL(sigwait(&set, &number), 0);
    GOOD(syscall(SYS_setitimer, ITIMER_REAL, &stop, &old));
    EQUAL(old.it_interval.tv_usec, 1000);
    GOOD(syscall(SYS_getitimer, ITIMER_REAL, &old));
    EQUAL(old.it_value.tv_sec + old.it_value.tv_usec, 0);
    time.it_value.tv_usec = 1000000;
    FAILS(EINVAL, syscall(SYS_setitimer, ITIMER_REAL, &time, NULL));
    FAILS(EINVAL, syscall(SYS_setitimer, 99, &stop, NULL));
    BAD_SOURCES(sizeof(time), UNLESS_NULL(bad, syscall(SYS_setitimer, ITIMER_REAL, bad, NULL)));
    BAD_TARGETS(sizeof(time), syscall(SYS_getitimer, ITIMER_REAL, bad));
}

CHECK(times, count_this_process)
{
    struct tms times;

    TRUE(syscall(SYS_times, &times) != -1);
    TRUE(times.tms_utime >= 0);
    BAD_TARGETS(sizeof(times), UNLESS_NULL(bad, syscall(SYS_times, bad)));
}

CHECK(sysinfo, adds_up)
{
    struct sysinfo info;

    GOOD(syscall(SYS_sysinfo, &info));
    TRUE(info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit > 0 && info.procs > 0);
    BAD_TARGETS(sizeof(info), syscall(SYS_sysinfo, bad));
}

/* A sample may come between two looks, so one of two looks around it agrees. */
CHECK(sysinfo, has_the_load_averages_of_proc)
{
    struct sysinfo info;
    double said[2][3];

    GOOD(getloadavg(said[0], 3));
    GOOD(syscall(SYS_sysinfo, &info));
    GOOD(getloadavg(said[1], 3));
    for (unsigned i = 0; i < 3; i++) {
        double load = (double)info.loads[i] / 65536, low = said[0][i], high = said[1][i];

        if (low > high) {
            low = said[1][i];
            high = said[0][i];
        }
        TRUE(load > low - 0.02 && load < high + 0.02);
    }
}

CHECK(sched_setaffinity, sets_and_refuses)
{
    unsigned long set[128] = {0}, all[128] = {0}, cpu = 0;
    long bytes = GOOD(syscall(SYS_sched_getaffinity, 0, sizeof(all), all));

    TRUE(bytes > 0 && bytes % 8 == 0);
    while ((all[cpu / 64] >> cpu % 64 & 1) == 0)
        cpu++;
    set[cpu / 64] = 1ul << cpu % 64;
    GOOD(syscall(SYS_sched_setaffinity, 0, sizeof(set), set));
    EQUAL(syscall(SYS_sched_getaffinity, getpid(), sizeof(all), all), bytes);
    EQUAL(memcmp(set, all, (size_t)bytes), 0);
    unsigned here = 99999;
    GOOD(syscall(SYS_getcpu, &here, NULL, NULL));
    EQUAL(here, cpu); /* it is in force when the call returns */
    memset(set, 0, sizeof(set));
    FAILS(EINVAL, syscall(SYS_sched_setaffinity, 0, sizeof(set), set));
    FAILS(EINVAL, syscall(SYS_sched_getaffinity, 0, 3ul, all));
    FAILS(ESRCH, syscall(SYS_sched_getaffinity, 0x3ffffff, sizeof(all), all));
    FAILS(ESRCH, syscall(SYS_sched_setaffinity, 0x3ffffff, sizeof(all), all));
    BAD_SOURCES(8, syscall(SYS_sched_setaffinity, 0, 8ul, bad));
    BAD_TARGETS(1, syscall(SYS_sched_getaffinity, 0, 1024ul, bad));
}

CHECK(sched_setscheduler, policies_and_their_priorities)
{
    struct sched_param param = {0};
    struct timespec slice;

    EQUAL(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
    GOOD(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &param));
    EQUAL(syscall(SYS_sched_getscheduler, getpid()), SCHED_BATCH);
    GOOD(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &param));
    FAILS(EINVAL, syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param)); /* priority 0 */
    FAILS(EINVAL, syscall(SYS_sched_setscheduler, 0, 99, &param));
    FAILS(EINVAL, syscall(SYS_sched_setscheduler, -1, SCHED_OTHER, &param));
    FAILS(ESRCH, syscall(SYS_sched_setscheduler, 0x3ffffff, SCHED_OTHER, &param));
    param.sched_priority = 1;
    FAILS(EINVAL, syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &param));
    FAILS(EINVAL, syscall(SYS_sched_setparam, 0, &param));
    EQUAL(syscall(SYS_sched_get_priority_max, SCHED_FIFO), 99);
    EQUAL(syscall(SYS_sched_get_priority_min, SCHED_RR), 1);
    EQUAL(syscall(SYS_sched_get_priority_max, SCHED_OTHER), 0);
    FAILS(EINVAL, syscall(SYS_sched_get_priority_max, 99));
    GOOD(syscall(SYS_sched_rr_get_interval, 0, &slice));
    FAILS(ESRCH, syscall(SYS_sched_rr_get_interval, 0x3ffffff, &slice));
    FAILS(EINVAL, syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL)); /* before it is a bad address */
    BAD_SOURCES(sizeof(param), UNLESS_NULL(bad, syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, bad)));
    BAD_TARGETS(sizeof(param), UNLESS_NULL(bad, syscall(SYS_sched_getparam, 0, bad)));
    FAILS(EINVAL, syscall(SYS_sched_getparam, 0, NULL));
    param.sched_priority = 0;
    GOOD(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &param)); /* an ordinary user has no way back */
    EQUAL(syscall(SYS_sched_getscheduler, 0), SCHED_IDLE);
}

CHECK(sched_setscheduler, real_time_policies)
{
    struct sched_param param = {.sched_priority = 7};
    struct timespec slice = {.tv_sec = -1};

    NEEDS(geteuid() == 0, "needs to be root, for real-time policies");
    NEEDS(syscall(SYS_sched_setscheduler, 0, SCHED_RR, &param) == 0 || errno != EPERM, "real time is not permitted");
    EQUAL(syscall(SYS_sched_getscheduler, 0), SCHED_RR);
    GOOD(syscall(SYS_sched_rr_get_interval, 0, &slice));
    TRUE(slice.tv_sec > 0 || slice.tv_nsec > 0);
    param.sched_priority = 0;
    GOOD(syscall(SYS_sched_getparam, 0, &param));
    EQUAL(param.sched_priority, 7);
    param.sched_priority = 100;
    FAILS(EINVAL, syscall(SYS_sched_setparam, 0, &param));
    param.sched_priority = 5;
    GOOD(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param));
    EQUAL(syscall(SYS_sched_getscheduler, 0), SCHED_FIFO | SCHED_RESET_ON_FORK);
    if (fork() == 0)
        _exit(syscall(SYS_sched_getscheduler, 0) == SCHED_OTHER ? 0 : 1);
    int status = -1;
    GOOD(syscall(SYS_wait4, -1, &status, 0, NULL));
    EQUAL(status, 0);
}

CHECK(sched_yield, returns)
{
    for (int i = 0; i < 100; i++)
        EQUAL(syscall(SYS_sched_yield), 0);
}

CHECK(setpriority, nice_values)
{
    int nice = 20 - (int)GOOD(syscall(SYS_getpriority, PRIO_PROCESS, 0)); /* the call itself returns 20 - nice */

    NEEDS(nice < 19, "started with the lowest priority");
    GOOD(syscall(SYS_setpriority, PRIO_PROCESS, 0, nice + 1));
    EQUAL(syscall(SYS_getpriority, PRIO_PROCESS, getpid()), 20 - (nice + 1));
    GOOD(syscall(SYS_setpriority, PRIO_PROCESS, 0, 100)); /* cut at 19 */
    EQUAL(syscall(SYS_getpriority, PRIO_PROCESS, 0), 1);
    FAILS(EINVAL, syscall(SYS_setpriority, 99, 0, 0));
    FAILS(EINVAL, syscall(SYS_getpriority, -1, 0));
    FAILS(ESRCH, syscall(SYS_setpriority, PRIO_PROCESS, 0x3ffffff, 0));
    FAILS(ESRCH, syscall(SYS_getpriority, PRIO_PROCESS, 0x3ffffff));
}
