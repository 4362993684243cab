/* SPDX-License-Identifier: MIT */
/* core/proc/terminal.c: what the terminal hears of processes. fs/tty_test.c has job control itself; this is about
 * groups that nobody could continue, and groups and leaders that are none. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <fs/abi.h>
#include <fs/tty.h>
#include <proc/group.h>

#define PATH PROGRAM_MEMORY
#define WORD (PROGRAM_MEMORY + 64)
#define PAUSE (PROGRAM_MEMORY + 128)
#define DEPTH (PROGRAM_MEMORY + 256) /* how many clones ago the leader was */

#define TIOCSCTTY 0x540eu
#define TIOCSPGRP 0x5410u

static _Atomic(unsigned) ended; /* orphans that have looked */

static intptr_t set_group(pid_t group)
{
    program_store(WORD, (uint64_t)group);
    return program_call("ioctl", 0, TIOCSPGRP, WORD);
}

static void rest(void)
{
    program_store(PAUSE, 0);
    program_store(PAUSE + 8, NS_PER_MS);
    (void)program_call("nanosleep", PAUSE, 0);
}

/* Behind, in a group whose one parent has gone: an error and no stop, as read(2) has it,
 * also while that one is a zombie. */
static void orphan(pid_t parent)
{
    while (program_call("getppid") == parent)
        rest();
    CHECK(program_call("read", 0, WORD, 8) == -EIO);
    CHECK(set_group((pid_t)program_call("getpgid", 0)) == -EIO);
    store_release(&ended, 1); /* PAIRS(orphan_ended) */
    program_exit(0);
}

/* Make an orphan and go. */
static void middle(void)
{
    CHECK(program_call("setpgid", 0, 0) == 0);
    CHECK(program_call("ioctl", 0, TIOCSCTTY, 0) == -EPERM); /* no leader */
    program_store(DEPTH, 2);
    program_store(DEPTH + 8, (uint64_t)program_call("getpid"));
    CHECK(program_call("clone", PROGRAM_FORK) > 0);
    program_exit(0);
}

static void lead(void)
{
    pid_t own = (pid_t)program_call("getpid"), child;

    program_store(PATH, UINT64_C(0x7974742f7665642f)); /* "/dev/tty" */
    program_store(PATH + 8, UINT64_C(0x3053)); /* "S0" */
    CHECK(program_call("openat", (uintptr_t)-100, PATH, O_RDWR) == 0 && tty_session_id() == own);
    CHECK(set_group(own + 1000) == -EPERM); /* no such group */
    program_store(DEPTH, 1);
    child = (pid_t)program_call("clone", PROGRAM_FORK);
    CHECK(program_call("wait4", (uintptr_t)child, WORD, 0, 0) == child);
    while (load_acquire(&ended) == 0) /* PAIRS(orphan_ended) */
        rest();
    program_exit(0);
}

static void program(uintptr_t arg)
{
    if (arg != PROGRAM_FORK)
        lead();
    if (program_load(DEPTH) == 1)
        middle();
    orphan((pid_t)program_load(DEPTH + 8));
}

static void orphans_test(void)
{
    store_relaxed(&ended, 0);
    program_run(program);
    CHECK(load_relaxed(&ended) == 1 && tty_session_id() == 0);
}

const struct kernel_test booted_tests[] = { { "orphans", orphans_test }, { NULL, NULL } };

static void groups_that_nobody_could_continue_are_not_stopped(void **state)
{
    (void)state;
    booted_run("orphans", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(groups_that_nobody_could_continue_are_not_stopped) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
