/* SPDX-License-Identifier: MIT */
/* Address spaces: mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2), brk(2), and which signals faults become. */
#include "check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static long map(void *at, size_t bytes, int protection, int flags, int fd, long offset)
{
    return syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}

static sigjmp_buf back;
static siginfo_t seen;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    seen = *info;
    siglongjmp(back, 1);
}

enum access { FETCH, READ, WRITE };

/* The signal that the access ends with, or 0; then `seen` has its facts. */
static int touch(void *at, enum access access)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    GOOD(sigaction(SIGSEGV, &action, NULL));
    GOOD(sigaction(SIGBUS, &action, NULL));
    memset(&seen, 0, sizeof(seen));
    if (sigsetjmp(back, 1) != 0)
        return seen.si_signo;
    if (access == READ)
        (void)*(volatile char *)at;
    else if (access == WRITE)
        *(volatile char *)at = 1;
    else
        ((void (*)(void))at)();
    return 0;
}

static void expect_fault(void *at, enum access access, int signal, int code)
{
    EQUAL(touch(at, access), signal);
    EQUAL(seen.si_code, code);
    EQUAL((long)seen.si_addr, (long)at);
}

CHECK(mmap, fresh_memory_is_zero_and_writable)
{
    size_t bytes = 64 * PAGE;
    char *at = (char *)GOOD(map(NULL, bytes, RW, ANON, -1, 0));

    EQUAL((long)at % (long)PAGE, 0);
    for (size_t i = 0; i < bytes; i++)
        EQUAL(at[i], 0);
    memset(at, 7, bytes);
    EQUAL(at[bytes - 1], 7);
    GOOD(syscall(SYS_munmap, at, bytes));
    expect_fault(at, READ, SIGSEGV, SEGV_MAPERR);
}

CHECK(mmap, rights_are_kept)
{
    char *none = (char *)GOOD(map(NULL, PAGE, PROT_NONE, ANON, -1, 0));
    char *only = (char *)GOOD(map(NULL, PAGE, PROT_READ, ANON, -1, 0));
    char *data = (char *)GOOD(map(NULL, PAGE, RW, ANON, -1, 0));

    expect_fault(none, READ, SIGSEGV, SEGV_ACCERR);
    EQUAL(touch(only + 100, READ), 0);
    expect_fault(only + 100, WRITE, SIGSEGV, SEGV_ACCERR);
    EQUAL(touch(data, WRITE), 0);
    expect_fault(data, FETCH, SIGSEGV, SEGV_ACCERR);
    expect_fault((void *)8, READ, SIGSEGV, SEGV_MAPERR);
}

CHECK(mmap, fixed_replaces_and_noreplace_does_not)
{
    char *at = (char *)GOOD(map(NULL, 3 * PAGE, RW, ANON, -1, 0));

    memset(at, 5, 3 * PAGE);
    EQUAL(map(at + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), (long)at + (long)PAGE);
    EQUAL(at[PAGE - 1], 5);
    EQUAL(at[PAGE], 0);
    EQUAL(at[2 * PAGE], 5);
    FAILS(EEXIST, map(at + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    GOOD(munmap(at + PAGE, PAGE));
    EQUAL(map(at + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), (long)at + (long)PAGE);
}

CHECK(mmap, refuses_what_is_wrong)
{
    int fd = check_file("f", "abc", 3), readable = (int)GOOD(open("f", O_RDONLY));
    int writable = (int)GOOD(open("f", O_WRONLY));

    FAILS(EINVAL, map(NULL, 0, RW, ANON, -1, 0));
    FAILS(EINVAL, map(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0)); /* neither private nor shared */
    FAILS(EINVAL, map((void *)(PAGE + 1), PAGE, RW, ANON | MAP_FIXED, -1, 0));
    FAILS(EINVAL, map(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1));
    FAILS(ENOMEM, map(NULL, (size_t)1 << 62, RW, ANON, -1, 0));
    FAILS(ENOMEM, map(NULL, (size_t)-1, RW, ANON, -1, 0));
    FAILS(ENOMEM, map((void *)0xffff888000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    FAILS(EBADF, map(NULL, PAGE, PROT_READ, MAP_PRIVATE, 500, 0));
    FAILS(EBADF, map(NULL, 0, PROT_READ, MAP_PRIVATE, 500, 0));
    FAILS(EINVAL, map(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0));
    FAILS(EACCES, map(NULL, PAGE, PROT_READ, MAP_PRIVATE, writable, 0));
    FAILS(EACCES, map(NULL, PAGE, RW, MAP_SHARED, readable, 0));
    GOOD(map(NULL, PAGE, RW, MAP_PRIVATE, readable, 0));
    FAILS(ENODEV, map(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/", O_RDONLY), 0));
}

static int write_two(void *arg)
{
    ((volatile char *)arg)[0] = 2;
    return 0;
}

CHECK(mmap, shared_memory_is_shared_and_private_is_not)
{
    volatile char *shared = check_shared_page(), *own = check_pages(PAGE, RW);

    own[0] = shared[0] = 1;
    check_child(write_two, (void *)shared);
    check_child(write_two, (void *)own);
    EQUAL(shared[0], 2);
    EQUAL(own[0], 1);
}

CHECK(mmap, of_a_file)
{
    static char contents[PAGE + 100], data[8];
    char *shared, *private;
    int fd;

    memset(contents, 'c', sizeof(contents));
    fd = check_file("f", contents, sizeof(contents));
    shared = (char *)GOOD(map(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0));
    private = (char *)GOOD(map(NULL, PAGE, RW, MAP_PRIVATE, fd, PAGE));
    EQUAL(shared[PAGE + 99], 'c');
    EQUAL(shared[PAGE + 100], 0); /* the rest of the last page */
    private[0] = 'p';
    EQUAL(shared[PAGE], 'c');
    shared[1] = 's';
    EQUAL(pread(fd, data, 3, 0), 3);
    TRUE(memcmp(data, "csc", 3) == 0);
    EQUAL(pwrite(fd, "w", 1, 2), 1);
    EQUAL(shared[2], 'w');
    expect_fault(shared + 2 * PAGE, READ, SIGBUS, BUS_ADRERR);
    GOOD(close(fd));
    EQUAL(shared[1], 's');
    GOOD(syscall(SYS_msync, shared, 3 * PAGE, MS_SYNC));
    FAILS(EINVAL, syscall(SYS_msync, shared + 1, PAGE, MS_SYNC));
    FAILS(EINVAL, syscall(SYS_msync, shared, PAGE, MS_SYNC | MS_ASYNC));
}

CHECK(munmap, makes_holes_and_refuses)
{
    char *at = (char *)GOOD(map(NULL, 3 * PAGE, RW, ANON, -1, 0));

    memset(at, 1, 3 * PAGE);
    GOOD(syscall(SYS_munmap, at + PAGE, PAGE));
    EQUAL(touch(at, READ), 0);
    expect_fault(at + PAGE, READ, SIGSEGV, SEGV_MAPERR);
    EQUAL(touch(at + 2 * PAGE, READ), 0);
    GOOD(syscall(SYS_munmap, at, 3 * PAGE)); /* over the hole */
    GOOD(syscall(SYS_munmap, at, PAGE));     /* nothing there: no error */
    FAILS(EINVAL, syscall(SYS_munmap, at + 1, PAGE));
    FAILS(EINVAL, syscall(SYS_munmap, at, 0));
    FAILS(EINVAL, syscall(SYS_munmap, at, -PAGE));
    FAILS(EINVAL, syscall(SYS_munmap, (void *)0xffff888000000000, PAGE));
}

CHECK(mprotect, changes_rights_and_refuses)
{
    char *at = (char *)GOOD(map(NULL, 3 * PAGE, RW, ANON, -1, 0));

    memset(at, 1, 3 * PAGE);
    GOOD(syscall(SYS_mprotect, at + PAGE, PAGE, PROT_READ));
    expect_fault(at + PAGE, WRITE, SIGSEGV, SEGV_ACCERR);
    EQUAL(touch(at, WRITE), 0);
    EQUAL(touch(at + 2 * PAGE, WRITE), 0);
    GOOD(syscall(SYS_mprotect, at, 3 * PAGE, PROT_NONE));
    expect_fault(at, READ, SIGSEGV, SEGV_ACCERR);
    GOOD(syscall(SYS_mprotect, at, 3 * PAGE, RW));
    EQUAL(at[PAGE], 1); /* contents stay */
    GOOD(syscall(SYS_mprotect, at, 0, RW));
    GOOD(munmap(at + PAGE, PAGE));
    FAILS(ENOMEM, syscall(SYS_mprotect, at, 3 * PAGE, PROT_READ));
    FAILS(EINVAL, syscall(SYS_mprotect, at + 1, PAGE, RW));
    FAILS(EINVAL, syscall(SYS_mprotect, at, PAGE, 0x100));
    FAILS(EACCES, syscall(SYS_mprotect, map(NULL, PAGE, PROT_READ, MAP_SHARED, open(check_program, O_RDONLY), 0), PAGE,
                          RW));
}

CHECK(mremap, grows_shrinks_and_moves)
{
    char *at = (char *)GOOD(map(NULL, 4 * PAGE, RW, ANON, -1, 0)), *moved, *to;

    memset(at, 3, 4 * PAGE);
    EQUAL(syscall(SYS_mremap, at, 4 * PAGE, 2 * PAGE, 0), (long)at);
    expect_fault(at + 2 * PAGE, READ, SIGSEGV, SEGV_MAPERR);
    EQUAL(map(at + 2 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0), (long)at + 2 * (long)PAGE);
    FAILS(ENOMEM, syscall(SYS_mremap, at, 2 * PAGE, 8 * PAGE, 0));
    moved = (char *)GOOD(syscall(SYS_mremap, at, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    TRUE(moved != at);
    EQUAL(moved[2 * PAGE - 1], 3);
    EQUAL(moved[2 * PAGE], 0);
    expect_fault(at, READ, SIGSEGV, SEGV_MAPERR);
    to = (char *)GOOD(map(NULL, 8 * PAGE, RW, ANON, -1, 0));
    EQUAL(syscall(SYS_mremap, moved, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to);
    EQUAL(to[0], 3);
    FAILS(EFAULT, syscall(SYS_mremap, moved, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    FAILS(EINVAL, syscall(SYS_mremap, to + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    FAILS(EINVAL, syscall(SYS_mremap, to, PAGE, 0, MREMAP_MAYMOVE));
    FAILS(EINVAL, syscall(SYS_mremap, to, PAGE, PAGE, 0x100));
    FAILS(EINVAL, syscall(SYS_mremap, to, PAGE, PAGE, MREMAP_FIXED, at));
}

CHECK(madvise, forgets_and_refuses)
{
    char *at = (char *)GOOD(map(NULL, 2 * PAGE, RW, ANON, -1, 0));

    memset(at, 9, 2 * PAGE);
    GOOD(syscall(SYS_madvise, at, PAGE, MADV_DONTNEED));
    EQUAL(at[0], 0);
    EQUAL(at[PAGE], 9);
    GOOD(syscall(SYS_madvise, at, 0, MADV_DONTNEED));
    FAILS(EINVAL, syscall(SYS_madvise, at + 1, PAGE, MADV_DONTNEED));
    FAILS(EINVAL, syscall(SYS_madvise, at, PAGE, 999));
    GOOD(munmap(at, PAGE));
    FAILS(ENOMEM, syscall(SYS_madvise, at, PAGE, MADV_DONTNEED));
}

CHECK(brk, grows_shrinks_and_says_where_it_is)
{
    long start = syscall(SYS_brk, 0), end;

    EQUAL(syscall(SYS_brk, start + 10 * (long)PAGE), start + 10 * (long)PAGE);
    memset((char *)start, 4, 10 * PAGE);
    EQUAL(syscall(SYS_brk, start), start);
    end = syscall(SYS_brk, start + 10 * (long)PAGE);
    EQUAL(((char *)end)[-1], 0); /* fresh again */
    EQUAL(syscall(SYS_brk, -1l), end); /* refused: it stays where it was */
    EQUAL(syscall(SYS_brk, 1l), end);
}

CHECK(mincore, tells_what_is_there)
{
    unsigned char there[2];
    char *at = (char *)GOOD(map(NULL, 2 * PAGE, RW, ANON, -1, 0));

    at[PAGE] = 1;
    GOOD(syscall(SYS_mincore, at, 2 * PAGE, there));
    EQUAL(there[1] & 1, 1);
    FAILS(EINVAL, syscall(SYS_mincore, at + 1, PAGE, there));
    BAD_TARGETS(2, syscall(SYS_mincore, at, 2 * PAGE, bad));
    GOOD(munmap(at, PAGE));
    FAILS(ENOMEM, syscall(SYS_mincore, at, PAGE, there));
}

static int use_much_stack(void *arg)
{
    volatile char block[4 << 20]; /* half of the usual limit */

    (void)arg;
    for (size_t i = sizeof(block); i > 0; i -= 1024)
        block[i - 1] = 1;
    return block[0];
}

CHECK(mmap, the_stack_grows)
{
    EQUAL(check_wait(check_fork(use_much_stack, NULL)) & 0x7f, 0);
}

static int fault(void *arg)
{
    *(volatile char *)arg = 1;
    return 0;
}

CHECK(mmap, a_wrong_address_ends_the_program)
{
    EQUAL(check_wait(check_fork(fault, (void *)8)) & 0x7f, SIGSEGV);
    EQUAL(check_wait(check_fork(fault, (void *)0xffff888000000000)) & 0x7f, SIGSEGV);
    EQUAL(check_wait(check_fork(fault, (void *)0x0123456789abc000)) & 0x7f, SIGSEGV);
}
