/* SPDX-License-Identifier: MIT */
/*
 * Cross-CPU calls: one call is in flight at a time, guarded by a lock whose waiters keep interrupts
 * enabled, so that two callers that target each other both go on answering.
 */
#include <smp/call.h>

#include <smp/call_irq.h>
#include <smp/spinlock.h>

static struct {
    struct spinlock lock;          /* one call at a time */
    void (*fn)(void *);
    void *arg;
    cpu_id_t caller;
    _Atomic(uint64_t) sequence;    /* PAIRS(call): fn and arg are stored before it */
    _Atomic(uint32_t) outstanding; /* PAIRS(call_done): what fn stored is visible when it reaches 0 */
} call = { .lock = SPINLOCK_INIT(LOCK_CALL) };

void smp_call_handle_ipi(void)
{
    /* PAIRS(call): the caller stored fn and arg before the request that brought us here. */
    (void)load_acquire(&call.sequence);
    cpu_id_t caller = call.caller; /* the slot is the next caller's as soon as the count is 0 */

    call.fn(call.arg);
    if (fetch_sub_acq_rel(&call.outstanding, 1) == 1) /* PAIRS(call_done) */
        hal_cpu_poke(caller);
}

void smp_call(const struct cpumask *mask, void (*fn)(void *), void *arg)
{
    bool here = false;
    uint32_t targets = 0;

    ASSERT(hal_irq_is_enabled());
    spin_lock(&call.lock);
    for_each_live_cpu(id)
        if (cpumask_contains(mask, id) && id != this_cpu_id())
            targets++;
    call.fn = fn;
    call.arg = arg;
    call.caller = this_cpu_id();
    store_relaxed(&call.outstanding, targets);
    store_release(&call.sequence, load_relaxed(&call.sequence) + 1); /* PAIRS(call) */
    for_each_live_cpu(id) {
        if (!cpumask_contains(mask, id))
            continue;
        if (id == this_cpu_id())
            here = true;
        else
            cpu_request(cpu_table[id], IPI_CALL);
    }
    if (here) {
        uintptr_t state = hal_irq_save();

        fn(arg);
        hal_irq_restore(state);
    }
    /* Asleep, not in a spin, and taking interrupts: where virtual CPUs share a real one, a spinning caller keeps the
     * CPUs that it waits for from running. The last one to finish pokes us. */
    uintptr_t state = hal_irq_save();

    while (load_acquire(&call.outstanding) != 0) /* PAIRS(call_done) */
        hal_cpu_idle();
    hal_irq_restore(state);
    spin_unlock(&call.lock);
}

void smp_call_admit(cpu_id_t cpu)
{
    /* Under the lock no call is in flight: the set does not change between a call's two looks at it. */
    spin_lock(&call.lock);
    cpu_set_change(&cpu_live_mask, cpu, true);
    spin_unlock(&call.lock);
}

void smp_call_retire(struct cpu *cpu, void (*see_off)(struct cpu *))
{
    spin_lock(&call.lock);
    see_off(cpu);
    cpu_set_change(&cpu_live_mask, cpu->id, false);
    spin_unlock(&call.lock);
}

void smp_call_all(void (*fn)(void *), void *arg)
{
    static const struct cpumask all = { .word = { [0 ... CPUMASK_WORDS - 1] = ~UINT64_C(0) } };

    smp_call(&all, fn, arg);
}
