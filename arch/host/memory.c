/* SPDX-License-Identifier: MIT */
/*
 * Memory: RAM is a memory file, mapped at the direct map from the start and at kmap addresses when they are touched and
 * the core's own page tables say so (see fault.c). What is mapped in the kmap window is the TLB of this machine: a
 * changed entry is not noticed before hal_tlb_flush_local(). All virtual CPUs share it.
 */
#include "host_priv.h"

#include <unistd.h>

#include "os.h"

/* RAM starts where no virtual address does, and has a hole in its middle, as firmware maps have. */
#define RAM_BASE UINT64_C(0x80000000)
#define RAM_HOLE_BYTES (UINT64_C(1) << 20)
#define FIRMWARE_BYTES (UINT64_C(64) << 10)
#define RAM_BYTES_MAX (UINT64_C(64) << 30)

/* Translations filled at once to either side, and how many runs the host's kernel keeps: it allows 65,530 mappings. */
#define REFILL_BYTES_MAX (16 * PAGE_BYTES)
#define TLB_RUNS_MAX 24000u

static struct {
    int file;
    uint64_t span_bytes; /* of RAM with its hole: also the file's size */
    unsigned tlb_runs;   /* mappings made in the kmap window since the last complete flush */
} memory = { .file = -1 };

extern char __image_start[];
extern char __image_end[];

static void *direct(paddr_t pa)
{
    return (void *)(HAL_DIRECT_MAP_BASE + pa);
}

static bool kmap_clear(vaddr_t va, size_t bytes)
{
    return os_replace(va, bytes, OS_NONE, OS_NO_FILE, 0);
}

static void require_host(bool ok, const char *what)
{
    if (!ok)
        os_die(what);
}

static void ranges_list(uint64_t low_bytes, uint64_t high_bytes)
{
    struct boot_info *boot = &host.boot;

    /* The upper range first: the order is the firmware's, and nobody may rely on it. */
    boot->memory[0] = (struct boot_range){ RAM_BASE + low_bytes + RAM_HOLE_BYTES, high_bytes };
    boot->memory[1] = (struct boot_range){ RAM_BASE, low_bytes };
    boot->memory_count = 2;
    boot->image_paddr = RAM_BASE + FIRMWARE_BYTES;
    boot->reserved[0] = (struct boot_range){ RAM_BASE, FIRMWARE_BYTES };
    boot->reserved[1] = (struct boot_range){ boot->image_paddr, (uint64_t)(__image_end - __image_start) };
    boot->reserved_count = 2;
}

void host_memory_create(void)
{
    uint64_t bytes = ROUND_UP(host.config.memory_bytes, 2 * PAGE_BYTES);
    uint64_t half = ROUND_UP(bytes / 2, PAGE_BYTES);

    require_host(bytes <= RAM_BYTES_MAX, "host_config.memory_bytes above 64 GiB");
    memory.span_bytes = bytes + RAM_HOLE_BYTES;
    memory.tlb_runs = 0;
    memory.file = os_file_create(memory.span_bytes);
    require_host(memory.file >= 0, "memory file");
    require_host(os_claim(HAL_DIRECT_MAP_BASE + RAM_BASE, half, OS_READ_WRITE, memory.file, 0), "low RAM");
    require_host(os_claim(HAL_DIRECT_MAP_BASE + RAM_BASE + half + RAM_HOLE_BYTES, bytes - half, OS_READ_WRITE,
                          memory.file, half + RAM_HOLE_BYTES),
                 "high RAM");
    require_host(os_claim(HAL_KMAP_BASE, HAL_KMAP_BYTES, OS_NONE, OS_NO_FILE, 0), "kmap window");
    ranges_list(half, bytes - half);
}

void host_memory_destroy(void)
{
    if (memory.file < 0)
        return;
    os_unclaim((uintptr_t)direct(RAM_BASE), memory.span_bytes);
    os_unclaim(HAL_KMAP_BASE, HAL_KMAP_BYTES);
    (void)close(memory.file);
    memory.file = -1;
}

/* Copy the pages that exist into a file of this process and put it in the old one's place. */
void host_memory_unshare(void)
{
    int file = os_file_create(memory.span_bytes);
    const struct boot_range *low = &host.boot.memory[1];
    off_t at = 0;

    require_host(file >= 0, "memory file after fork");
    while ((at = lseek(memory.file, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(memory.file, at, SEEK_HOLE);

        while (at < end) {
            ssize_t wrote = pwrite(file, direct(RAM_BASE + (uint64_t)at), (size_t)(end - at), at);

            require_host(wrote > 0, "copy of RAM");
            at += wrote;
        }
    }
    for (unsigned i = 0; i < host.boot.memory_count; i++) {
        const struct boot_range *range = &host.boot.memory[i];

        require_host(os_replace((vaddr_t)direct(range->base), range->bytes, OS_READ_WRITE, file,
                                range->base - low->base),
                     "RAM after fork");
    }
    (void)close(memory.file);
    memory.file = file;
    require_host(kmap_clear(HAL_KMAP_BASE, HAL_KMAP_BYTES), "kmap window after fork");
}

static bool is_ram(paddr_t pa)
{
    for (unsigned i = 0; i < host.boot.memory_count; i++)
        if (pa >= host.boot.memory[i].base && pa - host.boot.memory[i].base < host.boot.memory[i].bytes)
            return true;
    return false;
}

/* What the tables at root say about va: its page's address and the rights, or false. */
static bool translate(paddr_t root, vaddr_t va, paddr_t *out_pa, unsigned *out_prot)
{
    paddr_t table = root;

    for (unsigned level = hal_pt_levels(); level-- > 0;) {
        unsigned shift = PAGE_SHIFT + level * HAL_PT_INDEX_BITS;
        size_t index = va >> shift & ((1u << HAL_PT_INDEX_BITS) - 1);

        if (!is_ram(table))
            return false;
        uint64_t pte = __atomic_load_n(&((const uint64_t *)direct(table))[index], __ATOMIC_RELAXED);

        if (!hal_pte_is_valid(pte))
            return false;
        if (level == 0 || hal_pte_is_leaf(pte, level)) {
            *out_pa = hal_pte_paddr(pte) + ROUND_DOWN(va & ((UINT64_C(1) << shift) - 1), PAGE_BYTES);
            *out_prot = hal_pte_prot(pte);
            return hal_pte_is_leaf(pte, level) && is_ram(*out_pa);
        }
        table = hal_pte_paddr(pte);
    }
    return false;
}

/* Does the page at va continue, in RAM and in rights, the run whose page at `from` is at pa? */
static bool continues(paddr_t root, vaddr_t va, vaddr_t from, paddr_t pa, unsigned prot)
{
    paddr_t other_pa;
    unsigned other_prot;

    return va >= HAL_KMAP_BASE && va - HAL_KMAP_BASE < HAL_KMAP_BYTES && translate(root, va, &other_pa, &other_prot) &&
           other_prot == prot && other_pa - pa == va - from;
}

/*
 * A TLB may hold more than was asked for: the pages around va come along while they follow each other in RAM with the
 * same rights, so that a stack costs one fault. A full TLB forgets everything.
 */
bool host_memory_refill(paddr_t root, vaddr_t va, bool is_write)
{
    vaddr_t page = ROUND_DOWN(va, PAGE_BYTES);
    vaddr_t low = page;
    vaddr_t high = page + PAGE_BYTES;
    paddr_t pa;
    unsigned prot;

    if (root == 0 || va < HAL_KMAP_BASE || va - HAL_KMAP_BASE >= HAL_KMAP_BYTES || !translate(root, page, &pa, &prot))
        return false;
    if (is_write && (prot & PROT_WRITE) == 0)
        return false;
    while (high - page < REFILL_BYTES_MAX && continues(root, high, page, pa, prot))
        high += PAGE_BYTES;
    while (page - low < REFILL_BYTES_MAX && continues(root, low - PAGE_BYTES, page, pa, prot))
        low -= PAGE_BYTES;
    if (++memory.tlb_runs > TLB_RUNS_MAX) {
        memory.tlb_runs = 1;
        if (!kmap_clear(HAL_KMAP_BASE, HAL_KMAP_BYTES))
            return false;
    }
    return os_replace(low, high - low, (prot & PROT_WRITE) != 0 ? OS_READ_WRITE : OS_READ, memory.file,
                      pa - (page - low) - RAM_BASE);
}

void hal_tlb_flush_local(vaddr_t va, size_t pages)
{
    host_step(HOST_POINT_TLB);
    vaddr_t start = MAX(va, (vaddr_t)HAL_KMAP_BASE);
    vaddr_t end = MIN(va + pages * PAGE_BYTES, (vaddr_t)(HAL_KMAP_BASE + HAL_KMAP_BYTES));

    if (memory.file >= 0 && start < end)
        HOST_REQUIRE(kmap_clear(start, end - start), "the host refuses to unmap a flushed range");
}

void hal_mmu_activate(paddr_t root)
{
    HOST_REQUIRE(host.is_running && is_ram(root) && IS_ALIGNED(root, PAGE_BYTES),
                 "hal_mmu_activate(%#llx): no page of RAM", (unsigned long long)root);
    HOST_REQUIRE(!hal_irq_is_enabled(), "hal_mmu_activate() with interrupts enabled");
    host_self()->root = root;
}

void hal_mmu_activate_kernel(paddr_t root)
{
    hal_mmu_activate(root);
}
