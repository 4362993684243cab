/* SPDX-License-Identifier: MIT */
/* Dispatch: registers to arguments, the handler's answer to the result. */
#include <syscall/syscall.h>

#include <hal/usermode.h>
#include <k/assert.h>
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

bool syscall_begin(struct hal_trap *trap)
{
    int64_t result = call(trap, NULL);

    if (UNLIKELY(result == SYSCALL_WANTS_REGISTERS))
        return true;
    HAL_USER_RESULT(trap) = (uintptr_t)result;
    return false;
}

void syscall_finish(struct hal_trap *trap)
{
    int64_t result = call(trap, trap);

    ASSERT(result != SYSCALL_WANTS_REGISTERS);
    HAL_USER_RESULT(trap) = (uintptr_t)result;
}
