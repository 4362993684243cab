/* SPDX-License-Identifier: MIT */
/* Files that are watched, by tasks that wait for any of them. */
#include "scenario.h"

#include <fs/abi.h>
#include <fs/epoll.h>
#include <fs/eventfd.h>
#include <fs/file.h>
#include <fs/poll.h>
#include <k/errno.h>

#define ADDERS 2u
#define WAITERS 2u
#define TASKS (ADDERS + WAITERS + 1) /* and one that polls */
#define OF_THE_END ADDERS       /* what a watch says: whose file it is of */
#define OF_NOBODY (ADDERS + 1)

static struct {
    struct sim_line line;
    struct task *task[TASKS];
    struct file *epoll, *event[ADDERS + 1];
    struct sim_semaphore taken[ADDERS];
    uint32_t how[ADDERS];
    _Atomic(uint64_t) left; /* to be taken */
} watched;

static void add_one(struct file *event)
{
    const uint64_t one = 1;
    struct io_span span;

    io_span_kernel(&span, (void *)(uintptr_t)&one, sizeof one);
    CHECK(file_write(event, &span) == sizeof one);
}

static uint64_t take_all(struct file *event)
{
    uint64_t count = 0;
    struct io_span span;

    io_span_kernel(&span, &count, sizeof count);
    int64_t got = file_read(event, &span);

    CHECK(got == sizeof count || got == -EAGAIN);
    return count;
}

/* Files that end while they are listed, looked at, or told of. */
static void watch_for_a_while(void)
{
    struct file *event;

    CHECK(eventfd_create(sim_random_below(2), false, O_NONBLOCK, &event) == 0);
    CHECK(epoll_add(watched.epoll, event, 0, POLLIN | (sim_chance(2) ? EPOLL_EDGE : 0), OF_NOBODY) == 0);
    add_one(event);
    if (sim_chance(3))
        CHECK(epoll_remove(watched.epoll, event, 0) == 0);
    file_put(event);
}

/* Goes on only when somebody has been told and has taken it. */
static int add(void *arg)
{
    uintptr_t self = (uintptr_t)arg;
    uint32_t how = watched.how[self];

    sim_line_wait(&watched.line);
    CHECK(epoll_add(watched.epoll, watched.event[self], 0, POLLIN | how, self) == 0);
    for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
        if (sim_chance(3))
            sim_delay();
        if (sim_chance(3))
            watch_for_a_while();
        add_one(watched.event[self]);
        if ((how & EPOLL_ONESHOT) != 0) {
            int error = epoll_modify(watched.epoll, watched.event[self], 0, POLLIN | how, self);

            CHECK(error == 0 || error == -ENOENT); /* it is watched anew, which looks, too */
        }
        CHECK(sim_down(&watched.taken[self], TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    }
    return 0;
}

/* While its adder adds, and another one does the same. */
static void watch_anew(uint64_t self)
{
    struct file *event = watched.event[self];
    int removed = epoll_remove(watched.epoll, event, 0);
    int added = epoll_add(watched.epoll, event, 0, POLLIN | watched.how[self], self);

    CHECK((removed == 0 || removed == -ENOENT) && (added == 0 || added == -EEXIST));
}

struct told {
    uint64_t data[2];
};

static int note(void *argument, unsigned index, uint32_t events, uint64_t data)
{
    CHECK(events == POLLIN);
    ((struct told *)argument)->data[index] = data;
    return 0;
}

static int wait_for_any(void *arg)
{
    (void)arg;
    sim_line_wait(&watched.line);
    for (;;) {
        struct told told;
        int got = epoll_wait(watched.epoll, 1 + (unsigned)sim_random_below(2), TIME_NEVER, note, &told);

        CHECK(got > 0);
        for (int i = 0; i < got; i++) {
            if (told.data[i] == OF_THE_END)
                return 0;
            if (told.data[i] == OF_NOBODY)
                continue;
            uint64_t count = take_all(watched.event[told.data[i]]);

            for (uint64_t n = 0; n < count; n++)
                sim_up(&watched.taken[told.data[i]]);
            if (count > 0 && sim_chance(3))
                watch_anew(told.data[i]);
            if (count > 0 && fetch_sub_relaxed(&watched.left, count) == count)
                add_one(watched.event[OF_THE_END]);
        }
    }
}

/* The epoll itself, for what it never is: so it looks whenever something is listed, and takes nothing. */
static int poll_in_vain(void *arg)
{
    struct poll_item item = {.file = watched.epoll, .wanted = POLLOUT};

    (void)arg;
    sim_line_wait(&watched.line);
    while (load_relaxed(&watched.left) > 0)
        CHECK(poll_wait_for(&item, 1, clock_ns() + 1 + sim_random_below(20000)) == 0);
    return 0;
}

static void epoll_edges(void)
{
    sim_line_init(&watched.line);
    store_relaxed(&watched.left, ADDERS * 4 * sim_rounds());
    CHECK(epoll_create(&watched.epoll) == 0);
    for (uintptr_t i = 0; i <= ADDERS; i++)
        CHECK(eventfd_create(0, false, O_NONBLOCK, &watched.event[i]) == 0);
    CHECK(epoll_add(watched.epoll, watched.event[OF_THE_END], 0, POLLIN, OF_THE_END) == 0);
    for (uintptr_t i = 0; i < TASKS; i++) {
        int (*const does)(void *) = i < ADDERS ? add : i < ADDERS + WAITERS ? wait_for_any : poll_in_vain;

        if (i < ADDERS) {
            sim_semaphore_init(&watched.taken[i], 0);
            watched.how[i] = sim_chance(2) ? EPOLL_EDGE : EPOLL_EDGE | EPOLL_ONESHOT;
        }
        watched.task[i] = spawn("user", does, (void *)i, sim_some_fair_priority(), NULL);
    }
    sim_line_open(&watched.line, TASKS);
    CHECK(sim_finish_all(watched.task, TASKS) == 0);
    for (unsigned i = 0; i <= ADDERS; i++)
        file_put(watched.event[i]);
    CHECK(epoll_watches_count() == 0);
    file_put(watched.epoll);
}

const struct sim_scenario sim_scenarios_epoll[] = {
    { .name = "epoll-edges", .aim = "who waits for several files is not told of a change, or of a file that has ended",
      .cpus = 4, .cpus_min = 1, .rounds = 2, .run = epoll_edges },
    { .name = NULL },
};
