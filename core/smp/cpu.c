/* SPDX-License-Identifier: MIT */
/* The table of CPUs and the reasons of a poke. Owns no lock: the table is written at bring-up only. */
#include <smp/cpu.h>

#include <hal/clock.h>
#include <k/assert.h>

struct cpu *cpu_table[CPU_MAX];
struct cpumask cpu_online_mask;
_Atomic(unsigned) cpu_online_count;
unsigned cpu_mask_words = 1;

void cpu_request(struct cpu *cpu, uint32_t reason)
{
    ASSERT(cpu != NULL && reason != 0);
    /* The oldest unanswered request counts. A hint: no interleaving point, and a lost race shortens what is seen. */
    if (atomic_load_explicit(&cpu->ipi_pending, memory_order_relaxed) == 0)
        atomic_store_explicit(&cpu->poked_at_ticks, hal_clock_ticks(), memory_order_relaxed);
    /* PAIRS(ipi): what the reason refers to was stored before; trap_ipi() takes all bits with acquire. A bit already
     * set belongs to a poke that the target has not taken yet, so it will see this one's data, too. */
    if (fetch_or_acq_rel(&cpu->ipi_pending, reason) == 0)
        hal_cpu_poke(cpu->id);
}
