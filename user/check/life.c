/* SPDX-License-Identifier: MIT */
/* Processes: fork(2), clone(2), wait4(2), waitid(2), exit(2), ids, groups and sessions, prctl(2), limits. */
#include "check.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static int exit_with(void *arg)
{
    return (int)(intptr_t)arg;
}

CHECK(getpid, ids_agree)
{
    EQUAL(syscall(SYS_getpid), syscall(SYS_gettid));
    TRUE(syscall(SYS_getppid) > 0);
    EQUAL(syscall(SYS_getpgid, 0), syscall(SYS_getpgid, getpid()));
}

CHECK(wait4, gives_the_exit_status)
{
    int status = -1;
    int pid = check_fork(exit_with, (void *)42);

    EQUAL(syscall(SYS_wait4, pid, &status, 0, NULL), pid);
    EQUAL(status, 42 << 8);
    FAILS(ECHILD, syscall(SYS_wait4, pid, &status, 0, NULL));
}

CHECK(wait4, keeps_only_eight_bits_of_the_status)
{
    int pid = fork();

    if (pid == 0)
        syscall(SYS_exit_group, 0x1ff);
    EQUAL(check_wait(pid), 0xff00);
}

CHECK(wait4, gives_the_signal_that_ended_it)
{
    int pid = check_fork(check_pause, NULL);

    GOOD(kill(pid, SIGKILL));
    EQUAL(check_wait(pid), SIGKILL);
}

CHECK(wait4, with_wnohang_does_not_wait)
{
    int status = 77, pid = check_fork(check_pause, NULL);

    EQUAL(syscall(SYS_wait4, pid, &status, WNOHANG, NULL), 0);
    EQUAL(status, 77);
    GOOD(kill(pid, SIGKILL));
    check_wait(pid);
}

CHECK(wait4, tells_of_a_stop_and_of_going_on)
{
    int status = -1, pid = check_fork(check_pause, NULL);

    GOOD(kill(pid, SIGSTOP));
    EQUAL(syscall(SYS_wait4, pid, &status, WUNTRACED, NULL), pid);
    EQUAL(status, SIGSTOP << 8 | 0x7f);
    EQUAL(syscall(SYS_wait4, pid, &status, WUNTRACED | WNOHANG, NULL), 0); /* it is told once */
    GOOD(kill(pid, SIGCONT));
    EQUAL(syscall(SYS_wait4, pid, &status, WCONTINUED, NULL), pid);
    EQUAL(status, 0xffff);
    GOOD(kill(pid, SIGKILL));
    check_wait(pid);
}

CHECK(wait4, refuses_what_is_wrong)
{
    int pid;

    FAILS(ECHILD, syscall(SYS_wait4, -1, NULL, 0, NULL));
    FAILS(EINVAL, syscall(SYS_wait4, -1, NULL, 0x100, NULL));
    FAILS(ESRCH, syscall(SYS_wait4, INT32_MIN, NULL, 0, NULL));
    pid = check_fork(exit_with, NULL);
    FAILS(ECHILD, syscall(SYS_wait4, getpid(), NULL, 0, NULL));
    FAILS(EFAULT, syscall(SYS_wait4, pid, (void *)8, 0, NULL));
}

CHECK(wait4, picks_by_group)
{
    int first = check_fork(check_pause, NULL), second = check_fork(exit_with, (void *)3), status = -1;

    GOOD(setpgid(first, first));
    FAILS(ECHILD, syscall(SYS_wait4, -second, &status, 0, NULL));
    EQUAL(syscall(SYS_wait4, 0, &status, 0, NULL), second);
    GOOD(kill(first, SIGKILL));
    EQUAL(syscall(SYS_wait4, -first, &status, 0, NULL), first);
}

CHECK(waitid, tells_and_leaves_the_child_with_wnowait)
{
    siginfo_t info;
    int pid = check_fork(exit_with, (void *)7);

    for (int i = 0; i < 2; i++) {
        memset(&info, 0, sizeof(info));
        GOOD(syscall(SYS_waitid, P_PID, pid, &info, WEXITED | (i == 0 ? WNOWAIT : 0), NULL));
        EQUAL(info.si_pid, pid);
        EQUAL(info.si_signo, SIGCHLD);
        EQUAL(info.si_code, CLD_EXITED);
        EQUAL(info.si_status, 7);
    }
    FAILS(ECHILD, syscall(SYS_waitid, P_PID, pid, &info, WEXITED, NULL));
}

CHECK(waitid, refuses_what_is_wrong)
{
    int pid = check_fork(exit_with, NULL);

    FAILS(EINVAL, syscall(SYS_waitid, P_ALL, 0, NULL, 0, NULL));
    FAILS(EINVAL, syscall(SYS_waitid, 77, 0, NULL, WEXITED, NULL));
    FAILS(EINVAL, syscall(SYS_waitid, P_PID, 0, NULL, WEXITED, NULL));
    FAILS(EINVAL, syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED | 0x100, NULL));
    FAILS(EFAULT, syscall(SYS_waitid, P_PID, pid, (void *)8, WEXITED, NULL));
}

/* A child that is left behind tells who its parent is, once that is not the one it began with. */
static int leave_an_orphan(void *arg)
{
    const int *to = arg;
    int middle = getpid(), pid = fork(), parent;

    if (pid != 0)
        return pid < 0;
    do {
        sched_yield();
        parent = getppid();
    } while (parent == middle);
    return write(*to, &parent, sizeof(parent)) != sizeof(parent);
}

CHECK(exit, gives_orphans_to_the_subreaper)
{
    int ends[2], parent = 0;

    GOOD(pipe(ends));
    GOOD(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    check_child(leave_an_orphan, &ends[1]);
    EQUAL(read(ends[0], &parent, sizeof(parent)), sizeof(parent));
    EQUAL(parent, getpid());
    GOOD(waitpid(-1, NULL, 0)); /* it is ours now */
}

static void *exit_group_of_thread(void *arg)
{
    (void)arg;
    syscall(SYS_exit_group, 5);
    return NULL;
}

static int exit_by_thread(void *arg)
{
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, exit_group_of_thread, NULL), 0);
    return check_pause(arg);
}

CHECK(exit_group, ends_all_threads)
{
    EQUAL(check_wait(check_fork(exit_by_thread, NULL)), 5 << 8);
}

static void *thread_that_waits(void *arg)
{
    (void)arg;
    usleep(1000);
    _exit(6);
}

static int exit_of_first_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    EQUAL(pthread_create(&thread, NULL, thread_that_waits, NULL), 0);
    syscall(SYS_exit, 9); /* only this thread: the process lives until the other one ends it */
    return 1;
}

CHECK(exit, of_the_first_thread_leaves_the_others)
{
    EQUAL(check_wait(check_fork(exit_of_first_thread, NULL)), 6 << 8);
}

CHECK(clone, refuses_flags_that_do_not_go_together)
{
    FAILS(EINVAL, syscall(SYS_clone, CLONE_THREAD, 0, NULL, NULL, NULL));
    FAILS(EINVAL, syscall(SYS_clone, CLONE_SIGHAND, 0, NULL, NULL, NULL));
    FAILS(EINVAL, syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, NULL, NULL, NULL));
    FAILS(EINVAL, syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, NULL, NULL, NULL));
}

CHECK(clone, sets_and_clears_the_tids)
{
    volatile pid_t *shared = check_shared_page();
    pid_t parent_tid = 0;
    long pid;

    shared[0] = 0;
#if defined __x86_64__
    pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_tid, &shared[0], NULL);
#else
    pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_tid, NULL, &shared[0]);
#endif
    if (pid == 0)
        _exit(shared[0] == (pid_t)syscall(SYS_gettid) ? 0 : 1);
    TRUE(pid > 0);
    EQUAL(parent_tid, pid);
    EQUAL(check_wait((int)pid), 0);
    EQUAL(shared[0], pid);
}

CHECK(clone, without_a_signal_needs_wclone)
{
    long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    int status;

    if (pid == 0)
        _exit(3);
    TRUE(pid > 0);
    FAILS(ECHILD, syscall(SYS_wait4, pid, &status, 0, NULL));
    EQUAL(syscall(SYS_wait4, pid, &status, __WCLONE, NULL), pid);
    EQUAL(status, 3 << 8);
}

CHECK(setpgid, makes_and_joins_groups)
{
    int child = check_fork(check_pause, NULL), other = check_fork(check_pause, NULL);

    GOOD(syscall(SYS_setpgid, child, 0));
    EQUAL(syscall(SYS_getpgid, child), child);
    GOOD(syscall(SYS_setpgid, other, child));
    EQUAL(syscall(SYS_getpgid, other), child);
    FAILS(EPERM, syscall(SYS_setpgid, other, 0x3ffffff));
    FAILS(ESRCH, syscall(SYS_setpgid, 0x3ffffff, 0));
    FAILS(EINVAL, syscall(SYS_setpgid, child, -1));
    FAILS(ESRCH, syscall(SYS_getpgid, 0x3ffffff));
    GOOD(kill(-child, SIGKILL)); /* the whole group */
    EQUAL(check_wait(child), SIGKILL);
    EQUAL(check_wait(other), SIGKILL);
}

static int be_leader(void *arg)
{
    (void)arg;
    EQUAL(syscall(SYS_setsid), getpid());
    EQUAL(syscall(SYS_getsid, 0), getpid());
    EQUAL(syscall(SYS_getpgid, 0), getpid());
    FAILS(EPERM, syscall(SYS_setsid));
    FAILS(EPERM, syscall(SYS_setpgid, 0, 0)); /* a leader of a session stays in its group */
    return 0;
}

CHECK(setsid, makes_a_session_once)
{
    check_child(be_leader, NULL);
    FAILS(ESRCH, syscall(SYS_getsid, 0x3ffffff));
}

/* The child of a child waits for the signal that its parent's end is, and says so. */
static int wait_for_parents_end(void *arg)
{
    int *ends = arg;
    sigset_t set;
    siginfo_t info;

    check_block(&set, SIGUSR2);
    GOOD(prctl(PR_SET_PDEATHSIG, SIGUSR2, 0, 0, 0));
    EQUAL(write(ends[1], "r", 1), 1);
    EQUAL(sigwaitinfo(&set, &info), SIGUSR2);
    EQUAL(write(ends[3], "s", 1), 1);
    return 0;
}

static int end_when_child_is_ready(void *arg)
{
    int *ends = arg;
    char byte;

    check_fork(wait_for_parents_end, arg);
    EQUAL(read(ends[0], &byte, 1), 1);
    return 0;
}

CHECK(prctl, tells_of_the_parents_end)
{
    int ends[4];
    char byte = 0;

    GOOD(pipe(ends));
    GOOD(pipe(ends + 2));
    check_child(end_when_child_is_ready, ends);
    close(ends[3]);
    EQUAL(read(ends[2], &byte, 1), 1);
    EQUAL(byte, 's');
}

CHECK(prctl, name_is_cut_at_fifteen_bytes)
{
    char name[32];

    GOOD(syscall(SYS_prctl, PR_SET_NAME, "0123456789abcdefgh", 0, 0, 0));
    memset(name, 'z', sizeof(name));
    GOOD(syscall(SYS_prctl, PR_GET_NAME, name, 0, 0, 0));
    TRUE(strcmp(name, "0123456789abcde") == 0);
    EQUAL(name[16], 'z');
    BAD_SOURCES(1, syscall(SYS_prctl, PR_SET_NAME, bad, 0, 0, 0));
    BAD_TARGETS(16, syscall(SYS_prctl, PR_GET_NAME, bad, 0, 0, 0));
    FAILS(EINVAL, syscall(SYS_prctl, 0x7fffffff, 0, 0, 0, 0));
}

CHECK(prctl, parent_death_signal)
{
    int signal = -1;

    GOOD(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
    GOOD(syscall(SYS_prctl, PR_GET_PDEATHSIG, &signal, 0, 0, 0));
    EQUAL(signal, SIGUSR1);
    FAILS(EINVAL, syscall(SYS_prctl, PR_SET_PDEATHSIG, 65, 0, 0, 0));
    BAD_TARGETS(sizeof(int), syscall(SYS_prctl, PR_GET_PDEATHSIG, bad, 0, 0, 0));
}

CHECK(prlimit64, limits_are_read_and_set)
{
    struct rlimit64 old, limit;

    GOOD(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &old));
    limit = (struct rlimit64){.rlim_cur = 20, .rlim_max = old.rlim_max};
    GOOD(syscall(SYS_prlimit64, getpid(), RLIMIT_NOFILE, &limit, NULL));
    GOOD(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit));
    EQUAL(limit.rlim_cur, 20);
    FAILS(EBADF, dup2(0, 20)); /* the first that may not be */
    GOOD(dup2(0, 19));
    limit.rlim_cur = limit.rlim_max = 10;
    limit.rlim_cur = 11;
    FAILS(EINVAL, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL));
    FAILS(EINVAL, syscall(SYS_prlimit64, 0, 99, NULL, &limit));
    FAILS(ESRCH, syscall(SYS_prlimit64, 0x3ffffff, RLIMIT_NOFILE, NULL, &limit));
    /* NULL means none. */
    BAD_SOURCES(sizeof(limit), UNLESS_NULL(bad, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, bad, NULL)));
    BAD_TARGETS(sizeof(limit), UNLESS_NULL(bad, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, bad)));
}

CHECK(getrusage, counts_and_refuses)
{
    struct rusage usage;

    GOOD(syscall(SYS_getrusage, RUSAGE_SELF, &usage));
    GOOD(syscall(SYS_getrusage, RUSAGE_CHILDREN, &usage));
    FAILS(EINVAL, syscall(SYS_getrusage, 99, &usage));
    BAD_TARGETS(sizeof(usage), syscall(SYS_getrusage, RUSAGE_SELF, bad));
}

CHECK(uname, names_the_system)
{
    struct utsname name;

    memset(&name, 'z', sizeof(name));
    GOOD(syscall(SYS_uname, &name));
    TRUE(memchr(name.sysname, 0, sizeof(name.sysname)) != NULL && name.sysname[0] != '\0');
    TRUE(memchr(name.release, 0, sizeof(name.release)) != NULL && name.release[0] >= '1');
    BAD_TARGETS(sizeof(name), syscall(SYS_uname, bad));
}

CHECK(umask, keeps_the_permissions_only)
{
    syscall(SYS_umask, 022);
    EQUAL(syscall(SYS_umask, 0177777), 022);
    EQUAL(syscall(SYS_umask, 022), 0777);
}

CHECK(getrandom, fills_and_refuses)
{
    uint64_t one[4] = {0}, other[4] = {0};

    EQUAL(syscall(SYS_getrandom, one, sizeof(one), 0), sizeof(one));
    EQUAL(syscall(SYS_getrandom, other, sizeof(other), 0), sizeof(other));
    TRUE(memcmp(one, other, sizeof(one)) != 0);
    EQUAL(syscall(SYS_getrandom, one, 0, 0), 0);
    FAILS(EINVAL, syscall(SYS_getrandom, one, 8, 0x80));
    BAD_TARGETS(1, syscall(SYS_getrandom, bad, 1, 0));
}

/* ---- Orphaned groups ---- */

struct left {
    int pid, hangups, continues;
};

static struct left *left;

static void count_signal(int number)
{
    if (number == SIGHUP)
        left->hangups++;
    else
        left->continues++;
}

static int stops_and_goes_on(void *arg)
{
    struct sigaction action = {.sa_handler = count_signal};

    (void)arg;
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0); /* it shall outlive its parent */
    if (setpgid(0, 0) != 0 || sigaction(SIGHUP, &action, NULL) != 0 || sigaction(SIGCONT, &action, NULL) != 0)
        return 1;
    return kill(getpid(), SIGSTOP) == 0 && left->hangups == 1 && left->continues == 1 ? 0 : 2;
}

static int leaves_what_stopped(void *arg)
{
    int status = 0;

    (void)arg;
    if (setsid() < 0)
        return 1;
    left->pid = check_fork(stops_and_goes_on, NULL);
    return waitpid(left->pid, &status, WUNTRACED) == left->pid && WIFSTOPPED(status) ? 0 : 2;
}

CHECK(exit, hangs_up_a_group_that_stopped_and_is_orphaned)
{
    left = check_shared_page();
    GOOD(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    EQUAL(check_wait(check_fork(leaves_what_stopped, NULL)), 0);
    EQUAL(check_wait(left->pid), 0);
}

/* Nobody else's, not even that of another run of these checks on the same machine. */
static uid_t somebody;

static int waits_as_somebody(void *arg)
{
    GOOD(syscall(SYS_setresuid, somebody, somebody, somebody));
    GOOD(write(*(int *)arg, "x", 1));
    return check_pause(NULL);
}

/* RLIMIT_NPROC counts the tasks of a real user: zombies, too, and not those of others. */
CHECK(setrlimit, tasks_of_a_user)
{
    struct rlimit limit = {2, 2};
    char *argv[] = {"x", NULL}, byte;
    int pipe_fd[2], other, child;

    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    somebody = 100000 + (uid_t)getpid();
    GOOD(pipe(pipe_fd));
    other = check_fork(waits_as_somebody, &pipe_fd[1]);
    EQUAL(read(pipe_fd[0], &byte, 1), 1);
    GOOD(setrlimit(RLIMIT_NPROC, &limit));
    GOOD(child = check_fork(check_pause, NULL)); /* root's own do not count */
    GOOD(kill(child, SIGKILL));
    check_wait(child);
    GOOD(syscall(SYS_setresuid, somebody, somebody, somebody));
    FAILS(EAGAIN, fork());
    GOOD(kill(other, SIGKILL));
    GOOD(waitid(P_PID, (id_t)other, NULL, WEXITED | WNOWAIT));
    FAILS(EAGAIN, fork());
    check_wait(other);
    GOOD(child = check_fork(check_pause, NULL));
    FAILS(EAGAIN, fork());
    GOOD(kill(child, SIGKILL));
    check_wait(child);
    FAILS(ENOENT, execve("/none", argv, argv + 1));
}
