/* SPDX-License-Identifier: MIT */
/*
 * Instruction caches: which pages may be fetched from. Owns a flag for each page of RAM: hal_icache_sync() was called
 * for it since the core gave it back last. A CPU that comes to know a page as a program's code without that ends the
 * run. It does not see what is stored after the call, but remembers what was there, for tests that ask. No lock: one
 * CPU is stepped at a time.
 */
#include "host_priv.h"

#include <hal/mmu.h>

#include "os.h"

static struct {
    bool *is_synced; /* by page from base */
    uint64_t *sums;  /* the same: of what it held then */
    paddr_t base;
    uint64_t bytes;
} icache;

void host_icache_create(paddr_t base, uint64_t span_bytes)
{
    icache.base = base;
    icache.bytes = span_bytes;
    icache.is_synced = os_alloc(span_bytes >> PAGE_SHIFT, false);
    icache.sums = os_alloc((span_bytes >> PAGE_SHIFT) * sizeof *icache.sums, false);
    if (icache.is_synced == NULL || icache.sums == NULL)
        os_die("instruction caches");
}

void host_icache_destroy(void)
{
    os_release(icache.is_synced, icache.bytes >> PAGE_SHIFT);
    os_release(icache.sums, (icache.bytes >> PAGE_SHIFT) * sizeof *icache.sums);
    icache.is_synced = NULL;
    icache.sums = NULL;
}

static void set(paddr_t pa, size_t bytes, bool is_synced)
{
    for (paddr_t at = ROUND_DOWN(pa, PAGE_BYTES); at < pa + bytes; at += PAGE_BYTES)
        if (at - icache.base < icache.bytes)
            icache.is_synced[(at - icache.base) >> PAGE_SHIFT] = is_synced;
}

static uint64_t *sum_of(paddr_t page)
{
    return &icache.sums[(page - icache.base) >> PAGE_SHIFT];
}

/* FNV-1a, by words (Fowler, Noll, Vo). */
static uint64_t sum_up(paddr_t page)
{
    const uint64_t *words = host_memory_at(page);
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < PAGE_BYTES / sizeof *words; i++)
        sum = (sum ^ words[i]) * UINT64_C(0x100000001b3);
    return sum;
}

bool host_icache_has(paddr_t page)
{
    return icache.is_synced[(page - icache.base) >> PAGE_SHIFT] && *sum_of(page) == sum_up(page);
}

void host_icache_gone(paddr_t block, size_t bytes)
{
    set(block, bytes, false);
}

void host_icache_require(const struct host_cpu *cpu, vaddr_t va, paddr_t pa, unsigned prot)
{
    uint64_t page = (pa - icache.base) >> PAGE_SHIFT;

    if ((prot & PROT_EXEC) != 0 && pa - icache.base < icache.bytes && !icache.is_synced[page])
        host_fail("stale instructions: CPU %u may execute page %#llx at %#llx, and there was no hal_icache_sync() for "
                  "what it holds", cpu->id, (unsigned long long)pa, (unsigned long long)va);
}

void hal_icache_sync(paddr_t pa, size_t bytes)
{
    host_step(HOST_POINT_TLB);
    HOST_REQUIRE(IS_ALIGNED(pa, PAGE_BYTES) && IS_ALIGNED(bytes, PAGE_BYTES) && bytes != 0 &&
                     host_memory_is_ram(pa) && host_memory_is_ram(pa + bytes - 1),
                 "hal_icache_sync(%#llx, %#zx): no pages of RAM", (unsigned long long)pa, bytes);
    set(pa, bytes, true);
    for (paddr_t page = pa; page < pa + bytes; page += PAGE_BYTES)
        *sum_of(page) = sum_up(page);
}
