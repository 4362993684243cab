/* SPDX-License-Identifier: MIT */
/*
 * User mode. A user program of the simulated machine is a function of the host's, which keeps to host_user_call() for
 * what it wants of the kernel, and to hal_user_copy()'s addresses for memory. Its program counter says only which
 * function is to run: where it stands inside is the host's. No lock: a program belongs to its task.
 */
#include "host_priv.h"

#include <hal/upcall.h>
#include <hal/usermode.h>
#include <k/errno.h>

#pragma weak trap_syscall
#pragma weak trap_user_work
#pragma weak trap_user_exit

struct hal_user_facts hal_user_facts = { .platform = "host" };

bool host_user_exit(void)
{
    struct hal_context *context = (struct hal_context *)hal_current();

    if (!context->is_in_user)
        return false;
    context->is_in_user = false;
    trap_user_exit(context->user);
    context->is_in_user = true;
    return true;
}

void hal_user_init(struct hal_trap *trap, vaddr_t pc, vaddr_t sp)
{
    *trap = (struct hal_trap){ .pc = pc, .sp = sp };
}

void hal_user_enter(struct hal_trap *trap)
{
    struct hal_context *context = (struct hal_context *)hal_current();
    host_user_program *program = (host_user_program *)trap->pc;

    HOST_REQUIRE(!hal_irq_is_enabled(), "hal_user_enter() with interrupts enabled");
    context->user = trap;
    context->is_in_user = true;
    hal_irq_enable();
    program(trap->arg[0]);
    host_fail("a user program returned");
}

uintptr_t host_user_call(uintptr_t number, const uintptr_t arg[6])
{
    struct hal_context *context = (struct hal_context *)hal_current();
    struct hal_trap *trap = context->user;

    HOST_REQUIRE(context->is_in_user && trap_syscall != NULL, "a system call by what is no user program");
    hal_irq_disable();
    context->is_in_user = false;
    trap->number = number;
    for (unsigned i = 0; i < 6; i++)
        trap->arg[i] = arg[i];
    unsigned work = trap_syscall(trap);

    HOST_REQUIRE(!hal_irq_is_enabled(), "trap_syscall() returned with interrupts enabled");
    if (work != 0)
        trap_user_work(trap, work);
    HOST_REQUIRE(!hal_irq_is_enabled(), "trap_user_work() returned with interrupts enabled");
    uintptr_t result = trap->result; /* an interrupt may lead to more of the kernel's work */

    context->is_in_user = true;
    hal_irq_enable();
    return result;
}

int64_t hal_user_call(struct hal_trap *trap, void *area, uintptr_t number)
{
    (void)trap;
    (void)area;
    (void)number;
    return -ENOSYS;
}
