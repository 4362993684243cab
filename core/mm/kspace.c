/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own address space as it is built once at boot: direct map, devices, image. Owns the root. Nothing is
 * ever writable and executable, and no address writes to text or rodata: the direct map shows them read-only, too.
 * After kspace_init() the root's entries do not change, so that user roots can copy them; only kmap.c changes
 * tables below. No lock: all of it runs on the boot CPU before there are others, but for kspace_seal(), which
 * changes rights of existing leaves.
 */
#include "mm_priv.h"

#include <mm/bootmem.h>
#include <mm/kspace.h>

#include <hal/boot.h>
#include <hal/user.h>
#include <k/errno.h>
#include <k/image.h>
#include <k/log.h>
#include <lib/string.h>

static struct {
    paddr_t root;
    paddr_t image; /* physical address of __image_start */
    bool sealed;
} kspace RO_AFTER_INIT;

static paddr_t table_from_bootmem(void)
{
    return virt_to_phys(bootmem_alloc(PAGE_BYTES, PAGE_BYTES, "kernel page tables"));
}

static const struct pt_alloc boot_tables = {.alloc = table_from_bootmem, .free = NULL};

paddr_t kspace_root(void)
{
    return kspace.root;
}

static paddr_t image_paddr_of(const char *symbol)
{
    return kspace.image + (uintptr_t)(symbol - __image_start);
}

static void map_or_die(vaddr_t va, paddr_t pa, uint64_t bytes, unsigned prot, const char *what)
{
    int error;

    if (bytes == 0)
        return;
    error = pt_map(kspace.root, va, pa, bytes, prot | PROT_GLOBAL, &boot_tables);
    if (error != 0)
        panic("kspace: cannot map %s (%#llx bytes of %#llx at %#llx): error %d", what, (unsigned long long)bytes,
              (unsigned long long)pa, (unsigned long long)va, error);
}

static void map_direct(paddr_t base, paddr_t end, unsigned prot)
{
    map_or_die((vaddr_t)(uintptr_t)direct_map(base), base, end - base, prot, "RAM");
}

/* The parts of the image that the direct map must not make writable, ascending. The second is writable until it is
 * sealed; it is cut out here so that sealing finds leaves that end at its borders. */
struct alias {
    paddr_t base;
    paddr_t end;
    unsigned prot;
};

static void aliases_get(struct alias aliases[2])
{
    aliases[0] = (struct alias){image_paddr_of(__text_start), image_paddr_of(__rodata_end), PROT_READ_ONLY};
    aliases[1] = (struct alias){image_paddr_of(__ro_after_init_start), image_paddr_of(__ro_after_init_end), PROT_WRITE};
}

static void map_ram(void)
{
    const struct range_set *ram = bootmem_ram();
    struct alias aliases[2];

    aliases_get(aliases);
    for (unsigned i = 0; i < ram->count; i++) {
        paddr_t at = ram->at[i].base;
        paddr_t end = ram->at[i].end;

        for (unsigned a = 0; a < ARRAY_COUNT(aliases); a++) {
            paddr_t from = MAX(aliases[a].base, at);
            paddr_t to = MIN(aliases[a].end, end);

            if (from >= to)
                continue;
            map_direct(at, from, PROT_WRITE);
            map_direct(from, to, aliases[a].prot);
            at = to;
        }
        map_direct(at, end, PROT_WRITE);
    }
}

/* Device ranges as sets of whole pages, without what is RAM: a page has one memory type. */
static void map_devices(const struct boot_info *boot)
{
    static struct range_set devices;
    const struct range_set *ram = bootmem_ram();
    unsigned count = MIN(boot->device_count, (unsigned)BOOT_RANGES_MAX);

    devices.count = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct boot_range *range = &boot->device[i];

        if (range->base >= HAL_DIRECT_MAP_BYTES || range->bytes > HAL_DIRECT_MAP_BYTES - range->base) {
            log_warn("kspace: device %#llx + %#llx lies beyond the direct map: not mapped",
                     (unsigned long long)range->base, (unsigned long long)range->bytes);
            continue;
        }
        if (range->bytes > 0 && !ranges_add(&devices, ROUND_DOWN(range->base, PAGE_BYTES),
                                            ROUND_UP(range->base + range->bytes, PAGE_BYTES)))
            panic("kspace: the firmware lists too many devices");
    }
    for (unsigned i = 0; i < ram->count; i++)
        if (!ranges_remove(&devices, ram->at[i].base, ram->at[i].end))
            panic("kspace: the firmware's devices lie in too many parts of RAM");
    for (unsigned i = 0; i < devices.count; i++)
        map_or_die((vaddr_t)(uintptr_t)direct_map(devices.at[i].base), devices.at[i].base,
                   devices.at[i].end - devices.at[i].base, PROT_WRITE | PROT_DEVICE, "a device");
}

static void map_section(const char *from, const char *to, unsigned prot, const char *what)
{
    ASSERT((uintptr_t)from % PAGE_BYTES == 0 && (uintptr_t)to % PAGE_BYTES == 0);
    ASSERT((uintptr_t)from <= (uintptr_t)to);
    map_or_die((vaddr_t)(uintptr_t)from, image_paddr_of(from), (uintptr_t)to - (uintptr_t)from, prot, what);
}

static void map_image(void)
{
    map_section(__image_start, __text_start, PROT_READ_ONLY, "the image's head");
    map_section(__text_start, __text_end, PROT_EXEC, ".text");
    map_section(__text_end, __rodata_end, PROT_READ_ONLY, ".rodata");
    map_section(__rodata_end, __ro_after_init_start, PROT_WRITE, ".data");
    map_section(__ro_after_init_start, __ro_after_init_end, PROT_WRITE, ".data.ro_after_init");
    map_section(__ro_after_init_end, __image_end, PROT_WRITE, ".data and .bss");
}

void kspace_init(const struct boot_info *boot)
{
    ASSERT(boot->image_paddr % PAGE_BYTES == 0);
    kspace.image = boot->image_paddr;
    kspace.sealed = false;
    kspace.root = table_from_bootmem();
    map_ram();
    map_devices(boot);
    map_image();
    kmap_init(kspace.root, bootmem_ram_bytes(), &boot_tables);
    hal_mmu_activate_kernel(kspace.root);
    log_info("kspace: page tables of %u levels, pages of up to %zu MiB", HAL_PT_LEVELS,
             pt_level_bytes(HAL_PT_LEAF_LEVEL_MAX) >> 20);
}

struct check {
    unsigned leaves;
    paddr_t base[2]; /* what nothing may write to */
    paddr_t end[2];
};

static int check_leaf(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot)
{
    struct check *check = arg;

    check->leaves++;
    if ((prot & PROT_USER) != 0)
        panic("kspace: user programs may reach %#llx", (unsigned long long)va);
    if ((prot & PROT_GLOBAL) == 0)
        panic("kspace: %#llx is mapped for one space only", (unsigned long long)va);
    if ((prot & PROT_WRITE) == 0)
        return 0;
    if ((prot & PROT_EXEC) != 0)
        panic("kspace: %#llx is writable and executable", (unsigned long long)va);
    for (unsigned i = 0; i < ARRAY_COUNT(check->base); i++)
        if (pa < check->end[i] && check->base[i] < pa + bytes)
            panic("kspace: text or read-only data can be written at %#llx", (unsigned long long)va);
    return 0;
}

/* User roots are made from the root's entries, so one too many, even of an empty table, would be every space's. A leaf
 * there is also what a null pointer with an offset may point to. */
static void check_user_half(void)
{
    const uint64_t *entries = pt_table_at(kspace.root);
    size_t count = HAL_PT_SHARED_ROOT ? pt_index((vaddr_t)HAL_DIRECT_MAP_BASE, HAL_PT_LEVELS - 1) : 0;

    for (size_t i = 0; i < count; i++)
        if (entries[i] != 0)
            panic("kspace: the user half is not empty: root entry %zu is %#llx", i, (unsigned long long)entries[i]);
}

unsigned kspace_check(void)
{
    struct alias aliases[2];
    struct check check = {.leaves = 0};
    unsigned bits = pt_level_shift(HAL_PT_LEVELS) - (HAL_PT_SHARED_ROOT ? 1 : 0);
    size_t half = (size_t)1 << bits;

    check_user_half();
    aliases_get(aliases);
    for (unsigned i = 0; i < ARRAY_COUNT(aliases); i++) {
        if (i == 1 && !kspace.sealed)
            break;
        check.base[i] = aliases[i].base;
        check.end[i] = aliases[i].end;
    }
    /* A machine's kernel addresses need not be those of the upper half. */
    if (HAL_PT_SHARED_ROOT)
        (void)pt_walk(kspace.root, 0, half, check_leaf, &check);
    (void)pt_walk(kspace.root, (vaddr_t)0 - half, half, check_leaf, &check);
    return check.leaves;
}

void kspace_seal(void)
{
    size_t bytes = (size_t)(__ro_after_init_end - __ro_after_init_start);
    paddr_t pa = image_paddr_of(__ro_after_init_start);
    struct tlb_range flush[2];
    vaddr_t alias = (vaddr_t)(uintptr_t)direct_map(pa);
    paddr_t query_pa;
    unsigned query_prot;

    kspace.sealed = true;
    if (bytes == 0)
        return;
    pt_protect(kspace.root, (vaddr_t)(uintptr_t)__ro_after_init_start, bytes, PROT_READ_ONLY | PROT_GLOBAL);
    if (pt_query(kspace.root, alias, &query_pa, &query_prot) == 0)
        pt_protect(kspace.root, alias, bytes, PROT_READ_ONLY | PROT_GLOBAL);
    flush[0] = (struct tlb_range){(vaddr_t)(uintptr_t)__ro_after_init_start, bytes / PAGE_BYTES};
    flush[1] = (struct tlb_range){alias, bytes / PAGE_BYTES};
    tlb_flush_kernel(flush, 2);
}
