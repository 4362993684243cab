/* SPDX-License-Identifier: MIT */
/*
 * Memory for the kit: the largest free stretch of RAM that the early tables show, handed out page by page and never
 * taken back; the kernel's page tables, built by core's own walker; addresses in the kmap window. CPU 0 only, no lock.
 */
#include "kit.h"

#include <k/errno.h>
#include <k/image.h>
#include <lib/string.h>
#include <mm/pagetable.h>

#define GIB (UINT64_C(1) << 30)
#define MEMORY_BYTES_MIN (UINT64_C(1) << 20)

static struct {
    paddr_t start, at, end;
    paddr_t root;
    vaddr_t va;
} memory;

/* The first reserved range that ends above `at`, by its base; NULL: none. */
static const struct boot_range *next_reserved(paddr_t at)
{
    const struct boot_range *best = NULL;

    for (unsigned i = 0; i < kit_boot->reserved_count; i++) {
        const struct boot_range *range = &kit_boot->reserved[i];

        if (range->bytes != 0 && range->base + (range->bytes - 1) >= at && (best == NULL || range->base < best->base))
            best = range;
    }
    return best;
}

static void consider(paddr_t from, paddr_t to)
{
    from = ROUND_UP(from, PAGE_BYTES);
    to = ROUND_DOWN(to, PAGE_BYTES);
    if (from < to && to - from > memory.end - memory.start) {
        memory.start = from;
        memory.end = to;
    }
}

/* Stretches of [at, end) that nothing reserves. */
static void consider_free(paddr_t at, paddr_t end)
{
    while (at < end) {
        const struct boot_range *reserved = next_reserved(at);

        if (reserved == NULL || reserved->base >= end) {
            consider(at, end);
            return;
        }
        if (reserved->base > at)
            consider(at, reserved->base);
        at = reserved->base + reserved->bytes;
    }
}

/* docs/PORTING.md: core's first steps touch RAM in the GiB that holds the image. */
void kit_memory_init(void)
{
    paddr_t low = ROUND_DOWN(kit_boot->image_paddr, GIB);

    for (unsigned i = 0; i < kit_boot->memory_count; i++) {
        paddr_t base = MAX(kit_boot->memory[i].base, MAX(low, PAGE_BYTES));
        paddr_t end = MIN(kit_boot->memory[i].base + kit_boot->memory[i].bytes, low + GIB);

        if (base < end)
            consider_free(base, end);
    }
    memory.at = memory.start;
    CHECK(memory.end - memory.start >= MEMORY_BYTES_MIN, "%llu KiB of free RAM in the GiB of the image",
          (unsigned long long)(memory.end - memory.start) >> 10);
}

uint64_t kit_memory_left(void)
{
    return memory.end - memory.at;
}

paddr_t kit_memory_block(size_t bytes)
{
    paddr_t block = ROUND_UP(memory.start, bytes);

    return block < memory.end && memory.end - block >= bytes ? block : 0;
}

void *kit_pages_alloc(size_t bytes)
{
    void *pages = kit_direct(memory.at);

    bytes = ROUND_UP(bytes, PAGE_BYTES);
    CHECK(bytes <= kit_memory_left(), "out of memory: %llu KiB are too little for the kit",
          (unsigned long long)(memory.end - memory.start) >> 10);
    memory.at += bytes;
    return memset(pages, 0, bytes);
}

paddr_t kit_page_alloc(void)
{
    return (uintptr_t)kit_pages_alloc(PAGE_BYTES) - HAL_DIRECT_MAP_BASE;
}

static const struct pt_alloc tables = { .alloc = kit_page_alloc };

static void map(paddr_t root, vaddr_t va, paddr_t pa, size_t bytes, unsigned prot)
{
    int error = pt_map(root, va, pa, bytes, prot, &tables);

    CHECK(error == 0, "the walker cannot map %#llx at %#llx: error %d", (unsigned long long)pa, (unsigned long long)va,
          error);
}

void kit_map_quietly(paddr_t root, vaddr_t va, paddr_t page, unsigned prot)
{
    map(root, va, page, PAGE_BYTES, prot);
}

uint64_t *kit_pte(paddr_t root, vaddr_t va)
{
    paddr_t table = root;

    for (unsigned level = HAL_PT_LEVELS - 1;; level--) {
        uint64_t *pte = (uint64_t *)kit_direct(table) +
                        (va >> (PAGE_SHIFT + level * HAL_PT_INDEX_BITS) & ((1u << HAL_PT_INDEX_BITS) - 1));

        if (level == 0)
            return pte;
        CHECK((*pte & HAL_PTE_VALID) != 0 && !hal_pte_is_leaf(*pte, level), "no table of level %u at %#llx", level - 1,
              (unsigned long long)va);
        table = hal_pte_paddr(*pte);
    }
}

void kit_map(paddr_t root, vaddr_t va, paddr_t pa, size_t bytes, unsigned prot)
{
    map(root, va, pa, bytes, prot);
    if (HAL_TLB_CACHES_INVALID)
        hal_tlb_flush_local(HAL_ASID_ANY, va, bytes / PAGE_BYTES);
}

void kit_unmap(paddr_t root, vaddr_t va, size_t bytes)
{
    pt_unmap(root, va, bytes);
    hal_tlb_flush_local(HAL_ASID_ANY, va, bytes / PAGE_BYTES);
}

static void map_part(const char *from, const char *to, unsigned prot)
{
    paddr_t pa = kit_boot->image_paddr + (uintptr_t)(from - __image_start);

    if (from != to)
        kit_map(memory.root, (vaddr_t)from, pa, (size_t)(to - from), prot | PROT_GLOBAL);
}

static void map_image(void)
{
    map_part(__image_start, __text_start, PROT_READ_ONLY);
    map_part(__text_start, __text_end, PROT_EXEC);
    map_part(__text_end, __rodata_end, PROT_READ_ONLY);
    map_part(__rodata_end, __image_end, PROT_WRITE);
}

/* Page by page: ranges may overlap. */
static void map_device(const struct boot_range *range)
{
    paddr_t end = ROUND_UP(range->base + range->bytes, PAGE_BYTES);

    for (paddr_t pa = ROUND_DOWN(range->base, PAGE_BYTES); pa < end; pa += PAGE_BYTES) {
        vaddr_t va = (vaddr_t)kit_direct(pa);
        paddr_t found;
        unsigned prot;

        if (pt_query(memory.root, va, &found, &prot) == -ENOENT)
            kit_map(memory.root, va, pa, PAGE_BYTES, PROT_WRITE | PROT_DEVICE | PROT_GLOBAL);
    }
}

paddr_t kit_tables_build(void)
{
    memory.root = kit_page_alloc();
    memory.va = HAL_KMAP_BASE;
    if (kit_image_is_in_ram)
        map_image();
    kit_map(memory.root, (vaddr_t)kit_direct(memory.start), memory.start, memory.end - memory.start,
            PROT_WRITE | PROT_GLOBAL);
    for (unsigned i = 0; i < kit_boot->device_count; i++)
        map_device(&kit_boot->device[i]);
    return memory.root;
}

paddr_t kit_root(void)
{
    return memory.root;
}

vaddr_t kit_va_reserve(size_t pages)
{
    vaddr_t va = memory.va + KIT_HOLE_PAGES * PAGE_BYTES;

    memory.va = va + pages * PAGE_BYTES;
    return va;
}

vaddr_t kit_stack_alloc(void)
{
    vaddr_t base = kit_va_reserve(KIT_STACK_BYTES / PAGE_BYTES);
    void *pages = kit_pages_alloc(KIT_STACK_BYTES);

    kit_map(memory.root, base, (uintptr_t)pages - HAL_DIRECT_MAP_BASE, KIT_STACK_BYTES, PROT_WRITE | PROT_GLOBAL);
    return base;
}

paddr_t kit_user_root(vaddr_t va, paddr_t page)
{
    paddr_t root = kit_page_alloc();

    if (HAL_PT_SHARED_ROOT)
        memcpy(kit_direct(root), kit_direct(memory.root), PAGE_BYTES);
    kit_map(root, va, page, PAGE_BYTES, kit_user_prot);
    return root;
}
