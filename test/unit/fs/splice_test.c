/* SPDX-License-Identifier: MIT */
/* core/fs/splice.c: bytes go through in order under any schedule, two pipes in both directions, ends, errors. */
#include "fs_test.h"

#include <fs/memfd.h>
#include <fs/pipe.h>
#include <fs/splice.h>
#include <k/atomic.h>

#define TOTAL 40000u

struct pipe_ends {
    struct file *in, *out;
};

static struct pipe_ends one, two;

static int64_t splice(struct file *out, struct file *in, size_t bytes)
{
    return splice_some(&(struct splice_side){out, NULL}, &(struct splice_side){in, NULL}, bytes, false);
}

static void open_pipe(struct pipe_ends *ends, size_t bytes)
{
    CHECK(pipe_create(0, &ends->out, &ends->in) == 0);
    CHECK(pipe_size_set(ends->in, bytes) == (int64_t)bytes);
}

static unsigned char nth(size_t at)
{
    return (unsigned char)(at * 13 + at / 251);
}

static int feed(void *arg)
{
    static unsigned char data[5000];
    struct unit_random random = {booted_seed()};

    (void)arg;
    for (size_t done = 0; done < TOTAL;) {
        size_t bytes = MIN(unit_random_below(&random, sizeof data) + 1, TOTAL - done);

        for (size_t i = 0; i < bytes; i++)
            data[i] = nth(done + i);
        CHECK(write_from(one.in, data, bytes) == (int64_t)bytes);
        done += bytes;
    }
    file_put(one.in);
    return 0;
}

static int pass_on(void *arg)
{
    struct unit_random random = {booted_seed() + 1};
    int64_t got;

    (void)arg;
    while ((got = splice(two.in, one.out, unit_random_below(&random, 9000) + 1)) > 0)
        continue;
    CHECK(got == 0);
    file_put(two.in);
    return 0;
}

/* From pipe to pipe to a file; what a file gets stands there in order. */
static void stream(void)
{
    static unsigned char data[TOTAL];
    struct task *task[2];
    struct file *file;
    int64_t got;

    open_pipe(&one, PAGE_BYTES);
    open_pipe(&two, 2 * PAGE_BYTES);
    CHECK(memfd_file_create("f", 0600, 0, &cred_root, &file) == 0);
    task[0] = spawn("feed", feed, NULL, 60, NULL);
    task[1] = spawn("pass", pass_on, NULL, 60, NULL);
    while ((got = splice(file, two.out, 7000)) > 0)
        continue;
    CHECK(got == 0 && finish(task[0]) == 0 && finish(task[1]) == 0);
    CHECK(file_seek(file, 0, SEEK_SET) == 0 && read_into(file, data, TOTAL) == TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        CHECK(data[i] == nth(i));
    file_put(one.out);
    file_put(two.out);
    file_put(file);
}

/* ---- Both ways at once ---- */

#define ROUNDS 60u

static int to_and_fro(void *arg)
{
    struct pipe_ends *to = arg == NULL ? &two : &one, *from = arg == NULL ? &one : &two;

    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(splice(to->in, from->out, 1) == 1);
    return 0;
}

/* Neither waits for the other with a lock of its own, and nothing is lost or doubled. */
static void circle(void)
{
    struct task *task[2];
    char data[16];

    open_pipe(&one, PAGE_BYTES);
    open_pipe(&two, PAGE_BYTES);
    CHECK(write_from(one.in, "abc", 3) == 3 && write_from(two.in, "de", 2) == 2);
    task[0] = spawn("to", to_and_fro, NULL, 60, NULL);
    task[1] = spawn("fro", to_and_fro, (void *)1, 60, NULL);
    CHECK(finish(task[0]) == 0 && finish(task[1]) == 0);
    CHECK(read_into(one.out, data, sizeof data) == 3 && read_into(two.out, data, sizeof data) == 2);
    file_put(one.in);
    file_put(one.out);
    file_put(two.in);
    file_put(two.out);
}

/* ---- Rules ---- */

static void rules(void)
{
    static char data[PAGE_BYTES];
    struct file *file;
    uint64_t at = 4;

    open_pipe(&one, PAGE_BYTES);
    open_pipe(&two, PAGE_BYTES);
    CHECK(memfd_file_create("f", 0600, SEAL_WRITE, &cred_root, &file) == 0);
    CHECK(write_from(one.in, "abc", 3) == 3 && splice(file, one.out, 3) == -EPERM); /* and it is still there */
    file_put(file);
    CHECK(memfd_file_create("f", 0600, 0, &cred_root, &file) == 0);
    CHECK(splice_some(&(struct splice_side){file, &at}, &(struct splice_side){one.out, NULL}, 2, false) == 2);
    CHECK(at == 6);
    CHECK(splice(one.in, one.out, 1) == -EINVAL);
    at = 5;
    CHECK(splice_some(&(struct splice_side){two.in, NULL}, &(struct splice_side){file, &at}, 9, false) == 1 && at == 6);
    CHECK(read_into(two.out, data, 9) == 1 && data[0] == 'b');
    CHECK(write_from(two.in, data, sizeof data) == sizeof data);
    CHECK(splice_some(&(struct splice_side){two.in, NULL}, &(struct splice_side){one.out, NULL}, 9, true) == -EAGAIN);
    CHECK(splice_some(&(struct splice_side){two.in, NULL}, &(struct splice_side){file, &at}, 9, true) == -EAGAIN);
    CHECK(read_into(one.out, data, 9) == 1 && data[0] == 'c');
    CHECK(splice_some(&(struct splice_side){file, NULL}, &(struct splice_side){one.out, NULL}, 9, true) == -EAGAIN);
    file_put(one.in);
    file_put(two.out);
    CHECK(splice(two.in, file, 1) == -EPIPE && splice(two.in, one.out, 1) == -EPIPE);
    CHECK(splice(file, one.out, 1) == 0);
    file_put(one.out);
    file_put(two.in);
    file_put(file);
}

static int try_splice(void *arg)
{
    struct file *from, *to, *file = arg;
    int error = pipe_create(O_NONBLOCK, &from, &to);

    if (error != 0)
        return error;
    CHECK(file_seek(file, 0, SEEK_SET) == 0);
    int64_t done = splice(to, file, 5);

    CHECK(done == 5 || done == -ENOMEM);
    file_put(from);
    file_put(to);
    return (int)MIN(done, 0);
}

static void memory(void)
{
    struct file *file;

    CHECK(memfd_file_create("f", 0600, 0, &cred_root, &file) == 0 && write_from(file, "abcde", 5) == 5);
    fail_each(try_splice, file);
    file_put(file);
}

const struct kernel_test booted_tests[] = {
    {"stream", stream}, {"circle", circle}, {"rules", rules}, {"memory", memory}, {NULL, NULL},
};

BOOTED(bytes_go_through_in_order, "stream", 60)
BOOTED(two_pipes_in_both_directions, "circle", 60)
BOOTED(errors_and_ends_are_as_told, "rules", 2)
BOOTED(without_memory_nothing_is_left, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(bytes_go_through_in_order), cmocka_unit_test(two_pipes_in_both_directions),
             cmocka_unit_test(errors_and_ends_are_as_told), cmocka_unit_test(without_memory_nothing_is_left))
