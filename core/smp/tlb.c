/* SPDX-License-Identifier: MIT */
/*
 * Address-space ids and shoot-downs.
 *
 * Ids. A space gets one when a CPU first uses it, from a bitmap, together with the number of the present generation.
 * When all are taken, a new generation begins (a roll-over): every id is free again, but those of spaces that a CPU
 * uses at that moment, which keep theirs. Other spaces get another when they are used next. A CPU flushes everything,
 * once, before it uses an id of a generation that is new to it. So what it holds under an id is of the one space that
 * had the id in that generation. Nothing is flushed at a space's death: its id rests, taken, until the next roll-over,
 * and after that every CPU flushes before it can meet the id again. So no death costs anything, and one in some
 * thousand births costs each CPU a flush.
 *
 * There is no lazy mode: a CPU that goes from a space to a kernel task takes the kernel's tables into use at once. Else
 * its walkers could read the tables of a space that others have destroyed meanwhile, and every shoot-down would have to
 * find and interrupt CPUs that run nobody of the space. With ids the way back is cheap: the translations are there.
 *
 * Without ids (the machine has none, or fewer than the CPUs need) a switch forgets the space that it leaves.
 *
 * Lock: asids.lock (LOCK_ASID, interrupts disabled) for giving ids. The usual switch takes none.
 */
#include <smp/tlb.h>

#include <k/assert.h>
#include <lib/bitmap.h>
#include <lib/string.h>
#include <smp/call.h>
#include <smp/preempt.h>
#include <smp/spinlock.h>

#define ASID_BITS 16
#define GENERATION ((uint64_t)1 << ASID_BITS)
#define GENERATION_MASK (~(GENERATION - 1))

static struct {
    /* Immutable after tlb_init(). */
    paddr_t kernel_root;
    unsigned count;     /* ids 1 to count - 1 are given to spaces; 0: spaces are not told apart */
    unsigned shared_id; /* then they all have this one; 0: and the machine forgets by itself */

    struct spinlock lock;
    unsigned next GUARDED_BY(lock); /* where the search for a free id begins */
    uint64_t taken[BITMAP_WORDS(ASIDS_MAX)] GUARDED_BY(lock);

    _Atomic(uint64_t) generation; /* PAIRS(asid_rollover): in the bits above ASID_BITS; changes under lock */
} asids = { .lock = SPINLOCK_INIT(LOCK_ASID) };

static struct {
    _Atomic(uint64_t) shootdowns, disturbed, deferred, late_flushes, rollovers, rollover_flushes, kernel_flushes;
} stats;

static void count(_Atomic(uint64_t) *counter, uint64_t by)
{
    (void)fetch_add_relaxed(counter, by);
}

void tlb_stats_get(struct tlb_stats *out)
{
    *out = (struct tlb_stats){
        .ids = asids.count != 0 ? asids.count - 1 : 0,
        .shootdowns = load_relaxed(&stats.shootdowns),
        .disturbed = load_relaxed(&stats.disturbed),
        .deferred = load_relaxed(&stats.deferred),
        .late_flushes = load_relaxed(&stats.late_flushes),
        .rollovers = load_relaxed(&stats.rollovers),
        .rollover_flushes = load_relaxed(&stats.rollover_flushes),
        .kernel_flushes = load_relaxed(&stats.kernel_flushes),
    };
}

static uint64_t generation_of(uint64_t id)
{
    return id & GENERATION_MASK;
}

static unsigned asid_of(uint64_t id)
{
    return (unsigned)(id & (GENERATION - 1));
}

/* ---- Spaces ---- */

void tlb_init(paddr_t kernel_root, unsigned asid_count, unsigned asid_limit, unsigned cpus)
{
    unsigned usable = MIN(MIN(asid_count, asid_limit), (unsigned)ASIDS_MAX);

    ASSERT(usable > 0 && asid_count <= GENERATION);
    asids.kernel_root = kernel_root;
    asids.shared_id = asid_count > 1 ? 1 : 0;
    /* At a roll-over each CPU may be leaving one space for another, and one more space waits for an id. */
    asids.count = usable > 2 * cpus ? usable : 0;
    store_relaxed(&asids.generation, GENERATION);
    memset(asids.taken, 0, sizeof asids.taken);
    asids.next = 1; /* 0 is the kernel's */
}

void tlb_space_init(struct tlb_space *space, paddr_t root)
{
    space->root = root;
    store_relaxed(&space->id, 0);
    for (unsigned i = 0; i < CPUMASK_WORDS; i++) {
        store_relaxed(&space->holders[i], 0);
        store_relaxed(&space->stale[i], 0);
    }
}

/* Does the CPU use the space, or is it about to, or still? See enter(). */
static bool is_used_by(const struct tlb_space *space, cpu_id_t id)
{
    const struct cpu *cpu = cpu_table[id];

    /* PAIRS(tlb_entering), PAIRS(tlb_active) */
    return load_acquire(&cpu->tlb_entering) == space || load_acquire(&cpu->tlb_active) == space;
}

void tlb_space_fini(struct tlb_space *space)
{
    /* A roll-over may have found the space with a CPU that has left it since: let it be done with it. The id stays
     * taken until the next one. */
    uintptr_t state = spin_lock_irqsave(&asids.lock);

    if (KERNEL_DEBUG)
        for_each_started_cpu(id)
            ASSERT(!is_used_by(space, id));
    spin_unlock_irqrestore(&asids.lock, state);
}

/* ---- Ids ---- */

static void renew_locked(struct tlb_space *space, uint64_t ended) REQUIRES(asids.lock)
{
    uint64_t id = space != NULL ? load_relaxed(&space->id) : 0;

    /* An id of an older generation is no longer the space's; one of the new generation was renewed already. */
    if (id == 0 || generation_of(id) != ended)
        return;
    bitmap_set(asids.taken, asid_of(id));
    store_release(&space->id, id + GENERATION); /* PAIRS(asid) */
}

static void rollover_locked(void) REQUIRES(asids.lock)
{
    uint64_t ended = load_relaxed(&asids.generation);

    memset(asids.taken, 0, sizeof asids.taken);
    asids.next = 1;
    store_relaxed(&asids.generation, ended + GENERATION);
    /* PAIRS(asid_rollover): a CPU that begins to use a space says so and then looks at the generation. It sees the new
     * one, or we see its space. */
    fence_seq_cst();
    for_each_started_cpu(id) {
        renew_locked(load_acquire(&cpu_table[id]->tlb_entering), ended); /* PAIRS(tlb_entering) */
        renew_locked(load_acquire(&cpu_table[id]->tlb_active), ended);   /* PAIRS(tlb_active) */
    }
    count(&stats.rollovers, 1);
}

/* The space has no id of this generation. So no CPU uses it, for a roll-over would have renewed its id; and what CPUs
 * hold under its old one they will flush before they use an id of this generation. */
static void give_id_locked(struct tlb_space *space) REQUIRES(asids.lock)
{
    size_t asid = bitmap_find_clear(asids.taken, asids.count, asids.next);

    if (asid == BITMAP_NONE) {
        rollover_locked();
        asid = bitmap_find_clear(asids.taken, asids.count, asids.next);
        ASSERT(asid != BITMAP_NONE);
    }
    bitmap_set(asids.taken, asid);
    asids.next = (unsigned)asid + 1;
    for (unsigned i = 0; i < CPUMASK_WORDS; i++) {
        store_relaxed(&space->holders[i], 0);
        store_relaxed(&space->stale[i], 0);
    }
    /* PAIRS(asid): who sees the id sees that nobody held anything of it. */
    store_release(&space->id, load_relaxed(&asids.generation) | asid);
}

/* ---- Switching ---- */

static void hold(struct tlb_space *space, const struct cpu *cpu)
{
    uint64_t bit = UINT64_C(1) << (cpu->id % 64);

    if ((load_relaxed(&space->holders[cpu->id / 64]) & bit) == 0)
        (void)fetch_or_relaxed(&space->holders[cpu->id / 64], bit);
}

/* The space's id, or what this CPU's TLB holds, may be of a generation that has ended. */
static NOINLINE uint64_t enter_slowly(struct cpu *cpu, struct tlb_space *space)
{
    spin_lock_irqoff(&asids.lock);
    if (generation_of(load_relaxed(&space->id)) != load_relaxed(&asids.generation))
        give_id_locked(space);
    uint64_t id = load_relaxed(&space->id);

    spin_unlock_irqoff(&asids.lock);
    /* From here on the id stays the space's, whatever ends: a roll-over finds the space with this CPU. */
    if (cpu->tlb_generation != generation_of(id)) {
        hal_tlb_flush_local(HAL_ASID_ANY, 0, HAL_TLB_ALL_PAGES);
        cpu->tlb_generation = generation_of(id);
        count(&stats.rollover_flushes, 1);
    }
    hold(space, cpu);
    fence_seq_cst(); /* PAIRS(tlb_handshake): as in enter() */
    return id;
}

/* Others told this CPU to forget what it holds of the space before it uses it. */
static NOINLINE void flush_late(struct tlb_space *space, const struct cpu *cpu, unsigned asid)
{
    /* PAIRS(tlb_handshake): whoever sets the bit after this sees tlb_entering; whoever set it before has changed the
     * tables, which the walks after this flush see. */
    (void)fetch_and_acq_rel(&space->stale[cpu->id / 64], ~(UINT64_C(1) << (cpu->id % 64)));
    hal_tlb_flush_local(asid, 0, HAL_TLB_ALL_PAGES);
    count(&stats.late_flushes, 1);
}

/*
 * The handshake with targets_find(), which looks for CPUs that use a space. A CPU says in `tlb_entering` what it is
 * about to use, before the tables are exchanged, and in `tlb_active` what it uses, afterwards. So while its walkers may
 * read a space's tables, one of the two names the space, and who looks at them in this order finds it there:
 * `tlb_entering` names another space only after `tlb_active` has named this one (PAIRS(tlb_entering)).
 *
 *   this CPU                             the one that shoots down
 *   tlb_entering = space, holders |= us  change the tables
 *   fence                                fence
 *   look at `stale`; flush               look at `holders`
 *   exchange tables, walk                not in tlb_entering or tlb_active? stale |= them
 *                                        fence
 *                                        look at both words again: now one of them may have come
 *
 * If the looks of the other side miss `holders` or `tlb_entering`, then our fence comes after theirs, and our look at
 * `stale`, or where there was no bit to set our walks, see what they stored before it. Else they find us, and we are
 * made to flush: the interrupt comes when we enable interrupts, after the exchange; or the machine flushes at once, and
 * later walks see the new tables. A CPU that is found and is gone by then flushes for nothing.
 */
static void enter(struct cpu *cpu, struct tlb_space *space)
{
    uint64_t id = load_acquire(&space->id); /* PAIRS(asid): `holders` is that id's, or a later one's */

    store_release(&cpu->tlb_entering, space); /* PAIRS(tlb_entering) */
    hold(space, cpu);
    fence_seq_cst(); /* PAIRS(tlb_handshake), PAIRS(asid_rollover) */
    /* The generation changes before ids do: while it is that of the id, the id is the space's. */
    uint64_t generation = load_relaxed(&asids.generation);

    if (UNLIKELY(generation_of(id) != generation || cpu->tlb_generation != generation))
        id = enter_slowly(cpu, space);
    if (UNLIKELY(load_relaxed(&space->stale[cpu->id / 64]) >> (cpu->id % 64) & 1))
        flush_late(space, cpu, asid_of(id));
    hal_mmu_activate(space->root, asid_of(id));
    /* PAIRS(tlb_active): nothing more is read by way of the last one's tables. */
    store_release(&cpu->tlb_active, space);
}

/* Leaving a space forgets it, so its holders are exactly the CPUs that use it, and a shoot-down reaches all of them. */
static void switch_untagged(struct cpu *cpu, struct tlb_space *next)
{
    struct tlb_space *prev = load_relaxed(&cpu->tlb_active);

    if (next != NULL) {
        hold(next, cpu);
        fence_seq_cst(); /* PAIRS(tlb_handshake): in `holders` before the first walk */
    }
    if (asids.shared_id == 0) {
        hal_mmu_activate(next != NULL ? next->root : asids.kernel_root, 0);
    } else {
        /* Not from one to the other: a CPU may not see both under one id. */
        hal_mmu_activate(asids.kernel_root, 0);
        if (prev != NULL)
            hal_tlb_flush_local(asids.shared_id, 0, HAL_TLB_ALL_PAGES);
        if (next != NULL)
            hal_mmu_activate(next->root, asids.shared_id);
    }
    if (prev != NULL) /* PAIRS(tlb_handshake): nothing more is read by way of its tables */
        (void)fetch_and_acq_rel(&prev->holders[cpu->id / 64], ~(UINT64_C(1) << (cpu->id % 64)));
    store_release(&cpu->tlb_entering, next); /* PAIRS(tlb_entering) */
    store_release(&cpu->tlb_active, next);   /* PAIRS(tlb_active) */
}

void tlb_switch(struct tlb_space *next)
{
    struct cpu *cpu = this_cpu();

    DEBUG_ASSERT(!hal_irq_is_enabled());
    if (UNLIKELY(next == load_relaxed(&cpu->tlb_active)))
        return;
    if (asids.count == 0) {
        switch_untagged(cpu, next);
    } else if (next != NULL) {
        enter(cpu, next);
    } else {
        hal_mmu_activate(asids.kernel_root, 0);
        store_release(&cpu->tlb_active, NULL);   /* PAIRS(tlb_active) */
        store_release(&cpu->tlb_entering, NULL); /* PAIRS(tlb_entering) */
    }
}

/* ---- Shooting down ---- */

struct request {
    unsigned asid;
    unsigned count;
    const struct tlb_range *ranges;
};

static void flush_here(void *arg)
{
    const struct request *request = arg;

    for (unsigned i = 0; i < request->count; i++)
        hal_tlb_flush_local(request->asid, request->ranges[i].va, request->ranges[i].pages);
}

static void flush_on(const struct cpumask *cpus, struct request *request)
{
    static const struct tlb_range all = { 0, HAL_TLB_ALL_PAGES };

    if (HAL_TLB_REMOTE == 0) {
        smp_call(cpus, flush_here, request);
        return;
    }
    if (request->count > HAL_TLB_REMOTE) {
        request->ranges = &all;
        request->count = 1;
    }
    for (unsigned i = 0; i < request->count; i++)
        hal_tlb_flush_remote(cpus, request->asid, request->ranges[i].va, request->ranges[i].pages);
}

/* Of those CPUs of one word of the holders that do not use the space: they flush when they use it next. But some may
 * have begun to use it meanwhile, and not have seen it: those go into `targets`. */
static void defer(struct tlb_space *space, unsigned word, uint64_t bits, struct cpumask *targets)
{
    (void)fetch_or_relaxed(&space->stale[word], bits);
    fence_seq_cst(); /* PAIRS(tlb_handshake) */
    for (uint64_t left = bits; left != 0; left &= left - 1)
        if (is_used_by(space, word * 64 + (cpu_id_t)__builtin_ctzll(left)))
            targets->word[word] |= left & -left;
    count(&stats.deferred, (uint64_t)__builtin_popcountll(bits & ~targets->word[word]));
}

/* CPUs that have to flush now. The caller has changed the tables, and then executed a fence: see enter(). */
static void targets_find(struct tlb_space *space, struct cpumask *targets)
{
    for (unsigned word = 0; word < CPUMASK_WORDS; word++) {
        uint64_t holders = load_acquire(&space->holders[word]); /* PAIRS(tlb_handshake) */
        uint64_t users = asids.count == 0 ? holders : 0;

        for (uint64_t left = holders & ~users; left != 0; left &= left - 1)
            if (is_used_by(space, word * 64 + (cpu_id_t)__builtin_ctzll(left)))
                users |= left & -left;
        targets->word[word] = users;
        if (holders != users)
            defer(space, word, holders & ~users, targets);
    }
}

void tlb_batch_add(struct tlb_batch *batch, vaddr_t va, size_t pages)
{
    struct tlb_range *last = batch->count != 0 ? &batch->range[batch->count - 1] : NULL;

    DEBUG_ASSERT(va % PAGE_BYTES == 0 && pages > 0 && pages != HAL_TLB_ALL_PAGES);
    if (batch->is_all)
        return;
    if (last != NULL && last->va + last->pages * PAGE_BYTES == va) {
        last->pages += pages;
    } else if (last != NULL && va + pages * PAGE_BYTES == last->va) {
        last->va = va;
        last->pages += pages;
    } else if (batch->count < TLB_BATCH_MAX) {
        batch->range[batch->count++] = (struct tlb_range){ va, pages };
    } else {
        batch->is_all = true;
    }
}

static void shoot_down(struct tlb_space *space, struct request *request)
{
    struct cpumask targets;

    targets_find(space, &targets);
    unsigned users = cpumask_count(&targets);

    if (users == 0)
        return;
    count(&stats.shootdowns, 1);
    count(&stats.disturbed, users - cpumask_contains(&targets, this_cpu_id()));
    if (users == 1 && cpumask_contains(&targets, this_cpu_id()))
        flush_here(request);
    else
        flush_on(&targets, request);
}

void tlb_batch_flush(struct tlb_batch *batch)
{
    static const struct tlb_range all = { 0, HAL_TLB_ALL_PAGES };
    struct request request = {
        .count = batch->is_all ? 1 : batch->count, .ranges = batch->is_all ? &all : batch->range
    };

    ASSERT(hal_irq_is_enabled());
    if (request.count == 0)
        return;
    preempt_disable(); /* this CPU is told apart from the others */
    fence_seq_cst();   /* PAIRS(tlb_handshake): the caller's changes of the tables come before the looks */
    /* PAIRS(asid): after the fence. A CPU that uses the space under a later id flushed everything for that, and walks
     * the tables as they are now. */
    uint64_t id = load_acquire(&batch->space->id);

    request.asid = asids.count != 0 ? asid_of(id) : asids.shared_id;
    shoot_down(batch->space, &request);
    preempt_enable();
    tlb_batch_init(batch, batch->space);
}

void tlb_flush_here(struct tlb_space *space, vaddr_t va, size_t pages)
{
    DEBUG_ASSERT(current_base()->preempt_count > 0);
    if (tlb_active() != space)
        return;
    /* While it is active its id stays what it is. */
    uint64_t id = load_acquire(&space->id); /* PAIRS(asid) */

    hal_tlb_flush_local(asids.count != 0 ? asid_of(id) : asids.shared_id, va, pages);
}

void tlb_flush_kernel(const struct tlb_range ranges[], unsigned count_of_ranges)
{
    struct request request = { .asid = HAL_ASID_ANY, .count = count_of_ranges, .ranges = ranges };

    count(&stats.kernel_flushes, 1);
    /* PAIRS(cpu_online): a CPU that is not counted yet, or not live, flushes everything on its way in. */
    if (load_acquire(&cpu_started_count) <= 1) {
        flush_here(&request);
        return;
    }
    struct cpumask live;

    fence_seq_cst(); /* PAIRS(cpu_live): the caller's changes of the tables come before the look at the set */
    for (unsigned i = 0; i < CPUMASK_WORDS; i++)
        live.word[i] = cpumask_word(&cpu_live_mask, i);
    flush_on(&live, &request);
}
