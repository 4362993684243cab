/* SPDX-License-Identifier: MIT */
/* Time in user mode and time in the kernel, by all the calls that tell them. Samples may say which is which, so much
 * CPU time is spent on each; what is compared is CPU time with CPU time. */
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

#define MS 1000000LL
#define MUCH (400 * MS)

struct spent {
    long long user, system;
};

static long long used(clockid_t clock)
{
    struct timespec now;

    GOOD(syscall(SYS_clock_gettime, clock, &now));
    return now.tv_sec * 1000 * MS + now.tv_nsec;
}

static struct spent spent_of(const struct rusage *usage)
{
    return (struct spent){
        usage->ru_utime.tv_sec * 1000 * MS + usage->ru_utime.tv_usec * 1000LL,
        usage->ru_stime.tv_sec * 1000 * MS + usage->ru_stime.tv_usec * 1000LL,
    };
}

static struct spent spent_by(int who)
{
    struct rusage usage;

    GOOD(syscall(SYS_getrusage, who, &usage));
    return spent_of(&usage);
}

static void compute(long long ns)
{
    long long end = used(CLOCK_THREAD_CPUTIME_ID) + ns;

    while (used(CLOCK_THREAD_CPUTIME_ID) < end)
        for (volatile int i = 0; i < 200000; i++)
            continue;
}

static void call(long long ns)
{
    static char buffer[1 << 20];
    long long end = used(CLOCK_THREAD_CPUTIME_ID) + ns;
    int zero = (int)GOOD(open("/dev/zero", O_RDONLY));

    while (used(CLOCK_THREAD_CPUTIME_ID) < end)
        EQUAL(GOOD(read(zero, buffer, sizeof(buffer))), sizeof(buffer));
    close(zero);
}

static bool are_most(long long these, long long others)
{
    return these >= others * 2;
}

static void is_mostly(const char *what, long long these, long long others)
{
    if (!are_most(these, others))
        check_failed(__FILE__, __LINE__, "%s: %lld ns, and %lld ns of the other kind", what, these, others);
}

/* Linux goes by samples, and few of them mislead: what a short stretch does not show, a longer one does. */
static void told_by(int who)
{
    struct spent computing, calling;
    long long ns = MUCH;

    do {
        struct spent begun = spent_by(who);

        compute(ns);
        struct spent computed = spent_by(who);

        call(ns);
        struct spent called = spent_by(who);

        computing = (struct spent){computed.user - begun.user, computed.system - begun.system};
        calling = (struct spent){called.user - computed.user, called.system - computed.system};
        TRUE(calling.user >= 0);
        ns *= 2;
    } while (ns <= 16 * MUCH &&
             !(are_most(computing.user, computing.system) && are_most(calling.system, calling.user)));
    is_mostly("computing is user time", computing.user, computing.system);
    is_mostly("calling is system time", calling.system, calling.user);
}

CHECK(getrusage, tells_user_time_from_system_time)
{
    told_by(RUSAGE_SELF);
}

CHECK(getrusage, tells_them_apart_of_a_thread)
{
    told_by(RUSAGE_THREAD);
}

CHECK(getrusage, both_are_all_that_was_used)
{
    compute(50 * MS);
    call(50 * MS);
    long long before = used(CLOCK_PROCESS_CPUTIME_ID);
    struct spent spent = spent_by(RUSAGE_SELF);
    long long after = used(CLOCK_PROCESS_CPUTIME_ID);

    TRUE(spent.user + spent.system >= before - MS && spent.user + spent.system <= after + MS);
}

CHECK(wait4, tells_the_child_s_times)
{
    const struct {
        void (*work)(long long);
        bool is_user;
    } kinds[] = {{compute, true}, {call, false}};

    for (int i = 0; i < 2; i++) {
        struct spent before = spent_by(RUSAGE_CHILDREN);
        struct rusage usage;
        int status;
        pid_t pid = (pid_t)GOOD(fork());

        if (pid == 0) {
            kinds[i].work(MUCH);
            _exit(0);
        }
        EQUAL(GOOD(syscall(SYS_wait4, pid, &status, 0, &usage)), pid);
        EQUAL(status, 0);
        struct spent child = spent_of(&usage), after = spent_by(RUSAGE_CHILDREN);

        if (kinds[i].is_user)
            is_mostly("a child's computing is user time", child.user, child.system);
        else
            is_mostly("a child's calling is system time", child.system, child.user);
        TRUE(after.user - before.user >= child.user - MS && after.system - before.system >= child.system - MS);
    }
}

CHECK(times, and_proc_say_what_getrusage_says)
{
    long tick = 1000 * MS / sysconf(_SC_CLK_TCK);
    char text[1024];
    struct tms times;
    unsigned long user, system;

    compute(MUCH);
    call(MUCH);
    struct spent before = spent_by(RUSAGE_SELF);
    FILE *stat = fopen("/proc/self/stat", "r");

    TRUE(stat != NULL && fgets(text, sizeof(text), stat) != NULL);
    fclose(stat);
    TRUE(syscall(SYS_times, &times) != -1);
    struct spent after = spent_by(RUSAGE_SELF);

    EQUAL(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    TRUE((long long)user >= before.user / tick - 1 && (long long)user <= after.user / tick + 1);
    TRUE((long long)system >= before.system / tick - 1 && (long long)system <= after.system / tick + 1);
    TRUE(times.tms_utime >= before.user / tick - 1 && times.tms_utime <= after.user / tick + 1);
    TRUE(times.tms_stime >= before.system / tick - 1 && times.tms_stime <= after.system / tick + 1);
}

/* By the one that counts user time calls hardly come nearer; by the other they do. */
CHECK(setitimer, virtual_counts_user_time_and_prof_both)
{
    const struct itimerval long_time = {.it_value = {1000, 0}};
    struct itimerval left;

    GOOD(syscall(SYS_setitimer, ITIMER_VIRTUAL, &long_time, NULL));
    GOOD(syscall(SYS_setitimer, ITIMER_PROF, &long_time, NULL));
    long long user, both;

    /* As long as it takes: where time is told by ticks, they may miss much of what a process of many uses. */
    do {
        call(MUCH / 4);
        GOOD(syscall(SYS_getitimer, ITIMER_VIRTUAL, &left));
        user = 1000 * 1000 * MS - left.it_value.tv_sec * 1000 * MS - left.it_value.tv_usec * 1000LL;
        GOOD(syscall(SYS_getitimer, ITIMER_PROF, &left));
        both = 1000 * 1000 * MS - left.it_value.tv_sec * 1000 * MS - left.it_value.tv_usec * 1000LL;
    } while (both < MUCH);
    is_mostly("what ITIMER_VIRTUAL leaves out", both - user, user);
}
