/* SPDX-License-Identifier: MIT */
/* Dispatch. */
#include <syscall/syscall.h>

#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>
#include <k/log.h>
#include <sched/task.h>

static void log_unknown(const struct hal_trap *trap)
{
    log_warn("%s[%d]: system call %lu(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx) is not there", current_task()->name,
             current_task()->tid, (unsigned long)HAL_USER_NUMBER(trap), (unsigned long)HAL_USER_ARG(trap, 0),
             (unsigned long)HAL_USER_ARG(trap, 1), (unsigned long)HAL_USER_ARG(trap, 2),
             (unsigned long)HAL_USER_ARG(trap, 3), (unsigned long)HAL_USER_ARG(trap, 4),
             (unsigned long)HAL_USER_ARG(trap, 5));
}

bool syscall_begin(struct hal_trap *trap)
{
    log_unknown(trap);
    HAL_USER_RESULT(trap) = (uintptr_t)-ENOSYS;
    return false;
}

void syscall_finish(struct hal_trap *trap)
{
    (void)trap;
    ASSERT(false); /* no call asked for it */
}
