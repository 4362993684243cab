/* SPDX-License-Identifier: MIT */
/* The running thread and its user: notices and faults. */
#include <proc/user.h>

#include <hal/upcall.h>
#include <hal/usermode.h>
#include <k/log.h>
#include <sched/sched.h>

#include "proc_priv.h"

void proc_user_attend(struct hal_trap *trap, uint32_t notices)
{
    (void)trap;
    if (notices & TASK_NOTICE_KILL)
        task_exit(current_task()->exit_code);
    task_notice_clear(notices);
}

void proc_user_fault(struct hal_trap *trap, const struct fault_info *fault, int error)
{
    const struct task *self = current_task();

    log_warn("%s[%d]: %s at %#lx, address %#lx, error %d", self->name, self->tid, fault->name,
             (unsigned long)HAL_TRAP_PC(trap), (unsigned long)fault->address, error);
    task_exit(-1);
}
