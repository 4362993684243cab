/* SPDX-License-Identifier: MIT */
/*
 * Calls that wait, and what ends the wait: a stop and SIGCONT, a handler, a handler with SA_RESTART. signal(7) has the
 * table, "Interruption of system calls and library functions by signal handlers", and by stop signals.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define SET_BYTES 8ul
#define LONG_SECONDS 100000

/* What the one who waits and the one who disturbs it share. */
struct shared {
    _Atomic int begun, handled, returned, error;
    _Atomic uint32_t word; /* of a futex; 0 */
    _Atomic uint32_t lock; /* one with inheritance, of the disturber's */
};

static struct shared *shared;
static int quiet[2]; /* a pipe in which nothing happens */
static int locked;   /* a file that the disturber has locked */

static const struct timespec long_time = {.tv_sec = LONG_SECONDS};

static struct timespec far_away(int clock)
{
    struct timespec time;

    GOOD(clock_gettime(clock, &time));
    time.tv_sec += LONG_SECONDS;
    return time;
}

/* ---- The calls ---- */

static long do_read(void)
{
    char byte;

    return read(quiet[0], &byte, 1);
}

static long do_write(void)
{
    static char bytes[1 << 16];
    int full[2];

    GOOD(pipe2(full, O_NONBLOCK));
    while (write(full[1], bytes, sizeof(bytes)) > 0)
        ;
    GOOD(fcntl(full[1], F_SETFL, 0));
    return write(full[1], bytes, 1);
}

static long do_open(void)
{
    (void)mkfifo("fifo", 0600);
    return open("fifo", O_RDONLY);
}

static long futex(void *word, int op, uint32_t value, const void *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, FUTEX_BITSET_MATCH_ANY);
}

static long do_futex(void)
{
    return futex(&shared->word, FUTEX_WAIT, 0, NULL);
}

static long do_futex_for(void)
{
    return futex(&shared->word, FUTEX_WAIT, 0, &long_time);
}

static long do_futex_until(void)
{
    struct timespec time = far_away(CLOCK_MONOTONIC);

    return futex(&shared->word, FUTEX_WAIT_BITSET, 0, &time);
}

static long do_futex_until_wall(void)
{
    struct timespec time = far_away(CLOCK_REALTIME);

    return futex(&shared->word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &time);
}

static long do_futex_lock(void)
{
    return futex(&shared->lock, FUTEX_LOCK_PI, 0, NULL);
}

static long do_nanosleep(void)
{
    return syscall(SYS_nanosleep, &long_time, NULL);
}

static long do_sleep_for(void)
{
    struct timespec left;

    return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &long_time, &left);
}

static long do_sleep_until(void)
{
    struct timespec time = far_away(CLOCK_MONOTONIC);

    return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static long do_sleep_until_wall(void)
{
    struct timespec time = far_away(CLOCK_REALTIME);

    return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &time, NULL);
}

/* poll(2) and select(2) where the machine has them, or what there is instead. */
static long do_poll(void)
{
#ifdef SYS_poll
    struct pollfd fd = {.fd = quiet[0], .events = POLLIN};

    return syscall(SYS_poll, &fd, 1ul, LONG_SECONDS);
#else
    return do_read(); /* another one that goes on after a stop; see is_there() */
#endif
}

static long do_ppoll(void)
{
    struct pollfd fd = {.fd = quiet[0], .events = POLLIN};
    struct timespec time = long_time;
    uint64_t mask = 0;

    return syscall(SYS_ppoll, &fd, 1ul, &time, &mask, SET_BYTES);
}

static long do_pselect(void)
{
    struct timespec time = long_time;
    fd_set set;

    FD_ZERO(&set);
    FD_SET(quiet[0], &set);
    return syscall(SYS_pselect6, quiet[0] + 1, &set, NULL, NULL, &time, NULL);
}

static long do_select_for_ever(void)
{
    return syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, NULL);
}

/* Who has no room for what is left of its time cannot have the call made anew. */
static long do_ppoll_of_constant(void)
{
    struct timespec *time = check_pages(PAGE, PROT_READ | PROT_WRITE);

    *time = long_time;
    GOOD(mprotect(time, PAGE, PROT_READ));
    return syscall(SYS_ppoll, NULL, 0ul, time, NULL, SET_BYTES);
}

static long do_epoll(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = (int)GOOD(epoll_create1(0));

    GOOD(epoll_ctl(epoll, EPOLL_CTL_ADD, quiet[0], &event));
    return syscall(SYS_epoll_pwait, epoll, &event, 1, -1, NULL, SET_BYTES);
}

static long do_wait4(void)
{
    int pid = check_fork(check_pause, NULL);

    return syscall(SYS_wait4, pid, NULL, 0, NULL);
}

static long do_waitid(void)
{
    int pid = check_fork(check_pause, NULL);
    siginfo_t info;

    return syscall(SYS_waitid, P_PID, pid, &info, WEXITED, NULL);
}

static long do_sigsuspend(void)
{
    uint64_t mask = 0;

    return syscall(SYS_rt_sigsuspend, &mask, SET_BYTES);
}

static long do_sigwait(void)
{
    uint64_t set = UINT64_C(1) << (SIGWINCH - 1);
    sigset_t blocked;

    check_block(&blocked, SIGWINCH);
    return syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, SET_BYTES);
}

static long do_sigwait_for(void)
{
    uint64_t set = UINT64_C(1) << (SIGWINCH - 1);
    sigset_t blocked;

    check_block(&blocked, SIGWINCH);
    return syscall(SYS_rt_sigtimedwait, &set, NULL, &long_time, SET_BYTES);
}

static long do_flock(void)
{
    return flock(open("locked", O_RDWR), LOCK_EX);
}

static long do_record_lock(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(open("locked", O_RDWR), F_SETLKW, &lock);
}

/* What makes each end: whatever else happens, it goes on. */
#define STOP 0x1u
#define HANDLER 0x2u
#define RESTARTING 0x4u
#define HANDLERS (HANDLER | RESTARTING)

static const struct waiting {
    const char *name;
    long (*call)(void);
    unsigned ends; /* with EINTR */
} calls[] = {
    {"read", do_read, HANDLER},
    {"write", do_write, HANDLER},
    {"open of a FIFO", do_open, HANDLER},
    {"futex", do_futex, HANDLER},
    {"futex for a time", do_futex_for, HANDLERS},
    {"futex until a time", do_futex_until, HANDLERS},
    {"futex until a time of day", do_futex_until_wall, HANDLERS},
    {"futex with an owner", do_futex_lock, 0},
    {"nanosleep", do_nanosleep, HANDLERS},
    {"clock_nanosleep for a time", do_sleep_for, HANDLERS},
    {"clock_nanosleep until a time", do_sleep_until, HANDLERS},
    {"clock_nanosleep until a time of day", do_sleep_until_wall, HANDLERS},
#ifdef SYS_poll
    {"poll", do_poll, HANDLERS},
#endif
    {"ppoll", do_ppoll, HANDLERS},
    {"ppoll for a constant time", do_ppoll_of_constant, STOP | HANDLERS},
    {"pselect6", do_pselect, HANDLERS},
    {"pselect6 for ever", do_select_for_ever, HANDLERS},
    {"epoll_pwait", do_epoll, STOP | HANDLERS},
    {"wait4", do_wait4, HANDLER},
    {"waitid", do_waitid, HANDLER},
    {"rt_sigsuspend", do_sigsuspend, HANDLERS},
    {"rt_sigtimedwait", do_sigwait, STOP | HANDLERS},
    {"rt_sigtimedwait for a time", do_sigwait_for, STOP | HANDLERS},
    {"flock", do_flock, HANDLER},
    {"fcntl F_SETLKW", do_record_lock, HANDLER},
};

/* ---- The one who waits ---- */

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&shared->handled, 1);
}

static int wait_in(void *arg)
{
    const struct waiting *waiting = arg;

    atomic_store(&shared->begun, 1);
    long result = waiting->call();

    atomic_store(&shared->error, result == -1 ? errno : 0);
    atomic_store(&shared->returned, 1);
    return check_pause(NULL); /* its end would be the next that its parent hears of it */
}

/* ---- The one who disturbs ---- */

static bool is_settled(void *arg)
{
    return atomic_load(&shared->returned) || check_sleeps(*(int *)arg);
}

static bool has_begun(void *arg)
{
    return atomic_load(&shared->begun) && check_sleeps(*(int *)arg);
}

static bool is_handled(void *arg)
{
    (void)arg;
    return atomic_load(&shared->handled);
}

static void stop_and_continue(int pid)
{
    int status;

    GOOD(kill(pid, SIGSTOP));
    EQUAL(waitpid(pid, &status, WUNTRACED), pid);
    TRUE(WIFSTOPPED(status));
    GOOD(kill(pid, SIGCONT));
    EQUAL(waitpid(pid, &status, WCONTINUED), pid);
    TRUE(WIFCONTINUED(status));
}

static void disturb(const struct waiting *waiting, unsigned by)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = by == RESTARTING ? SA_RESTART : 0};
    bool ends = (waiting->ends & by) != 0;
    int pid, error = 0;

    memset(shared, 0, sizeof(*shared));
    atomic_store(&shared->lock, (uint32_t)getpid());
    GOOD(sigaction(SIGUSR1, &action, NULL));
    pid = check_fork(wait_in, (void *)waiting);
    check_until(has_begun, &pid);
    if (by == STOP) {
        stop_and_continue(pid);
    } else {
        GOOD(kill(pid, SIGUSR1));
        check_until(is_handled, NULL);
    }
    check_until(is_settled, &pid);
    if (atomic_load(&shared->returned))
        error = atomic_load(&shared->error);
    GOOD(kill(pid, SIGKILL));
    check_wait(pid);
    if (error != (ends ? EINTR : 0))
        check_failed(__FILE__, __LINE__, "%s: %s, and should %s", waiting->name,
                     error != 0 ? strerrorname_np(error) : "goes on, or succeeds", ends ? "be EINTR" : "go on");
}

static void disturb_all(unsigned by)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    shared = check_shared_page();
    GOOD(pipe(quiet));
    locked = check_file("locked", "", 0);
    GOOD(flock(locked, LOCK_EX));
    GOOD(fcntl(locked, F_SETLK, &lock));
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        disturb(&calls[i], by);
}

CHECK(restart_syscall, after_a_stop_calls_go_on)
{
    disturb_all(STOP);
}

CHECK(restart_syscall, after_a_handler_calls_end)
{
    disturb_all(HANDLER);
}

CHECK(restart_syscall, after_a_handler_with_sa_restart_some_go_on)
{
    disturb_all(RESTARTING);
}

/* Stopped and continued it runs out as well, and not too early. */
static int sleep_a_while(void *arg)
{
    const struct timespec time = {.tv_nsec = 200000000};
    struct timespec before, after;

    (void)arg;
    GOOD(clock_gettime(CLOCK_MONOTONIC, &before));
    atomic_store(&shared->begun, 1);
    FAILS(ETIMEDOUT, futex(&shared->word, FUTEX_WAIT, 0, &time));
    GOOD(clock_gettime(CLOCK_MONOTONIC, &after));
    TRUE((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= time.tv_nsec);
    return 0;
}

CHECK(restart_syscall, a_wait_for_a_time_runs_out_after_a_stop)
{
    int pid, status;

    shared = check_shared_page();
    pid = check_fork(sleep_a_while, NULL);
    while (!atomic_load(&shared->begun))
        sched_yield();
    GOOD(kill(pid, SIGSTOP));
    EQUAL(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFSTOPPED(status)) { /* else it was over by then */
        GOOD(kill(pid, SIGCONT));
        status = check_wait(pid);
    }
    EQUAL(status, 0);
}

/* A signal that is blocked but for the length of the call ends it, and is blocked again afterwards. */
static void has_a_mask(long (*call)(const uint64_t *mask))
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t set, after;
    uint64_t mask = 0;

    shared = check_shared_page();
    check_block(&set, SIGUSR1);
    GOOD(sigaction(SIGUSR1, &action, NULL));
    GOOD(raise(SIGUSR1));
    EQUAL(atomic_load(&shared->handled), 0);
    FAILS(EINTR, call(&mask));
    EQUAL(atomic_load(&shared->handled), 1);
    GOOD(sigprocmask(SIG_BLOCK, NULL, &after));
    TRUE(sigismember(&after, SIGUSR1));
}

static long masked_ppoll(const uint64_t *mask)
{
    return syscall(SYS_ppoll, NULL, 0ul, NULL, mask, SET_BYTES);
}

static long masked_pselect(const uint64_t *mask)
{
    const uint64_t argument[2] = {(uintptr_t)mask, SET_BYTES};

    return syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, argument);
}

CHECK(ppoll, has_a_mask)
{
    uint64_t mask = 0;

    has_a_mask(masked_ppoll);
    FAILS(EINVAL, syscall(SYS_ppoll, NULL, 0ul, NULL, &mask, 4ul));
    BAD_SOURCES(SET_BYTES, UNLESS_NULL(bad, syscall(SYS_ppoll, NULL, 0ul, NULL, bad, SET_BYTES)));
}

CHECK(pselect6, has_a_mask)
{
    has_a_mask(masked_pselect);
    BAD_SOURCES(16, UNLESS_NULL(bad, syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, bad)));
}
