/* SPDX-License-Identifier: MIT */
/* Dispatch: registers to arguments, the handler's answer to the result. */
#include <syscall/syscall.h>

#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/signal.h>
#include <syscall/table.h>

static ALWAYS_INLINE int64_t call(struct hal_trap *trap, struct hal_trap *registers)
{
    struct syscall_args args;

    args.number = HAL_USER_NUMBER(trap);
    args.trap = registers;
    args.arg[0] = HAL_USER_ARG(trap, 0);
    args.arg[1] = HAL_USER_ARG(trap, 1);
    args.arg[2] = HAL_USER_ARG(trap, 2);
    args.arg[3] = HAL_USER_ARG(trap, 3);
    args.arg[4] = HAL_USER_ARG(trap, 4);
    args.arg[5] = HAL_USER_ARG(trap, 5);
    return syscall_find(args.number)(&args);
}

/* restart_syscall(2) by the machine's number. */
static uint64_t restart_number(void)
{
    for (uint64_t number = 0; number < SYSCALL_NUMBERS; number++)
        if (syscall_names[number] != NULL && strcmp(syscall_names[number], "restart_syscall") == 0)
            return number;
    return SYSCALL_NUMBERS;
}

/* The call was interrupted: number and first argument, where the result may go, are kept for making it anew. */
static NOINLINE int64_t interrupted(const struct hal_trap *trap, int64_t kind)
{
    uint64_t number = kind == -ERESTART_RESTARTBLOCK ? restart_number() : HAL_USER_NUMBER(trap);

    signal_restart_note(kind, number, HAL_USER_ARG(trap, 0));
    return -EINTR;
}

bool syscall_begin(struct hal_trap *trap)
{
    int64_t result = call(trap, NULL);

    if (UNLIKELY(result == SYSCALL_WANTS_REGISTERS))
        return true;
    if (UNLIKELY(signal_is_restart(result)))
        result = interrupted(trap, result);
    HAL_USER_RESULT(trap) = (uintptr_t)result;
    return false;
}

void syscall_finish(struct hal_trap *trap)
{
    int64_t result = call(trap, trap);

    ASSERT(result != SYSCALL_WANTS_REGISTERS);
    if (result == SYSCALL_KEEPS_REGISTERS)
        return;
    if (UNLIKELY(signal_is_restart(result)))
        result = interrupted(trap, result);
    HAL_USER_RESULT(trap) = (uintptr_t)result;
}
