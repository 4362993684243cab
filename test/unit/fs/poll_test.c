/* SPDX-License-Identifier: MIT */
/* core/fs/poll.c: a poller of several pipes misses nothing, whoever wakes it when; deadlines, kills, closed ends. */
#include "fs_test.h"

#include "../../../core/fs/fs_priv.h"

#include <fs/pipe.h>
#include <k/atomic.h>

#define PIPES 8

static struct file *from[PIPES], *to[PIPES];

static void open_pipes(void)
{
    for (unsigned i = 0; i < PIPES; i++)
        CHECK(pipe_create(0, &from[i], &to[i]) == 0);
}

/* One byte into each pipe in turn, when the last one has been taken out, or not. */
static int write_bytes(void *arg)
{
    struct unit_random random = {booted_seed() * 2 + (uintptr_t)arg};

    for (unsigned i = 0; i < 40; i++) {
        if (unit_random_below(&random, 2) == 0)
            (void)task_sleep_for(unit_random_below(&random, 3000));
        CHECK(write_from(to[unit_random_below(&random, PIPES)], "x", 1) == 1);
    }
    return 0;
}

/* Two writers, one poller: if a wake were lost, it would sleep for ever. */
static void several(void)
{
    struct task *task[2];
    unsigned taken = 0;
    char bytes[32];

    open_pipes();
    for (uintptr_t i = 0; i < 2; i++)
        task[i] = spawn("writer", write_bytes, (void *)i, 60, NULL);
    while (taken < 80) {
        struct poll_item items[PIPES];

        for (unsigned i = 0; i < PIPES; i++)
            items[i] = (struct poll_item){.file = from[i], .wanted = POLLIN};
        int ready = poll_wait_for(items, PIPES, TIME_NEVER), seen = 0;

        for (unsigned i = 0; i < PIPES; i++) {
            if (items[i].got == 0)
                continue;
            CHECK(items[i].got == POLLIN);
            int64_t got = read_into(from[i], bytes, sizeof bytes);

            CHECK(got > 0);
            taken += (unsigned)got;
            seen++;
        }
        CHECK(ready > 0 && ready == seen);
    }
    CHECK(taken == 80);
    for (unsigned i = 0; i < 2; i++)
        CHECK(finish(task[i]) == 0);
    for (unsigned i = 0; i < PIPES; i++) {
        file_put(from[i]);
        file_put(to[i]);
    }
}

static int poll_until_killed(void *arg)
{
    struct poll_item item = {.file = arg, .wanted = POLLIN};

    CHECK(poll_wait_for(&item, 1, TIME_NEVER) == -EINTR);
    return 0;
}

static void ends(void)
{
    struct file *read_end, *write_end;

    CHECK(pipe_create(0, &read_end, &write_end) == 0);
    struct poll_item items[] = {
        {.file = read_end, .wanted = POLLIN | POLLOUT}, {.file = NULL}, {.file = write_end, .wanted = POLLIN}};
    uint64_t deadline = clock_ns() + 5000;

    CHECK(poll_wait_for(items, 3, 0) == 0);
    CHECK(poll_wait_for(items, 3, deadline) == 0 && clock_ns() >= deadline);
    items[1].got = POLLNVAL;
    CHECK(poll_wait_for(items, 3, TIME_NEVER) == 1);
    items[1].got = 0;
    items[2].wanted = POLLOUT;
    CHECK(poll_wait_for(items, 3, TIME_NEVER) == 1 && items[2].got == POLLOUT && items[0].got == 0);
    struct task *task = spawn("poller", poll_until_killed, read_end, 60, NULL);

    WAIT_FOR(is_blocked(task));
    CHECK(task_kill(task) == 0 && finish(task) == 0);
    file_put(write_end);
    items[2].file = NULL;
    items[2].got = 0;
    CHECK(poll_wait_for(items, 3, TIME_NEVER) == 1 && items[0].got == POLLHUP);
    file_put(read_end);
}

/* A file about which there is always something new, and never what is wanted. */
static struct poll_queue news = POLL_QUEUE_INIT(news);

static uint32_t restless_poll(struct file *file, struct poll_wait *wait)
{
    (void)file;
    poll_enter(wait, &news);
    poll_wake(&news);
    return POLLIN;
}

static const struct file_ops restless_ops = {.poll = restless_poll};

static int poll_restless(void *arg)
{
    struct poll_item item = {.file = arg, .wanted = POLLOUT};

    return poll_wait_for(&item, 1, TIME_NEVER);
}

static void restless(void)
{
    struct file *file;

    CHECK(anon_file_create(&restless_ops, O_RDWR, NULL, &file) == 0);
    struct poll_item item = {.file = file, .wanted = POLLOUT};
    uint64_t deadline = clock_ns() + 5000;

    CHECK(poll_wait_for(&item, 1, deadline) == 0 && clock_ns() >= deadline);
    struct task *task = spawn("poller", poll_restless, file, 60, NULL);

    CHECK(task_kill(task) == 0 && finish(task) == -EINTR);
    file_put(file);
}

static int try_many(void *arg)
{
    struct poll_item items[PIPES];

    for (unsigned i = 0; i < PIPES; i++)
        items[i] = (struct poll_item){.file = arg, .wanted = POLLIN};
    int result = poll_wait_for(items, PIPES, clock_ns() + 1000);

    return result;
}

static void memory(void)
{
    struct file *read_end, *write_end;

    CHECK(pipe_create(0, &read_end, &write_end) == 0);
    fail_each(try_many, read_end);
    file_put(read_end);
    file_put(write_end);
}

const struct kernel_test booted_tests[] = {{"several", several}, {"ends", ends}, {"restless", restless},
                                            {"memory", memory}, {NULL, NULL}};

BOOTED(no_wake_of_several_files_is_lost, "several", 60)
BOOTED(deadlines_kills_and_closed_ends_are_told, "ends", 10)
BOOTED(a_file_with_much_news_keeps_nobody_for_ever, "restless", 10)
BOOTED(without_memory_it_says_so, "memory", 2)

FS_TEST_MAIN(cmocka_unit_test(no_wake_of_several_files_is_lost),
             cmocka_unit_test(deadlines_kills_and_closed_ends_are_told),
             cmocka_unit_test(a_file_with_much_news_keeps_nobody_for_ever),
             cmocka_unit_test(without_memory_it_says_so))
