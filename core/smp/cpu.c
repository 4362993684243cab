/* SPDX-License-Identifier: MIT */
/* The table of CPUs, the sets of them, and the reasons of a poke. Owns no lock: see smp/cpu.h for who writes. */
#include <smp/cpu.h>

#include <hal/clock.h>
#include <k/assert.h>

struct cpu *cpu_table[CPU_MAX];
struct cpumask cpu_online_mask;
struct cpumask cpu_live_mask;
struct cpumask cpu_started_mask;
_Atomic(unsigned) cpu_started_count;
unsigned cpu_mask_words = 1;

void cpu_set_change(struct cpumask *set, cpu_id_t id, bool is_in)
{
    uint64_t bit = UINT64_C(1) << (id % 64);

    ASSERT(id < CPU_MAX);
    hal_point(&set->word[id / 64]);
    if (is_in)
        (void)__atomic_fetch_or(&set->word[id / 64], bit, __ATOMIC_SEQ_CST);
    else
        (void)__atomic_fetch_and(&set->word[id / 64], ~bit, __ATOMIC_SEQ_CST);
}

void cpu_request(struct cpu *cpu, uint32_t reason)
{
    ASSERT(cpu != NULL && reason != 0);
    /* The oldest unanswered request counts. A hint: no interleaving point, and a lost race shortens what is seen. */
    if (atomic_load_explicit(&cpu->ipi_pending, memory_order_relaxed) == 0)
        atomic_store_explicit(&cpu->poked_at_ticks, hal_clock_ticks(), memory_order_relaxed);
    /* PAIRS(ipi): what the reason refers to was stored before; trap_ipi() takes all bits with acquire. Who finds the
     * same reason there leaves the poke to whoever set it, and the target will see this one's data, too. Other reasons
     * prove nothing: their poke may not be sent yet, by one that was interrupted on the way. */
    if ((fetch_or_acq_rel(&cpu->ipi_pending, reason) & reason) != reason)
        hal_cpu_poke(cpu->id);
}
