/* SPDX-License-Identifier: MIT */
/*
 * Memory. Pages and objects are allocated from what is free and freed once, as they were allocated; no page goes back
 * with an object in it. What is free is shut for AddressSanitizer, but for the words in which the allocators keep their
 * lists; every other build relies on the poison that core itself looks at. And no TLB knows a page that is given back.
 * Owns a bit for each page and for each eight bytes of RAM.
 */
#include "checkers.h"

#include <hal/mmu.h>
#include <hal/boot.h>

#include "watch.h"

#define PAGES_MAX (UINT64_C(64) << 30 >> PAGE_SHIFT) /* of the simulated machine */
#define UNIT_BYTES 8u                                /* every object's address and stride are multiples */
#define OBJECT_RAM_BYTES (UINT64_C(4) << 30)         /* objects above are not followed */
#define LIST_WORDS_BYTES 64u                         /* of a free page: core/mm/phys.c keeps its links there */

static uint64_t page_taken[PAGES_MAX / 64];
static uint64_t unit_taken[OBJECT_RAM_BYTES / UNIT_BYTES / 64];

static struct {
    paddr_t base; /* of RAM; 0: not known yet */
    uint64_t pages_end; /* bits below were used, and are cleared by a reset */
    uint64_t units_end;
} memory;

static void memory_reset(const struct host_config *config)
{
    (void)config;
    for (uint64_t i = 0; i < (memory.pages_end + 63) / 64; i++)
        page_taken[i] = 0;
    for (uint64_t i = 0; i < (memory.units_end + 63) / 64; i++)
        unit_taken[i] = 0;
    memory.base = 0;
    memory.pages_end = memory.units_end = 0;
}

static void base_find(void)
{
    const struct boot_info *boot = host_boot_info();

    memory.base = boot->memory[0].base;
    for (unsigned i = 1; i < boot->memory_count; i++)
        memory.base = MIN(memory.base, boot->memory[i].base);
}

/* Of bits [first, first + count): how many are set? With `to` 0 or 1 they are all that afterwards. */
static uint64_t bits_count(const uint64_t *bits, uint64_t first, uint64_t count)
{
    uint64_t set = 0;

    for (uint64_t at = first; at < first + count;) {
        unsigned here = (unsigned)MIN(64 - at % 64, first + count - at);
        uint64_t mask = (here == 64 ? ~UINT64_C(0) : (UINT64_C(1) << here) - 1) << (at % 64);

        set += (unsigned)__builtin_popcountll(bits[at / 64] & mask);
        at += here;
    }
    return set;
}

static void bits_flip(uint64_t *bits, uint64_t first, uint64_t count)
{
    for (uint64_t at = first; at < first + count;) {
        unsigned here = (unsigned)MIN(64 - at % 64, first + count - at);

        bits[at / 64] ^= (here == 64 ? ~UINT64_C(0) : (UINT64_C(1) << here) - 1) << (at % 64);
        at += here;
    }
}

static void *direct(paddr_t pa)
{
    return (void *)(HAL_DIRECT_MAP_BASE + pa);
}

/* The block as bits; false: no RAM of the machine. */
static bool block_bits(uint64_t value, uint64_t *out_first, uint64_t *out_count)
{
    paddr_t pa = ROUND_DOWN(value, PAGE_BYTES);

    if (memory.base == 0)
        base_find();
    *out_first = (pa - memory.base) >> PAGE_SHIFT;
    *out_count = UINT64_C(1) << (value % PAGE_BYTES);
    if (pa < memory.base || *out_first + *out_count > PAGES_MAX)
        return false;
    memory.pages_end = MAX(memory.pages_end, *out_first + *out_count);
    return true;
}

static void pages_allocated(uint64_t value)
{
    uint64_t first, count;

    if (!block_bits(value, &first, &count))
        sim_broken(PROMISE_MEMORY, "page %#llx is allocated, and is no RAM", (unsigned long long)value);
    if (UNLIKELY(bits_count(page_taken, first, count) != 0))
        sim_broken(PROMISE_MEMORY, "a block at %#llx is allocated, of which %llu of %llu pages are in use",
                   (unsigned long long)ROUND_DOWN(value, PAGE_BYTES),
                   (unsigned long long)bits_count(page_taken, first, count), (unsigned long long)count);
    bits_flip(page_taken, first, count);
    host_memory_open(direct(ROUND_DOWN(value, PAGE_BYTES)), count << PAGE_SHIFT);
}

/* Units of the pages from `first` on, as far as objects are followed. */
static uint64_t units_in(uint64_t first, uint64_t count, uint64_t *out_count)
{
    uint64_t units_max = OBJECT_RAM_BYTES / UNIT_BYTES;
    uint64_t at = first * (PAGE_BYTES / UNIT_BYTES);

    *out_count = at < units_max ? MIN(count * (PAGE_BYTES / UNIT_BYTES), units_max - at) : 0;
    return at;
}

static void pages_given_back(uint64_t value)
{
    uint64_t first, count, units;

    if (!block_bits(value, &first, &count))
        sim_broken(PROMISE_MEMORY, "page %#llx is freed, and is no RAM", (unsigned long long)value);
    if (UNLIKELY(bits_count(page_taken, first, count) != count))
        sim_broken(PROMISE_MEMORY, "a block at %#llx is freed, of which %llu of %llu pages were allocated",
                   (unsigned long long)ROUND_DOWN(value, PAGE_BYTES),
                   (unsigned long long)bits_count(page_taken, first, count), (unsigned long long)count);
    bits_flip(page_taken, first, count);
    uint64_t unit = units_in(first, count, &units);

    if (UNLIKELY(bits_count(unit_taken, unit, units) != 0))
        sim_broken(PROMISE_MEMORY, "a block at %#llx is freed with objects in it",
                   (unsigned long long)ROUND_DOWN(value, PAGE_BYTES));
    /* The allocator fills it with poison now, free objects in it included. */
    host_memory_open(direct(ROUND_DOWN(value, PAGE_BYTES)), count << PAGE_SHIFT);
}

static void pages_poisoned(uint64_t value)
{
    paddr_t pa = ROUND_DOWN(value, PAGE_BYTES);

    for (uint64_t i = 0; i < UINT64_C(1) << (value % PAGE_BYTES); i++)
        host_memory_shut((char *)direct(pa + (i << PAGE_SHIFT)) + LIST_WORDS_BYTES, PAGE_BYTES - LIST_WORDS_BYTES);
}

/* The object as bits; false: it is not followed. */
static bool object_bits(const void *object, uint64_t bytes, uint64_t *out_first, uint64_t *out_count)
{
    uint64_t offset = (uintptr_t)object - HAL_DIRECT_MAP_BASE - memory.base;

    *out_first = offset / UNIT_BYTES;
    *out_count = bytes / UNIT_BYTES;
    if (memory.base == 0 || offset >= OBJECT_RAM_BYTES || offset + bytes > OBJECT_RAM_BYTES)
        return false;
    memory.units_end = MAX(memory.units_end, *out_first + *out_count);
    return true;
}

static void object_allocated(const void *object, uint64_t bytes)
{
    uint64_t first, count;

    host_memory_open(object, bytes);
    if (!object_bits(object, bytes, &first, &count))
        return;
    if (UNLIKELY(bits_count(unit_taken, first, count) != 0))
        sim_broken(PROMISE_MEMORY, "object %p of %llu bytes is allocated, and overlaps one that is in use", object,
                   (unsigned long long)bytes);
    if (UNLIKELY(bits_count(page_taken, first / (PAGE_BYTES / UNIT_BYTES), 1) == 0))
        sim_broken(PROMISE_MEMORY, "object %p is allocated in a free page", object);
    bits_flip(unit_taken, first, count);
}

static void object_freed(const void *object, uint64_t bytes)
{
    uint64_t first, count;

    if (object_bits(object, bytes, &first, &count)) {
        if (UNLIKELY(bits_count(unit_taken, first, count) != count))
            sim_broken(PROMISE_MEMORY, "object %p of %llu bytes is freed, and is not in use", object,
                       (unsigned long long)bytes);
        bits_flip(unit_taken, first, count);
    }
    host_memory_shut(object, bytes);
}

static void memory_event(enum trace_event event, const void *object, uint64_t value)
{
    switch (event) {
    case TRACE_PAGES_ALLOC:
        pages_allocated(value);
        break;
    case TRACE_PAGES_FREE:
        pages_given_back(value);
        break;
    case TRACE_PAGES_FREED:
        pages_poisoned(value);
        break;
    case TRACE_OBJECT_ALLOC:
        object_allocated(object, value);
        break;
    case TRACE_OBJECT_FREE:
        object_freed(object, value);
        break;
    default:
        break;
    }
}

/* The machine looks into its TLBs, and ends the run itself: its report says "TLB". */
static void tlb_event(enum trace_event event, const void *object, uint64_t value)
{
    (void)object;
    static struct cpumask must_forget;

    if (event != TRACE_PAGES_FREE)
        return;
    /* A CPU on its way in flushes everything before it goes online; one on its way out is asked to the last. */
    cpumask_clear(&must_forget);
    for_each_started_cpu(id) {
        enum cpu_state state = sim_peek(&cpu_table[id]->state);

        if (cpumask_contains(&cpu_online_mask, id) || state == CPU_LEAVING || state == CPU_STOPPING)
            cpumask_add(&must_forget, id);
    }
    host_tlb_must_forget(&must_forget);
    host_tlb_require_gone(ROUND_DOWN(value, PAGE_BYTES), PAGE_BYTES << (value % PAGE_BYTES));
}

const struct sim_checker checker_memory = {
    .promise = PROMISE_MEMORY,
    .name = "memory",
    .reset = memory_reset,
    .event = memory_event,
};

const struct sim_checker checker_tlb = { .promise = PROMISE_TLB, .name = "tlb", .event = tlb_event };
