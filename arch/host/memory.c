/* SPDX-License-Identifier: MIT */
/*
 * Memory: RAM is a memory file, mapped at the direct map from the start and at kmap addresses when they are touched and
 * the core's own page tables say so (see fault.c). What the host has mapped in the kmap window is shared by all virtual
 * CPUs: a changed entry is not noticed before one of them flushes it. What each of them may hold is tlb.c's to know.
 */
#include "host_priv.h"

#include <sanitizer/asan_interface.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os.h"

/* RAM starts where no virtual address does, and has a hole in its middle, as firmware maps have. */
#define RAM_BASE UINT64_C(0x80000000)
#define RAM_HOLE_BYTES (UINT64_C(1) << 20)
#define FIRMWARE_BYTES (UINT64_C(64) << 10)
#define RAM_BYTES_MAX (UINT64_C(64) << 30)

/* Translations filled at once to either side. */
#define REFILL_BYTES_MAX (16 * PAGE_BYTES)

static struct {
    int file;
    paddr_t kernel_root; /* 0: not yet in use */
    uint64_t span_bytes; /* of RAM with its hole: also the file's size */
    uintptr_t shut_low;  /* what was shut in this machine lies in [shut_low, shut_high) */
    uintptr_t shut_high;
} memory = { .file = -1 };

unsigned host_pt_levels = HOST_PT_LEVELS;

extern char __image_start[];
extern char __image_end[];

void *host_memory_at(paddr_t pa)
{
    return (void *)(HAL_DIRECT_MAP_BASE + pa);
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
    memory.file = os_file_create(memory.span_bytes);
    require_host(memory.file >= 0, "memory file");
    require_host(os_claim(HAL_DIRECT_MAP_BASE + RAM_BASE, half, OS_READ_WRITE, memory.file, 0), "low RAM");
    require_host(os_claim(HAL_DIRECT_MAP_BASE + RAM_BASE + half + RAM_HOLE_BYTES, bytes - half, OS_READ_WRITE,
                          memory.file, half + RAM_HOLE_BYTES),
                 "high RAM");
    host_kmap_create();
    ranges_list(half, bytes - half);
    memory.shut_low = UINTPTR_MAX;
    memory.shut_high = 0;
    host_pt_levels = HOST_PT_LEVELS;
    memory.kernel_root = 0;
    host_tlb_create(RAM_BASE, memory.span_bytes);
    host_icache_create(RAM_BASE, memory.span_bytes);
}

void host_memory_destroy(void)
{
    if (memory.file < 0)
        return;
    host_tlb_destroy();
    host_icache_destroy();
    /* The next machine's RAM is in the same place. */
    host_memory_open_all();
    (void)os_unclaim((uintptr_t)host_memory_at(RAM_BASE), memory.span_bytes);
    host_kmap_destroy();
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
            /* Not through pwrite(): AddressSanitizer would look at what is shut. */
            long wrote = syscall(SYS_pwrite64, file, host_memory_at(RAM_BASE + (uint64_t)at), end - at, at);

            require_host(wrote > 0, "copy of RAM");
            at += wrote;
        }
    }
    for (unsigned i = 0; i < host.boot.memory_count; i++) {
        const struct boot_range *range = &host.boot.memory[i];

        require_host(os_replace((vaddr_t)host_memory_at(range->base), range->bytes, OS_READ_WRITE, file,
                                range->base - low->base),
                     "RAM after fork");
    }
    (void)close(memory.file);
    memory.file = file;
    require_host(host_kmap_clear(), "kmap window after fork");
}

bool host_memory_is_ram(paddr_t pa)
{
    for (unsigned i = 0; i < host.boot.memory_count; i++)
        if (pa >= host.boot.memory[i].base && pa - host.boot.memory[i].base < host.boot.memory[i].bytes)
            return true;
    return false;
}

static uint64_t pte_read(paddr_t table, vaddr_t va, unsigned level)
{
    size_t index = va >> (PAGE_SHIFT + level * HAL_PT_INDEX_BITS) & ((1u << HAL_PT_INDEX_BITS) - 1);

    return __atomic_load_n(&((const uint64_t *)host_memory_at(table))[index], __ATOMIC_RELAXED);
}

/* Take the entry of `level` for a leaf. */
static bool leaf_take(uint64_t pte, unsigned level, vaddr_t va, struct host_walk *out)
{
    uint64_t span = UINT64_C(1) << (PAGE_SHIFT + level * HAL_PT_INDEX_BITS);

    if ((pte & HAL_PTE_VALID) == 0 || !hal_pte_is_leaf(pte, level))
        return false;
    out->pa = hal_pte_paddr(pte) + ROUND_DOWN(va & (span - 1), PAGE_BYTES);
    out->prot = hal_pte_prot(pte);
    return host_memory_is_ram(out->pa);
}

bool host_memory_walk_table(paddr_t table, vaddr_t va, struct host_walk *out)
{
    out->table = table;
    return leaf_take(pte_read(table, va, 0), 0, va, out);
}

bool host_memory_walk(paddr_t root, vaddr_t va, struct host_walk *out)
{
    paddr_t table = root;

    out->table = 0;
    for (unsigned level = HOST_PT_LEVELS - 1; level > 0; level--) {
        if (!host_memory_is_ram(table))
            return false;
        uint64_t pte = pte_read(table, va, level);

        if ((pte & HAL_PTE_VALID) == 0 || hal_pte_is_leaf(pte, level))
            return leaf_take(pte, level, va, out);
        table = hal_pte_paddr(pte);
    }
    return host_memory_is_ram(table) && host_memory_walk_table(table, va, out);
}

/* Does the page at va continue, in RAM and in rights, the run whose page at `from` is at pa? */
static bool continues(paddr_t root, vaddr_t va, vaddr_t from, paddr_t pa, unsigned prot)
{
    struct host_walk other;

    return host_is_kmap(va) && host_memory_walk(root, va, &other) && other.prot == prot && other.pa - pa == va - from;
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
    struct host_walk found;

    if (root == 0 || !host_is_kmap(va) || !host_memory_walk(root, page, &found))
        return false;
    if (is_write && (found.prot & PROT_WRITE) == 0)
        return false;
    while (high - page < REFILL_BYTES_MAX && continues(root, high, page, found.pa, found.prot))
        high += PAGE_BYTES;
    while (page - low < REFILL_BYTES_MAX && continues(root, low - PAGE_BYTES, page, found.pa, found.prot))
        low -= PAGE_BYTES;
    paddr_t pa = found.pa - (page - low);

    host_tlb_refilled(page, low, high, pa);
    return host_kmap_map(low, high - low, pa, (found.prot & PROT_WRITE) != 0, memory.file, pa - RAM_BASE);
}

void host_pt_levels_set(unsigned levels)
{
    HOST_REQUIRE(levels >= 3 && levels <= PT_LEVELS_MAX, "host_pt_levels_set(%u)", levels);
    host_pt_levels = levels;
}

/* The host's mappings in the window, which all CPUs share. */
static void kmap_flush(unsigned asid, vaddr_t va, size_t pages)
{
    vaddr_t window_end = HAL_KMAP_BASE + HAL_KMAP_BYTES;
    bool is_all = pages == HAL_TLB_ALL_PAGES;
    vaddr_t start = is_all ? HAL_KMAP_BASE : MAX(va, (vaddr_t)HAL_KMAP_BASE);
    vaddr_t end = is_all ? window_end : MIN(va + pages * PAGE_BYTES, window_end);

    if (asid == HAL_ASID_ANY && start < end)
        HOST_REQUIRE(host_kmap_flush(host_self()->root, start, end), "the host refuses to unmap a flushed range");
}

static void require_asid(unsigned asid, const char *who)
{
    HOST_REQUIRE(asid == HAL_ASID_ANY || asid < host.config.asids, "%s: address-space id %u of %u", who, asid,
                 host.config.asids);
}

void hal_tlb_flush_local(unsigned asid, vaddr_t va, size_t pages)
{
    host_step(HOST_POINT_TLB);
    if (memory.file < 0)
        return;
    require_asid(asid, "hal_tlb_flush_local()");
    kmap_flush(asid, va, pages);
    host_tlb_flush(host_self(), asid, va, pages);
}

/* One CPU after the other, and anybody may be stepped in between. */
void hal_tlb_flush_remote(const struct cpumask *cpus, unsigned asid, vaddr_t va, size_t pages)
{
    HOST_REQUIRE(host_tlb_remote != 0, "hal_tlb_flush_remote() on a machine that has none");
    host_step(HOST_POINT_TLB);
    require_asid(asid, "hal_tlb_flush_remote()");
    kmap_flush(asid, va, pages);
    for (cpu_id_t id = cpumask_next(cpus, 0); id < host.config.cpus; id = cpumask_next(cpus, id + 1)) {
        if (host_cpus[id].state != HOST_CPU_OFF && host_cpus[id].state != HOST_CPU_PARKED)
            host_tlb_flush(&host_cpus[id], asid, va, pages);
        host_step(HOST_POINT_TLB);
    }
}

static void activate(paddr_t root, unsigned asid)
{
    HOST_REQUIRE(host.is_running && host_memory_is_ram(root) && IS_ALIGNED(root, PAGE_BYTES),
                 "hal_mmu_activate(%#llx): no page of RAM", (unsigned long long)root);
    HOST_REQUIRE(!hal_irq_is_enabled(), "hal_mmu_activate() with interrupts enabled");
    host_self()->root = root;
    host_self()->asid = asid;
    host_tlb_activate(host_self(), memory.kernel_root != 0 && root != memory.kernel_root);
}

void hal_mmu_activate(paddr_t root, unsigned asid)
{
    host_step(HOST_POINT_TLB);
    HOST_REQUIRE(asid < host.config.asids, "hal_mmu_activate(): address-space id %u of %u", asid, host.config.asids);
    HOST_REQUIRE(asid != 0 || host.config.asids == 1 || memory.kernel_root == 0 || root == memory.kernel_root,
                 "hal_mmu_activate(%#llx): address-space id 0 is for the kernel's own tables",
                 (unsigned long long)root);
    activate(root, asid);
}

/* Other tables for the kernel half, too: nothing that was read from those before may stay. */
void hal_mmu_activate_kernel(paddr_t root)
{
    host_tlb_forget(host_self());
    memory.kernel_root = root;
    activate(root, 0);
    HOST_REQUIRE(host_kmap_flush(root, HAL_KMAP_BASE, HAL_KMAP_BASE + HAL_KMAP_BYTES),
                 "the host refuses to unmap the kmap window");
}

void host_memory_shut(const volatile void *at, size_t bytes)
{
    memory.shut_low = MIN(memory.shut_low, (uintptr_t)at);
    memory.shut_high = MAX(memory.shut_high, (uintptr_t)at + bytes);
    ASAN_POISON_MEMORY_REGION(at, bytes);
}

void host_memory_open(const volatile void *at, size_t bytes)
{
    ASAN_UNPOISON_MEMORY_REGION(at, bytes);
}

void host_memory_open_all(void)
{
    if (memory.shut_low < memory.shut_high)
        ASAN_UNPOISON_MEMORY_REGION((void *)memory.shut_low, memory.shut_high - memory.shut_low);
}
