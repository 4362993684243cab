/* SPDX-License-Identifier: MIT */
/* See check.h. Runs the checks one after the other, each in a process, and counts. */
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HANG_SECONDS 30 /* a hang detector, far above what a check needs */

const char *check_program;

static struct check *checks, **last = &checks;
static char where[128]; /* the call and name of the check that runs */

void check_register(struct check *check)
{
    *last = check;
    last = &check->next;
}

/* One write: lines of several processes do not mix. */
static void say(const char *format, ...)
{
    char text[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (length > (int)sizeof(text) - 1)
        length = sizeof(text) - 1;
    if (write(STDOUT_FILENO, text, (size_t)length) != length)
        _exit(CHECK_FAILED);
}

void check_failed(const char *file, int line, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    say("failed: %s: %s:%d: %s\n", where, strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file, line, text);
    _exit(CHECK_FAILED);
}

void check_skip(const char *why)
{
    say("skipped: %s: %s\n", where, why);
    _exit(CHECK_SKIPPED);
}

long check_good(const char *file, int line, const char *text, long result)
{
    if (result == -1)
        check_failed(file, line, "%s: %s", text, strerrorname_np(errno));
    return result;
}

static const char *error_name(int error)
{
    const char *name = strerrorname_np(error);

    return name != NULL ? name : "no known error";
}

void check_fails(const char *file, int line, const char *text, long result, int error)
{
    if (result != -1)
        check_failed(file, line, "%s: succeeded with %ld, not %s", text, result, error_name(error));
    if (errno != error)
        check_failed(file, line, "%s: %s, not %s", text, error_name(errno), error_name(error));
}

void check_equal(const char *file, int line, const char *text, long long value, long long expected)
{
    if (value != expected)
        check_failed(file, line, "%s is %lld (%#llx), not %lld (%#llx)", text, value, (unsigned long long)value,
                     expected, (unsigned long long)expected);
}

void check_bad_fails(const char *file, int line, const char *text, const char *name, long result)
{
    if (result != -1 || errno != EFAULT)
        check_failed(file, line, "%s with %s: %ld, %s", text, name, result,
                     result == -1 ? error_name(errno) : "success");
}

void *check_pages(size_t bytes, int protection)
{
    void *pages = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    TRUE(pages != MAP_FAILED);
    return pages;
}

void *check_shared_page(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    TRUE(page != MAP_FAILED);
    return page;
}

void *check_bad(enum bad kind, size_t bytes, int index, const char **out_name)
{
    static char *pages; /* one to read and write, one without rights, one read-only, one that is not there */

    if (pages == NULL) {
        pages = check_pages(4 * PAGE, PROT_NONE);
        TRUE(mprotect(pages, PAGE, PROT_READ | PROT_WRITE) == 0);
        TRUE(mprotect(pages + 2 * PAGE, PAGE, PROT_READ) == 0);
        TRUE(munmap(pages + 3 * PAGE, PAGE) == 0);
    }
    const struct {
        const char *name;
        char *at;
    } bad[] = {
        {"NULL", NULL},
        {"a low address", (char *)8},
        {"the kernel's half", (char *)0xffff888000000000},
        {"the last page", (char *)-PAGE},
        {"an address that wraps", (char *)-1},
        {"no address at all", (char *)0x0123456789abc000},
        {"memory without rights", pages + PAGE},
        {"the end of a page", pages + PAGE - bytes + 1},
        {"memory that is not mapped", pages + 3 * PAGE},
        {"read-only memory", pages + 2 * PAGE},
    };
    int count = sizeof(bad) / sizeof(bad[0]) - (kind == BAD_SOURCE);

    *out_name = index < count ? bad[index].name : NULL;
    return index < count ? bad[index].at : NULL;
}

int check_fork(int (*body)(void *), void *arg)
{
    int parent = getpid(), pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a check that fails leaves nothing behind */
        if (getppid() != parent)
            _exit(1); /* it has ended already */
        _exit(body(arg));
    }
    TRUE(pid > 0);
    return pid;
}

int check_pause(void *arg)
{
    (void)arg;
    for (;;)
        pause();
}

int check_wait(int pid)
{
    int status = -1;

    EQUAL(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && (WEXITSTATUS(status) == CHECK_FAILED || WEXITSTATUS(status) == CHECK_SKIPPED))
        _exit(WEXITSTATUS(status)); /* it has said why */
    return status;
}

void check_block(sigset_t *set, int number)
{
    sigemptyset(set);
    sigaddset(set, number);
    GOOD(sigprocmask(SIG_BLOCK, set, NULL));
}

void check_child(int (*body)(void *), void *arg)
{
    EQUAL(check_wait(check_fork(body, arg)), 0);
}

int check_file(const char *name, const void *data, size_t bytes)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    TRUE(fd >= 0);
    EQUAL(write(fd, data, bytes), bytes);
    EQUAL(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

void check_until(bool (*is_so)(void *), void *arg)
{
    while (!is_so(arg))
        sched_yield();
}

bool check_sleeps(int tid)
{
    char path[64], text[512], *state;
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/stat", tid);
    fd = open(path, O_RDONLY);
    if (fd < 0)
        return false;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    state = strrchr(text, ')'); /* the name before it may have anything in it */
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

static int run_one(void *arg)
{
    const struct check *check = arg;
    char folder[] = "/tmp/check-XXXXXX";

    alarm(HANG_SECONDS);
    TRUE(mkdtemp(folder) != NULL && chdir(folder) == 0);
    check->run();
    return 0;
}

/* The folder's name is known to the child only: each removes what it made when it can, so look for all of them. */
static void clean_up(void)
{
    if (system("rm -rf /tmp/check-??????") != 0)
        say("note: /tmp could not be cleaned\n");
}

static bool is_wanted(const struct check *check, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], check->call) == 0 || strcmp(argv[i], check->name) == 0)
            return true;
    return argc < 2;
}

static const char *ending(int status, char *text, size_t room)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return "hangs";
    if (WIFSIGNALED(status))
        snprintf(text, room, "ended by signal %d", WTERMSIG(status));
    else
        snprintf(text, room, "exit status %d", WEXITSTATUS(status));
    return text;
}

/* A check's own process says why it failed or was skipped; of other ends nobody has told yet. */
static int run_and_wait(struct check *check)
{
    int status = -1;
    char text[64];
    pid_t pid;

    snprintf(where, sizeof(where), "%s %s", check->call, check->name);
    pid = fork();
    if (pid == 0)
        _exit(run_one(check));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        say("failed: %s: cannot be run: %s\n", where, error_name(errno));
    else if (status != 0 && (!WIFEXITED(status) || WEXITSTATUS(status) < CHECK_FAILED))
        say("failed: %s: %s\n", where, ending(status, text, sizeof(text)));
    return status;
}

/* check [-l | -v] [CALL or NAME ...]: -l lists the checks, -v names each before it runs. */
int main(int argc, char **argv)
{
    static char path[4096];
    unsigned passed = 0, failed = 0;
    bool is_list = argc > 1 && strcmp(argv[1], "-l") == 0, is_loud = argc > 1 && strcmp(argv[1], "-v") == 0;

    if (argc > 1 && strcmp(argv[1], "--as") == 0)
        return check_run_as(argc, argv);
    if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
        snprintf(path, sizeof(path), "%s", argv[0]);
    check_program = path;
    argc -= is_list || is_loud;
    argv += is_list || is_loud;
    for (struct check *check = checks; check != NULL; check = check->next) {
        int status;

        if (!is_wanted(check, argc, argv))
            continue;
        if (is_list || is_loud)
            say("%s %s\n", check->call, check->name);
        if (is_list)
            continue;
        status = run_and_wait(check);
        if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED)
            continue;
        passed += status == 0;
        failed += status != 0;
    }
    if (is_list)
        return 0;
    clean_up();
    say("check: %u passed, %u failed\n", passed, failed);
    return failed != 0 || passed == 0;
}
