/* SPDX-License-Identifier: MIT */
/* core/fs/socket.c: each direction carries what was sent and no more, until it is closed; under any schedule. */
#include "fs_test.h"

#include <fs/socket.h>

static struct file *ends[2];

static void make(uint32_t flags)
{
    CHECK(socket_create_pair(flags, ends) == 0 && file_is_socket(ends[0]) && file_is_socket(ends[1]));
}

static void drop(void)
{
    file_put(ends[0]);
    file_put(ends[1]);
}

static int64_t receive(struct file *file, void *to, size_t bytes, uint32_t flags)
{
    struct io_span span;

    io_span_kernel(&span, to, bytes);
    return socket_receive(file, &span, flags);
}

static void rules(void)
{
    char bytes[8] = {0};

    make(O_NONBLOCK);
    CHECK(file_poll(ends[0], NULL) == (POLLOUT | POLLWRNORM) && read_into(ends[0], bytes, 8) == -EAGAIN);
    CHECK(write_from(ends[0], "abc", 3) == 3 && write_from(ends[1], "xy", 2) == 2);
    CHECK(file_poll(ends[1], NULL) == (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM));
    CHECK(receive(ends[1], bytes, 8, MSG_PEEK) == 3 && receive(ends[1], bytes, 2, 0) == 2 && bytes[1] == 'b');
    CHECK(receive(ends[0], bytes, 8, 0) == 2 && memcmp(bytes, "xy", 2) == 0 && receive(ends[1], bytes, 0, 0) == 0);

    /* One direction is closed, the other goes on; what was sent arrives. */
    CHECK(socket_shutdown(ends[0], 3) == -EINVAL && socket_shutdown(ends[0], SHUT_WR) == 0);
    CHECK(write_from(ends[0], "z", 1) == -EPIPE && write_from(ends[1], "q", 1) == 1);
    CHECK((file_poll(ends[1], NULL) & (POLLIN | POLLRDHUP | POLLHUP)) == (POLLIN | POLLRDHUP));
    CHECK(receive(ends[1], bytes, 8, 0) == 1 && bytes[0] == 'c' && receive(ends[1], bytes, 8, 0) == 0);
    CHECK(receive(ends[1], bytes, 8, MSG_PEEK) == 0 && socket_shutdown(ends[0], SHUT_RD) == 0);
    CHECK(write_from(ends[1], "r", 1) == -EPIPE && (file_poll(ends[1], NULL) & POLLHUP) != 0);
    CHECK(receive(ends[0], bytes, 8, 0) == 1 && bytes[0] == 'q' && receive(ends[0], bytes, 8, 0) == 0);
    drop();

    make(O_NONBLOCK);
    CHECK(write_from(ends[0], "abc", 3) == 3);
    file_put(ends[0]);
    CHECK(write_from(ends[1], "z", 1) == -EPIPE && read_into(ends[1], bytes, 8) == 3);
    CHECK(read_into(ends[1], bytes, 8) == 0);
    file_put(ends[1]);
}

#define BYTES 200000u /* more than a ring has room for */

static int sender(void *arg)
{
    struct file *file = arg;
    uint8_t bytes[997];

    for (unsigned sent = 0; sent < BYTES;) {
        unsigned part = MIN((unsigned)sizeof bytes, BYTES - sent);

        for (unsigned i = 0; i < part; i++)
            bytes[i] = (uint8_t)((sent + i) * 7);
        CHECK(write_from(file, bytes, part) == (int64_t)part);
        sent += part;
    }
    return socket_shutdown(file, SHUT_WR);
}

static int receiver(void *arg)
{
    struct file *file = arg;
    uint8_t bytes[1500];
    unsigned seen = 0;
    int64_t got;

    while ((got = receive(file, bytes, sizeof bytes, seen % 2 == 0 ? MSG_WAITALL : 0)) > 0)
        for (int64_t i = 0; i < got; i++, seen++)
            CHECK(bytes[i] == (uint8_t)(seen * 7));
    return got == 0 && seen == BYTES ? 0 : -EIO;
}

static void both_ways(void)
{
    struct task *tasks[4];

    make(0);
    for (unsigned i = 0; i < 4; i++)
        tasks[i] = spawn("socket", i < 2 ? sender : receiver, ends[i % 2], 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(tasks[i]) == 0);
    drop();
}

static int blocked_sender(void *arg)
{
    static char bytes[BYTES];

    return (int)write_from(arg, bytes, sizeof bytes);
}

static int blocked_receiver(void *arg)
{
    char byte;

    return (int)read_into(arg, &byte, 1);
}

/* Who waits is told that nothing comes, or that nobody will read, by either end. */
static void closed(unsigned by)
{
    make(0);
    struct task *writer = spawn("writer", blocked_sender, ends[0], 60, NULL);
    struct task *reader = spawn("reader", blocked_receiver, ends[0], 60, NULL);

    CHECK(task_sleep_for(1000000) == 0 && socket_shutdown(ends[by], SHUT_RDWR) == 0);
    CHECK(finish(reader) == 0);
    int written = finish(writer);

    CHECK(written == -EPIPE || (written > 0 && written < (int)BYTES));
    drop();
}

static void closing(void)
{
    closed(0);
    closed(1);
}

static int try_create(void *arg)
{
    (void)arg;
    int error = socket_create_pair(0, ends);

    if (error == 0)
        drop();
    return error;
}

static void memory(void)
{
    fail_each(try_create, NULL);
}

const struct kernel_test booted_tests[] = {
    {"rules", rules}, {"both-ways", both_ways}, {"closing", closing}, {"memory", memory}, {NULL, NULL},
};

BOOTED(errors_and_readiness_are_as_told, "rules", 2)
BOOTED(what_is_sent_arrives_in_order, "both-ways", 8)
BOOTED(nobody_waits_for_what_is_closed, "closing", 16)
BOOTED(without_memory_nothing_is_left, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(errors_and_readiness_are_as_told), cmocka_unit_test(what_is_sent_arrives_in_order),
             cmocka_unit_test(nobody_waits_for_what_is_closed), cmocka_unit_test(without_memory_nothing_is_left))
