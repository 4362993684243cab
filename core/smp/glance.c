/* SPDX-License-Identifier: MIT */
/* The waiting side of glances. No state of its own. */
#include <smp/glance.h>

#include <hal/cpu.h>

void glance_wait(const void *what)
{
    fence_seq_cst(); /* PAIRS(glance): what the caller stored before the look at the marks */
    for_each_started_cpu(id)
        while (load_acquire(&cpu_table[id]->glance) == what) /* PAIRS(glance) */
            hal_cpu_relax();
}
