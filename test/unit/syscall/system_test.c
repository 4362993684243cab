/* SPDX-License-Identifier: MIT */
/* core/syscall/system.c: facts and settings. */
#include "program.h"
#include "unit.h"

#define AT PROGRAM_MEMORY

static void asks(uintptr_t arg)
{
    (void)arg;
    CHECK(program_call("uname", AT) == 0 && (program_load(AT) & 0xffffffffffff) == UINT64_C(0x78756e694c)); /* Linux */
    CHECK(program_call("uname", 8) == -EFAULT);
    CHECK(program_call("sysinfo", AT) == 0);
    CHECK(program_load(AT + 32) > program_load(AT + 40) && program_load(AT + 40) > 0);
    CHECK((uint32_t)program_load(AT + 104) == 1); /* mem_unit */
    program_store(AT, 0);
    program_store(AT + 8, 0);
    CHECK(program_call("getrandom", AT, 8, 0) == 8 && program_load(AT) != 0 && program_load(AT + 8) == 0);
    CHECK(program_call("getrandom", AT, 8, 8) == -EINVAL && program_call("getrandom", AT, 8, 6) == -EINVAL);
    CHECK(program_call("getrandom", 8, 8, 0) == -EFAULT);
    CHECK(program_call("umask", 027) == 022 && program_call("umask", 01777) == 027 && program_call("umask", 0) == 0777);
    CHECK(program_call("personality", 0xffffffff) == 0 && program_call("personality", 0x40000) == 0);
    CHECK(program_call("personality", 0xffffffff) == 0x40000);
    CHECK(program_call("prctl", 1, 15) == 0 && program_call("prctl", 2, AT) == 0 && (uint32_t)program_load(AT) == 15);
    CHECK(program_call("prctl", 1, 65) == -EINVAL && program_call("prctl", 9999) == -EINVAL);
    CHECK(program_call("prctl", 37, AT) == 0 && (uint32_t)program_load(AT) == 0);
    CHECK(program_call("prctl", 36, 1) == 0 && program_call("prctl", 37, AT) == 0 && (uint32_t)program_load(AT) == 1);
    CHECK(program_call("sched_yield") == 0);
    program_exit(0);
}

static void system_test(void)
{
    program_run(asks);
}

const struct kernel_test booted_tests[] = {
    { "system", system_test },
    { NULL, NULL },
};

static void facts_and_settings_are_those_of_the_manual(void **state)
{
    (void)state;
    booted_run("system", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_and_settings_are_those_of_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
