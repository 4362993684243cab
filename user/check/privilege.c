/* SPDX-License-Identifier: MIT */
/* prctl(2): what a process gives up of its own accord. timeout(1) wants no dumps of memory, as agents with keys do. */
#include "check.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

CHECK(prctl, dumpable)
{
    struct stat status;

    EQUAL(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
    FAILS(EINVAL, prctl(PR_SET_DUMPABLE, 2, 0, 0, 0));
    GOOD(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    EQUAL(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    GOOD(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    EQUAL(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
    GOOD(stat("/proc/self/maps", &status));
    EQUAL(status.st_uid, geteuid());
}

static int is_private(void *arg)
{
    (void)arg;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 1;
}

static int is_private_as_somebody(void *arg)
{
    struct stat status;

    (void)arg;
    GOOD(syscall(SYS_setresgid, 1000, 1000, 1000));
    GOOD(syscall(SYS_setresuid, 1000, 1000, 1000));
    GOOD(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    GOOD(stat("/proc/self/maps", &status));
    EQUAL(status.st_uid, 1000);
    GOOD(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    GOOD(stat("/proc/self/environ", &status)); /* another, of which nobody knows yet */
    EQUAL(status.st_uid, 0);
    GOOD(stat("/proc/self", &status));
    EQUAL(status.st_uid, 1000);
    check_child(is_private, NULL); /* it is inherited */
    return 0;
}

CHECK(prctl, what_is_not_dumpable_is_roots)
{
    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    check_child(is_private_as_somebody, NULL);
}

int privilege_see(void)
{
    return geteuid() == 0 ? 10 : 11;
}

static int runs_as_root(void *arg)
{
    char *argv[] = {"check", "--as", "privilege", NULL}, *environment[] = {NULL};

    GOOD(syscall(SYS_setresgid, 1000, 1000, 1000));
    GOOD(syscall(SYS_setresuid, 1000, 1000, 1000));
    if (arg != NULL)
        GOOD(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    syscall(SYS_execve, "./program", argv, environment);
    return 80;
}

/* A program that is root's and sets the user's id, made of this one. */
static void make_program(void)
{
    int from = (int)GOOD(open(check_program, O_RDONLY)), to = check_file("program", "", 0);
    struct stat status;

    GOOD(fstat(from, &status));
    EQUAL(sendfile(to, from, NULL, (size_t)status.st_size), status.st_size);
    GOOD(fchmod(to, 04755));
    GOOD(close(to));
    GOOD(chmod(".", 0755));
}

CHECK(prctl, no_new_privs)
{
    static int yes;

    EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    FAILS(EINVAL, prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    FAILS(EINVAL, prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
    FAILS(EINVAL, prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    make_program();
    NEEDS(check_wait(check_fork(runs_as_root, NULL)) == 10 << 8, "needs programs that set ids");
    EQUAL(check_wait(check_fork(runs_as_root, &yes)), 11 << 8);
    GOOD(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    EQUAL(check_wait(check_fork(runs_as_root, NULL)), 11 << 8); /* it is inherited */
}
