/* SPDX-License-Identifier: MIT */
/* core/syscall/cred.c: ids change by the rules, for one thread; core/fs/cred.c has the rules and their tests. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#define IDS PROGRAM_MEMORY

static bool are(const char *call, uint32_t real, uint32_t effective, uint32_t saved)
{
    return program_call_array(call, (const uintptr_t[6]){ IDS, IDS + 8, IDS + 16 }) == 0 &&
           (uint32_t)program_load(IDS) == real && (uint32_t)program_load(IDS + 8) == effective &&
           (uint32_t)program_load(IDS + 16) == saved;
}

static void changes(uintptr_t arg)
{
    (void)arg;
    CHECK(are("getresuid", 0, 0, 0) && are("getresgid", 0, 0, 0) && program_call("getgroups", 0, 0) == 0);
    program_store(IDS + 64, 7 | UINT64_C(5) << 32);
    CHECK(program_call("setgroups", 2, IDS + 64) == 0 && program_call("getgroups", 1, IDS) == -EINVAL);
    CHECK(program_call("getgroups", 4, IDS + 72) == 2 && program_load(IDS + 72) == (5 | UINT64_C(7) << 32));
    CHECK(program_call("setgroups", 2, 8) == -EFAULT && program_call("setgroups", 65537, IDS) == -EINVAL);
    CHECK(program_call("setresgid", 10, 11, 12) == 0 && are("getresgid", 10, 11, 12));
    CHECK(program_call("setregid", 20, 21) == 0 && are("getresgid", 20, 21, 21));
    CHECK(program_call("setgid", 30) == 0 && are("getresgid", 30, 30, 30));
    CHECK(program_call("setfsuid", 40) == 0 && program_call("setfsuid", 0) == 40);
    CHECK(program_call("setfsgid", 30) == 30);
    CHECK(program_call("setreuid", 1, 2) == 0 && are("getresuid", 1, 2, 2));
    CHECK(program_call("getuid") == 1 && program_call("geteuid") == 2);
    CHECK(program_call("getgid") == 30 && program_call("getegid") == 30);
    CHECK(program_call("setuid", 5) == -EPERM && program_call("setgid", 5) == -EPERM); /* no longer root */
    CHECK(program_call("setgroups", 0, 0) == -EPERM && program_call("setresuid", 9, -1UL, -1UL) == -EPERM);
    CHECK(program_call("setuid", 1) == 0 && are("getresuid", 1, 1, 2));
    CHECK(program_call("getresuid", 8, IDS, IDS) == -EFAULT);
    program_exit(0);
}

#define HEADER (PROGRAM_MEMORY + 256)
#define DATA (PROGRAM_MEMORY + 320)

static void capabilities(uintptr_t arg)
{
    (void)arg;
    program_store(HEADER, 0x20080522);
    CHECK(program_call("capget", HEADER, DATA) == 0 && program_load(DATA) == UINT64_MAX);
    CHECK(program_load(DATA + 8) == UINT64_C(0x1ff) << 32 && program_load(DATA + 16) == 0x1ff);
    CHECK(program_call("capget", HEADER, 8) == -EFAULT && program_call("capget", 8, DATA) == -EFAULT);
    program_store(HEADER, 0x20080522 | UINT64_C(99999) << 32);
    CHECK(program_call("capget", HEADER, DATA) == -ESRCH && program_call("capset", HEADER, DATA) == -EPERM);
    program_store(HEADER, 0x20080522 | UINT64_C(0xffffffff) << 32);
    CHECK(program_call("capget", HEADER, DATA) == -EINVAL);
    program_store(HEADER, 5);
    CHECK(program_call("capset", HEADER, DATA) == -EINVAL && (uint32_t)program_load(HEADER) == 0x20080522);
    program_store(HEADER, 5);
    CHECK(program_call("capget", HEADER, 0) == 0 && (uint32_t)program_load(HEADER) == 0x20080522);
    program_store(HEADER, 0x19980330); /* 32 bits: the others go */
    program_store(DATA, UINT64_C(0x60) << 32 | 0x20);
    program_store(DATA + 8, 0);
    CHECK(program_call("capset", HEADER, DATA) == 0);
    program_store(HEADER, 0x20071026);
    CHECK(program_call("capget", HEADER, DATA) == 0 && program_load(DATA) == (UINT64_C(0x60) << 32 | 0x20));
    CHECK(program_load(DATA + 8) == 0 && program_load(DATA + 16) == 0);
    program_store(DATA, UINT64_C(0x60) << 32 | 0x80);
    CHECK(program_call("capset", HEADER, DATA) == -EPERM && program_call("capset", HEADER, 8) == -EFAULT);
    CHECK(program_call("setuid", 5) == -EPERM); /* CAP_SETUID is gone */
    program_exit(0);
}

static void capability_test(void)
{
    program_run(capabilities);
}

static void cred_test(void)
{
    program_run(changes);
}

const struct kernel_test booted_tests[] = {
    { "cred", cred_test },
    { "capability", capability_test },
    { NULL, NULL },
};

static void ids_change_by_the_rules(void **state)
{
    (void)state;
    booted_run("cred", 8);
}

static void capabilities_go_and_do_not_come_back(void **state)
{
    (void)state;
    booted_run("capability", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_change_by_the_rules),
        cmocka_unit_test(capabilities_go_and_do_not_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
