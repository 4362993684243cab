/* SPDX-License-Identifier: MIT */
/* Descriptors and bytes: read(2), write(2), lseek(2), dup3(2), fcntl(2), pipe2(2), poll(2), ioctl(2), sendfile(2). */
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

static void open_pipe(int ends[2], int flags)
{
    GOOD(syscall(SYS_pipe2, ends, flags));
}

CHECK(read, moves_the_position)
{
    char data[8];
    int fd = check_file("f", "abcdef", 6);

    EQUAL(syscall(SYS_read, fd, data, 4), 4);
    TRUE(memcmp(data, "abcd", 4) == 0);
    EQUAL(syscall(SYS_read, fd, data, 8), 2);
    EQUAL(syscall(SYS_read, fd, data, 8), 0);
    EQUAL(syscall(SYS_read, fd, data, 0), 0);
    EQUAL(syscall(SYS_pread64, fd, data, 3, 1), 3);
    TRUE(memcmp(data, "bcd", 3) == 0);
    EQUAL(lseek(fd, 0, SEEK_CUR), 6);
}

CHECK(read, refuses_what_is_wrong)
{
    int fd = check_file("f", "abcdef", 6), ends[2];
    char data[8];

    FAILS(EBADF, syscall(SYS_read, 500, data, 1));
    FAILS(EBADF, syscall(SYS_read, -1, data, 1));
    FAILS(EISDIR, syscall(SYS_read, open("/", O_RDONLY), data, 1));
    FAILS(EINVAL, syscall(SYS_pread64, fd, data, 1, -1l));
    open_pipe(ends, 0);
    FAILS(ESPIPE, syscall(SYS_pread64, ends[0], data, 1, 0l));
    BAD_TARGETS(1, syscall(SYS_pread64, fd, bad, 1, 0l));
    EQUAL(write(ends[1], "x", 1), 1);
    BAD_TARGETS(1, syscall(SYS_read, ends[0], bad, 1));
    EQUAL(read(ends[0], data, 1), 1); /* the byte was not lost */
}

CHECK(write, extends_and_leaves_holes)
{
    char data[16];
    int fd = check_file("f", "abc", 3);

    EQUAL(syscall(SYS_pwrite64, fd, "xyz", 3, 10l), 3);
    memset(data, 'z', sizeof(data));
    EQUAL(pread(fd, data, sizeof(data), 0), 13);
    TRUE(memcmp(data, "abc\0\0\0\0\0\0\0xyz", 13) == 0);
    EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    GOOD(fcntl(fd, F_SETFL, O_APPEND));
    EQUAL(syscall(SYS_write, fd, "!", 1), 1);
    EQUAL(lseek(fd, 0, SEEK_CUR), 14);
}

CHECK(write, refuses_what_is_wrong)
{
    int fd = check_file("f", "abcdef", 6);
    struct stat status;

    FAILS(EBADF, syscall(SYS_write, 500, "x", 1));
    FAILS(EINVAL, syscall(SYS_pwrite64, fd, "x", 1, -1l));
    BAD_SOURCES(1, syscall(SYS_write, fd, bad, 1));
    EQUAL(syscall(SYS_write, fd, NULL, 0), 0);
    GOOD(fstat(fd, &status));
    EQUAL(status.st_size, 6);
}

CHECK(readv, fills_one_after_the_other)
{
    int fd = check_file("f", "abcdef", 6);
    char first[2], second[8];
    struct iovec parts[2] = {{first, 2}, {second, 8}}, negative[2] = {{first, 1}, {first, (size_t)-1}};

    EQUAL(syscall(SYS_readv, fd, parts, 2), 6);
    TRUE(memcmp(first, "ab", 2) == 0 && memcmp(second, "cdef", 4) == 0);
    EQUAL(syscall(SYS_readv, fd, parts, 0), 0);
    EQUAL(syscall(SYS_writev, fd, parts, 1), 2);
    FAILS(EINVAL, syscall(SYS_readv, fd, negative, 2));
    FAILS(EINVAL, syscall(SYS_readv, fd, parts, IOV_MAX + 1));
    FAILS(EINVAL, syscall(SYS_writev, fd, parts, -1));
    FAILS(EBADF, syscall(SYS_writev, 500, parts, 1));
    BAD_SOURCES(sizeof(parts), syscall(SYS_writev, fd, bad, 2));
    BAD_SOURCES(1, syscall(SYS_writev, fd, (&(struct iovec){bad, 1}), 1));
}

CHECK(lseek, seeks_and_refuses)
{
    int fd = check_file("f", "abcdef", 6), ends[2];

    EQUAL(syscall(SYS_lseek, fd, 2l, SEEK_SET), 2);
    EQUAL(syscall(SYS_lseek, fd, 2l, SEEK_CUR), 4);
    EQUAL(syscall(SYS_lseek, fd, -1l, SEEK_END), 5);
    EQUAL(syscall(SYS_lseek, fd, 100l, SEEK_SET), 100); /* behind the end is allowed */
    FAILS(EINVAL, syscall(SYS_lseek, fd, -1l, SEEK_SET));
    FAILS(EINVAL, syscall(SYS_lseek, fd, 0l, 77));
    EQUAL(lseek(fd, 0, SEEK_CUR), 100);
    EQUAL(syscall(SYS_lseek, fd, 1l, SEEK_DATA), 1);
    EQUAL(syscall(SYS_lseek, fd, 1l, SEEK_HOLE), 6);
    FAILS(ENXIO, syscall(SYS_lseek, fd, 6l, SEEK_DATA));
    FAILS(EBADF, syscall(SYS_lseek, 500, 0l, SEEK_SET));
    open_pipe(ends, 0);
    FAILS(ESPIPE, syscall(SYS_lseek, ends[0], 0l, SEEK_CUR));
}

CHECK(ftruncate, cuts_and_fills_with_zeros)
{
    char data[8];
    int fd = check_file("f", "abcdef", 6);

    GOOD(syscall(SYS_ftruncate, fd, 2l));
    GOOD(syscall(SYS_truncate, "f", 4l));
    EQUAL(pread(fd, data, 8, 0), 4);
    TRUE(memcmp(data, "ab\0\0", 4) == 0);
    FAILS(EINVAL, syscall(SYS_ftruncate, fd, -1l));
    FAILS(EINVAL, syscall(SYS_ftruncate, open("f", O_RDONLY), 1l));
    FAILS(EISDIR, syscall(SYS_truncate, "/", 1l));
    FAILS(ENOENT, syscall(SYS_truncate, "x", 1l));
    FAILS(EBADF, syscall(SYS_ftruncate, 500, 1l));
    BAD_SOURCES(1, syscall(SYS_truncate, bad, 1l));
}

CHECK(dup, shares_the_position)
{
    char c;
    int fd = check_file("f", "abcdef", 6), other = (int)GOOD(syscall(SYS_dup, fd));

    EQUAL(read(fd, &c, 1), 1);
    EQUAL(lseek(other, 0, SEEK_CUR), 1);
    EQUAL(syscall(SYS_dup3, fd, 30, O_CLOEXEC), 30);
    EQUAL(fcntl(30, F_GETFD), FD_CLOEXEC);
    FAILS(EINVAL, syscall(SYS_dup3, fd, fd, 0));
    FAILS(EINVAL, syscall(SYS_dup3, fd, 31, O_APPEND));
    FAILS(EBADF, syscall(SYS_dup3, 500, 31, 0));
    FAILS(EBADF, syscall(SYS_dup3, fd, -1, 0));
    FAILS(EBADF, syscall(SYS_dup, 500));
    GOOD(syscall(SYS_close, fd));
    FAILS(EBADF, syscall(SYS_close, fd));
    EQUAL(read(other, &c, 1), 1);
    EQUAL(c, 'b');
}

static int add_one(void *arg)
{
    const uint64_t one = 1;

    return write(*(int *)arg, &one, 8) == 8 ? 0 : 1;
}

CHECK(eventfd2, counts)
{
    int fd = (int)GOOD(syscall(SYS_eventfd2, 3, EFD_NONBLOCK)), semaphore, blocking;
    struct pollfd ready = {.fd = fd, .events = POLLIN | POLLOUT};
    uint64_t value = 0;

    EQUAL(poll(&ready, 1, 0), 1);
    EQUAL(ready.revents, POLLIN | POLLOUT);
    EQUAL(read(fd, &value, 8), 8);
    EQUAL(value, 3);
    FAILS(EAGAIN, read(fd, &value, 8));
    FAILS(EINVAL, read(fd, &value, 7));
    value = UINT64_MAX;
    FAILS(EINVAL, write(fd, &value, 8));
    value--;
    EQUAL(write(fd, &value, 8), 8);
    EQUAL(poll(&ready, 1, 0), 1);
    EQUAL(ready.revents, POLLIN);
    FAILS(EAGAIN, write(fd, &(uint64_t){1}, 8));
    FAILS(EINVAL, syscall(SYS_eventfd2, 0, 2));
    BAD_SOURCES(8, write(fd, bad, 8));
    semaphore = (int)GOOD(syscall(SYS_eventfd2, 2, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK));
    EQUAL(fcntl(semaphore, F_GETFD), FD_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        EQUAL(read(semaphore, &value, 8), 8);
        EQUAL(value, 1);
    }
    FAILS(EAGAIN, read(semaphore, &value, 8));
    blocking = (int)GOOD(syscall(SYS_eventfd2, 0, 0));
    int pid = check_fork(add_one, &blocking);
    EQUAL(read(blocking, &value, 8), 8);
    EQUAL(value, 1);
    EQUAL(check_wait(pid), 0);
}

/* That files may be large is a flag of those that were opened by a path. */
CHECK(fcntl, tells_flags)
{
    int pipes[2];
#if defined(__aarch64__)
    const int large = 0400000;
#else
    const int large = 0100000;
#endif

    GOOD(pipe(pipes));
    EQUAL(syscall(SYS_fcntl, pipes[0], F_GETFL), O_RDONLY);
    EQUAL(syscall(SYS_fcntl, pipes[1], F_GETFL), O_WRONLY);
    EQUAL(syscall(SYS_fcntl, (int)GOOD(syscall(SYS_eventfd2, 0, EFD_NONBLOCK)), F_GETFL), O_RDWR | O_NONBLOCK);
    EQUAL(syscall(SYS_fcntl, (int)GOOD(open("/", O_RDONLY | O_DIRECTORY)), F_GETFL) & large, large);
    EQUAL(syscall(SYS_fcntl, (int)GOOD(open("/", O_PATH)), F_GETFL) & large, 0);
}

CHECK(fcntl, flags_and_copies)
{
    int fd = check_file("f", "abcdef", 6), copy;

    EQUAL(syscall(SYS_fcntl, fd, F_GETFD), 0);
    GOOD(syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC));
    EQUAL(syscall(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
    copy = (int)GOOD(syscall(SYS_fcntl, fd, F_DUPFD, 40));
    EQUAL(copy, 40);
    EQUAL(syscall(SYS_fcntl, copy, F_GETFD), 0); /* a flag of the descriptor, not of the file */
    EQUAL(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 40), 41);
    GOOD(syscall(SYS_fcntl, fd, F_SETFL, O_APPEND | O_NONBLOCK));
    EQUAL(syscall(SYS_fcntl, copy, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE), O_APPEND | O_NONBLOCK | O_RDWR);
    FAILS(EINVAL, syscall(SYS_fcntl, fd, F_DUPFD, -1));
    FAILS(EINVAL, syscall(SYS_fcntl, fd, F_DUPFD, 0x7fffffff));
    FAILS(EINVAL, syscall(SYS_fcntl, fd, 0x7fff, 0));
    FAILS(EBADF, syscall(SYS_fcntl, 500, F_GETFD));
}

CHECK(pipe2, bytes_go_through_and_end)
{
    char data[8];
    int ends[2];

    open_pipe(ends, O_CLOEXEC);
    EQUAL(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    EQUAL(write(ends[1], "abc", 3), 3);
    EQUAL(read(ends[0], data, 2), 2);
    EQUAL(read(ends[0], data, 8), 1);
    GOOD(close(ends[1]));
    EQUAL(read(ends[0], data, 8), 0);
    FAILS(EBADF, write(ends[0], "x", 1));
    FAILS(EINVAL, syscall(SYS_pipe2, ends, 1));
    BAD_TARGETS(2 * sizeof(int), syscall(SYS_pipe2, bad, 0));
    EQUAL(open("/", O_RDONLY), ends[1]); /* none of the refused ones has left a descriptor */
}

CHECK(pipe2, without_a_reader_is_epipe_and_a_signal)
{
    int ends[2], pid;

    open_pipe(ends, 0);
    close(ends[0]);
    pid = fork();
    if (pid == 0) {
        (void)!write(ends[1], "x", 1);
        _exit(1);
    }
    EQUAL(check_wait(pid), SIGPIPE);
    signal(SIGPIPE, SIG_IGN);
    FAILS(EPIPE, write(ends[1], "x", 1));
}

CHECK(pipe2, a_full_one_does_not_take_more)
{
    static char data[1 << 20];
    int ends[2];
    long total;

    open_pipe(ends, O_NONBLOCK);
    FAILS(EAGAIN, read(ends[0], data, 1));
    total = GOOD(write(ends[1], data, sizeof(data)));
    TRUE(total >= PIPE_BUF && total < (long)sizeof(data));
    FAILS(EAGAIN, write(ends[1], data, 1));
    EQUAL(read(ends[0], data, PIPE_BUF), PIPE_BUF);
    EQUAL(write(ends[1], data, PIPE_BUF), PIPE_BUF);
    FAILS(EAGAIN, write(ends[1], data, PIPE_BUF));
}

static int write_a_lot(void *arg)
{
    static char data[1 << 18];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256);
    return write(*(int *)arg, data, sizeof(data)) == sizeof(data) ? 0 : 1;
}

CHECK(pipe2, a_blocked_writer_goes_on)
{
    int ends[2], pid;
    size_t total = 0;
    char data[999];
    long some;

    open_pipe(ends, 0);
    pid = check_fork(write_a_lot, &ends[1]);
    close(ends[1]);
    while ((some = GOOD(read(ends[0], data, sizeof(data)))) > 0)
        for (long i = 0; i < some; i++, total++)
            TRUE(data[i] == (char)(total * 7 + total / 256));
    EQUAL(total, 1 << 18);
    EQUAL(check_wait(pid), 0);
}

CHECK(ppoll, tells_what_is_ready)
{
    int ends[2];
    struct pollfd polled[3];
    struct timespec none = {0}, wrong = {.tv_nsec = 1000000000};

    open_pipe(ends, 0);
    polled[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    polled[1] = (struct pollfd){.fd = ends[1], .events = POLLOUT};
    polled[2] = (struct pollfd){.fd = 500, .events = POLLIN};
    EQUAL(syscall(SYS_ppoll, polled, 1, &none, NULL, 8), 0);
    EQUAL(syscall(SYS_ppoll, polled, 3, NULL, NULL, 8), 2);
    EQUAL(polled[0].revents, 0);
    EQUAL(polled[1].revents, POLLOUT);
    EQUAL(polled[2].revents, POLLNVAL);
    polled[2].fd = -1; /* passed over */
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(syscall(SYS_ppoll, polled, 3, NULL, NULL, 8), 2);
    EQUAL(polled[0].revents, POLLIN);
    EQUAL(polled[2].revents, 0);
    close(ends[1]);
    EQUAL(syscall(SYS_ppoll, polled, 1, NULL, NULL, 8), 1);
    EQUAL(polled[0].revents, POLLIN | POLLHUP);
    FAILS(EINVAL, syscall(SYS_ppoll, polled, 1, &wrong, NULL, 8));
    FAILS(EINVAL, syscall(SYS_ppoll, polled, 0x7fffffff, NULL, NULL, 8));
    FAILS(EINVAL, syscall(SYS_ppoll, polled, 1, NULL, &none, 4)); /* a set of signals of another size */
    BAD_TARGETS(sizeof(struct pollfd), syscall(SYS_ppoll, bad, 1, &none, NULL, 8));
    BAD_SOURCES(sizeof(none), UNLESS_NULL(bad, syscall(SYS_ppoll, polled, 1, bad, NULL, 8)));
}

CHECK(pselect6, tells_what_is_ready)
{
    struct timespec none = {0};
    unsigned long reads[16] = {0};
    int ends[2];

    open_pipe(ends, 0);
    reads[0] = 1ul << ends[0];
    EQUAL(syscall(SYS_pselect6, ends[0] + 1, reads, NULL, NULL, &none, NULL), 0);
    EQUAL(reads[0], 0);
    EQUAL(write(ends[1], "x", 1), 1);
    reads[0] = 1ul << ends[0];
    EQUAL(syscall(SYS_pselect6, ends[0] + 1, reads, NULL, NULL, NULL, NULL), 1);
    EQUAL(reads[0], 1ul << ends[0]);
    FAILS(EINVAL, syscall(SYS_pselect6, -1, reads, NULL, NULL, &none, NULL));
    reads[0] = 1ul << 60;
    FAILS(EBADF, syscall(SYS_pselect6, 61, reads, NULL, NULL, &none, NULL));
    BAD_TARGETS(8, UNLESS_NULL(bad, syscall(SYS_pselect6, 64, bad, NULL, NULL, &none, NULL)));
}

/* A limit is for new numbers. */
CHECK(pselect6, knows_numbers_beyond_the_limit)
{
    struct rlimit limit;
    struct timespec none = {0};
    unsigned long reads[16] = {0};
    int ends[2];

    open_pipe(ends, 0);
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(dup2(ends[0], 40), 40);
    GOOD(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 8;
    GOOD(setrlimit(RLIMIT_NOFILE, &limit));
    reads[0] = 1ul << 40;
    EQUAL(syscall(SYS_pselect6, 41, reads, NULL, NULL, &none, NULL), 1);
    EQUAL(reads[0], 1ul << 40);
    reads[0] = 1ul << 41;
    FAILS(EBADF, syscall(SYS_pselect6, 42, reads, NULL, NULL, &none, NULL));
    reads[0] = 1ul << 40;
    reads[15] = 1ul << 63; /* no table has so many */
    EQUAL(syscall(SYS_pselect6, 1024, reads, NULL, NULL, &none, NULL), 1);
}

static volatile sig_atomic_t too_long;

static void note_too_long(int number, siginfo_t *info, void *context)
{
    (void)context;
    too_long += number == SIGXFSZ && info->si_code == SI_USER;
}

/* RLIMIT_FSIZE: what still fits is written; beyond it nothing is, and a signal says so. */
CHECK(setrlimit, ends_files_at_their_limit)
{
    struct sigaction action = {.sa_sigaction = note_too_long, .sa_flags = SA_SIGINFO};
    struct rlimit limit;
    char bytes[64] = {0};
    int fd = check_file("f", "0123456789", 10), ends[2];

    GOOD(sigaction(SIGXFSZ, &action, NULL));
    GOOD(getrlimit(RLIMIT_FSIZE, &limit));
    limit.rlim_cur = 20;
    GOOD(setrlimit(RLIMIT_FSIZE, &limit));
    EQUAL(pwrite(fd, bytes, 15, 10), 10);
    EQUAL(too_long, 0);
    FAILS(EFBIG, pwrite(fd, bytes, 1, 20));
    EQUAL(too_long, 1);
    EQUAL(pwrite(fd, bytes, 0, 20), 0);
    EQUAL(pwrite(fd, bytes, 64, 0), 20);
    GOOD(fcntl(fd, F_SETFL, O_APPEND));
    FAILS(EFBIG, write(fd, bytes, 1));
    EQUAL(too_long, 2);
    GOOD(ftruncate(fd, 5));
    EQUAL(write(fd, bytes, 64), 15);
    FAILS(EFBIG, ftruncate(fd, 21));
    EQUAL(too_long, 3);
    GOOD(ftruncate(fd, 20));
    GOOD(ftruncate(fd, 4));
    FAILS(EFBIG, fallocate(fd, 0, 0, 21));
    EQUAL(too_long, 4);
    GOOD(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 30));
    GOOD(fallocate(fd, 0, 0, 20));
    limit.rlim_cur = 6;
    GOOD(setrlimit(RLIMIT_FSIZE, &limit));
    GOOD(ftruncate(fd, 18)); /* shorter than it is is never too long */
    EQUAL(pread(fd, bytes, 64, 0), 18);
    open_pipe(ends, 0); /* no file that has a length */
    EQUAL(write(ends[1], bytes, 64), 64);
    EQUAL(too_long, 4);
    GOOD(signal(SIGXFSZ, SIG_IGN) == SIG_ERR ? -1 : 0);
    FAILS(EFBIG, write(fd, bytes, 1));
}

CHECK(ioctl, is_refused_where_there_is_nothing_to_control)
{
    char bytes[64];
    int ends[2], waiting = -1;

    FAILS(ENOTTY, syscall(SYS_ioctl, check_file("f", "", 0), 0x5401, bytes)); /* TCGETS */
    FAILS(EBADF, syscall(SYS_ioctl, 500, 0x5401, bytes));
    open_pipe(ends, 0);
    EQUAL(write(ends[1], "abc", 3), 3);
    GOOD(syscall(SYS_ioctl, ends[0], FIONREAD, &waiting));
    EQUAL(waiting, 3);
    BAD_TARGETS(sizeof(int), syscall(SYS_ioctl, ends[0], FIONREAD, bad));
}

CHECK(ioctl, every_file_has_some)
{
    int file = check_file("f", "abc", 3), ends[2], on = 1, off = 0;
    char byte;

    GOOD(pipe(ends));
    GOOD(syscall(SYS_ioctl, ends[0], FIONBIO, &on));
    EQUAL(fcntl(ends[0], F_GETFL), O_RDONLY | O_NONBLOCK);
    FAILS(EAGAIN, read(ends[0], &byte, 1));
    GOOD(syscall(SYS_ioctl, ends[0], FIONBIO, &off));
    EQUAL(fcntl(ends[0], F_GETFL), O_RDONLY);
    BAD_SOURCES(sizeof(int), syscall(SYS_ioctl, ends[0], FIONBIO, bad));
    GOOD(syscall(SYS_ioctl, file, FIONBIO, &on));
    EQUAL(fcntl(file, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    GOOD(syscall(SYS_ioctl, file, FIOCLEX));
    EQUAL(fcntl(file, F_GETFD), FD_CLOEXEC);
    GOOD(syscall(SYS_ioctl, file, FIONCLEX));
    EQUAL(fcntl(file, F_GETFD), 0);
    FAILS(EBADF, syscall(SYS_ioctl, (int)GOOD(open("f", O_PATH)), FIONBIO, &on));
}

CHECK(sendfile, copies_from_a_file)
{
    int from = check_file("f", "abcdef", 6), to = check_file("g", "", 0);
    off_t offset = 1;
    char data[8];

    EQUAL(syscall(SYS_sendfile, to, from, &offset, 3l), 3);
    EQUAL(offset, 4);
    EQUAL(lseek(from, 0, SEEK_CUR), 0);
    EQUAL(syscall(SYS_sendfile, to, from, NULL, 100l), 6);
    EQUAL(pread(to, data, 8, 0), 8);
    TRUE(memcmp(data, "bcdabcde", 8) == 0);
    FAILS(EBADF, syscall(SYS_sendfile, 500, from, NULL, 1l));
    FAILS(EBADF, syscall(SYS_sendfile, (int)GOOD(open("g", O_RDONLY)), from, NULL, 1l)); /* where nothing is left */
    FAILS(EBADF, syscall(SYS_sendfile, to, (int)GOOD(open("f", O_WRONLY)), NULL, 1l));
    FAILS(EINVAL, syscall(SYS_sendfile, (int)GOOD(open("g", O_WRONLY | O_APPEND)), from, NULL, 1l));
    BAD_TARGETS(sizeof(off_t), UNLESS_NULL(bad, syscall(SYS_sendfile, to, from, bad, 1l)));
}

CHECK(read, devices)
{
    char data[4] = "xyz";
    int zero = (int)GOOD(open("/dev/zero", O_RDWR)), null = (int)GOOD(open("/dev/null", O_RDWR));
    int full = (int)GOOD(open("/dev/full", O_RDWR));

    EQUAL(read(zero, data, 4), 4);
    TRUE(memcmp(data, "\0\0\0\0", 4) == 0);
    EQUAL(read(null, data, 4), 0);
    EQUAL(write(null, data, 4), 4);
    FAILS(ENOSPC, write(full, data, 4));
    EQUAL(read(full, data, 4), 4);
}

static int sends_for_ever(void *arg)
{
    int *fd = arg;
    off_t offset = 0;

    while (syscall(SYS_sendfile, fd[1], fd[0], &offset, 0x7ffff000l) > 0)
        offset = 0;
    return 1;
}

/* Two gigabytes that nothing has to be waited for: a kill does not wait until they are through. */
CHECK(sendfile, ends_when_killed)
{
    int fd[2] = {check_file("large", "", 0), (int)GOOD(open("/dev/null", O_WRONLY))};
    struct timespec moment = {.tv_nsec = 20000000};

    GOOD(ftruncate(fd[0], 0x7ffff000l));
    int child = check_fork(sends_for_ever, fd);

    GOOD(nanosleep(&moment, NULL));
    GOOD(kill(child, SIGKILL));
    EQUAL(check_wait(child), SIGKILL);
}

CHECK(flock, excludes_and_is_given_back)
{
    int one = check_file("f", "", 0), two = (int)GOOD(open("f", O_RDONLY)), copy = (int)GOOD(dup(one));

    GOOD(syscall(SYS_flock, one, LOCK_SH));
    GOOD(syscall(SYS_flock, two, LOCK_SH | LOCK_NB));
    FAILS(EWOULDBLOCK, syscall(SYS_flock, one, LOCK_EX | LOCK_NB));
    GOOD(syscall(SYS_flock, two, LOCK_EX | LOCK_NB)); /* what the other had is gone: the change is no single step */
    FAILS(EWOULDBLOCK, syscall(SYS_flock, one, LOCK_SH | LOCK_NB));
    GOOD(syscall(SYS_flock, two, LOCK_UN));
    GOOD(syscall(SYS_flock, one, LOCK_EX));
    GOOD(close(one)); /* its copy is the same open file */
    FAILS(EWOULDBLOCK, syscall(SYS_flock, two, LOCK_SH | LOCK_NB));
    GOOD(close(copy));
    GOOD(syscall(SYS_flock, two, LOCK_EX | LOCK_NB));
    FAILS(EINVAL, syscall(SYS_flock, two, 0));
    FAILS(EINVAL, syscall(SYS_flock, two, LOCK_SH | LOCK_EX));
    FAILS(EBADF, syscall(SYS_flock, 500, LOCK_SH));
    FAILS(EBADF, syscall(SYS_flock, GOOD(open("f", O_PATH)), LOCK_SH));
}

static int locks_and_tells(void *arg)
{
    int *fd = arg;
    int own = (int)GOOD(open("f", O_RDONLY));

    GOOD(syscall(SYS_flock, own, LOCK_EX));
    GOOD(write(fd[1], "x", 1));
    return 0;
}

/* It waits until the lock is given back, by the end of the process that has it, too. */
CHECK(flock, waits)
{
    int fd[2], own = check_file("f", "", 0);
    char byte;

    GOOD(pipe2(fd, O_NONBLOCK));
    GOOD(syscall(SYS_flock, own, LOCK_EX));
    int child = check_fork(locks_and_tells, fd);

    while (!check_sleeps(child))
        continue;
    FAILS(EAGAIN, read(fd[0], &byte, 1));
    GOOD(syscall(SYS_flock, own, LOCK_UN));
    EQUAL(check_wait(child), 0);
    EQUAL(read(fd[0], &byte, 1), 1);
    GOOD(syscall(SYS_flock, own, LOCK_EX | LOCK_NB));
}

CHECK(copy_file_range, copies_and_refuses)
{
    int from = check_file("a", "0123456789", 10), to = check_file("b", "", 0), pipe_fd[2];
    long long at = 8, target = 1;
    char data[8];

    GOOD(lseek(from, 2, SEEK_SET));
    GOOD(lseek(to, 0, SEEK_SET));
    EQUAL(syscall(SYS_copy_file_range, from, NULL, to, NULL, 3l, 0), 3);
    EQUAL(lseek(from, 0, SEEK_CUR), 5);
    EQUAL(syscall(SYS_copy_file_range, from, &at, to, &target, 100l, 0), 2);
    EQUAL(at, 10);
    EQUAL(target, 3);
    EQUAL(pread(to, data, 8, 0), 3);
    TRUE(memcmp(data, "289", 3) == 0);
    at = 0;
    target = 4;
    FAILS(EINVAL, syscall(SYS_copy_file_range, from, &at, from, &target, 5l, 0));
    FAILS(EINVAL, syscall(SYS_copy_file_range, from, &at, to, &target, 5l, 1));
    FAILS(EBADF, syscall(SYS_copy_file_range, 500, &at, to, &target, 5l, 0));
    FAILS(EBADF, syscall(SYS_copy_file_range, from, &at, GOOD(open("b", O_WRONLY | O_APPEND)), &target, 5l, 0));
    FAILS(EISDIR, syscall(SYS_copy_file_range, GOOD(open(".", O_RDONLY)), NULL, to, NULL, 5l, 0));
    GOOD(pipe(pipe_fd));
    FAILS(EINVAL, syscall(SYS_copy_file_range, from, NULL, pipe_fd[1], NULL, 5l, 0));
    BAD_SOURCES(sizeof(at), UNLESS_NULL(bad, syscall(SYS_copy_file_range, from, bad, to, NULL, 1l, 0)));
}

CHECK(fallocate, makes_zeros_and_holes)
{
    int fd = check_file("f", "0123456789", 10), ends[2];
    char data[16];
    struct stat status;

    GOOD(syscall(SYS_fallocate, fd, 0, 5l, 20000l));
    GOOD(fstat(fd, &status));
    EQUAL(status.st_size, 20005);
    TRUE(status.st_blocks >= 40);
    char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *copy = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

    TRUE(map != MAP_FAILED && copy != MAP_FAILED);
    map[PAGE] = map[2 * PAGE] = copy[PAGE] = 'x';
    EQUAL(copy[2 * PAGE], 'x');
    GOOD(syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2l, 2 * PAGE));
    EQUAL(map[PAGE], 0);
    EQUAL(copy[PAGE], 'x'); /* its own */
    EQUAL(map[2 * PAGE], 0);
    EQUAL(map[1], '1');
    map[PAGE] = 'y';
    EQUAL(pread(fd, data, 3, PAGE - 1), 3);
    TRUE(memcmp(data, "\0y", 3) == 0);
    GOOD(syscall(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 0l, 100000l));
    GOOD(fstat(fd, &status));
    EQUAL(status.st_size, 20005);
    FAILS(EINVAL, syscall(SYS_fallocate, fd, 0, -1l, 1l));
    FAILS(EINVAL, syscall(SYS_fallocate, fd, 0, 0l, 0l));
    FAILS(EOPNOTSUPP, syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0l, 1l));
    FAILS(EFBIG, syscall(SYS_fallocate, fd, 0, LONG_MAX, 1l));
    FAILS(EBADF, syscall(SYS_fallocate, 500, 0, 0l, 1l));
    FAILS(EBADF, syscall(SYS_fallocate, GOOD(open("f", O_RDONLY)), 0, 0l, 1l));
    open_pipe(ends, 0);
    FAILS(ESPIPE, syscall(SYS_fallocate, ends[1], 0, 0l, 1l));
    FAILS(ENODEV, syscall(SYS_fallocate, GOOD(open("/dev/null", O_WRONLY)), 0, 0l, 1l));
}
