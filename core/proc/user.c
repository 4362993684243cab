/* SPDX-License-Identifier: MIT */
/* Faults of the running thread's user become signals. */
#include <proc/user.h>

#include <hal/upcall.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <k/log.h>
#include <proc/signo.h>
#include <sched/sched.h>

#include "proc_priv.h"

/* What a page fault that nobody could repair is. */
static struct signal_info of_page(const struct fault_info *fault, int error)
{
    struct signal_info info = { .number = SIGSEGV, .code = SEGV_MAPERR, .address = fault->address };

    if (error == -EACCES) {
        info.code = SEGV_ACCERR;
    } else if (error == -ENXIO) { /* beyond a file's end */
        info.number = SIGBUS;
        info.code = BUS_ADRERR;
    }
    return info;
}

/* What any other fault is: Linux's choice, which differs between the machines. */
static struct signal_info of_fault(const struct hal_trap *trap, const struct fault_info *fault)
{
    const struct hal_fault_signal *signal = &hal_fault_signals[fault->kind];

    return (struct signal_info){
        .number = signal->number,
        .code = signal->code,
        .address = signal->code == SI_KERNEL ? 0 : fault->address != 0 ? fault->address : HAL_TRAP_PC(trap),
    };
}

void proc_user_fault(struct hal_trap *trap, const struct fault_info *fault, int error)
{
    const struct task *self = current_task();

    if (error == -ENOMEM) {
        log_warn("%s[%d]: %s at %#lx, address %#lx, error %d", self->name, self->tid, fault->name,
                 (unsigned long)HAL_TRAP_PC(trap), (unsigned long)fault->address, error);
        process_end(process_current(), WAIT_STATUS_SIGNALED(SIGKILL)); /* no memory, and no handler would have any */
        return;
    }
    struct signal_info info = fault->kind == FAULT_PAGE ? of_page(fault, error) : of_fault(trap, fault);

    signal_force(&info);
}
