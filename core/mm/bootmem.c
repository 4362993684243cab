/* SPDX-License-Identifier: MIT */
/*
 * Memory before the buddy allocator. Owns the cleaned-up map of RAM and what of it is still free. Boot CPU only, no
 * lock. The firmware's ranges are not trusted: memory counts only in whole pages inside the direct map's window,
 * reservations always win, and a range that wraps is no memory but still a reservation.
 */
#include "mm_priv.h"

#include <mm/bootmem.h>

#include <lib/string.h>

#include <hal/boot.h>
#include <k/image.h>
#include <k/log.h>

#define GIB ((uint64_t)1 << 30)

static struct {
    struct range_set ram;  /* whole pages, merged */
    struct range_set free; /* RAM that is neither reserved nor handed out; bytes, not pages */
    uint64_t ram_bytes;
    uint64_t used_bytes;
    paddr_t near; /* the GiB that holds the image: every machine's early tables map it */
    bool finished;
} bootmem;

const struct range_set *bootmem_ram(void)
{
    return &bootmem.ram;
}

uint64_t bootmem_ram_bytes(void)
{
    return bootmem.ram_bytes;
}

static unsigned long long kib(uint64_t bytes)
{
    return (unsigned long long)(bytes >> 10);
}

/* Collect RAM in bytes first, so that neighbours that meet inside a page still make a whole page. */
static void collect_memory(const struct boot_info *boot)
{
    unsigned count = MIN(boot->memory_count, (unsigned)BOOT_RANGES_MAX);

    if (count < boot->memory_count)
        log_warn("memory: the firmware lists %u ranges, only the first %u are used", boot->memory_count, count);
    for (unsigned i = 0; i < count; i++) {
        paddr_t base = boot->memory[i].base;
        paddr_t end = base + boot->memory[i].bytes;

        if (end < base) {
            log_warn("memory: range %#llx + %#llx wraps around: ignored", (unsigned long long)base,
                     (unsigned long long)boot->memory[i].bytes);
            continue;
        }
        if (end > HAL_DIRECT_MAP_BYTES) {
            log_warn("memory: %#llx..%#llx lies beyond the direct map's %#llx bytes: ignored there",
                     (unsigned long long)base, (unsigned long long)end, (unsigned long long)HAL_DIRECT_MAP_BYTES);
            end = HAL_DIRECT_MAP_BYTES;
        }
        if (!ranges_add(&bootmem.free, base, end))
            panic("memory: the firmware's map has too many parts");
    }
}

/* Keep whole pages only. */
static void round_memory(void)
{
    for (unsigned i = 0; i < bootmem.free.count; i++) {
        paddr_t base = ROUND_UP(bootmem.free.at[i].base, PAGE_BYTES);
        paddr_t end = ROUND_DOWN(bootmem.free.at[i].end, PAGE_BYTES);

        if (base < end && !ranges_add(&bootmem.ram, base, end))
            panic("memory: the firmware's map has too many parts");
    }
    bootmem.free = bootmem.ram;
    for (unsigned i = 0; i < bootmem.ram.count; i++)
        bootmem.ram_bytes += bootmem.ram.at[i].end - bootmem.ram.at[i].base;
}

/* Every page that the range touches; a range that wraps reaches to the end of the address space. */
static void reserve(paddr_t base, uint64_t bytes)
{
    paddr_t end = base + bytes;

    if (bytes == 0)
        return;
    if (end < base || end > UINT64_MAX - PAGE_BYTES)
        end = UINT64_MAX - PAGE_BYTES + 1;
    else
        end = ROUND_UP(end, PAGE_BYTES);
    if (!ranges_remove(&bootmem.free, ROUND_DOWN(base, PAGE_BYTES), end))
        panic("memory: the firmware's reservations cut it into too many parts");
}

static void reserve_all(const struct boot_info *boot)
{
    if (boot->reserved_count > BOOT_RANGES_MAX)
        panic("memory: the firmware reserves %u ranges, at most %u can be honoured", boot->reserved_count,
              (unsigned)BOOT_RANGES_MAX);
    for (unsigned i = 0; i < boot->reserved_count; i++)
        reserve(boot->reserved[i].base, boot->reserved[i].bytes);
    /* The machine lists these two, too; forgetting them would be found out late and at random. */
    reserve(boot->image_paddr, (uint64_t)((uintptr_t)__image_end - (uintptr_t)__image_start));
    reserve(boot->initrd.base, boot->initrd.bytes);
    /* Page 0 is the address that phys_alloc() returns for "none". */
    reserve(0, PAGE_BYTES);
}

void bootmem_init(const struct boot_info *boot)
{
    memset(&bootmem, 0, sizeof(bootmem));
    bootmem.near = ROUND_DOWN(boot->image_paddr, GIB);
    collect_memory(boot);
    round_memory();
    reserve_all(boot);
    if (bootmem.free.count == 0)
        panic("no usable memory: the firmware lists %u ranges with %llu KiB of RAM, and all of it is reserved",
              boot->memory_count, kib(bootmem.ram_bytes));
    nodes_init(boot);
}

/* The lowest aligned place in `window` with room, or UINT64_MAX. *out_base is where its free part begins. */
static paddr_t find_room(struct range window, uint64_t bytes, uint64_t align, paddr_t *out_base)
{
    for (unsigned i = 0; i < bootmem.free.count; i++) {
        paddr_t base = MAX(bootmem.free.at[i].base, window.base);
        paddr_t end = MIN(bootmem.free.at[i].end, window.end);
        paddr_t at = ROUND_UP(base, align);

        if (at >= base && at < end && end - at >= bytes) {
            *out_base = base;
            return at;
        }
    }
    return UINT64_MAX;
}

static uint64_t largest_free(void)
{
    uint64_t largest = 0;

    for (unsigned i = 0; i < bootmem.free.count; i++)
        largest = MAX(largest, bootmem.free.at[i].end - bootmem.free.at[i].base);
    return largest;
}

void *bootmem_alloc(size_t bytes, size_t align, const char *what)
{
    paddr_t base;

    ASSERT(bytes > 0);
    ASSERT(align > 0 && (align & (align - 1)) == 0);
    ASSERT(!bootmem.finished);

    /* Before kspace_init() only what the machine's early tables map can be touched: the image's GiB first, then the
     * lowest memory there is. */
    paddr_t at = find_room((struct range){bootmem.near, bootmem.near + GIB}, bytes, align, &base);

    if (at == UINT64_MAX)
        at = find_room((struct range){0, UINT64_MAX}, bytes, align, &base);
    if (at == UINT64_MAX)
        panic("out of memory at boot: need %llu KiB for %s, the largest free range has %llu KiB of %llu KiB RAM",
              kib(bytes + 1023), what, kib(largest_free()), kib(bootmem.ram_bytes));
    /* If the set is too full to keep the gap that alignment left, the gap is given up: that needs no new part. */
    if (!ranges_remove(&bootmem.free, at, at + bytes) && !ranges_remove(&bootmem.free, base, at + bytes))
        panic("out of memory at boot: the map has too many parts to place %s", what);
    bootmem.used_bytes += bytes;
    return memset(direct_map(at), 0, bytes);
}

/* Holes of up to this many pages are described as reserved pages: that costs less than a span of their own. */
#define SPAN_HOLE_PAGES_MAX 1024

static void describe_spans(void)
{
    const struct range_set *ram = &bootmem.ram;
    unsigned first = 0;

    for (unsigned i = 0; i < ram->count; i++) {
        bool more = i + 1 < ram->count && (ram->at[i + 1].base - ram->at[i].end) / PAGE_BYTES <= SPAN_HOLE_PAGES_MAX;

        if (more)
            continue;

        pfn_t from = ram->at[first].base / PAGE_BYTES;
        pfn_t to = ram->at[i].end / PAGE_BYTES;

        phys_add_span(from, to, bootmem_alloc(phys_descriptor_bytes(to - from), CACHE_LINE_BYTES, "page descriptors"));
        first = i + 1;
    }
}

void bootmem_finish(void)
{
    uint64_t free_bytes = 0;

    ASSERT(!bootmem.finished);
    phys_init(bootmem.ram_bytes / PAGE_BYTES);
    describe_spans();
    bootmem.finished = true;
    for (unsigned i = 0; i < bootmem.free.count; i++) {
        pfn_t first = ROUND_UP(bootmem.free.at[i].base, PAGE_BYTES) / PAGE_BYTES;
        pfn_t end = bootmem.free.at[i].end / PAGE_BYTES;

        if (first >= end)
            continue;
        phys_add_free(first, end);
        free_bytes += (end - first) * PAGE_BYTES;
    }
    log_info("memory: %llu KiB RAM in %u parts, %llu KiB free, %llu KiB taken at boot", kib(bootmem.ram_bytes),
             bootmem.ram.count, kib(free_bytes), kib(bootmem.used_bytes));
}
