/* SPDX-License-Identifier: MIT */
/*
 * User mode. A user program of the simulated machine is a function of the host's, which keeps to host_user_call() for
 * what it wants of the kernel, and to hal_user_copy()'s addresses for memory. Its program counter says only which
 * function is to run: where it stands inside is the host's. One below HAL_USER_END is an address of user memory, which
 * holds the function's: so files of programs can be made. A handler is called where the program goes on, and returns
 * there: none leaves by a jump. No lock: a program belongs to its task.
 */
#include "host_priv.h"

#include <hal/upcall.h>
#include <hal/usermode.h>
#include <hal/vdso.h>
#include <k/errno.h>

#pragma weak trap_syscall
#pragma weak trap_syscall_end
#pragma weak trap_user_work
#pragma weak trap_user_exit
#pragma weak trap_user_fault

struct hal_user_facts hal_user_facts = { .platform = "host" };

/* Programs of the host have no use for code of the machine's: this only has a place in the image. */
static const uint8_t vdso_code[] = { 'c', 'l', 'o', 'c', 'k', 0, 'c', 'p', 'u', 0 };
static const struct hal_vdso_symbol vdso_symbols[] = {
    { "__vdso_clock_gettime", vdso_code },
    { "__vdso_getcpu", vdso_code + 6 },
};
const struct hal_vdso hal_vdso = {
    .code = vdso_code,
    .end = vdso_code + sizeof vdso_code,
    .return_name = "__vdso_rt_sigreturn",
    .version = "LINUX_2.6",
    .symbols = vdso_symbols,
    .symbol_count = 2,
};

/* What a handler's return is: its restorer's one call. */
#define SYS_RT_SIGRETURN 139

typedef void handler(uintptr_t number, uintptr_t info, uintptr_t frame);

/* A system call as the kernel sees it, up to the point where the user goes on. Interrupts are disabled then. */
static void enter_kernel(struct hal_context *context)
{
    struct hal_trap *trap = context->user;

    HOST_REQUIRE(context->is_in_user && trap_syscall != NULL, "a system call by what is no user program");
    hal_irq_disable();
    context->is_in_user = false;
    int64_t result = trap_syscall(trap);

    HOST_REQUIRE(hal_irq_is_enabled(), "trap_syscall() returned with interrupts disabled");
    unsigned work = trap_syscall_end(trap, result);

    HOST_REQUIRE(!hal_irq_is_enabled(), "trap_syscall_end() returned with interrupts enabled");
    if (work != 0)
        trap_user_work(trap, work);
    HOST_REQUIRE(!hal_irq_is_enabled(), "trap_user_work() returned with interrupts enabled");
    context->is_in_user = true;
}

/* Before a program that stood `depth` handlers deep goes on: those that were entered since, the last one first. */
static void run_handlers(struct hal_context *context, unsigned depth)
{
    struct hal_trap *trap = context->user;

    while (trap->depth > depth) {
        unsigned here = trap->depth;

        hal_irq_enable();
        ((handler *)trap->pc)(trap->arg[0], trap->arg[1], trap->arg[2]);
        hal_irq_disable();
        run_handlers(context, here);
        trap->number = SYS_RT_SIGRETURN;
        enter_kernel(context);
    }
}

bool host_user_exit(void)
{
    struct hal_context *context = (struct hal_context *)hal_current();

    if (!context->is_in_user)
        return false;
    unsigned depth = context->user->depth;

    context->is_in_user = false;
    trap_user_exit(context->user);
    context->is_in_user = true;
    run_handlers(context, depth);
    return true;
}

void host_user_fault(const struct fault_info *fault)
{
    struct hal_context *context = (struct hal_context *)hal_current();
    unsigned depth = context->user->depth;

    HOST_REQUIRE(context->is_in_user && trap_user_fault != NULL, "a fault by what is no user program");
    hal_irq_disable();
    context->is_in_user = false;
    trap_user_fault(context->user, fault);
    trap_user_exit(context->user);
    context->is_in_user = true;
    run_handlers(context, depth);
    hal_irq_enable();
}

void hal_user_init(struct hal_trap *trap, vaddr_t pc, vaddr_t sp)
{
    *trap = (struct hal_trap){ .pc = pc, .sp = sp };
}

/* A fault in user mode that core brings an end to, or kills the task for. Interrupts are disabled. */
static void user_fault(struct hal_trap *trap, vaddr_t va, bool is_present)
{
    const struct fault_info info = {
        .kind = FAULT_PAGE, .address = va, .name = "page fault", .is_exec = true, .is_present = is_present,
        .irqs_enabled = true,
    };

    HOST_REQUIRE(trap_user_fault != NULL, "a fault in user mode, but this binary has no trap_user_fault()");
    trap_user_fault(trap, &info);
    trap_user_exit(trap);
}

/* The function that the program counter means. Interrupts are disabled. */
static host_user_program *program_at(struct hal_trap *trap)
{
    while (trap->pc < HAL_USER_END) {
        bool is_present;
        host_user_program **at = host_tlb_user(trap->pc, PROT_USER | PROT_EXEC, &is_present);

        if (at != NULL)
            return *at;
        user_fault(trap, trap->pc, is_present);
    }
    return (host_user_program *)trap->pc;
}

void hal_user_enter(struct hal_trap *trap)
{
    struct hal_context *context = (struct hal_context *)hal_current();

    HOST_REQUIRE(!hal_irq_is_enabled(), "hal_user_enter() with interrupts enabled");
    context->user = trap;
    context->is_in_user = false; /* also of a call that became another program: finding it may fault, in the kernel */
    host_user_program *program = program_at(trap);

    context->is_in_user = true;
    hal_irq_enable();
    program(trap->arg[0]);
    host_fail("a user program returned");
}

uintptr_t host_user_call(uintptr_t number, const uintptr_t arg[6])
{
    struct hal_context *context = (struct hal_context *)hal_current();
    struct hal_trap *trap = context->user;
    uintptr_t pc = trap->pc, sp = trap->sp;
    unsigned depth = trap->depth;

    trap->number = number;
    for (unsigned i = 0; i < 6; i++)
        trap->arg[i] = arg[i];
    for (;;) {
        enter_kernel(context);
        run_handlers(context, depth);
        if (trap->pc == pc && trap->sp == sp)
            break;
        if (trap->pc != pc - HAL_SYSCALL_BYTES || trap->sp != sp)
            hal_user_enter(trap); /* another program: what called here is no more */
        trap->pc = pc; /* it is made anew, with what the kernel put into the registers */
        hal_irq_enable();
    }
    uintptr_t result = trap->result; /* an interrupt may lead to more of the kernel's work */

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
