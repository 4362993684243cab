/* SPDX-License-Identifier: MIT */
/* /proc as programs read it: proc(5). The kernel is asked the same by another way wherever there is one. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static char text[65536];

static const char *shown(const char *path)
{
    int fd = (int)GOOD(open(path, O_RDONLY));
    size_t used = 0;
    ssize_t bytes;

    while ((bytes = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)bytes;
    EQUAL(bytes, 0);
    text[used] = '\0';
    close(fd);
    return text;
}

/* The file is this line. */
static void is_line(const char *path, const char *line)
{
    shown(path);
    TRUE(strncmp(text, line, strlen(line)) == 0);
    TRUE(strcmp(text + strlen(line), "\n") == 0);
}

CHECK(proc, settings_of_the_kernel)
{
    struct utsname name;

    GOOD(uname(&name));
    is_line("/proc/sys/kernel/ostype", name.sysname);
    is_line("/proc/sys/kernel/osrelease", name.release);
    is_line("/proc/sys/kernel/version", name.version);
    is_line("/proc/sys/kernel/hostname", name.nodename);
    TRUE(strtol(shown("/proc/sys/kernel/pid_max"), NULL, 10) > 300);
    is_line("/proc/sys/kernel/ngroups_max", "65536");
    TRUE(strtol(shown("/proc/sys/kernel/cap_last_cap"), NULL, 10) >= 37);
    EQUAL(strlen(shown("/proc/sys/kernel/random/boot_id")), 37);
    EQUAL(strlen(shown("/proc/sys/kernel/random/uuid")), 37);
    TRUE(shown("/proc/sys/vm/overcommit_memory")[0] >= '0' && text[0] <= '2');
    EQUAL(strtol(shown("/proc/sys/fs/pipe-max-size"), NULL, 10), 1 << 20);
    TRUE(strtol(shown("/proc/sys/vm/max_map_count"), NULL, 10) > 1000);
    TRUE(strncmp(shown("/proc/version"), "Linux version ", 14) == 0);
    TRUE(strlen(shown("/proc/cmdline")) > 0 && strstr(shown("/proc/filesystems"), "tmpfs\n") != NULL);
}

CHECK(proc, caches_are_dropped_by_a_number)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

    NEEDS(fd >= 0, "drop_caches may not be written here");
    FAILS(EINVAL, write(fd, "0\n", 2));
    FAILS(EINVAL, write(fd, "x", 1));
    BAD_SOURCES(2, write(fd, bad, 2));
    EQUAL(write(fd, "4\n", 2), 2); /* drops nothing: others work on this machine, too */
}

/* What vmstat(8) does not go without. */
CHECK(proc, pages_of_the_machine)
{
    const char *at = strstr(shown("/proc/vmstat"), "nr_free_pages ");

    TRUE(at == text && strtol(at + 14, NULL, 10) > 0);
    at = strstr(text, "\nnr_anon_pages ");
    TRUE(at != NULL && strtol(at + 15, NULL, 10) > 0);
    TRUE(strstr(text, "\npgpgin ") != NULL && strstr(text, "\npswpout ") != NULL);
}

CHECK(proc, load_averages)
{
    float average[3];
    int running, tasks, last;

    EQUAL(sscanf(shown("/proc/loadavg"), "%f %f %f %d/%d %d", &average[0], &average[1], &average[2], &running, &tasks,
                 &last),
          6);
    TRUE(running >= 1 && tasks >= running && last >= 1);
}

CHECK(proc, maps_have_what_is_mapped)
{
    char expected[64];
    char *page = check_pages(2 * PAGE, PROT_READ | PROT_WRITE);
    uintptr_t here = (uintptr_t)page;

    GOOD(mprotect(page + PAGE, PAGE, PROT_NONE)); /* so that neither merges with a neighbour at this end */
    TRUE(strstr(shown("/proc/self/maps"), "[stack]\n") != NULL);
    snprintf(expected, sizeof(expected), "-%08lx rw-p 00000000 00:00 0", (unsigned long)(here + PAGE));
    TRUE(strstr(text, expected) != NULL);
    snprintf(expected, sizeof(expected), "%08lx-", (unsigned long)(here + PAGE));
    TRUE(strstr(text, expected) != NULL);
    TRUE(strstr(text, " ---p ") != NULL);
    TRUE(strstr(text, check_program) != NULL);
    TRUE(strstr(text, " rw-s ") == NULL);
    here = (uintptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(expected, sizeof(expected), "%08lx-%08lx rw-s ", (unsigned long)here, (unsigned long)(here + PAGE));
    TRUE(strstr(shown("/proc/self/maps"), expected) != NULL);
}

CHECK(proc, auxv_and_environ)
{
    extern char **environ;
    unsigned long pair[2];
    int fd = (int)GOOD(open("/proc/self/auxv", O_RDONLY)), page = 0, end = 0;

    while (!end && read(fd, pair, sizeof(pair)) == sizeof(pair)) {
        page |= pair[0] == AT_PAGESZ && pair[1] == getauxval(AT_PAGESZ);
        end = pair[0] == AT_NULL;
    }
    TRUE(page && end);
    shown("/proc/self/environ");
    if (environ[0] != NULL)
        TRUE(strchr(text, '=') != NULL);
}

CHECK(proc, limits_and_descriptors)
{
    struct rlimit limit = {33, 44};
    char path[64];
    int fd = check_file("f", "12345", 5);

    GOOD(setrlimit(RLIMIT_NOFILE, &limit));
    shown("/proc/self/limits");
    TRUE(strstr(text, "Max open files            33                   44                   files") != NULL);
    GOOD(lseek(fd, 3, SEEK_SET));
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    TRUE(strncmp(shown(path), "pos:\t3\nflags:\t0", 15) == 0);
    unsigned flags = (unsigned)strtoul(text + 14, NULL, 8);
    EQUAL(flags & O_ACCMODE, O_RDWR);
    FAILS(ENOENT, open("/proc/self/fdinfo/32", O_RDONLY));
}

static void *look_at_self(void *arg)
{
    char path[64], target[64] = "";

    (void)arg;
    snprintf(path, sizeof(path), "/proc/%d/task/%ld/comm", getpid(), syscall(SYS_gettid));
    GOOD(access(path, R_OK));
    GOOD(readlink("/proc/thread-self", target, sizeof(target) - 1));
    snprintf(path, sizeof(path), "%d/task/%ld", getpid(), syscall(SYS_gettid));
    TRUE(strcmp(path, target) == 0);
    return NULL;
}

CHECK(proc, threads_have_folders)
{
    pthread_t thread;
    char path[64];

    EQUAL(pthread_create(&thread, NULL, look_at_self, NULL), 0);
    EQUAL(pthread_join(thread, NULL), 0);
    look_at_self(NULL);
    snprintf(path, sizeof(path), "/proc/self/task/%d", getppid());
    FAILS(ENOENT, access(path, F_OK));
}

static int reads_what_is_not_its_own(void *arg)
{
    char path[64], target[8];

    GOOD(syscall(SYS_setresuid, 1000, 1000, 1000));
    for (const char *const *name = (const char *const[]){"environ", "auxv", "maps", NULL}; *name != NULL; name++) {
        snprintf(path, sizeof(path), "/proc/%d/%s", *(int *)arg, *name);
        FAILS(EACCES, open(path, O_RDONLY));
    }
    snprintf(path, sizeof(path), "/proc/%d/cwd", *(int *)arg);
    FAILS(EACCES, readlink(path, target, sizeof(target)));
    snprintf(path, sizeof(path), "/proc/%d/fd/0", *(int *)arg);
    FAILS(EACCES, readlink(path, target, sizeof(target)));
    snprintf(path, sizeof(path), "/proc/%d/status", *(int *)arg);
    return close((int)GOOD(open(path, O_RDONLY)));
}

CHECK(proc, others_do_not_look_in)
{
    int self = getpid();

    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    check_child(reads_what_is_not_its_own, &self);
}
