/* SPDX-License-Identifier: MIT */
/* core/fs/epoll.c: levels and edges, watches that end with their files, and no event lost under any schedule. */
#include "fs_test.h"

#include <fs/epoll.h>
#include <fs/eventfd.h>
#include <fs/pipe.h>
#include <fs/socket.h>
#include <k/atomic.h>

#define EVENTS 8u

struct seen {
    uint32_t events[EVENTS];
    uint64_t data[EVENTS];
    unsigned room; /* a sink that takes no more */
};

static int see(void *argument, unsigned index, uint32_t events, uint64_t data)
{
    struct seen *seen = argument;

    CHECK(index < EVENTS);
    if (index >= seen->room)
        return -EFAULT;
    seen->events[index] = events;
    seen->data[index] = data;
    return 0;
}

static struct seen seen;

static int look_at(struct file *epoll, unsigned max, uint64_t deadline_ns)
{
    seen = (struct seen){.room = EVENTS};
    return epoll_wait(epoll, max, deadline_ns, see, &seen);
}

static struct file *make_epoll(void)
{
    struct file *epoll;

    CHECK(epoll_create(&epoll) == 0 && file_is_epoll(epoll));
    return epoll;
}

static struct file *make_event(uint64_t count)
{
    struct file *event;

    CHECK(eventfd_create(count, false, O_NONBLOCK, &event) == 0 && !file_is_epoll(event));
    return event;
}

static int64_t add_to(struct file *event, uint64_t more)
{
    return write_from(event, &more, sizeof more);
}

static uint64_t take_from(struct file *event)
{
    uint64_t taken = 0;

    return read_into(event, &taken, sizeof taken) == sizeof taken ? taken : 0;
}

static void rules(void)
{
    struct file *epoll = make_epoll(), *event = make_event(0), *other = make_epoll();

    CHECK(epoll_modify(epoll, event, 3, POLLIN, 0) == -ENOENT && epoll_remove(epoll, event, 3) == -ENOENT);
    CHECK(epoll_add(epoll, event, 3, POLLIN, 7) == 0 && epoll_add(epoll, event, 3, POLLIN, 8) == -EEXIST);
    CHECK(epoll_add(epoll, event, 4, POLLOUT | EPOLL_EXCLUSIVE, 9) == 0); /* the same file by another number */
    CHECK(epoll_add(epoll, other, 5, POLLIN, 0) == -ELOOP && epoll_modify(epoll, event, 4, POLLIN, 0) == -EINVAL);
    CHECK(look_at(epoll, EVENTS, 0) == 1 && seen.data[0] == 9 && seen.events[0] == POLLOUT);
    CHECK(epoll_remove(epoll, event, 4) == 0 && look_at(epoll, EVENTS, 0) == 0 && epoll_watches_count() == 1);

    /* As long as it is so, each time, and it makes the epoll readable. */
    CHECK(file_poll(epoll, NULL) == 0 && add_to(event, 1) == 8 && file_poll(epoll, NULL) == (POLLIN | POLLRDNORM));
    for (unsigned i = 0; i < 3; i++)
        CHECK(look_at(epoll, EVENTS, 0) == 1 && seen.data[0] == 7 && seen.events[0] == POLLIN);
    /* Who polls it for something else sleeps on: to look for that poll wakes nobody who polls. */
    struct poll_item item = {.file = epoll, .wanted = POLLOUT};

    CHECK(poll_wait_for(&item, 1, clock_ns() + 100 * NS_PER_US) == 0 && look_at(epoll, EVENTS, 0) == 1);
    CHECK(take_from(event) == 1 && file_poll(epoll, NULL) == 0 && look_at(epoll, EVENTS, 0) == 0);

    /* At an edge once; a modification looks anew. */
    CHECK(epoll_modify(epoll, event, 3, POLLIN | EPOLL_EDGE, 5) == 0 && look_at(epoll, EVENTS, 0) == 0);
    CHECK(add_to(event, 1) == 8 && look_at(epoll, EVENTS, 0) == 1 && seen.data[0] == 5);
    CHECK(look_at(epoll, EVENTS, 0) == 0 && add_to(event, 1) == 8 && look_at(epoll, EVENTS, 0) == 1);
    CHECK(epoll_modify(epoll, event, 3, POLLIN | EPOLL_EDGE, 6) == 0 && look_at(epoll, EVENTS, 0) == 1);

    /* Once at all, until it is modified. */
    CHECK(epoll_modify(epoll, event, 3, POLLIN | EPOLL_ONESHOT, 4) == 0 && look_at(epoll, EVENTS, 0) == 1);
    CHECK(add_to(event, 1) == 8 && look_at(epoll, EVENTS, 0) == 0 && file_poll(epoll, NULL) == 0);
    CHECK(epoll_modify(epoll, event, 3, POLLIN | EPOLL_ONESHOT, 4) == 0 && look_at(epoll, EVENTS, 0) == 1);

    /* Nothing happens: the deadline ends the wait, not before. */
    uint64_t until = clock_ns() + 100 * NS_PER_US;

    CHECK(look_at(epoll, EVENTS, until) == 0 && clock_ns() >= until);
    file_put(event);
    CHECK(epoll_watches_count() == 0 && look_at(epoll, EVENTS, 0) == 0);
    file_put(other);
    file_put(epoll);
}

/* Of several that are ready each has its turn, and what a sink does not take is there the next time. */
static void turns(void)
{
    struct file *epoll = make_epoll(), *event[4];
    unsigned times[4] = {0};

    for (unsigned i = 0; i < 4; i++) {
        event[i] = make_event(1);
        CHECK(epoll_add(epoll, event[i], i, POLLIN, i) == 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        CHECK(look_at(epoll, 2, 0) == 2);
        times[seen.data[0]]++;
        times[seen.data[1]]++;
    }
    for (unsigned i = 0; i < 4; i++)
        CHECK(times[i] == 2 && epoll_modify(epoll, event[i], i, POLLIN | EPOLL_EDGE, i) == 0);
    seen = (struct seen){.room = 0};
    CHECK(epoll_wait(epoll, EVENTS, 0, see, &seen) == -EFAULT);
    seen.room = 1;
    CHECK(epoll_wait(epoll, EVENTS, 0, see, &seen) == 1 && look_at(epoll, EVENTS, 0) == 3);
    CHECK(look_at(epoll, EVENTS, 0) == 0 && epoll_watches_count() == 4);
    file_put(epoll); /* its watches go with it */
    CHECK(epoll_watches_count() == 0);
    for (unsigned i = 0; i < 4; i++)
        file_put(event[i]);
}

/* In a stream each piece that comes is a change, also if the one before is still there. */
static void pieces(void)
{
    struct file *epoll = make_epoll(), *pipe[2], *pair[2];
    char byte;

    CHECK(pipe_create(0, &pipe[0], &pipe[1]) == 0 && socket_create_pair(0, pair) == 0);
    CHECK(write_text(pipe[1], "a") == 1 && write_text(pair[1], "a") == 1); /* before anybody watches */
    CHECK(epoll_add(epoll, pipe[0], 0, POLLIN | EPOLL_EDGE, 0) == 0 && look_at(epoll, EVENTS, 0) == 1);
    CHECK(epoll_add(epoll, pair[0], 1, POLLIN | EPOLL_EDGE, 1) == 0 && look_at(epoll, EVENTS, 0) == 1);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(look_at(epoll, EVENTS, 0) == 0 && write_text(pipe[1], "b") == 1);
        CHECK(look_at(epoll, EVENTS, 0) == 1 && seen.data[0] == 0);
        CHECK(look_at(epoll, EVENTS, 0) == 0 && write_text(pair[1], "b") == 1);
        CHECK(look_at(epoll, EVENTS, 0) == 1 && seen.data[0] == 1);
        CHECK(read_into(pipe[0], &byte, 1) == 1 && read_into(pair[0], &byte, 1) == 1); /* to read is none */
    }
    for (unsigned i = 0; i < 2; i++) {
        file_put(pipe[i]);
        file_put(pair[i]);
    }
    file_put(epoll);
}

/* ---- Nothing is lost ---- */

#define SOURCES 3u
#define ROUNDS 20u

static struct file *epoll, *source[SOURCES];
static _Atomic(uint64_t) taken;

static int add_some(void *arg)
{
    struct file *event = arg;

    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(add_to(event, 1) == 8);
    return 0;
}

/* Take what is told, until it is all there is. A wait that misses an edge does not end, and the watch says so. */
static int take_all(void *arg)
{
    (void)arg;
    while (load_relaxed(&taken) < SOURCES * ROUNDS) {
        struct seen own = {.room = EVENTS};
        int got = epoll_wait(epoll, 2, clock_ns() + NS_PER_SEC, see, &own);

        CHECK(got > 0 || load_relaxed(&taken) == SOURCES * ROUNDS);
        for (int i = 0; i < got; i++) {
            CHECK(own.events[i] == POLLIN && own.data[i] < SOURCES);
            (void)fetch_add_relaxed(&taken, take_from(source[own.data[i]]));
        }
        if (load_relaxed(&taken) == SOURCES * ROUNDS)
            CHECK(add_to(source[0], 1) == 8); /* for another one that waits */
    }
    return 0;
}

static void nothing_lost(uint32_t how, unsigned takers)
{
    struct task *task[SOURCES + 2];

    epoll = make_epoll();
    store_relaxed(&taken, 0);
    for (unsigned i = 0; i < SOURCES; i++) {
        source[i] = make_event(0);
        CHECK(epoll_add(epoll, source[i], i, POLLIN | how, i) == 0);
    }
    for (unsigned i = 0; i < takers; i++)
        task[i] = spawn("taker", take_all, NULL, 60, NULL);
    for (unsigned i = 0; i < SOURCES; i++)
        task[takers + i] = spawn("adder", add_some, source[i], 60, NULL);
    for (unsigned i = 0; i < takers + SOURCES; i++)
        CHECK(finish(task[i]) == 0);
    file_put(epoll);
    for (unsigned i = 0; i < SOURCES; i++)
        file_put(source[i]);
    CHECK(epoll_watches_count() == 0);
}

static void edges(void)
{
    nothing_lost(EPOLL_EDGE, 1);
}

static void levels(void)
{
    nothing_lost(0, 2);
}

/* ---- Files and epolls end while others look ---- */

static int look_often(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct seen own = {.room = EVENTS};

        CHECK(epoll_wait(arg, EVENTS, i % 2 == 0 ? 0 : clock_ns() + NS_PER_US, see, &own) >= 0);
    }
    return 0;
}

static int end_files(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct file *event = make_event(i % 2);

        CHECK(epoll_add(arg, event, i, POLLIN | POLLOUT, i) == 0);
        if (i % 3 == 0)
            CHECK(epoll_remove(arg, event, i) == 0);
        (void)add_to(event, 1);
        file_put(event);
    }
    return 0;
}

/* Epolls that end while their files' states change. */
static int end_epolls(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct file *own = make_epoll();

        CHECK(epoll_add(own, arg, i, POLLIN, i) == 0);
        file_put(own);
    }
    return 0;
}

static void ends(void)
{
    struct file *event = make_event(0);

    epoll = make_epoll();
    struct task *task[] = {
        spawn("look", look_often, epoll, 60, NULL),  spawn("files", end_files, epoll, 60, NULL),
        spawn("files", end_files, epoll, 60, NULL),  spawn("epolls", end_epolls, event, 60, NULL),
        spawn("epolls", end_epolls, event, 60, NULL), spawn("add", add_some, event, 60, NULL),
    };

    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
    file_put(event);
    CHECK(epoll_watches_count() == 0 && look_at(epoll, EVENTS, 0) == 0);
    file_put(epoll);
}

static int try_create_and_add(void *arg)
{
    struct file *own, *event = arg;
    int error = epoll_create(&own);

    if (error != 0)
        return error;
    error = epoll_add(own, event, 1, POLLIN, 1);
    CHECK(error == 0 || epoll_remove(own, event, 1) == -ENOENT);
    file_put(own);
    return error;
}

static void memory(void)
{
    struct file *event = make_event(0);

    fail_each(try_create_and_add, event);
    file_put(event);
    CHECK(epoll_watches_count() == 0);
}

static void limit(void)
{
    struct file *own = make_epoll(), *event = make_event(0);

    for (unsigned i = 0; i < epoll_watches_max(); i++)
        CHECK(epoll_add(own, event, i, 0, i) == 0);
    CHECK(epoll_add(own, event, UINT32_MAX, 0, 0) == -ENOSPC);
    file_put(own);
    file_put(event);
    CHECK(epoll_watches_count() == 0);
}

const struct kernel_test booted_tests[] = {
    {"rules", rules},   {"turns", turns}, {"pieces", pieces}, {"edges", edges}, {"levels", levels},
    {"ends", ends},     {"memory", memory}, {"limit", limit}, {NULL, NULL},
};

BOOTED(errors_levels_and_edges_are_as_told, "rules", 4)
BOOTED(each_has_its_turn, "turns", 2)
BOOTED(each_piece_of_a_stream_is_an_edge, "pieces", 2)
BOOTED(no_edge_is_lost, "edges", 60)
BOOTED(several_take_what_is_there, "levels", 60)
BOOTED(watches_end_with_files_and_epolls, "ends", 60)
BOOTED(without_memory_nothing_is_left, "memory", 4)
BOOTED(there_is_a_most_of_watches, "limit", 1)

FS_TEST_MAIN(cmocka_unit_test(errors_levels_and_edges_are_as_told), cmocka_unit_test(each_has_its_turn),
             cmocka_unit_test(each_piece_of_a_stream_is_an_edge), cmocka_unit_test(no_edge_is_lost),
             cmocka_unit_test(several_take_what_is_there),
             cmocka_unit_test(watches_end_with_files_and_epolls), cmocka_unit_test(without_memory_nothing_is_left),
             cmocka_unit_test(there_is_a_most_of_watches))
