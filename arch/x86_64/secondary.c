/* SPDX-License-Identifier: MIT */
/*
 * Starting the other CPUs. secondary_task[cpu] is the hand-over: hal_cpu_start() stores the task, the CPU takes it and
 * leaves NULL. The boot CPU is the only writer of everything else here.
 */
#include <hal/cpu.h>

#include <k/assert.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <lib/string.h>

#include "machine.h"

extern const uint8_t trampoline_start[], trampoline_end[];

/* Read by secondary.S. */
_Atomic(struct task *) secondary_task[CPU_MAX]; /* PAIRS(secondary): root and the task's stack are stored before */
paddr_t secondary_root;

static RO_AFTER_INIT paddr_t secondary_page; /* 0: the firmware left none below 1 MiB */

void secondary_install(paddr_t page)
{
    secondary_page = page;
    memcpy((void *)direct_map(page), trampoline_start, (size_t)(trampoline_end - trampoline_start));
}

int hal_cpu_start(cpu_id_t cpu, paddr_t root, struct task *task)
{
    ASSERT(cpu > 0 && cpu < CPU_MAX && root != 0);
    if (secondary_page == 0)
        return -ENODEV;
    if (task == NULL)
        return 0; /* an INIT reaches it anywhere */
    secondary_root = root;
    /* PAIRS(secondary): everything stored so far is visible to the CPU that takes the task. */
    store_release(&secondary_task[cpu], task);

    int error = apic_start_cpu(cpu, secondary_page);

    if (error != 0)
        store_relaxed(&secondary_task[cpu], NULL);
    return error;
}
