/* SPDX-License-Identifier: MIT */
/* core/syscall/epoll.c: flags, descriptors, and events as this machine's programs have them. */
#include "call_world.h"

#include <fs/abi.h>
#include <fs/epoll.h>
#include <syscall/table.h>

#define ADD 1
#define DEL 2
#define MOD 3

/* struct epoll_event at PAGE0: the host has the layout of most machines. */
static void put_event(uint32_t events, uint64_t data)
{
    CHECK(!syscall_abi.has_own_structs);
    put64(PAGE0, events);
    put64(PAGE0 + 8, data);
}

static int epolls(void)
{
    const struct process_limit some = { .soft = 16, .hard = 16 };

    CHECK(process_limit_change(world_process, LIMIT_NOFILE, &some, true, NULL) == 0);
    CHECK(CALL(epoll_create1, O_NONBLOCK) == -EINVAL && CALL(epoll_create, 0) == -EINVAL);
    int64_t epoll = CALL(epoll_create1, O_CLOEXEC), event = CALL(eventfd2, 1, O_NONBLOCK);

    CHECK(epoll >= 0 && CALL(fcntl, U(epoll), 1, 0) == 1 && event >= 0);
    put_event(POLLIN, 0xfedcba9876543210);
    CHECK(CALL(epoll_ctl, U(epoll), ADD, U(event), NOWHERE) == -EFAULT);
    CHECK(CALL(epoll_ctl, U(epoll), 4, U(event), PAGE0) == -EINVAL);
    CHECK(CALL(epoll_ctl, U(epoll), ADD, 15, PAGE0) == -EBADF && CALL(epoll_ctl, 15, ADD, U(event), PAGE0) == -EBADF);
    CHECK(CALL(epoll_ctl, U(event), ADD, U(event), PAGE0) == -EINVAL);
    CHECK(CALL(epoll_ctl, U(epoll), ADD, U(event), PAGE0) == 0);
    CHECK(CALL(epoll_pwait, U(epoll), NOWHERE, 1, 0, 0, 8) == -EFAULT);
    CHECK(CALL(epoll_pwait, U(epoll), PAGE0, 0, 0, 0, 8) == -EINVAL);
    CHECK(CALL(epoll_pwait, U(event), PAGE0, 1, 0, 0, 8) == -EINVAL);
    put_event(0, 0);
    CHECK(CALL(epoll_wait, U(epoll), PAGE0, 1, U(-1)) == 1);
    CHECK(get64(PAGE0) == POLLIN && get64(PAGE0 + 8) == 0xfedcba9876543210);
    put_event(POLLIN | EPOLL_EXCLUSIVE, 0);
    CHECK(CALL(epoll_ctl, U(epoll), MOD, U(event), PAGE0) == -EINVAL);
    CHECK(CALL(epoll_ctl, U(epoll), DEL, U(event), 0) == 0 && CALL(epoll_ctl, U(epoll), DEL, U(event), 0) == -ENOENT);
    put64(PAGE0, 0);
    put64(PAGE0 + 8, 1000);
    CHECK(CALL(epoll_pwait2, U(epoll), PAGE0 + 64, 1, PAGE0, 0, 8) == 0);
    CHECK(CALL(epoll_pwait, U(epoll), PAGE0, 1, 1, 0, 8) == 0);
    CHECK(CALL(close, U(epoll)) == 0 && CALL(close, U(event)) == 0);
    return 0;
}

static void run_epolls(void)
{
    world_run(epolls);
}

const struct kernel_test booted_tests[] = { { "epolls", run_epolls }, { NULL, NULL } };

static void events_come_as_programs_have_them(void **state)
{
    (void)state;
    booted_run("epolls", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(events_come_as_programs_have_them) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
