/* SPDX-License-Identifier: MIT */
/* core/syscall/file.c: transfers, positions and descriptors by Linux's rules and errors. */
#include "file_world.h"

#define CLOSED U(40) /* no such descriptor */

static int transfers(void)
{
    files_begin();
    int64_t fd = file_with("a", "0123456789"), input = CALL(open, PATH1("a"), O_RDONLY);

    CHECK(CALL(read, U(fd), DATA, 4) == 4 && text_is(DATA, "0123") && CALL(lseek, U(fd), 0, SEEK_CUR) == 4);
    CHECK(CALL(read, U(fd), DATA, 100) == 6 && CALL(read, U(fd), DATA, 100) == 0 && CALL(read, U(fd), DATA, 0) == 0);
    CHECK(CALL(pread64, U(fd), DATA, 3, 7) == 3 && text_is(DATA, "789") && CALL(lseek, U(fd), 0, SEEK_CUR) == 10);
    CHECK(CALL(pwrite64, U(fd), text_at(DATA, "xy"), 2, 1) == 2);
    CHECK(CALL(pread64, U(fd), DATA, 4, 0) == 4 && text_is(DATA, "0xy3"));
    CHECK(CALL(pread64, U(fd), DATA, 3, U(-1)) == -EINVAL && CALL(pwrite64, U(fd), DATA, 3, U(-1)) == -EINVAL);
    CHECK(CALL(read, CLOSED, DATA, 1) == -EBADF && CALL(write, CLOSED, DATA, 1) == -EBADF);
    CHECK(CALL(pread64, CLOSED, DATA, 1, 0) == -EBADF && CALL(pwrite64, CLOSED, DATA, 1, 0) == -EBADF);
    CHECK(CALL(write, U(input), DATA, 1) == -EBADF);
    CHECK(CALL(pread64, U(fd), NOWHERE, 1, 0) == -EFAULT && CALL(write, U(fd), NOWHERE, 1) == -EFAULT);
    CHECK(CALL(pread64, U(fd), HAL_USER_END, 1, 0) == -EFAULT);
    /* As much as there is memory for. */
    CHECK(CALL(pread64, U(fd), PAGE0 + 2 * PAGE_BYTES - 2, 10, 0) == 2);
    return 0;
}

static void put_piece(unsigned index, vaddr_t at, uint64_t bytes)
{
    put64(TEXT2 + index * 16, at);
    put64(TEXT2 + index * 16 + 8, bytes);
}

static int vectors(void)
{
    files_begin();
    int64_t fd = file_with("a", "0123456789");

    for (unsigned i = 0; i < 12; i++) /* more than fit without memory of their own */
        put_piece(i, DATA + 20 - i, 1);
    CHECK(CALL(readv, U(fd), TEXT2, 12) == 10 && text_is(DATA + 11, "9876543210"));
    CHECK(CALL(preadv, U(fd), TEXT2, 2, 3) == 2 && text_is(DATA + 19, "43"));
    put_piece(0, text_at(DATA, "ab"), 2);
    put_piece(1, DATA, 0);
    put_piece(2, DATA + 1, 1);
    CHECK(CALL(pwritev, U(fd), TEXT2, 3, 8) == 3);
    CHECK(CALL(writev, U(fd), TEXT2, 1) == 2 && CALL(pread64, U(fd), DATA, 20, 8) == 4 && text_is(DATA, "abab"));
    CHECK(CALL(preadv2, U(fd), TEXT2, 1, 1, 0, 7) == 2 && CALL(preadv2, U(fd), TEXT2, 1, 1, 0, 0x10) == -EOPNOTSUPP);
    CHECK(CALL(lseek, U(fd), 5, SEEK_SET) == 5 && CALL(preadv2, U(fd), TEXT2, 1, U(-1), 0, 0) == 2);
    CHECK(CALL(lseek, U(fd), 0, SEEK_CUR) == 7 && CALL(pwritev2, U(fd), TEXT2, 1, 0, 0, 0x100) == -EOPNOTSUPP);
    CHECK(CALL(readv, U(fd), TEXT2, 0) == 0 && CALL(readv, U(fd), TEXT2, 1025) == -EINVAL);
    CHECK(CALL(readv, U(fd), NOWHERE, 1) == -EFAULT && CALL(readv, CLOSED, TEXT2, 1) == -EBADF);
    put_piece(0, DATA, INT64_MAX);
    put_piece(1, DATA, INT64_MAX);
    CHECK(CALL(readv, U(fd), TEXT2, 2) == -EINVAL);
    return 0;
}

static int positions(void)
{
    files_begin();
    int64_t fd = file_with("a", "0123456789");

    CHECK(CALL(lseek, U(fd), 0, SEEK_END) == 10 && CALL(lseek, U(fd), U(-1), SEEK_SET) == -EINVAL);
    CHECK(CALL(lseek, U(fd), 0, 9) == -EINVAL && CALL(lseek, CLOSED, 0, SEEK_SET) == -EBADF);
    CHECK(CALL(ftruncate, U(fd), 3) == 0 && CALL(lseek, U(fd), 0, SEEK_END) == 3);
    CHECK(CALL(ftruncate, U(fd), U(-1)) == -EINVAL && CALL(ftruncate, CLOSED, 0) == -EBADF);
    CHECK(CALL(ioctl, U(fd), 0x5401, DATA) == -ENOTTY && CALL(ioctl, CLOSED, 0x5401, DATA) == -EBADF);
    CHECK(CALL(fallocate, U(fd), 0, 0, 5) == 0 && CALL(lseek, U(fd), 0, SEEK_END) == 5);
    CHECK(CALL(fallocate, U(fd), 3, 1, 1) == 0 && CALL(pread64, U(fd), DATA, 9, 0) == 5 && get32(DATA) == 0x00320030);
    CHECK(CALL(fallocate, U(fd), 0x40, 0, 5) == -EOPNOTSUPP && CALL(fallocate, CLOSED, 0, 0, 1) == -EBADF);
    CHECK(CALL(fsync, U(fd)) == 0 && CALL(fdatasync, U(fd)) == 0 && CALL(syncfs, U(fd)) == 0 && CALL(sync) == 0);
    CHECK(CALL(fsync, CLOSED) == -EBADF && CALL(syncfs, CLOSED) == -EBADF);
    CHECK(CALL(fadvise64, U(fd), 0, 0, 3) == 0 && CALL(fadvise64, U(fd), 0, 0, 6) == -EINVAL);
    CHECK(CALL(readahead, U(fd), 0, 100) == 0 && CALL(readahead, U(fd), 0, U(-1)) == -EINVAL);
    CHECK(CALL(readahead, CLOSED, 0, 0) == -EBADF);
    CHECK(CALL(fadvise64, U(fd), 0, U(-1), 0) == -EINVAL && CALL(fadvise64, CLOSED, 0, 0, 0) == -EBADF);

    CHECK(CALL(pipe2, DATA, O_NONBLOCK) == 0);
    uint64_t in = get32(DATA), out = get32(DATA + 4);

    CHECK(CALL(lseek, in, 0, SEEK_SET) == -ESPIPE && CALL(pread64, in, DATA, 1, 0) == -ESPIPE);
    CHECK(CALL(fsync, in) == -EINVAL && CALL(syncfs, in) == 0 && CALL(fadvise64, in, 0, 0, 0) == -ESPIPE);
    CHECK(CALL(readahead, in, 0, 0) == -EINVAL);
    CHECK(CALL(read, in, DATA, 1) == -EAGAIN && CALL(write, in, DATA, 1) == -EBADF);
    CHECK(CALL(write, out, text_at(DATA, "in"), 2) == 2 && CALL(read, in, DATA + 8, 9) == 2 && text_is(DATA + 8, "in"));
    CHECK(CALL(close, out) == 0 && CALL(read, in, DATA, 1) == 0);
    return 0;
}

static int descriptors(void)
{
    files_begin();
    int64_t fd = file_with("a", "0123456789"), second = CALL(dup, U(fd));

    CHECK(fd == 0 && second == 1 && CALL(lseek, U(second), 7, SEEK_SET) == 7 && CALL(lseek, U(fd), 0, SEEK_CUR) == 7);
    CHECK(CALL(dup2, U(fd), 9) == 9 && CALL(dup2, U(fd), U(fd)) == fd && CALL(dup2, CLOSED, CLOSED) == -EBADF);
    CHECK(CALL(dup2, U(fd), 64) == -EBADF && CALL(dup2, CLOSED, 9) == -EBADF && CALL(dup, CLOSED) == -EBADF);
    CHECK(CALL(dup3, U(fd), U(fd), 0) == -EINVAL && CALL(dup3, U(fd), 10, 1) == -EINVAL);
    CHECK(CALL(dup3, U(fd), 10, O_CLOEXEC) == 10 && CALL(fcntl, 10, 1) == 1 && CALL(fcntl, 9, 1) == 0);
    CHECK(CALL(fcntl, 9, 2, 1) == 0 && CALL(fcntl, 9, 1) == 1 && CALL(fcntl, CLOSED, 1) == -EBADF);
    CHECK(CALL(fcntl, U(fd), 0, 20) == 20 && CALL(fcntl, U(fd), 1030, 20) == 21 && CALL(fcntl, 21, 1) == 1);
    CHECK(CALL(fcntl, U(fd), 0, 64) == -EINVAL && CALL(fcntl, CLOSED, 0, 0) == -EBADF);
    CHECK(CALL(fcntl, U(fd), 3) == (O_RDWR | syscall_abi.o_largefile));
    CHECK(CALL(fcntl, U(fd), 4, O_APPEND | O_NONBLOCK | O_WRONLY) == 0); /* the access stays */
    CHECK(CALL(fcntl, U(fd), 3) == (O_RDWR | O_APPEND | O_NONBLOCK | syscall_abi.o_largefile));
    CHECK(CALL(fcntl, U(fd), 99, 0) == -EINVAL && CALL(fcntl, CLOSED, 3) == -EBADF);
    CHECK(CALL(fcntl, U(fd), 1032) == -EBADF); /* no pipe */

    CHECK(CALL(close_range, 20, 20, 4) == 0 && CALL(fcntl, 20, 1) == 1);
    CHECK(CALL(close_range, 9, 20, 0) == 0 && CALL(fcntl, 20, 1) == -EBADF && CALL(fcntl, 21, 1) == 1);
    CHECK(CALL(close_range, 2, 1, 0) == -EINVAL && CALL(close_range, 1, 2, 1) == -EINVAL);
    CHECK(CALL(close_range, 21, UINT32_MAX, 2) == 0 && CALL(fcntl, 21, 1) == -EBADF);
    CHECK(CALL(close, U(second)) == 0 && CALL(close, U(second)) == -EBADF && CALL(close, U(-1)) == -EBADF);

    for (int64_t next = 1; next < 64; next++)
        CHECK(CALL(dup, U(fd)) == next);
    CHECK(CALL(dup, U(fd)) == -EMFILE && CALL(pipe, DATA) == -EMFILE);
    CHECK(CALL(close, 63) == 0 && CALL(pipe, DATA) == -EMFILE); /* two, or none */
    CHECK(CALL(dup, U(fd)) == 63);
    return 0;
}

static int pipes(void)
{
    files_begin();
    CHECK(CALL(pipe2, DATA, 1) == -EINVAL && CALL(pipe2, NOWHERE, 0) == -EFAULT);
    CHECK(CALL(pipe2, DATA, O_CLOEXEC) == 0); /* the numbers that failed are free again */
    CHECK(get32(DATA) == 0 && get32(DATA + 4) == 1 && CALL(fcntl, 0, 1) == 1 && CALL(fcntl, 1, 1) == 1);
    CHECK(CALL(fcntl, 0, 1032) == 65536 && CALL(fcntl, 1, 1031, 8000) == 8192 && CALL(fcntl, 0, 1032) == 8192);
    CHECK(CALL(fcntl, 0, 3) == O_RDONLY && CALL(fcntl, 1, 3) == O_WRONLY);
    return 0;
}

STORY(transfers)
STORY(vectors)
STORY(positions)
STORY(descriptors)
STORY(pipes)

const struct kernel_test booted_tests[] = {
    { "transfers", run_transfers },     { "vectors", run_vectors }, { "positions", run_positions },
    { "descriptors", run_descriptors }, { "pipes", run_pipes },
    { NULL, NULL },
};

static void bytes_go_where_the_manual_says(void **state)
{
    (void)state;
    booted_run("transfers", 4);
    booted_run("vectors", 4);
    booted_run("positions", 4);
}

static void descriptors_are_copied_and_closed(void **state)
{
    (void)state;
    booted_run("descriptors", 4);
    booted_run("pipes", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_where_the_manual_says),
        cmocka_unit_test(descriptors_are_copied_and_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
