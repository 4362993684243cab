/* SPDX-License-Identifier: MIT */
/* core/syscall/socket.c: arguments and descriptors; what bytes do is unit.fs.socket's. */
#include "call_world.h"

#include <fs/abi.h>
#include <fs/socket.h>

static int sockets(void)
{
    const struct process_limit some = { .soft = 16, .hard = 16 };

    CHECK(process_limit_change(world_process, LIMIT_NOFILE, &some, true, NULL) == 0);
    CHECK(CALL(socketpair, 2, SOCK_STREAM, 0, PAGE0) == -EAFNOSUPPORT);
    CHECK(CALL(socketpair, AF_UNIX, SOCK_STREAM, 6, PAGE0) == -EPROTONOSUPPORT);
    CHECK(CALL(socketpair, AF_UNIX, 7, 0, PAGE0) == -ESOCKTNOSUPPORT);
    CHECK(CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, NOWHERE) == -EFAULT);
    CHECK(CALL(socketpair, AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, PAGE0) == 0);
    uint64_t both = get64(PAGE0), one = both & 0xffffffffu, other = both >> 32;

    CHECK(one == 0 && other == 1 && CALL(fcntl, one, 1, 0) == 1);
    CHECK(CALL(sendto, one, NOWHERE, 8, 0, 0, 0) == -EFAULT && CALL(sendto, one, PAGE0, 8, 1, 0, 0) == -EOPNOTSUPP);
    CHECK(CALL(sendto, one, PAGE0, 8, 0, PAGE0, 2) == -EISCONN && CALL(sendto, one, PAGE0, 8, 0, 0, 0) == 8);
    CHECK(CALL(recvfrom, other, PAGE0, 8, MSG_DONTWAIT, 0, 0) == 8 && get64(PAGE0) == both);
    CHECK(CALL(recvfrom, other, PAGE0, 8, MSG_DONTWAIT, 0, 0) == -EAGAIN);
    CHECK(CALL(sendto, 7, PAGE0, 8, 0, 0, 0) == -EBADF && CALL(shutdown, one, 3) == -EINVAL);
    int64_t event = CALL(eventfd2, 0, 0);

    CHECK(CALL(recvfrom, U(event), PAGE0, 8, 0, 0, 0) == -ENOTSOCK && CALL(shutdown, U(event), 0) == -ENOTSOCK);
    CHECK(CALL(close, one) == 0 && CALL(close, other) == 0 && CALL(close, U(event)) == 0);
    return 0;
}

static void run_sockets(void)
{
    world_run(sockets);
}

const struct kernel_test booted_tests[] = { { "sockets", run_sockets }, { NULL, NULL } };

static void arguments_are_looked_at(void **state)
{
    (void)state;
    booted_run("sockets", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(arguments_are_looked_at) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
