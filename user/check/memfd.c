/* SPDX-License-Identifier: MIT */
/* Files of memory, memfd_create(2), and seals: fcntl(2), "File Sealing". */
#include "check.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

static int make(unsigned flags)
{
    return (int)GOOD(syscall(SYS_memfd_create, "a name", flags));
}

CHECK(memfd_create, makes_a_file_without_a_place)
{
    char link[64], path[64];
    struct stat status, again;
    int fd = make(MFD_CLOEXEC), other;

    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    GOOD(fstat(fd, &status));
    TRUE(S_ISREG(status.st_mode) && (status.st_mode & 0777) == 0777 && status.st_nlink == 0 && status.st_size == 0);
    EQUAL(write(fd, "abc", 3), 3);
    EQUAL(lseek(fd, 0, SEEK_END), 3);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(path, link, sizeof link - 1);

    TRUE(bytes > 0);
    link[bytes] = 0;
    TRUE(strcmp(link, "/memfd:a name (deleted)") == 0);
    other = (int)GOOD(open(path, O_RDONLY));
    GOOD(fstat(other, &again));
    TRUE(again.st_ino == status.st_ino && again.st_dev == status.st_dev && again.st_size == 3);
    FAILS(EBADF, write(other, "x", 1));
    EQUAL(fcntl(make(0), F_GETFD), 0);
}

CHECK(memfd_create, arguments_are_checked)
{
    char name[300];

    memset(name, 'x', sizeof name);
    name[250] = 0;
    FAILS(EINVAL, syscall(SYS_memfd_create, name, 0));
    name[249] = 0;
    GOOD(syscall(SYS_memfd_create, name, 0));
    GOOD(syscall(SYS_memfd_create, "", 0));
    FAILS(EINVAL, syscall(SYS_memfd_create, "x", 0x1000));
    FAILS(EINVAL, syscall(SYS_memfd_create, "x", MFD_EXEC | MFD_NOEXEC_SEAL));
    BAD_SOURCES(1, syscall(SYS_memfd_create, bad, 0));
}

CHECK(memfd_create, holds_memory_that_is_shared)
{
    int fd = make(0);
    char *one, *two;

    GOOD(ftruncate(fd, 3 * PAGE));
    one = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    two = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    TRUE(one != MAP_FAILED && two != MAP_FAILED);
    one[2 * PAGE + 5] = 7;
    EQUAL(two[2 * PAGE + 5], 7);
    EQUAL(pwrite(fd, "z", 1, PAGE), 1);
    EQUAL(one[PAGE], 'z');
}

static int run_it(void *arg)
{
    char *words[] = { "check", "-l", NULL }, *none[] = { NULL };

    if (dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO) < 0)
        return CHECK_FAILED;
    syscall(SYS_execveat, *(int *)arg, "", words, none, AT_EMPTY_PATH);
    return errno;
}

CHECK(memfd_create, can_be_executed)
{
    int fd = make(0), never = make(MFD_NOEXEC_SEAL), program;
    char bytes[4096];
    ssize_t got;

    program = (int)GOOD(open(check_program, O_RDONLY));
    while ((got = read(program, bytes, sizeof bytes)) > 0)
        EQUAL(write(fd, bytes, (size_t)got), got);
    EQUAL(check_wait(check_fork(run_it, &fd)), 0); /* though it is open for writing */
    snprintf(bytes, sizeof bytes, "/proc/self/fd/%d", fd);
    program = (int)GOOD(open(bytes, O_RDWR));
    EQUAL(check_wait(check_fork(run_it, &fd)), ETXTBSY << 8); /* this one counts */
    GOOD(close(program));
    GOOD(fchmod(fd, 0600));
    EQUAL(check_wait(check_fork(run_it, &fd)), EACCES << 8);
    EQUAL(check_wait(check_fork(run_it, &never)), EACCES << 8);
}

CHECK(fcntl, seals_are_added_and_stay)
{
    int fd = make(MFD_ALLOW_SEALING), plain = make(0), other = check_file("file", "x", 1), ends[2];
    char path[64];

    EQUAL(fcntl(fd, F_GET_SEALS), 0);
    EQUAL(fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
    FAILS(EPERM, fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    FAILS(EINVAL, fcntl(fd, F_ADD_SEALS, 0x8000));
    FAILS(EBADF, fcntl(-1, F_ADD_SEALS, 0));
    GOOD(pipe(ends));
    FAILS(EINVAL, fcntl(ends[1], F_ADD_SEALS, F_SEAL_WRITE));
    FAILS(EINVAL, fcntl(ends[0], F_GET_SEALS));
    (void)other;
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    EQUAL(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = (int)GOOD(open(path, O_RDONLY));

    FAILS(EPERM, fcntl(reader, F_ADD_SEALS, F_SEAL_WRITE));
    EQUAL(fcntl(reader, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    FAILS(EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
}

CHECK(fcntl, seals_keep_the_size)
{
    int fd = make(MFD_ALLOW_SEALING);
    static char bytes[3 * PAGE];
    char path[64];

    GOOD(ftruncate(fd, 2 * PAGE + 5));
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    FAILS(EPERM, ftruncate(fd, 5));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FAILS(EPERM, open(path, O_RDWR | O_TRUNC));
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    FAILS(EPERM, ftruncate(fd, 3 * PAGE));
    FAILS(EPERM, fallocate(fd, 0, 0, 3 * PAGE));
    FAILS(EPERM, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE));
    GOOD(fallocate(fd, 0, 0, PAGE));
    EQUAL(pwrite(fd, bytes, sizeof bytes, 0), 2 * PAGE);
    FAILS(EPERM, pwrite(fd, bytes, 6, 2 * PAGE));
    EQUAL(pwrite(fd, bytes, 5, 2 * PAGE), 5);
    GOOD(ftruncate(fd, 2 * PAGE + 5));
}

CHECK(fcntl, seals_keep_writers_away)
{
    int fd = make(MFD_ALLOW_SEALING);
    char *at;

    GOOD(ftruncate(fd, PAGE));
    at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0); /* may be made writable */
    TRUE(at != MAP_FAILED);
    FAILS(EBUSY, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    GOOD(munmap(at, PAGE));
    at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    TRUE(at != MAP_FAILED);
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    at[0] = 1; /* a copy of one's own */
    FAILS(EPERM, write(fd, "x", 1));
    FAILS(EPERM, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8));
    FAILS(EPERM, (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    GOOD(ftruncate(fd, 2 * PAGE));
}

CHECK(fcntl, seals_against_later_writers_leave_those_that_are_there)
{
    int fd = make(MFD_ALLOW_SEALING);
    char *at;

    GOOD(ftruncate(fd, PAGE));
    at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TRUE(at != MAP_FAILED);
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    at[0] = 'x';
    FAILS(EPERM, write(fd, "x", 1));
    FAILS(EPERM, (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    TRUE(at != MAP_FAILED && at[0] == 'x');
    FAILS(EACCES, mprotect(at, PAGE, PROT_READ | PROT_WRITE));
}

CHECK(fcntl, seals_keep_the_right_to_execute)
{
    int fd = make(MFD_NOEXEC_SEAL);
    struct stat status;

    GOOD(fstat(fd, &status));
    EQUAL(status.st_mode & 0777, 0666);
    EQUAL(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC);
    FAILS(EPERM, fchmod(fd, 0700));
    GOOD(fchmod(fd, 0600));
    fd = make(MFD_EXEC | MFD_ALLOW_SEALING);
    GOOD(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC));
    EQUAL(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}
