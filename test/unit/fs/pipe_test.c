/* SPDX-License-Identifier: MIT */
/* core/fs/pipe.c: bytes in = bytes out under any schedule, whole small writes, ends that go, FIFOs, sizes. */
#include "fs_test.h"

#include <fs/pipe.h>
#include <k/atomic.h>

static struct file *in, *out; /* the end to write to, and to read from */

static void open_pipe(uint32_t flags)
{
    CHECK(pipe_create(flags, &out, &in) == 0);
}

static void close_pipe(void)
{
    file_put(in);
    file_put(out);
}

/* ---- Streams ---- */

#define WRITERS 3
#define TOTAL 40000u

static _Atomic(uint64_t) sum_in, sum_out, bytes_out;

static int feed(void *arg)
{
    static unsigned char data[WRITERS][9000];
    unsigned char *mine = data[(uintptr_t)arg];
    struct unit_random random = {booted_seed() * 4 + (uintptr_t)arg};

    for (size_t done = 0; done < TOTAL;) {
        size_t bytes = unit_random_below(&random, 9000) + 1;
        uint64_t sum = 0;

        bytes = MIN(bytes, TOTAL - done);
        for (size_t i = 0; i < bytes; i++)
            sum += mine[i] = (unsigned char)unit_random_next(&random);
        CHECK(write_from(in, mine, bytes) == (int64_t)bytes);
        (void)fetch_add_relaxed(&sum_in, sum);
        done += bytes;
    }
    file_put(in);
    return 0;
}

static int eat(void *arg)
{
    static unsigned char data[2][7000];
    unsigned char *mine = data[(uintptr_t)arg];
    struct unit_random random = {booted_seed() * 4 + 77 + (uintptr_t)arg};
    int64_t got;

    while ((got = read_into(out, mine, unit_random_below(&random, 7000) + 1)) > 0) {
        uint64_t sum = 0;

        for (int64_t i = 0; i < got; i++)
            sum += mine[i];
        (void)fetch_add_relaxed(&sum_out, sum);
        (void)fetch_add_relaxed(&bytes_out, (uint64_t)got);
    }
    CHECK(got == 0);
    return 0;
}

static void stream(void)
{
    struct task *task[WRITERS + 2];

    store_relaxed(&sum_in, 0);
    store_relaxed(&sum_out, 0);
    store_relaxed(&bytes_out, 0);
    open_pipe(0);
    if (booted_seed() % 2 == 0)
        CHECK(pipe_size_set(in, 1) == (int64_t)PAGE_BYTES);
    for (uintptr_t i = 0; i < WRITERS; i++) {
        file_get(in);
        task[i] = spawn("writer", feed, (void *)i, 60, NULL);
    }
    for (uintptr_t i = 0; i < 2; i++)
        task[WRITERS + i] = spawn("reader", eat, (void *)i, 60, NULL);
    file_put(in);
    for (unsigned i = 0; i < WRITERS + 2; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&bytes_out) == WRITERS * TOTAL);
    CHECK(load_relaxed(&sum_in) == load_relaxed(&sum_out));
    file_put(out);
}

/* ---- Whole writes ---- */

#define PIECE 700u

static int write_pieces(void *arg)
{
    unsigned char piece[PIECE];

    memset(piece, (int)(uintptr_t)arg + 1, sizeof piece);
    for (unsigned i = 0; i < 30; i++)
        CHECK(write_from(in, piece, sizeof piece) == sizeof piece);
    file_put(in);
    return 0;
}

/* Each piece comes out in one: a writer never gets between the bytes of another. */
static void atomic(void)
{
    unsigned char piece[PIECE];
    struct task *task[WRITERS];
    unsigned pieces = 0;

    open_pipe(0);
    CHECK(pipe_size_set(in, 2 * PAGE_BYTES) == 2 * (int64_t)PAGE_BYTES);
    for (uintptr_t i = 0; i < WRITERS; i++) {
        file_get(in);
        task[i] = spawn("writer", write_pieces, (void *)i, 60, NULL);
    }
    file_put(in);
    for (size_t have = 0;; have %= PIECE) {
        int64_t got = read_into(out, piece + have, PIECE - have);

        if (got <= 0) {
            CHECK(got == 0 && have == 0);
            break;
        }
        have += (size_t)got;
        for (size_t i = 1; i < have; i++)
            CHECK(piece[i] == piece[0]);
        pieces += have == PIECE;
    }
    CHECK(pieces == WRITERS * 30);
    for (unsigned i = 0; i < WRITERS; i++)
        CHECK(finish(task[i]) == 0);
    file_put(out);
}

/* ---- Rules ---- */

static void rules(void)
{
    static char large[70000];

    open_pipe(O_NONBLOCK);
    CHECK(read_into(out, large, 10) == -EAGAIN && write_from(in, large, 0) == 0);
    CHECK(read_into(in, large, 1) == -EBADF && write_from(out, large, 1) == -EBADF);
    CHECK(file_seek(in, 0, SEEK_CUR) == -ESPIPE);
    CHECK(file_poll(out, NULL) == 0 && file_poll(in, NULL) == (POLLOUT | POLLWRNORM));
    CHECK(write_from(in, large, sizeof large) == PIPE_BYTES_DEFAULT); /* as much as there is room for */
    CHECK(file_poll(in, NULL) == 0 && file_poll(out, NULL) == (POLLIN | POLLRDNORM));
    CHECK(write_from(in, large, 1) == -EAGAIN);
    CHECK(read_into(out, large, 4000) == 4000);
    CHECK(write_from(in, large, 4096) == -EAGAIN);  /* whole or not at all */
    CHECK(write_from(in, large, 4097) == 4000);     /* a long one: what there is room for */
    CHECK(pipe_size_set(in, 8192) == -EBUSY && pipe_size_set(in, 0) == -EBUSY);
    CHECK(pipe_size_set(in, PIPE_BYTES_MAX + 1) == -EPERM);
    CHECK(pipe_size_set(in, PIPE_BYTES_WANTED_MAX + 1) == -EINVAL);
    CHECK(pipe_size_set(out, 100000) == 131072 && pipe_size_get(in) == 131072);
    CHECK(write_from(in, large, 4096) == 4096);
    file_put(in);
    CHECK(file_poll(out, NULL) == (POLLIN | POLLRDNORM | POLLHUP));
    while (read_into(out, large, sizeof large) > 0)
        continue;
    CHECK(read_into(out, large, 1) == 0 && file_poll(out, NULL) == POLLHUP);
    file_put(out);
    open_pipe(0);
    file_put(out);
    CHECK(write_from(in, large, 1) == -EPIPE && (file_poll(in, NULL) & POLLERR) != 0);
    file_put(in);
}

/* Contents survive a change of size, wherever in the ring they are. */
static void sizes(void)
{
    static unsigned char data[10000], back[10000]; /* more than a stack holds */
    struct unit_random random = {booted_seed()};
    size_t skip = unit_random_below(&random, 16000), bytes = unit_random_below(&random, sizeof data) + 1;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)unit_random_next(&random);
    open_pipe(O_NONBLOCK);
    CHECK(pipe_size_set(in, 16384) == 16384);
    for (size_t done = 0, part; done < skip; done += part) { /* never empty: the ring goes on */
        part = MIN(sizeof data - 1, skip - done);
        CHECK(write_from(in, data, part) == (int64_t)part && write_from(in, data, 1) == 1);
        CHECK(read_into(out, back, part + (done > 0)) == (int64_t)part + (done > 0));
    }
    if (skip > 0)
        CHECK(read_into(out, back, 1) == 1);
    CHECK(write_from(in, data, bytes) == (int64_t)bytes);
    CHECK(pipe_size_set(in, unit_random_below(&random, 2) == 0 ? 16384 : 65536) > 0);
    CHECK(read_into(out, back, sizeof back) == (int64_t)bytes && memcmp(data, back, bytes) == 0);
    close_pipe();
}

static int write_until_killed(void *arg)
{
    static char data[3 * PIPE_BYTES_DEFAULT];

    (void)arg;
    /* Full, with nobody to read: what is written is told, then the kill. */
    CHECK(write_from(in, data, sizeof data) == PIPE_BYTES_DEFAULT);
    CHECK(write_from(in, data, 1) == -EINTR);
    return 0;
}

static void kill_writer(void)
{
    open_pipe(0);
    struct task *task = spawn("writer", write_until_killed, NULL, 60, NULL);

    WAIT_FOR(is_blocked(task));
    CHECK(task_kill(task) == 0);
    CHECK(finish(task) == 0);
    close_pipe();
}

static int read_until_signalled(void *arg)
{
    char byte;

    (void)arg;
    CHECK(read_into(out, &byte, 1) == -EINTR && read_into(out, &byte, 1) == -EINTR);
    task_notice_clear(TASK_NOTICE_SIGNAL);
    CHECK(read_into(out, &byte, 1) == 1);
    return 0;
}

static void signal_reader(void)
{
    open_pipe(0);
    struct task *task = spawn("reader", read_until_signalled, NULL, 60, NULL);

    WAIT_FOR(is_blocked(task));
    CHECK(task_notify(task, TASK_NOTICE_SIGNAL) == 0);
    WAIT_FOR((load_relaxed(&task->notices) & TASK_NOTICE_SIGNAL) == 0 && is_blocked(task));
    CHECK(write_from(in, "x", 1) == 1 && finish(task) == 0);
    close_pipe();
}

static int try_pipe(void *arg)
{
    struct file *from, *to;
    char data[5000] = {0};
    int error = pipe_create(O_NONBLOCK, &from, &to);

    (void)arg;
    if (error != 0)
        return error;
    int64_t done = write_from(to, data, sizeof data);

    CHECK(done == sizeof data || done == -ENOMEM || done == 4096);
    int64_t size = pipe_size_set(to, 8192);

    CHECK(size == 8192 || size == -ENOMEM);
    if (done > 0)
        CHECK(read_into(from, data, sizeof data) == done);
    file_put(from);
    file_put(to);
    return done < (int64_t)sizeof data || size < 0 ? -ENOMEM : 0;
}

static void memory(void)
{
    fail_each(try_pipe, NULL);
}

const struct kernel_test booted_tests[] = {
    {"stream", stream}, {"atomic", atomic}, {"rules", rules}, {"sizes", sizes}, {"kill", kill_writer},
    {"signal", signal_reader}, {"memory", memory}, {NULL, NULL},
};

BOOTED(bytes_in_are_bytes_out, "stream", 60)
BOOTED(small_writes_are_whole, "atomic", 60)
BOOTED(errors_and_readiness_are_as_told, "rules", 2)
BOOTED(a_change_of_size_keeps_the_bytes, "sizes", 40)
BOOTED(a_kill_ends_a_write, "kill", 10)
BOOTED(a_signal_ends_a_read_until_it_is_taken, "signal", 10)
BOOTED(without_memory_nothing_is_left, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(bytes_in_are_bytes_out), cmocka_unit_test(small_writes_are_whole),
             cmocka_unit_test(errors_and_readiness_are_as_told), cmocka_unit_test(a_change_of_size_keeps_the_bytes),
             cmocka_unit_test(a_kill_ends_a_write), cmocka_unit_test(a_signal_ends_a_read_until_it_is_taken),
             cmocka_unit_test(without_memory_nothing_is_left))
