/* SPDX-License-Identifier: MIT */
/* What getrlimit(2)'s limits do to who reaches them. How limits are set and read is life.c's. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define MS 1000000ll
#define SECOND (1000 * MS)
#define EARLY (SECOND / 2) /* Linux looks at what it adds up at its ticks, which may run ahead of the clock it shows */
#define FAR_AWAY 1000

static long long used(void)
{
    struct timespec time;

    GOOD(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time));
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void use_up_to(long long ns)
{
    while (used() < ns)
        ;
}

static void limit_cpu(rlim_t soft, rlim_t hard)
{
    const struct rlimit limit = {soft, hard};

    GOOD(setrlimit(RLIMIT_CPU, &limit));
}

static rlim_t soft_limit(int which)
{
    struct rlimit limit;

    GOOD(getrlimit(which, &limit));
    return limit.rlim_cur;
}

/* What an ended child used; *status is how it ended. */
static long long used_by(int pid, int *status)
{
    struct rusage usage;

    EQUAL(wait4(pid, status, 0, &usage), pid);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SECOND +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static volatile sig_atomic_t told;
static long long told_at;

static void on_signal(int number)
{
    (void)number;
    told++;
    told_at = used();
}

static int is_told_each_second(void *arg)
{
    (void)arg;
    signal(SIGXCPU, on_signal);
    limit_cpu(1, FAR_AWAY);
    while (told == 0)
        ;
    TRUE(told_at >= SECOND - EARLY);
    EQUAL(soft_limit(RLIMIT_CPU), 2);
    while (told == 1)
        ;
    TRUE(told_at >= 2 * SECOND - EARLY);
    EQUAL(soft_limit(RLIMIT_CPU), 3);
    return 0;
}

CHECK(setrlimit, cpu_time_is_told_of_each_second)
{
    check_child(is_told_each_second, NULL);
}

static int does_not_listen(void *arg)
{
    (void)arg;
    signal(SIGXCPU, SIG_IGN);
    limit_cpu(1, 2);
    for (;;)
        (void)used();
    return 1;
}

CHECK(setrlimit, cpu_time_ends_who_does_not_listen)
{
    int pid = check_fork(does_not_listen, NULL), status;

    TRUE(used_by(pid, &status) >= 2 * SECOND - EARLY);
    EQUAL(status, SIGKILL);
}

/* What was used before counts, and a limit of no second at all is over at once. */
static int is_limited_late(void *arg)
{
    (void)arg;
    signal(SIGXCPU, on_signal);
    use_up_to(100 * MS);
    limit_cpu(0, RLIM_INFINITY);
    while (told == 0)
        ;
    EQUAL(soft_limit(RLIMIT_CPU), 1);
    limit_cpu(RLIM_INFINITY, RLIM_INFINITY);
    return 0;
}

static int is_limited_to_nothing(void *arg)
{
    (void)arg;
    signal(SIGXCPU, SIG_IGN);
    limit_cpu(0, 0);
    for (;;)
        ;
    return 1;
}

CHECK(setrlimit, cpu_time_that_was_used_counts)
{
    struct rlimit limit = {.rlim_cur = 5, .rlim_max = 4};

    FAILS(EINVAL, setrlimit(RLIMIT_CPU, &limit));
    check_child(is_limited_late, NULL);
    EQUAL(check_wait(check_fork(is_limited_to_nothing, NULL)), SIGKILL);
}

static void *be_busy(void *arg)
{
    for (volatile unsigned turns = 0;; turns++)
        ;
    return arg;
}

/* Together, with one that began later, and one that only waits. */
static int is_several(void *arg)
{
    pthread_t thread;

    limit_cpu(1, FAR_AWAY);
    use_up_to(200 * MS);
    for (int i = 0; i < 2; i++)
        EQUAL(pthread_create(&thread, NULL, be_busy, arg), 0);
    return check_pause(NULL);
}

CHECK(setrlimit, cpu_time_is_that_of_all_threads)
{
    int pid = check_fork(is_several, NULL), status;

    TRUE(used_by(pid, &status) >= SECOND - EARLY);
    EQUAL(status & ~0x80, SIGXCPU);
}

/* A fork hands the limit on, not what was used; an exec changes neither. */
static int execute_busily(void *arg)
{
    char *argv[] = {"check", "--as", "busy", NULL}, *environment[] = {NULL};

    (void)arg;
    EQUAL(soft_limit(RLIMIT_CPU), 1);
    use_up_to(500 * MS);
    syscall(SYS_execve, check_program, argv, environment);
    return 80;
}

int limits_be_busy(void)
{
    if (used() < 500 * MS || soft_limit(RLIMIT_CPU) != 1)
        return 81;
    for (volatile unsigned turns = 0;; turns++)
        ;
    return 82;
}

static int has_a_child(void *arg)
{
    int pid, status;

    (void)arg;
    limit_cpu(1, FAR_AWAY);
    use_up_to(600 * MS);
    pid = check_fork(execute_busily, NULL);
    TRUE(used_by(pid, &status) >= SECOND - EARLY);
    EQUAL(status & ~0x80, SIGXCPU);
    return 0;
}

CHECK(setrlimit, cpu_time_of_a_child_is_its_own)
{
    check_child(has_a_child, NULL);
}

/* ---- RLIMIT_STACK, RLIMIT_NOFILE ---- */

/* Touch the stack so far down, page after page. */
static int reach_down(size_t bytes)
{
    volatile char *area = __builtin_alloca(bytes);

    for (size_t at = bytes; at >= PAGE; at -= PAGE)
        area[at - 1] = 1;
    return area[bytes - 1];
}

static int needs_stack(void *arg)
{
    const size_t *kib = arg;
    struct rlimit limit;

    GOOD(getrlimit(RLIMIT_STACK, &limit));
    limit.rlim_cur = kib[0] << 10;
    GOOD(setrlimit(RLIMIT_STACK, &limit));
    return reach_down(kib[1] << 10) > 0 ? 0 : 1;
}

CHECK(setrlimit, a_stack_grows_as_far_as_the_limit_says)
{
    const size_t enough[2] = {32 << 10, 16 << 10}, little[2] = {1 << 10, 4 << 10};
    struct rlimit limit;

    GOOD(getrlimit(RLIMIT_STACK, &limit));
    NEEDS(limit.rlim_max >= 32 << 20, "the stack is limited for good");
    check_child(needs_stack, (void *)enough);
    EQUAL(check_wait(check_fork(needs_stack, (void *)little)) & ~0x80, SIGSEGV);
    GOOD(setrlimit(RLIMIT_STACK, &limit));
}

CHECK(setrlimit, nobody_has_files_without_a_limit)
{
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

    FAILS(EPERM, setrlimit(RLIMIT_NOFILE, &none));
}

/* ---- RLIMIT_MEMLOCK ---- */

static int locks_as_somebody(void *arg)
{
    const struct rlimit page = {PAGE, PAGE}, nothing = {0, 0};
    char *pages = check_pages(2 * PAGE, PROT_READ | PROT_WRITE);

    (void)arg;
    GOOD(setrlimit(RLIMIT_MEMLOCK, &page));
    GOOD(syscall(SYS_setresuid, 1000, 1000, 1000));
    FAILS(ENOMEM, mlock(pages, 2 * PAGE));
    GOOD(mlock(pages, PAGE));
    GOOD(munlock(pages, PAGE));
    TRUE(mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED);
    EQUAL(errno, EAGAIN);
    GOOD(setrlimit(RLIMIT_MEMLOCK, &nothing));
    FAILS(EPERM, mlock(pages, PAGE));
    TRUE(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED);
    EQUAL(errno, EPERM);
    return 0;
}

CHECK(setrlimit, memory_that_is_locked)
{
    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    check_child(locks_as_somebody, NULL);
}

/* ---- RLIMIT_DATA ---- */

static void *map(size_t bytes, int protection, int flags)
{
    return mmap(NULL, bytes, protection, flags | MAP_ANONYMOUS, -1, 0);
}

/* Private memory that may be written is data, and as much as the limit says is there already. */
static int wants_data(void *arg)
{
    const struct rlimit little = {PAGE, RLIM_INFINITY}, enough = {RLIM_INFINITY, RLIM_INFINITY};
    char *data = check_pages(2 * PAGE, PROT_READ | PROT_WRITE), *pages;
    long end;

    (void)arg;
    GOOD(setrlimit(RLIMIT_DATA, &little));
    TRUE(map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE) == MAP_FAILED);
    EQUAL(errno, ENOMEM);
    TRUE(map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED) != MAP_FAILED);
    pages = map(2 * PAGE, PROT_READ, MAP_PRIVATE);
    TRUE(pages != MAP_FAILED);
    FAILS(ENOMEM, mprotect(pages, PAGE, PROT_READ | PROT_WRITE));
    GOOD(mprotect(data, PAGE, PROT_READ | PROT_WRITE)); /* it is data already */
    TRUE(mremap(data, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
    EQUAL(errno, ENOMEM);
    TRUE(mremap(pages, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED);
    end = syscall(SYS_brk, 0);
    EQUAL(syscall(SYS_brk, end + 4 * PAGE), end);
    GOOD(setrlimit(RLIMIT_DATA, &enough));
    EQUAL(syscall(SYS_brk, end + 4 * PAGE), end + 4 * (long)PAGE);
    TRUE(map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE) != MAP_FAILED);
    return 0;
}

CHECK(setrlimit, private_memory_that_may_be_written)
{
    struct rlimit limit;

    GOOD(getrlimit(RLIMIT_DATA, &limit));
    NEEDS(limit.rlim_max == RLIM_INFINITY, "data is limited for good");
    check_child(wants_data, NULL);
}

/* ---- RLIMIT_RTTIME ---- */

#define RUN_MICROSECONDS 100000

static void runs_without_a_pause(void)
{
    const struct rlimit limit = {RUN_MICROSECONDS, 4 * RUN_MICROSECONDS};
    struct sched_param param = {.sched_priority = 1};

    signal(SIGXCPU, on_signal);
    GOOD(setrlimit(RLIMIT_RTTIME, &limit));
    use_up_to(2 * RUN_MICROSECONDS * 1000ll); /* not as a real-time thread: nobody minds */
    EQUAL(told, 0);
    GOOD(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param));
}

static int is_told_once(void *arg)
{
    (void)arg;
    runs_without_a_pause();
    while (told == 0)
        ;
    EQUAL(soft_limit(RLIMIT_RTTIME), 1000000 + RUN_MICROSECONDS);
    return 0;
}

static int runs_for_ever(void *arg)
{
    runs_without_a_pause();
    return be_busy(arg) == NULL;
}

CHECK(setrlimit, a_realtime_thread_has_to_pause)
{
    int status, pid;

    NEEDS(geteuid() == 0, "needs to be root, for a real-time priority");
    check_child(is_told_once, NULL);
    pid = check_fork(runs_for_ever, NULL);
    TRUE(used_by(pid, &status) >= (2 + 4) * RUN_MICROSECONDS * 1000ll - EARLY);
    EQUAL(status, SIGKILL);
}
