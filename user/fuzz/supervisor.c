/* SPDX-License-Identifier: MIT */
/*
 * fuzz [CALLS [SEED]]: so many system calls at least. Exit status 0: what the kernel has in use is as it was after the
 * first tenth; 1: something leaked; 2: the program itself could not work. As the first process of a machine, 42 stands
 * for 0, which no accident is.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define LOOK_NS 5000000l /* between two looks at the workers */
#define LOOKS_STUCK 6u   /* without a call between them: it waits for what does not come */
#define LOOKS_AT_COUNTS 1000u
#define SLACK_KIB 1024   /* caches that the kernel fills, and not to the same height each time */

static struct progress *progress;
static char folder[64];
static int null_fd; /* its name may be gone soon */

static struct worker {
    pid_t pid;
    uint64_t calls; /* when it was last looked at */
    unsigned still; /* looks since there was a new one */
} workers[WORKERS];

#define IDLE_WORKERS_MAX 200u /* one after the other, without a call */

static uint64_t started, stuck, crashed, idle;
static int last_status; /* of a worker that ended */

static _Noreturn void die(const char *what)
{
    printf("fuzz: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- What the kernel has in use ---- */

enum { IN_USE, PAGE_TABLES, STACKS, ANONYMOUS, PROCESSES, KINDS };
static const char *const kind_names[KINDS] = {"memory", "page tables", "kernel stacks", "anonymous", "processes"};

static long number_after(const char *text, const char *word)
{
    const char *at = strstr(text, word);

    return at == NULL ? 0 : atol(at + strlen(word));
}

static unsigned each_process(void (*visit)(pid_t pid))
{
    DIR *dir = opendir("/proc");
    unsigned count = 0;

    if (dir == NULL)
        die("/proc");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (atoi(entry->d_name) <= 0)
            continue;
        count++;
        if (visit != NULL)
            visit(atoi(entry->d_name));
    }
    closedir(dir);
    return count;
}

static void count(long counts[KINDS])
{
    char text[4096];
    int fd = open("/proc/meminfo", O_RDONLY);
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (bytes < 0)
        die("/proc/meminfo");
    close(fd);
    text[bytes] = 0;
    counts[IN_USE] = number_after(text, "MemTotal:") - number_after(text, "MemFree:");
    counts[PAGE_TABLES] = number_after(text, "PageTables:");
    counts[STACKS] = number_after(text, "KernelStack:");
    counts[ANONYMOUS] = number_after(text, "AnonPages:");
    counts[PROCESSES] = (long)each_process(NULL);
}

/* ---- Workers and what they leave ---- */

static void remove_all(int at, const char *name)
{
    (void)fchmodat(at, name, 0700, 0); /* what is no folder was unlinked before */
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir != NULL) {
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (unlinkat(fd, entry->d_name, 0) != 0)
                remove_all(fd, entry->d_name);
        }
        closedir(dir);
    }
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

/* Children whose parent has gone are this process's. */
static void kill_child(pid_t pid)
{
    char path[64], text[512], *after;
    int fd;
    ssize_t bytes;

    for (unsigned i = 0; i < WORKERS; i++)
        if (workers[i].pid == pid)
            return;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY);
    bytes = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (bytes <= 0)
        return;
    text[bytes] = 0;
    after = strrchr(text, ')'); /* ") S PPID" */
    if (after != NULL && strlen(after) > 4 && atoi(after + 4) == getpid() && pid != getpid())
        (void)kill(pid, SIGKILL);
}

static void begin(unsigned place, uint64_t seed)
{
    pid_t pid = fork();
    char name[96];

    if (pid < 0)
        die("fork");
    if (pid > 0) {
        idle++;
        workers[place] = (struct worker){.pid = pid, .calls = progress->calls[place]};
        started++;
        return;
    }
    (void)setsid();
    (void)snprintf(name, sizeof name, "%s/%u", folder, place);
    (void)mkdir(folder, 0777);
    (void)chmod(folder, 0777);
    (void)mkdir(name, 0777);
    (void)chmod(name, 0777);
    if (chdir(name) != 0)
        _exit(102);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; i++)
        (void)dup2(null_fd, i);
    (void)close(null_fd);
    worker_run(progress, place, seed);
}

/* Its end was seen: with what it leaves. */
static void ended(unsigned place, int status)
{
    char name[96];

    crashed += WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
    workers[place].pid = 0;
    last_status = status;
    (void)snprintf(name, sizeof name, "%s/%u", folder, place);
    remove_all(AT_FDCWD, name);
}

static void reap(int flags)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, flags | __WALL)) > 0)
        for (unsigned i = 0; i < WORKERS; i++)
            if (workers[i].pid == pid)
                ended(i, status);
}

static void look(void)
{
    struct timespec pause = {0, LOOK_NS};

    (void)nanosleep(&pause, NULL);
    reap(WNOHANG);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];
        uint64_t calls = progress->calls[i];

        worker->still = calls == worker->calls ? worker->still + 1 : 0;
        idle = calls == worker->calls ? idle : 0;
        worker->calls = calls;
        if (worker->pid != 0 && worker->still >= LOOKS_STUCK) {
            stuck++;
            worker->still = 0;
            (void)kill(worker->pid, SIGKILL);
        }
    }
    (void)each_process(kill_child);
}

static uint64_t total(const _Atomic(uint64_t) *of)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < WORKERS; i++)
        sum += of[i];
    return sum;
}

/* Workers, until so many calls are made; then none. */
static void run(uint64_t wanted, uint64_t seed)
{
    while (total(progress->calls) < wanted) {
        if (idle > IDLE_WORKERS_MAX) {
            printf("fuzz: the workers do nothing; the last one's status was %#x\n", (unsigned)last_status);
            exit(2);
        }
        for (unsigned i = 0; i < WORKERS; i++)
            if (workers[i].pid == 0)
                begin(i, seed * 1000003 + started);
        look();
    }
    for (unsigned i = 0; i < WORKERS; i++)
        if (workers[i].pid != 0)
            (void)kill(workers[i].pid, SIGKILL);
    do
        look();
    while (waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD);
    memset(workers, 0, sizeof workers);
    remove_all(AT_FDCWD, folder);
}

static void report(uint64_t wanted)
{
    printf("fuzz: %llu of %llu calls, %llu refused, %llu workers, %llu ended by a signal, %llu stuck, digest %016llx\n",
           (unsigned long long)total(progress->calls), (unsigned long long)wanted,
           (unsigned long long)total(progress->refused), (unsigned long long)started, (unsigned long long)crashed,
           (unsigned long long)stuck, (unsigned long long)progress->digest);
    fflush(stdout);
}

static bool is_as_before(const long before[KINDS], const long after[KINDS])
{
    for (unsigned i = 0; i < KINDS; i++)
        if (after[i] > before[i] + (i == PROCESSES ? 0 : SLACK_KIB))
            return false;
    return true;
}

/* What has ended may still be on its way: looked at until it is as before, or for long. */
static bool compare(const long before[KINDS])
{
    struct timespec pause = {0, LOOK_NS};
    long after[KINDS];

    count(after);
    for (unsigned i = 0; i < LOOKS_AT_COUNTS && !is_as_before(before, after); i++) {
        (void)nanosleep(&pause, NULL);
        count(after);
    }
    for (unsigned i = 0; i < KINDS; i++)
        printf("fuzz: %s: %ld before, %ld after\n", kind_names[i], before[i], after[i]);
    return getpid() != 1 || is_as_before(before, after); /* else there are others */
}

int main(int argc, char **argv)
{
    uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : getpid() == 1 ? 20000 : 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    long before[KINDS];

    if (wanted == 0) /* by an execve(2) of a worker's */
        return 0;
    /* As init not in /tmp: a worker that is root may move that away, by a link to its parent. The root it cannot. */
    (void)snprintf(folder, sizeof folder, "%s/fuzz-%d", getpid() == 1 ? "" : "/tmp", (int)getpid());
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        die("mmap");
    null_fd = open("/dev/null", O_RDWR);
    if (null_fd <= 2)
        die("/dev/null");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)signal(SIGINT, SIG_IGN);
    calls_prepare();
    run(wanted / 10, seed);
    report(wanted);
    count(before);
    for (unsigned part = 2; part <= 10; part++) {
        run(wanted * part / 10, seed);
        report(wanted);
    }
    bool is_good = compare(before);

    remove_all(AT_FDCWD, folder);
    printf("fuzz: %s\n", is_good ? "ok" : "FAILED: it leaks");
    fflush(stdout);
    return is_good ? (getpid() == 1 ? 42 : 0) : 1;
}
