/* SPDX-License-Identifier: MIT */
/*
 * Kernel stacks. Owns a bounded cache of mapped stacks of the default size, last in, first out; other sizes go
 * straight to the kmap window. Mapping and unmapping may cost a round of interrupts to all CPUs, so both happen in
 * batches: a full cache gives half of itself away at once, and repeated misses map twice as many stacks each time.
 * Lock: kstacks.lock (LOCK_MM), held for a few instructions.
 *
 * Debug builds: a stack that nobody uses is filled with a pattern. What a task overwrote of it is its high-water mark;
 * what changes while it is cached was written through a stale pointer.
 */
#include "mm_priv.h"

#include <mm/kspace.h>
#include <mm/kstack.h>

#include <k/errno.h>
#include <k/log.h>
#include <smp/spinlock.h>

#define CACHE_COUNT_MAX 64 /* 1 MiB of default stacks */
#define SPILL_COUNT (CACHE_COUNT_MAX / 2)
#define REFILL_COUNT_MAX 16
#define DEFAULT_PAGES (STACK_BYTES_DEFAULT / PAGE_BYTES)

_Static_assert(STACK_BYTES_DEFAULT % PAGE_BYTES == 0, "stacks are whole pages");
_Static_assert(SPILL_COUNT <= KMAP_BATCH_MAX && REFILL_COUNT_MAX <= KMAP_BATCH_MAX, "one flush round serves them");

#define PATTERN UINT64_C(0x57acc57acc57acc5)
#define PATTERN_STRIDE (256 / 8) /* one word of so many is looked at when a cached stack is used again */
#define LOW_WATER_BYTES 256       /* a stack that had less left than this was about to overflow */

static struct {
    struct spinlock lock;
    unsigned used GUARDED_BY(lock);
    unsigned cached GUARDED_BY(lock);
    unsigned refill GUARDED_BY(lock); /* how many stacks the next miss maps */
    vaddr_t cache[CACHE_COUNT_MAX] GUARDED_BY(lock);
} kstacks = {.lock = SPINLOCK_INIT(LOCK_MM), .refill = 1};

/* ---- Debug builds ---- */

static void fill_pattern(vaddr_t base, size_t bytes)
{
    uint64_t *words = (uint64_t *)base;

    for (size_t i = 0; i < bytes / sizeof(*words); i++)
        words[i] = PATTERN;
}

static void check_cached(vaddr_t base)
{
    const uint64_t *words = (const uint64_t *)base;

    ASSERT(kmap_is_guarded(base, DEFAULT_PAGES));

    for (size_t i = 0; i < STACK_BYTES_DEFAULT / sizeof(*words); i += PATTERN_STRIDE)
        if (words[i] != PATTERN)
            panic("kstack: free stack %#llx was written to at offset %zu", (unsigned long long)base,
                  i * sizeof(*words));
}

size_t kstack_high_water(const struct kstack *stack)
{
    const uint64_t *words = (const uint64_t *)stack->base;
    size_t count = stack->bytes / sizeof(*words);
    size_t untouched = 0;

    if (!KERNEL_DEBUG)
        return 0;
    while (untouched < count && words[untouched] == PATTERN)
        untouched++;
    return stack->bytes - untouched * sizeof(*words);
}

static void debug_freed(const struct kstack *stack)
{
    size_t high_water = kstack_high_water(stack);

    if (high_water > stack->bytes - LOW_WATER_BYTES)
        log_warn("kstack: a stack of %zu bytes had only %zu left", stack->bytes, stack->bytes - high_water);
    ASSERT(kmap_is_guarded(stack->base, stack->bytes / PAGE_BYTES));
    spin_lock(&kstacks.lock);
    for (unsigned i = 0; i < kstacks.cached; i++)
        ASSERT(kstacks.cache[i] != stack->base);
    spin_unlock(&kstacks.lock);
    fill_pattern(stack->base, stack->bytes);
}

/* ---- Allocation ---- */

/* A miss: map some stacks, keep one, cache the rest. */
static int map_default(vaddr_t *out_base)
{
    vaddr_t mapped[REFILL_COUNT_MAX];
    vaddr_t excess[REFILL_COUNT_MAX];
    struct tlb_range ranges[REFILL_COUNT_MAX];
    unsigned excess_count = 0;
    unsigned want;
    int count;

    spin_lock(&kstacks.lock);
    /* Whoever forces a failure wants to see it, not have it swallowed by a smaller batch. */
    want = mm_fail_is_armed() ? 1 : kstacks.refill;
    kstacks.refill = MIN(2 * kstacks.refill, (unsigned)REFILL_COUNT_MAX);
    spin_unlock(&kstacks.lock);

    count = kmap_alloc_batch(DEFAULT_PAGES, want, mapped);
    if (count < 0)
        return count;
    if (KERNEL_DEBUG)
        for (int i = 0; i < count; i++)
            fill_pattern(mapped[i], STACK_BYTES_DEFAULT);

    spin_lock(&kstacks.lock);
    kstacks.used++;
    for (int i = 1; i < count; i++) {
        if (kstacks.cached < CACHE_COUNT_MAX)
            kstacks.cache[kstacks.cached++] = mapped[i];
        else
            excess[excess_count++] = mapped[i];
    }
    spin_unlock(&kstacks.lock);
    for (unsigned i = 0; i < excess_count; i++)
        ranges[i] = (struct tlb_range){excess[i], DEFAULT_PAGES};
    kmap_free_batch(ranges, excess_count);
    *out_base = mapped[0];
    return 0;
}

static NOINLINE int alloc_slow(size_t bytes, struct kstack *out)
{
    int error;

    if (bytes == STACK_BYTES_DEFAULT) {
        error = map_default(&out->base);
    } else {
        error = kmap_alloc(bytes / PAGE_BYTES, &out->base);
        if (error == 0) {
            if (KERNEL_DEBUG)
                fill_pattern(out->base, bytes);
            spin_lock(&kstacks.lock);
            kstacks.used++;
            spin_unlock(&kstacks.lock);
        }
    }
    if (error == 0)
        out->bytes = bytes;
    return error;
}

/* Inline, like kstack_free(), in what makes and buries tasks. */
ALWAYS_INLINE int kstack_alloc(size_t bytes, struct kstack *out)
{
    mm_assert_task_context();
    if (bytes == 0 || bytes > STACK_BYTES_MAX)
        return -EINVAL;
    if (mm_fail_check())
        return -ENOMEM;
    bytes = ROUND_UP(bytes, PAGE_BYTES);
    if (bytes != STACK_BYTES_DEFAULT)
        return alloc_slow(bytes, out);

    spin_lock(&kstacks.lock);
    if (UNLIKELY(kstacks.cached == 0)) {
        spin_unlock(&kstacks.lock);
        return alloc_slow(bytes, out);
    }
    out->base = kstacks.cache[--kstacks.cached];
    out->bytes = STACK_BYTES_DEFAULT;
    kstacks.used++;
    spin_unlock(&kstacks.lock);
    if (KERNEL_DEBUG)
        check_cached(out->base);
    return 0;
}

/* ---- Release ---- */

/* Take up to `want` of the stacks that were cached longest. */
static unsigned take_oldest_locked(struct tlb_range ranges[], unsigned want) REQUIRES(kstacks.lock)
{
    unsigned count = MIN(want, kstacks.cached);

    for (unsigned i = 0; i < count; i++)
        ranges[i] = (struct tlb_range){kstacks.cache[i], DEFAULT_PAGES};
    kstacks.cached -= count;
    for (unsigned i = 0; i < kstacks.cached; i++)
        kstacks.cache[i] = kstacks.cache[i + count];
    /* More are given back than asked for: misses begin small again. */
    kstacks.refill = 1;
    return count;
}

static NOINLINE void free_odd(vaddr_t base, size_t bytes)
{
    kmap_free(base, bytes / PAGE_BYTES);
    spin_lock(&kstacks.lock);
    kstacks.used--;
    spin_unlock(&kstacks.lock);
}

static NOINLINE void spill_and_cache(vaddr_t base)
{
    struct tlb_range ranges[SPILL_COUNT];
    unsigned count;

    spin_lock(&kstacks.lock);
    count = kstacks.cached == CACHE_COUNT_MAX ? take_oldest_locked(ranges, SPILL_COUNT) : 0;
    kstacks.cache[kstacks.cached++] = base;
    kstacks.used--;
    spin_unlock(&kstacks.lock);
    kmap_free_batch(ranges, count);
}

ALWAYS_INLINE void kstack_free(struct kstack *stack)
{
    vaddr_t base = stack->base;

    mm_assert_task_context();
    ASSERT(base != 0);
    if (KERNEL_DEBUG)
        debug_freed(stack);
    stack->base = 0;
    if (UNLIKELY(stack->bytes != STACK_BYTES_DEFAULT)) {
        free_odd(base, stack->bytes);
        return;
    }
    spin_lock(&kstacks.lock);
    if (UNLIKELY(kstacks.cached == CACHE_COUNT_MAX)) {
        spin_unlock(&kstacks.lock);
        spill_and_cache(base);
        return;
    }
    kstacks.cache[kstacks.cached++] = base;
    kstacks.used--;
    spin_unlock(&kstacks.lock);
}

void kstack_reclaim(void)
{
    struct tlb_range ranges[KMAP_BATCH_MAX];
    unsigned count;

    do {
        spin_lock(&kstacks.lock);
        count = take_oldest_locked(ranges, KMAP_BATCH_MAX);
        spin_unlock(&kstacks.lock);
        kmap_free_batch(ranges, count);
    } while (count > 0);
}

unsigned kstack_used_count(void)
{
    unsigned used;

    spin_lock(&kstacks.lock);
    used = kstacks.used;
    spin_unlock(&kstacks.lock);
    return used;
}
