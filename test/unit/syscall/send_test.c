/* SPDX-License-Identifier: MIT */
/* core/syscall/send.c: what arrives, where both files stand afterwards, and who is refused. */
#include "file_world.h"

#define CLOSED U(40) /* no such descriptor */

static int sending(void)
{
    files_begin();
    int64_t in = file_with("a", "0123456789"), out = file_with("b", "");

    CHECK(CALL(lseek, U(in), 2, SEEK_SET) == 2 && CALL(sendfile, U(out), U(in), 0, 3) == 3);
    CHECK(CALL(lseek, U(in), 0, SEEK_CUR) == 5);
    put64(TEXT2, 8);
    CHECK(CALL(sendfile, U(out), U(in), TEXT2, 100) == 2 && get64(TEXT2) == 10 && CALL(lseek, U(in), 0, SEEK_CUR) == 5);
    CHECK(CALL(pread64, U(out), DATA, 9, 0) == 5 && text_is(DATA, "23489"));
    CHECK(CALL(sendfile, U(out), U(in), NOWHERE, 1) == -EFAULT && CALL(sendfile, U(out), CLOSED, 0, 1) == -EBADF);
    CHECK(CALL(sendfile, CLOSED, U(in), 0, 1) == -EBADF);
    /* It never waits, but looks whether somebody wants it to do something else. */
    CHECK(task_notify(current_task(), TASK_NOTICE_SIGNAL) == 0 && CALL(lseek, U(in), 0, SEEK_SET) == 0);
    CHECK(CALL(sendfile, U(out), U(in), 0, 10) == -ERESTARTSYS && CALL(lseek, U(in), 0, SEEK_CUR) == 0);
    task_notice_clear(TASK_NOTICE_SIGNAL);
    CHECK(CALL(sendfile, U(out), U(in), 0, 10) == 10);
    CHECK(CALL(pipe2, DATA, O_NONBLOCK) == 0);
    uint64_t from = get32(DATA), to = get32(DATA + 4);

    CHECK(CALL(sendfile, U(out), from, 0, 1) == -EINVAL); /* no position */
    CHECK(CALL(fcntl, to, 1031, 4096) == 4096 && CALL(ftruncate, U(in), 10000) == 0);
    CHECK(CALL(lseek, U(in), 0, SEEK_SET) == 0 && CALL(sendfile, to, U(in), 0, 10000) == 4096);
    CHECK(CALL(lseek, U(in), 0, SEEK_CUR) == 4096); /* what did not fit is still to be read */
    CHECK(CALL(sendfile, to, U(in), 0, 10000) == -EAGAIN && CALL(lseek, U(in), 0, SEEK_CUR) == 4096);
    return 0;
}

static int copying(void)
{
    files_begin();
    int64_t in = file_with("a", "0123456789"), out = file_with("b", "abc");

    CHECK(CALL(lseek, U(in), 2, SEEK_SET) == 2 && CALL(copy_file_range, U(in), 0, U(out), 0, 3, 0) == 3);
    CHECK(CALL(lseek, U(in), 0, SEEK_CUR) == 5 && CALL(lseek, U(out), 0, SEEK_CUR) == 3);
    put64(TEXT2, 8);
    put64(TEXT2 + 8, 1);
    CHECK(CALL(copy_file_range, U(in), TEXT2, U(out), TEXT2 + 8, 100, 0) == 2);
    CHECK(get64(TEXT2) == 10 && get64(TEXT2 + 8) == 3 && CALL(lseek, U(in), 0, SEEK_CUR) == 5);
    CHECK(CALL(pread64, U(out), DATA, 9, 0) == 3 && text_is(DATA, "289"));
    CHECK(CALL(copy_file_range, U(in), TEXT2, U(out), 0, 1, 0) == 0); /* at its end */
    put64(TEXT2, 0);
    put64(TEXT2 + 8, 4);
    CHECK(CALL(copy_file_range, U(in), TEXT2, U(in), TEXT2 + 8, 5, 0) == -EINVAL);
    CHECK(CALL(copy_file_range, U(in), TEXT2, U(in), TEXT2 + 8, 4, 0) == 4);
    CHECK(CALL(pread64, U(in), DATA, 10, 0) == 10 && text_is(DATA, "0123012389"));
    put64(TEXT2, UINT64_MAX);
    CHECK(CALL(copy_file_range, U(in), TEXT2, U(out), 0, 1, 0) == -EINVAL);
    put64(TEXT2, INT64_MAX);
    CHECK(CALL(copy_file_range, U(in), TEXT2, U(out), 0, 1, 0) == -EOVERFLOW);
    CHECK(CALL(copy_file_range, U(in), 0, U(out), 0, 1, 1) == -EINVAL);
    CHECK(CALL(copy_file_range, U(in), NOWHERE, U(out), 0, 1, 0) == -EFAULT);
    CHECK(CALL(copy_file_range, CLOSED, 0, U(out), 0, 1, 0) == -EBADF);
    int64_t dir = CALL(open, PATH1("."), O_RDONLY, 0), append = CALL(open, PATH1("b"), O_WRONLY | O_APPEND, 0);

    CHECK(CALL(copy_file_range, U(dir), 0, U(out), 0, 1, 0) == -EISDIR);
    CHECK(CALL(copy_file_range, U(in), 0, U(append), 0, 1, 0) == -EBADF);
    CHECK(CALL(copy_file_range, U(append), 0, U(out), 0, 1, 0) == -EBADF);
    return 0;
}

STORY(sending)
STORY(copying)

const struct kernel_test booted_tests[] = { { "sending", run_sending }, { "copying", run_copying }, { NULL, NULL } };

static void bytes_go_from_file_to_file(void **state)
{
    (void)state;
    booted_run("sending", 4);
    booted_run("copying", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bytes_go_from_file_to_file) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
