/* SPDX-License-Identifier: MIT */
/* Dispatch: registers to arguments, the handler's answer to the result. */
#include <syscall/syscall.h>

#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/signal.h>
#include <syscall/table.h>

/* The arguments stay where they are. */
static ALWAYS_INLINE int64_t call(struct hal_trap *trap, struct hal_trap *registers)
{
    const struct syscall_args *args = (const struct syscall_args *)&HAL_USER_ARG(trap, 0);

    return syscall_find(HAL_USER_NUMBER(trap))(args, registers);
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

int64_t syscall_begin(struct hal_trap *trap)
{
    return call(trap, NULL);
}

bool syscall_end(struct hal_trap *trap, int64_t result)
{
    if (UNLIKELY(result < 0)) { /* as the few are that are no results */
        if (UNLIKELY(result == SYSCALL_WANTS_REGISTERS))
            return true;
        if (UNLIKELY(signal_is_restart(result)))
            result = interrupted(trap, result);
    }
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
