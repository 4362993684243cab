/* SPDX-License-Identifier: MIT */
/* Signals: rt_sigaction(2), rt_sigprocmask(2), kill(2), tgkill(2), handlers and what they see, waiting, stacks. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#define SET_BYTES 8ul

static volatile sig_atomic_t count;
static siginfo_t seen;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    seen = *info;
    count++;
}

static void handle(int number, int flags)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = flags | SA_SIGINFO};

    GOOD(sigaction(number, &action, NULL));
}

/* A set with these one or two signals. */
static uint64_t set_of(int one, int other)
{
    return UINT64_C(1) << (one - 1) | UINT64_C(1) << (other - 1);
}

static long mask(int how, uint64_t set)
{
    return syscall(SYS_rt_sigprocmask, how, &set, NULL, SET_BYTES);
}

CHECK(rt_sigaction, refuses_what_is_wrong)
{
    unsigned long action[8] = {0}; /* the kernel's own layout, all zero: the default */

    FAILS(EINVAL, syscall(SYS_rt_sigaction, 0, action, NULL, SET_BYTES));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, 65, action, NULL, SET_BYTES));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, SIGKILL, action, NULL, SET_BYTES));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, SIGSTOP, action, NULL, SET_BYTES));
    GOOD(syscall(SYS_rt_sigaction, SIGKILL, NULL, action, SET_BYTES));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, SIGUSR1, action, NULL, 4ul));
    BAD_SOURCES(24, UNLESS_NULL(bad, syscall(SYS_rt_sigaction, SIGUSR1, bad, NULL, SET_BYTES)));
    BAD_TARGETS(24, UNLESS_NULL(bad, syscall(SYS_rt_sigaction, SIGUSR1, NULL, bad, SET_BYTES)));
}

CHECK(kill, reaches_a_handler_with_its_facts)
{
    handle(SIGUSR1, 0);
    GOOD(syscall(SYS_kill, getpid(), SIGUSR1));
    EQUAL(count, 1);
    EQUAL(seen.si_signo, SIGUSR1);
    EQUAL(seen.si_code, SI_USER);
    EQUAL(seen.si_pid, getpid());
    EQUAL(seen.si_uid, getuid());
    GOOD(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
    EQUAL(seen.si_code, SI_TKILL);
    EQUAL(count, 2);
}

CHECK(kill, refuses_what_is_wrong)
{
    GOOD(syscall(SYS_kill, getpid(), 0));
    FAILS(EINVAL, syscall(SYS_kill, getpid(), 65));
    FAILS(EINVAL, syscall(SYS_kill, getpid(), -1));
    FAILS(ESRCH, syscall(SYS_kill, 0x3ffffff, SIGUSR1));
    FAILS(ESRCH, syscall(SYS_kill, -0x3ffffff, SIGUSR1));
    FAILS(EINVAL, syscall(SYS_tgkill, 0, 1, 0));
    FAILS(EINVAL, syscall(SYS_tgkill, getpid(), -1, 0));
    FAILS(ESRCH, syscall(SYS_tgkill, getpid(), 0x3ffffff, SIGUSR1));
    FAILS(ESRCH, syscall(SYS_tgkill, getppid(), getpid(), SIGUSR1)); /* not a thread of that process */
}

static int signal_parent_as_somebody(void *arg)
{
    (void)arg;
    GOOD(syscall(SYS_setresuid, 1000, 1000, 1000));
    FAILS(EPERM, syscall(SYS_kill, getppid(), SIGTERM));
    FAILS(EPERM, syscall(SYS_kill, getppid(), 0));
    GOOD(syscall(SYS_kill, getpid(), 0));
    return 0;
}

CHECK(kill, another_users_process_is_not_permitted)
{
    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    check_child(signal_parent_as_somebody, NULL);
}

static int raise_it(void *arg)
{
    raise((int)(intptr_t)arg);
    return 7;
}

CHECK(kill, default_actions)
{
    const int ends[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGPIPE, SIGRTMIN};
    static const int ignored[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        EQUAL(check_wait(check_fork(raise_it, (void *)(intptr_t)ends[i])) & 0x7f, ends[i]);
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        EQUAL(check_wait(check_fork(raise_it, (void *)(intptr_t)ignored[i])), 7 << 8);
}

CHECK(rt_sigprocmask, holds_back_and_lets_go)
{
    uint64_t pending = 0, old = 0;

    handle(SIGUSR1, 0);
    handle(SIGUSR2, 0);
    GOOD(mask(SIG_BLOCK, set_of(SIGUSR1, SIGUSR2)));
    GOOD(kill(getpid(), SIGUSR1));
    GOOD(kill(getpid(), SIGUSR1)); /* an ordinary signal is pending once */
    EQUAL(count, 0);
    GOOD(syscall(SYS_rt_sigpending, &pending, SET_BYTES));
    EQUAL(pending, set_of(SIGUSR1, SIGUSR1));
    GOOD(mask(SIG_UNBLOCK, set_of(SIGUSR1, SIGUSR1)));
    EQUAL(count, 1);
    GOOD(mask(SIG_SETMASK, UINT64_MAX));
    GOOD(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, SET_BYTES));
    EQUAL(old & set_of(SIGKILL, SIGSTOP), 0); /* these cannot be held back */
    FAILS(EINVAL, mask(77, 0));
    FAILS(EINVAL, syscall(SYS_rt_sigprocmask, SIG_BLOCK, &old, NULL, 4ul));
    BAD_SOURCES(8, UNLESS_NULL(bad, syscall(SYS_rt_sigprocmask, SIG_BLOCK, bad, NULL, SET_BYTES)));
    BAD_TARGETS(8, UNLESS_NULL(bad, syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, bad, SET_BYTES)));
    BAD_TARGETS(8, syscall(SYS_rt_sigpending, bad, SET_BYTES));
}

static uint64_t mask_inside;

static void look_at_mask(int number)
{
    (void)number;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask_inside, SET_BYTES);
}

CHECK(rt_sigaction, masks_during_the_handler)
{
    struct sigaction action = {.sa_handler = look_at_mask};
    uint64_t after = 0;

    sigaddset(&action.sa_mask, SIGUSR2);
    GOOD(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    EQUAL(mask_inside, set_of(SIGUSR1, SIGUSR2));
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &after, SET_BYTES);
    EQUAL(after, 0);
    action.sa_flags = SA_NODEFER | SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    GOOD(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    EQUAL(mask_inside, 0);
    GOOD(sigaction(SIGUSR1, NULL, &action));
    TRUE(action.sa_handler == SIG_DFL);
}

static char *stack_inside;

static void look_at_stack(int number)
{
    (void)number;
    stack_inside = __builtin_frame_address(0);
}

CHECK(sigaltstack, is_used_where_asked_for)
{
    struct sigaction action = {.sa_handler = look_at_stack, .sa_flags = SA_ONSTACK};
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, old, wrong = {.ss_sp = stack.ss_sp, .ss_size = 100};

    GOOD(syscall(SYS_sigaltstack, NULL, &old));
    EQUAL(old.ss_flags, SS_DISABLE);
    GOOD(syscall(SYS_sigaltstack, &stack, NULL));
    GOOD(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    TRUE(stack_inside >= (char *)stack.ss_sp && stack_inside < (char *)stack.ss_sp + stack.ss_size);
    FAILS(ENOMEM, syscall(SYS_sigaltstack, &wrong, NULL));
    wrong.ss_flags = 0x100;
    FAILS(EINVAL, syscall(SYS_sigaltstack, &wrong, NULL));
    BAD_SOURCES(sizeof(stack), UNLESS_NULL(bad, syscall(SYS_sigaltstack, bad, NULL)));
    BAD_TARGETS(sizeof(stack), UNLESS_NULL(bad, syscall(SYS_sigaltstack, NULL, bad)));
}

/* The child interrupts its parent once that sleeps. */
static int interrupt_parent(void *arg)
{
    (void)arg;
    while (!check_sleeps(getppid()))
        ;
    return kill(getppid(), SIGUSR1);
}

CHECK(rt_sigaction, without_sa_restart_a_read_is_interrupted)
{
    int ends[2], pid;
    char c;

    GOOD(pipe(ends));
    handle(SIGUSR1, 0);
    pid = check_fork(interrupt_parent, NULL);
    FAILS(EINTR, read(ends[0], &c, 1));
    EQUAL(count, 1);
    EQUAL(check_wait(pid), 0);
}

static int interrupt_and_write(void *arg)
{
    return interrupt_parent(NULL) != 0 || write(*(int *)arg, "x", 1) != 1;
}

CHECK(rt_sigaction, with_sa_restart_a_read_goes_on)
{
    int ends[2], pid;
    char c = 0;

    GOOD(pipe(ends));
    handle(SIGUSR1, SA_RESTART);
    pid = check_fork(interrupt_and_write, &ends[1]);
    EQUAL(read(ends[0], &c, 1), 1);
    EQUAL(c, 'x');
    EQUAL(check_wait(pid), 0);
    EQUAL(count, 1);
}

CHECK(rt_sigsuspend, waits_with_another_mask)
{
    uint64_t none = 0, now = 0;

    handle(SIGUSR1, 0);
    GOOD(mask(SIG_SETMASK, set_of(SIGUSR1, SIGUSR2)));
    GOOD(kill(getpid(), SIGUSR1));
    EQUAL(count, 0);
    FAILS(EINTR, syscall(SYS_rt_sigsuspend, &none, SET_BYTES));
    EQUAL(count, 1);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, SET_BYTES);
    EQUAL(now, set_of(SIGUSR1, SIGUSR2));
    FAILS(EINVAL, syscall(SYS_rt_sigsuspend, &none, 4ul));
    BAD_SOURCES(8, syscall(SYS_rt_sigsuspend, bad, SET_BYTES));
}

CHECK(rt_sigtimedwait, takes_what_is_pending)
{
    uint64_t set = set_of(SIGUSR1, SIGRTMIN + 1);
    struct timespec none = {0}, wrong = {.tv_nsec = -1};
    union sigval value = {.sival_int = 5};
    siginfo_t info;

    GOOD(mask(SIG_BLOCK, set));
    FAILS(EAGAIN, syscall(SYS_rt_sigtimedwait, &set, &info, &none, SET_BYTES));
    GOOD(sigqueue(getpid(), SIGRTMIN + 1, value));
    value.sival_int = 6;
    GOOD(sigqueue(getpid(), SIGRTMIN + 1, value)); /* real-time signals are queued */
    GOOD(kill(getpid(), SIGUSR1));
    EQUAL(syscall(SYS_rt_sigtimedwait, &set, &info, &none, SET_BYTES), SIGUSR1); /* the lowest first */
    EQUAL(info.si_code, SI_USER);
    for (int i = 5; i <= 6; i++) {
        EQUAL(syscall(SYS_rt_sigtimedwait, &set, &info, &none, SET_BYTES), SIGRTMIN + 1);
        EQUAL(info.si_code, SI_QUEUE);
        EQUAL(info.si_value.sival_int, i);
    }
    FAILS(EINVAL, syscall(SYS_rt_sigtimedwait, &set, &info, &wrong, SET_BYTES));
    FAILS(EINVAL, syscall(SYS_rt_sigtimedwait, &set, &info, &none, 4ul));
    BAD_SOURCES(8, syscall(SYS_rt_sigtimedwait, bad, &info, &none, SET_BYTES));
    BAD_SOURCES(16, UNLESS_NULL(bad, syscall(SYS_rt_sigtimedwait, &set, &info, bad, SET_BYTES)));
}

CHECK(rt_sigqueueinfo, may_not_pretend)
{
    siginfo_t info;
    int pid = check_fork(check_pause, NULL);

    memset(&info, 0, sizeof(info));
    info.si_code = SI_USER; /* as if the kernel had made it */
    FAILS(EPERM, syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
    info.si_code = SI_QUEUE;
    FAILS(ESRCH, syscall(SYS_rt_sigqueueinfo, 0x3ffffff, SIGUSR1, &info));
    FAILS(EINVAL, syscall(SYS_rt_sigqueueinfo, pid, 65, &info));
    GOOD(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
    EQUAL(check_wait(pid), SIGUSR1);
    BAD_SOURCES(16, syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, bad));
}

/* Only of a code that the kernel does not know must all that lies behind its facts be zero. */
CHECK(rt_sigqueueinfo, takes_what_was_not_cleared)
{
    siginfo_t info;
    int pid = check_fork(check_pause, NULL);

    memset(&info, 0xa5, sizeof(info));
    info.si_code = -77;
    FAILS(E2BIG, syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
    info.si_code = SI_QUEUE;
    GOOD(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
    EQUAL(check_wait(pid), SIGUSR1);
}

static void *get_a_signal(void *arg)
{
    siginfo_t info;
    sigset_t set;

    check_block(&set, SIGUSR1);
    memset(&info, 0, sizeof(info));
    info.si_code = SI_QUEUE;
    info.si_value.sival_int = 7;
    GOOD(syscall(SYS_rt_sigqueueinfo, syscall(SYS_gettid), SIGUSR1, &info));
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    EQUAL(info.si_value.sival_int, 7);
    GOOD(syscall(SYS_kill, syscall(SYS_gettid), 0));
    GOOD(syscall(SYS_kill, syscall(SYS_gettid), SIGUSR1));
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    EQUAL(info.si_code, SI_USER);
    FAILS(ESRCH, syscall(SYS_kill, -syscall(SYS_gettid), 0)); /* not a group */
    return arg;
}

/* A thread's id means its process. */
CHECK(kill, finds_a_process_by_each_of_its_threads)
{
    pthread_t thread;
    sigset_t set;

    check_block(&set, SIGUSR1);
    EQUAL(pthread_create(&thread, NULL, get_a_signal, NULL), 0);
    EQUAL(pthread_join(thread, NULL), 0);
}

CHECK(wait4, a_dead_child_sends_sigchld)
{
    int pid;

    handle(SIGCHLD, SA_NOCLDSTOP);
    GOOD(mask(SIG_BLOCK, set_of(SIGCHLD, SIGCHLD)));
    pid = check_fork(raise_it, (void *)SIGKILL);
    EQUAL(check_wait(pid), SIGKILL);
    GOOD(mask(SIG_UNBLOCK, set_of(SIGCHLD, SIGCHLD)));
    EQUAL(count, 1);
    EQUAL(seen.si_pid, pid);
    EQUAL(seen.si_code, CLD_KILLED);
    EQUAL(seen.si_status, SIGKILL);
}

CHECK(wait4, ignored_sigchld_leaves_no_zombie)
{
    signal(SIGCHLD, SIG_IGN);
    check_fork(raise_it, NULL);
    FAILS(ECHILD, waitpid(-1, NULL, 0)); /* waits for its end, and has nothing to tell */
}

static volatile double sum;

static void use_floating_point(int number)
{
    (void)number;
    for (int i = 1; i < 100; i++)
        sum += 1.0 / i;
}

CHECK(rt_sigreturn, floating_point_survives_a_handler)
{
    double values[8], expected = 0;

    signal(SIGUSR1, use_floating_point);
    for (int i = 0; i < 8; i++)
        values[i] = 0.1 * i;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 8; i++)
            values[i] += 0.25;
        raise(SIGUSR1);
    }
    for (int i = 0; i < 8; i++) {
        expected = 0.1 * i;
        for (int round = 0; round < 100; round++)
            expected += 0.25;
        TRUE(values[i] == expected);
    }
}
