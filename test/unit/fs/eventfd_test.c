/* SPDX-License-Identifier: MIT */
/* core/fs/eventfd.c: what is added is what is taken under any schedule; waits, readiness, errors. */
#include "fs_test.h"

#include <fs/eventfd.h>
#include <k/atomic.h>

static struct file *event;

static int64_t add(uint64_t more)
{
    return write_from(event, &more, sizeof more);
}

static int64_t take(uint64_t *taken)
{
    return read_into(event, taken, sizeof *taken);
}

static void rules(void)
{
    uint64_t taken = 0;
    char small[7];

    CHECK(eventfd_create(3, false, O_NONBLOCK, &event) == 0);
    CHECK(file_poll(event, NULL) == (POLLIN | POLLOUT));
    CHECK(take(&taken) == 8 && taken == 3 && take(&taken) == -EAGAIN && file_poll(event, NULL) == POLLOUT);
    CHECK(add(UINT64_MAX) == -EINVAL && add(UINT64_MAX - 1) == 8 && add(1) == -EAGAIN && add(0) == 8);
    CHECK(file_poll(event, NULL) == POLLIN && take(&taken) == 8 && taken == UINT64_MAX - 1);
    CHECK(read_into(event, small, sizeof small) == -EINVAL && write_from(event, small, sizeof small) == -EINVAL);
    file_put(event);
    CHECK(eventfd_create(2, true, O_NONBLOCK, &event) == 0);
    CHECK(take(&taken) == 8 && taken == 1 && take(&taken) == 8 && taken == 1 && take(&taken) == -EAGAIN);
    file_put(event);
}

#define ROUNDS 50u

/* Much at a time: the second of two has to wait until somebody has read. */
static int adder(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(add(UINT64_MAX / 2) == 8);
    return 0;
}

static int one_adder(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(add(1) == 8);
    return 0;
}

static void both_wait(void)
{
    uint64_t taken, left = 2 * ROUNDS;

    CHECK(eventfd_create(0, false, 0, &event) == 0);
    struct task *first = spawn("adder", adder, NULL, 60, NULL), *second = spawn("adder", adder, NULL, 60, NULL);

    while (left > 0) {
        CHECK(take(&taken) == 8 && taken % (UINT64_MAX / 2) == 0 && taken / (UINT64_MAX / 2) <= left);
        left -= taken / (UINT64_MAX / 2);
    }
    CHECK(finish(first) == 0 && finish(second) == 0 && file_poll(event, NULL) == POLLOUT);
    file_put(event);
}

static int taker(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t taken = 0;

        CHECK(take(&taken) == 8 && taken == 1);
    }
    return 0;
}

static void semaphore(void)
{
    CHECK(eventfd_create(0, true, 0, &event) == 0);
    struct task *tasks[4];

    for (unsigned i = 0; i < 4; i++)
        tasks[i] = spawn("event", i % 2 == 0 ? taker : one_adder, NULL, 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(tasks[i]) == 0);
    CHECK(file_poll(event, NULL) == POLLOUT);
    file_put(event);
}

static int try_create(void *arg)
{
    (void)arg;
    int error = eventfd_create(0, false, 0, &event);

    if (error == 0)
        file_put(event);
    return error;
}

static void memory(void)
{
    fail_each(try_create, NULL);
}

const struct kernel_test booted_tests[] = {
    {"rules", rules}, {"both-wait", both_wait}, {"semaphore", semaphore}, {"memory", memory}, {NULL, NULL},
};

BOOTED(errors_and_readiness_are_as_told, "rules", 2)
BOOTED(what_is_added_is_taken, "both-wait", 40)
BOOTED(a_semaphore_lets_as_many_through, "semaphore", 40)
BOOTED(without_memory_nothing_is_left, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(errors_and_readiness_are_as_told), cmocka_unit_test(what_is_added_is_taken),
             cmocka_unit_test(a_semaphore_lets_as_many_through), cmocka_unit_test(without_memory_nothing_is_left))
