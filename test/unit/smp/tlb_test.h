/* SPDX-License-Identifier: MIT */
/*
 * The world of tlb_test.c: pages of RAM, tables made of them, and spaces whose pages say what they are. What was given
 * back is told to the simulated TLBs, says so itself, and is the first to be used again.
 */
#pragma once

#include "smp_test.h"

#include <smp/tlb.h>

#define SPACES 6
#define PLACES 3
#define POOL_PAGES 200
#define USER_VA ((vaddr_t)0x400000)
#define USER_PROT (PROT_USER | PROT_WRITE)
#define DEAD UINT64_C(0xdeaddeaddeaddead)

/* ---- Pages and tables: the last that came back is the first to go out ---- */

static struct {
    struct spinlock lock;
    paddr_t page[POOL_PAGES];
    unsigned count;
} pool;

static inline uint64_t *words_of(paddr_t page)
{
    return (uint64_t *)(HAL_DIRECT_MAP_BASE + page);
}

static inline void pool_fill(void)
{
    const struct boot_range *low = &host_boot_info()->memory[1];
    paddr_t first = ROUND_UP(low->base + low->bytes / 2, PAGE_BYTES); /* no firmware and no image there */

    spin_init(&pool.lock, LOCK_PHYS);
    for (pool.count = 0; pool.count < POOL_PAGES; pool.count++)
        pool.page[pool.count] = first + pool.count * PAGE_BYTES;
}

static inline paddr_t page_take(void)
{
    spin_lock(&pool.lock);
    ASSERT(pool.count > 0);
    paddr_t page = pool.page[--pool.count];

    spin_unlock(&pool.lock);
    memset(words_of(page), 0, PAGE_BYTES);
    return page;
}

/* What a load through an old translation would see. */
static inline void page_give(paddr_t page)
{
    host_tlb_require_gone(page, PAGE_BYTES);
    for (unsigned i = 0; i < PAGE_BYTES / sizeof(uint64_t); i++)
        words_of(page)[i] = DEAD;
    spin_lock(&pool.lock);
    pool.page[pool.count++] = page;
    spin_unlock(&pool.lock);
}

/* The entry of `want` for va; tables above it are made. */
static inline _Atomic(uint64_t) *entry_of(paddr_t root, vaddr_t va, unsigned want)
{
    paddr_t table = root;

    for (unsigned level = HAL_PT_LEVELS - 1;; level--) {
        uint64_t *pte = &words_of(table)[va >> (PAGE_SHIFT + level * HAL_PT_INDEX_BITS) & 511];

        if (level == want)
            return (_Atomic(uint64_t) *)pte;
        if ((*pte & HAL_PTE_VALID) == 0)
            *pte = hal_pte_table(page_take());
        table = hal_pte_paddr(*pte);
    }
}

/* ---- Spaces ---- */

/* Guarded by lock, but for what is atomic. */
static struct test_space {
    struct tlb_space tlb;
    struct spinlock lock;
    unsigned users;         /* CPUs that use it, or will at once */
    uint32_t incarnation;
    uint32_t version[PLACES];
    paddr_t page[PLACES];
    _Atomic(uint32_t) oldest[PLACES]; /* what may still be seen there */
} spaces[SPACES];

static struct {
    paddr_t kernel_root;
    uint64_t seed;
    unsigned cpus, asids, rounds;
    _Atomic(bool) is_ready;
    _Atomic(unsigned) left;
} team;

static inline vaddr_t place_va(unsigned place)
{
    return USER_VA + place * PAGE_BYTES;
}

static inline uint64_t stamp_of(const struct test_space *space, unsigned place)
{
    return (uint64_t)space->incarnation << 40 | (uint64_t)place << 32 | space->version[place];
}

static inline void place_fill(struct test_space *space, unsigned place)
{
    space->page[place] = page_take();
    words_of(space->page[place])[0] = stamp_of(space, place);
    store_relaxed(entry_of(space->tlb.root, place_va(place), 0), hal_pte_leaf(space->page[place], USER_PROT, 0));
}

static inline void space_make(struct test_space *space)
{
    space->incarnation++;
    tlb_space_init(&space->tlb, page_take());
    for (unsigned place = 0; place < PLACES; place++)
        place_fill(space, place);
}

/* Nobody uses it: nothing is flushed. */
static inline void space_unmake(struct test_space *space)
{
    paddr_t root = space->tlb.root;

    tlb_space_fini(&space->tlb);
    for (unsigned place = 0; place < PLACES; place++)
        page_give(space->page[place]);
    for (unsigned level = 1; level < HAL_PT_LEVELS; level++)
        page_give(hal_pte_paddr(load_relaxed(entry_of(root, USER_VA, level))));
    page_give(root);
}

static inline void use(struct test_space *space)
{
    uintptr_t state = hal_irq_save();

    tlb_switch(space != NULL ? &space->tlb : NULL);
    ASSERT(tlb_active() == (space != NULL ? &space->tlb : NULL));
    hal_irq_restore(state);
}
