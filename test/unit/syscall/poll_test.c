/* SPDX-License-Identifier: MIT */
/* core/syscall/poll.c: waiting for several files, with and without an end. */
#include "file_world.h"

#define SHORT_NS 2000000 /* of virtual time */

static uint64_t in, out;

static void pipe_begin(void)
{
    files_begin();
    CHECK(CALL(pipe, DATA) == 0);
    in = get32(DATA);
    out = get32(DATA + 4);
}

static void put_fd(unsigned index, int64_t fd, uint32_t events)
{
    put32(TEXT1 + index * 8, (uint32_t)fd);
    put32(TEXT1 + index * 8 + 4, events | 0xabcd0000u); /* what was in revents does not matter */
}

static uint32_t got(unsigned index)
{
    return get32(TEXT1 + index * 8 + 4) >> 16;
}

static int polling(void)
{
    pipe_begin();
    put_fd(0, (int64_t)in, POLLIN);
    put_fd(1, (int64_t)out, POLLOUT);
    put_fd(2, 40, POLLIN);
    put_fd(3, -1, POLLIN);
    CHECK(CALL(poll, TEXT1, 4, 0) == 2 && got(0) == 0 && got(1) == POLLOUT && got(2) == POLLNVAL && got(3) == 0);
    CHECK(CALL(write, out, DATA, 1) == 1 && CALL(poll, TEXT1, 1, U(-1)) == 1 && got(0) == POLLIN);
    CHECK(CALL(read, in, DATA, 1) == 1);

    uint64_t begin = clock_ns();

    CHECK(CALL(poll, TEXT1, 1, SHORT_NS / NS_PER_MS) == 0 && clock_ns() >= begin + SHORT_NS);
    CHECK(CALL(poll, 0, 0, 1) == 0 && CALL(poll, NOWHERE, 1, 0) == -EFAULT && CALL(poll, TEXT1, 65, 0) == -EINVAL);
    for (unsigned i = 0; i < 20; i++) /* more than there is room for without memory */
        put_fd(i, (int64_t)(i == 19 ? out : in), POLLIN | POLLOUT);
    CHECK(CALL(poll, TEXT1, 20, U(-1)) == 1 && got(19) == POLLOUT && got(0) == 0);
    CHECK(CALL(close, out) == 0);
    put_fd(0, (int64_t)in, 0);
    CHECK(CALL(poll, TEXT1, 1, U(-1)) == 1 && got(0) == POLLHUP);
    return 0;
}

static int polling_with_masks(void)
{
    const vaddr_t time = DATA + 64;

    pipe_begin();
    put_fd(0, (int64_t)in, POLLIN);
    put_time(time, 0, SHORT_NS);
    CHECK(CALL(ppoll, TEXT1, 1, time, 0, 0) == 0 && get64(time) == 0 && get64(time + 8) == 0); /* nothing is left */
    put_time(time, 5, 0);
    put_fd(0, (int64_t)out, POLLOUT);
    CHECK(CALL(ppoll, TEXT1, 1, time, 0, 0) == 1 && get64(time) == 4);
    put_time(time, 0, -1);
    CHECK(CALL(ppoll, TEXT1, 1, time, 0, 0) == -EINVAL && CALL(ppoll, TEXT1, 1, NOWHERE, 0, 0) == -EFAULT);
    CHECK(CALL(ppoll, TEXT1, 1, 0, DATA, 7) == -EINVAL && CALL(ppoll, TEXT1, 1, 0, NOWHERE, 8) == -EFAULT);
    put64(DATA, 0x200);
    CHECK(CALL(ppoll, TEXT1, 1, 0, DATA, 8) == 1);
    CHECK(CALL(rt_sigprocmask, 0, 0, DATA, 8) == 0 && get64(DATA) == 0); /* the mask was borrowed */
    return 0;
}

static int selecting(void)
{
    const vaddr_t reads = DATA, writes = DATA + 8, time = DATA + 64;

    pipe_begin();
    put64(reads, UINT64_C(1) << in);
    put64(writes, UINT64_C(1) << out);
    CHECK(CALL(select, out + 1, reads, writes, 0, 0) == 1);
    CHECK(get64(reads) == 0 && get64(writes) == UINT64_C(1) << out);
    CHECK(CALL(write, out, PAGE0 + 512, 1) == 1);
    put64(reads, UINT64_C(1) << in);
    CHECK(CALL(select, out + 1, reads, writes, 0, 0) == 2 && get64(reads) == UINT64_C(1) << in);
    CHECK(CALL(read, in, PAGE0 + 512, 1) == 1);
    put_time(time, 0, SHORT_NS / NS_PER_US);
    put64(reads, UINT64_C(1) << in);
    CHECK(CALL(select, out + 1, reads, 0, 0, time) == 0 && get64(reads) == 0 && get64(time) == 0);
    CHECK(get64(time + 8) == 0);
    put_time(time, 9, 2000000); /* a million and more is no error here: 11 s */
    put64(writes, UINT64_C(1) << out);
    CHECK(CALL(select, out + 1, 0, writes, 0, time) == 1 && get64(time) == 10);
    put_time(time, -1, 0);
    CHECK(CALL(select, out + 1, 0, writes, 0, time) == -EINVAL && CALL(select, U(-1), 0, 0, 0, 0) == -EINVAL);
    CHECK(CALL(select, 1, NOWHERE, 0, 0, 0) == -EFAULT && CALL(select, 1, 0, 0, 0, NOWHERE) == -EFAULT);
    put64(reads, UINT64_C(1) << 40);
    CHECK(CALL(select, 41, reads, 0, 0, 0) == -EBADF);
    put64(reads, UINT64_C(1) << in);
    put_time(time, 0, 0);
    CHECK(CALL(pselect6, out + 1, reads, 0, 0, time, 0) == 0 && get64(reads) == 0);
    put64(TEXT2, DATA + 128);
    put64(TEXT2 + 8, 7);
    CHECK(CALL(pselect6, 0, 0, 0, 0, time, TEXT2) == -EINVAL && CALL(pselect6, 0, 0, 0, 0, time, NOWHERE) == -EFAULT);
    put64(TEXT2 + 8, 8);
    CHECK(CALL(pselect6, 0, 0, 0, 0, time, TEXT2) == 0);
    put_time(time, 0, (int64_t)NS_PER_SEC);
    CHECK(CALL(pselect6, 0, 0, 0, 0, time, 0) == -EINVAL);
    return 0;
}

/* Another thread of the process, with the same descriptors. */
static struct fd_table *shared;

static int writer(void)
{
    struct fd_table **files = &thread_current()->user.files;

    fd_table_put(*files);
    fd_table_get(shared);
    *files = shared;
    CHECK(CALL(write, out, DATA, 1) == 1);
    return 0;
}

static int waiting(void)
{
    pipe_begin();
    shared = thread_current()->user.files;
    put_fd(0, (int64_t)in, POLLIN);
    struct task *task = world_thread(writer);

    CHECK(CALL(poll, TEXT1, 1, U(-1)) == 1 && got(0) == POLLIN);
    CHECK(finish(task) == 0);
    return 0;
}

STORY(polling)
STORY(polling_with_masks)
STORY(selecting)
STORY(waiting)

const struct kernel_test booted_tests[] = {
    { "polling", run_polling }, { "polling_with_masks", run_polling_with_masks }, { "selecting", run_selecting },
    { "waiting", run_waiting }, { NULL, NULL },
};

static void what_is_ready_is_told(void **state)
{
    (void)state;
    booted_run("polling", 4);
    booted_run("polling_with_masks", 4);
    booted_run("selecting", 4);
}

static void who_waits_is_woken(void **state)
{
    (void)state;
    booted_run("waiting", 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ready_is_told),
        cmocka_unit_test(who_waits_is_woken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
