/* SPDX-License-Identifier: MIT */
/*
 * check-procs - the life of processes as a program sees it, without files: it tells by its exit status. As /init of a
 * machine it ends with 42 if all is well, else with the number of the check that failed. It executes itself, as /init
 * and through /script, with arguments that say what to be.
 */
#include "bare.h"

#define ENOENT 2
#define ENOEXEC 8
#define ECHILD 10
#define EACCES 13
#define EINVAL 22
#define ELOOP 40
#define E2BIG 7
#define EPERM 1

#define SIGCHLD 17
#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_VFORK 0x4000
#define CLONE_THREAD 0x10000
#define CLONE_SETTLS 0x80000
#define CLONE_CHILD_CLEARTID 0x200000
#define CLONE_CHILD_SETTID 0x1000000

#define WNOHANG 1
#define WNOWAIT 0x01000000
#define WEXITED 4

static volatile int shared;
static volatile int tid_word;
static unsigned long tls_word = 0x746c73;
static char thread_stack[16384] __attribute__((aligned(16)));
static char *const no_environment[] = { 0 };

static void leave(int status)
{
    for (;;)
        CALL(exit_group, status);
}

#define CHECK(number, condition) \
    do {                         \
        if (!(condition))        \
            leave(number);       \
    } while (0)

static long fork(void)
{
    return CALL(clone, SIGCHLD);
}

/* The status that it exited with, or -1. */
static int wait_for(long pid)
{
    int status = -1;

    if (CALL(wait4, pid, &status, 0, 0) != pid || (status & 0x7f) != 0)
        return -1;
    return status >> 8 & 0xff;
}

static long execute(const char *path, char *first, char *second)
{
    char *const argv[] = { (char *)path, first, second, 0 };

    return CALL(execve, path, argv, no_environment);
}

static void in_thread(void)
{
    CHECK(60, thread_pointer() == tls_word);
    CHECK(61, CALL(gettid, 0) == tid_word && CALL(gettid, 0) != CALL(getpid, 0));
    shared = 1;
    for (;;)
        CALL(exit, 9); /* no process's status */
}

static void in_executing_thread(void)
{
    (void)execute("/init", "thread", 0);
    leave(62);
}

static void in_ending_thread(void)
{
    leave(5);
}

static long thread(void (*fn)(void))
{
    long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                 CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;

    tid_word = -1;
    return sys_thread(flags, thread_stack + sizeof thread_stack, (void *)&tid_word, fn, (long)&tls_word);
}

static void forks(void)
{
    long pid = fork();

    if (pid == 0) {
        shared = 99;
        leave(CALL(getppid, 0) == 1 ? 7 : 8);
    }
    CHECK(10, pid > 1 && wait_for(pid) == 7 && shared == 0);
    CHECK(11, CALL(wait4, -1, 0, 0, 0) == -ECHILD);
    pid = CALL(clone, CLONE_VM | CLONE_VFORK | SIGCHLD);
    if (pid == 0) {
        shared = 3;
        leave(4);
    }
    CHECK(12, pid > 1 && shared == 3 && wait_for(pid) == 4);
    shared = 0;
    CHECK(13, CALL(clone, CLONE_THREAD | SIGCHLD) == -EINVAL);
    CHECK(14, CALL(clone, CLONE_SIGHAND | SIGCHLD) == -EINVAL);
}

static void waits(void)
{
    int info[32];
    long pid = fork();

    if (pid == 0)
        leave(21);
    CHECK(15, CALL(waitid, 1, pid, info, WEXITED | WNOWAIT, 0) == 0 && info[0] == SIGCHLD && info[2] == 1 &&
                  info[4] == pid && info[6] == 21);
    CHECK(16, CALL(waitid, 0, 0, info, WEXITED, 0) == 0 && info[4] == pid);
    CHECK(17, CALL(waitid, 0, 0, info, WEXITED, 0) == -ECHILD);
    pid = fork();
    if (pid == 0)
        for (;;)
            CALL(sched_yield, 0);
    CHECK(18, CALL(wait4, -1, 0, WNOHANG, 0) == 0);
    leave(pid > 0 ? 6 : 19); /* the child spins; see orphans() */
}

static void threads(void)
{
    shared = 0;
    CHECK(20, thread(in_thread) > 1);
    while (tid_word != 0) /* cleared when it has ended */
        CALL(sched_yield, 0);
    CHECK(21, shared == 1);
    long pid = fork();

    if (pid == 0) {
        thread(in_ending_thread);
        for (;;)
            CALL(sched_yield, 0);
    }
    CHECK(22, wait_for(pid) == 5);
    pid = fork();
    if (pid == 0) {
        thread(in_executing_thread);
        for (;;)
            CALL(sched_yield, 0);
    }
    CHECK(23, wait_for(pid) == 33);
}

/* A child that ends before its own child: that one is ours then. */
static void orphans(void)
{
    long pid = fork();

    if (pid == 0) {
        if (fork() == 0) {
            while (CALL(getppid, 0) != 1)
                CALL(sched_yield, 0);
            leave(31);
        }
        leave(30);
    }
    CHECK(24, wait_for(pid) == 30);
    int status = 0;

    CHECK(25, CALL(wait4, -1, &status, 0, 0) > 1 && status == 31 << 8);
    CHECK(26, CALL(wait4, -1, 0, 0, 0) == -ECHILD);
}

static void groups(void)
{
    CHECK(27, CALL(getpgid, 0) == 1 && CALL(getsid, 0) == 1);
    long pid = fork();

    if (pid == 0) {
        CHECK(50, CALL(getpgid, 0) == 1);
        CHECK(51, CALL(setpgid, 0, 0) == 0 && CALL(getpgid, 0) == CALL(getpid, 0));
        CHECK(52, CALL(setsid, 0) == -EPERM); /* it leads a group */
        CHECK(53, CALL(setpgid, 0, 1) == 0 && CALL(getpgid, 0) == 1);
        CHECK(54, CALL(setsid, 0) == CALL(getpid, 0) && CALL(getsid, 0) == CALL(getpid, 0));
        CHECK(55, CALL(setpgid, 0, 1) == -EPERM);
        leave(0);
    }
    CHECK(28, wait_for(pid) == 0);
}

static void executes(void)
{
    CHECK(29, execute("/nothing", 0, 0) == -ENOENT);
    CHECK(30, execute("/garbage", 0, 0) == -ENOEXEC);
    CHECK(31, execute("/plain", 0, 0) == -EACCES);
    CHECK(32, execute("/loop", 0, 0) == -ELOOP);
    CHECK(33, execute("/cut", 0, 0) == -ENOEXEC);
    long pid = fork();

    if (pid == 0) {
        (void)execute("/script", "x", 0);
        leave(34);
    }
    CHECK(35, wait_for(pid) == 44);
}

/* The second lives. */
static long again(long argc, char **argv, char **envp)
{
    if (is_text(argv[1], "thread"))
        leave(CALL(gettid, 0) == CALL(getpid, 0) ? 33 : 63);
    if (is_text(argv[1], "of the script"))
        leave(argc == 4 && is_text(argv[0], "/init") && is_text(argv[2], "/script") && is_text(argv[3], "x") ? 44 : 64);
    CHECK(36, argc == 3 && is_text(argv[1], "again") && is_text(argv[2], "42") && envp[0] == 0);
    CHECK(37, CALL(getpid, 0) == 1 && shared == 0);
    leave(42);
    return 0;
}

static void stack_is_right(long *stack, char **envp)
{
    long *aux = (long *)envp;
    long page = 0, random = 0, name = 0, entry = 0;

    CHECK(1, ((long)stack & 15) == 0);
    CHECK(2, CALL(getpid, 0) == 1 && CALL(getppid, 0) == 0 && CALL(gettid, 0) == 1);
    while (*aux != 0)
        aux++;
    for (aux++; aux[0] != 0; aux += 2) {
        page = aux[0] == 6 ? aux[1] : page;
        random = aux[0] == 25 ? aux[1] : random;
        name = aux[0] == 31 ? aux[1] : name;
        entry = aux[0] == 9 ? aux[1] : entry;
    }
    CHECK(3, page == 4096 && random != 0 && entry != 0);
    CHECK(4, name != 0 && is_text((const char *)name, "/init"));
}

long start(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    char **envp = argv + argc + 1;

    if (argc > 1)
        return again(argc, argv, envp);
    stack_is_right(stack, envp);
    forks();
    threads();
    orphans();
    groups();
    executes();
    long pid = fork();

    if (pid == 0)
        waits();
    CHECK(38, wait_for(pid) == 6);
    (void)execute("/init", "again", "42"); /* a child of the child spins: the machine ends all the same */
    leave(39);
    return 0;
}
