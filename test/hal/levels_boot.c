/* SPDX-License-Identifier: MIT */
/* Levels before there are tables and interrupts: console, boot_info, this CPU. Boot stack, interrupts disabled. */
#include "levels.h"

#include <k/image.h>
#include <lib/string.h>

#define CLOCK_HZ_MIN UINT64_C(1000)         /* slower cannot tell milliseconds */
#define CLOCK_HZ_MAX UINT64_C(10000000000) /* no product of ticks and nanoseconds below a second overflows */

const char *level_console(void)
{
    int c = hal_console_get();

    CHECK(c >= -1 && c <= 255, "hal_console_get() returned %d", c);
    return NULL;
}

/* ---- boot_info ---- */

static bool ranges_cover(const struct boot_range *ranges, unsigned count, paddr_t page)
{
    for (unsigned i = 0; i < count; i++)
        if (page >= ranges[i].base && page - ranges[i].base < ranges[i].bytes)
            return true;
    return false;
}

static void check_ranges(const struct boot_range *ranges, unsigned count, const char *what)
{
    CHECK(count <= BOOT_RANGES_MAX, "%u %s ranges", count, what);
    for (unsigned i = 0; i < count; i++)
        CHECK(ranges[i].bytes == 0 || ranges[i].base + (ranges[i].bytes - 1) >= ranges[i].base,
              "%s range %u wraps: %#llx + %#llx", what, i, (unsigned long long)ranges[i].base,
              (unsigned long long)ranges[i].bytes);
}

static void check_image(void)
{
    uint64_t bytes = (uint64_t)(__image_end - __image_start);

    CHECK(kit_boot->image_paddr % PAGE_BYTES == 0, "the image is at %#llx", (unsigned long long)kit_boot->image_paddr);
    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
        CHECK(ranges_cover(kit_boot->memory, kit_boot->memory_count, kit_boot->image_paddr + at),
              "the image's byte %#llx is not in RAM", (unsigned long long)at);
        CHECK(ranges_cover(kit_boot->reserved, kit_boot->reserved_count, kit_boot->image_paddr + at),
              "the image's byte %#llx is not reserved", (unsigned long long)at);
    }
    if (kit_image_is_in_ram)
        CHECK(memcmp(kit_direct(kit_boot->image_paddr), __image_start, (size_t)(__rodata_end - __image_start)) == 0,
              "boot_info.image_paddr is not where the image is");
}

static void check_cpus(void)
{
    CHECK(kit_boot->cpu_count >= 1 && kit_boot->cpu_count <= CPU_MAX, "%u CPUs", kit_boot->cpu_count);
    CHECK(kit_boot->cpu_listed >= kit_boot->cpu_count, "%u CPUs of %u listed", kit_boot->cpu_count,
          kit_boot->cpu_listed);
    for (unsigned i = 0; i < kit_boot->cpu_count; i++)
        for (unsigned j = 0; j < i; j++)
            CHECK(kit_boot->cpu_hw_id[i] != kit_boot->cpu_hw_id[j], "CPUs %u and %u have one id, %#llx", j, i,
                  (unsigned long long)kit_boot->cpu_hw_id[i]);
}

/* What is there is the caller's to compare: a sum of the bytes, each by its place, is told. */
static void check_initrd(void)
{
    const uint8_t *data = kit_direct(kit_boot->initrd.base);
    uint64_t sum = 0;

    for (uint64_t at = 0; at < kit_boot->initrd.bytes; at += PAGE_BYTES)
        CHECK(ranges_cover(kit_boot->reserved, kit_boot->reserved_count, kit_boot->initrd.base + at),
              "the initrd's byte %#llx is not reserved", (unsigned long long)at);
    for (uint64_t at = 0; at < kit_boot->initrd.bytes; at++)
        sum += data[at] * (at + 1);
    if (kit_boot->initrd.bytes != 0)
        kit_say("initrd of %llu bytes, sum %llu", (unsigned long long)kit_boot->initrd.bytes, (unsigned long long)sum);
}

static bool is_text(const char *text, size_t room)
{
    return strnlen(text, room) < room;
}

const char *level_memory(void)
{
    check_ranges(kit_boot->memory, kit_boot->memory_count, "memory");
    check_ranges(kit_boot->reserved, kit_boot->reserved_count, "reserved");
    check_ranges(kit_boot->device, kit_boot->device_count, "device");
    CHECK(kit_boot->memory_count >= 1, "no RAM is listed");
    for (unsigned i = 0; i < kit_boot->device_count; i++)
        CHECK(kit_boot->device[i].base < HAL_DIRECT_MAP_BYTES &&
                  kit_boot->device[i].bytes <= HAL_DIRECT_MAP_BYTES - kit_boot->device[i].base,
              "device %u lies beyond the direct map", i);
    check_image();
    check_initrd();
    check_cpus();
    CHECK(kit_boot->clock_hz >= CLOCK_HZ_MIN && kit_boot->clock_hz <= CLOCK_HZ_MAX, "a clock of %llu Hz",
          (unsigned long long)kit_boot->clock_hz);
    CHECK(is_text(kit_boot->firmware, sizeof kit_boot->firmware) && kit_boot->firmware[0] != '\0', "no firmware name");
    CHECK(is_text(kit_boot->machine, sizeof kit_boot->machine) && kit_boot->machine[0] != '\0', "no machine name");
    CHECK(is_text(kit_boot->cmdline, sizeof kit_boot->cmdline), "the command line does not end");
    CHECK(kit_boot->entropy_bytes <= sizeof kit_boot->entropy, "%u bytes of entropy", kit_boot->entropy_bytes);
    kit_memory_init();
    volatile uint64_t *page = kit_direct(kit_page_alloc());

    for (unsigned i = 0; i < PAGE_BYTES / sizeof *page; i++)
        page[i] = i * UINT64_C(0x0101010101010101);
    for (unsigned i = 0; i < PAGE_BYTES / sizeof *page; i++)
        CHECK(page[i] == i * UINT64_C(0x0101010101010101), "RAM does not keep what was stored");
    return NULL;
}

/* ---- This CPU ---- */

const char *level_cpu(void)
{
    CHECK(!kit_entered_enabled, "kmain() was entered with interrupts enabled");
    kit_boot_cpu.base = &kit_boot_task;
    kit_boot_task.cpu = &kit_boot_cpu;
    kit_cpus[0] = &kit_boot_cpu;
    hal_cpu_init(0, &kit_boot_task, NULL);
    CHECK(hal_current() == &kit_boot_task, "hal_current() is %p after hal_cpu_init()", (void *)hal_current());
    CHECK(kit_self() == &kit_boot_cpu, "hal_current() cannot be followed");
    CHECK(!hal_irq_is_enabled(), "hal_cpu_init() enabled interrupts");
    for (unsigned i = 0; i < 1000; i++)
        hal_cpu_relax();
    CHECK(hal_current() == &kit_boot_task, "hal_cpu_relax() changed hal_current()");
    CHECK(!hal_irq_is_enabled(), "hal_cpu_relax() enabled interrupts");
    hal_point(NULL);
    return NULL;
}

/* ---- Page-table entries: pure functions ---- */

static void check_leaf(paddr_t pa, unsigned prot, unsigned level)
{
    uint64_t pte = hal_pte_leaf(pa, prot, level);

    CHECK((pte & HAL_PTE_VALID) != 0, "a leaf of level %u with rights %#x is not valid", level, prot);
    CHECK(hal_pte_is_leaf(pte, level), "a leaf of level %u with rights %#x is no leaf", level, prot);
    CHECK(hal_pte_paddr(pte) == pa, "a leaf for %#llx, level %u, says %#llx", (unsigned long long)pa, level,
          (unsigned long long)hal_pte_paddr(pte));
    CHECK(hal_pte_prot(pte) == prot, "a leaf with rights %#x, level %u, says %#x", prot, level, hal_pte_prot(pte));
}

const char *level_entries(void)
{
    unsigned top = HAL_PT_LEVELS - 1;
    unsigned prot_all = PROT_WRITE | PROT_EXEC | PROT_USER | PROT_GLOBAL | PROT_DEVICE;

    CHECK(HAL_PT_LEVELS >= 3 && HAL_PT_LEVELS <= PT_LEVELS_MAX, "%u levels", HAL_PT_LEVELS);
    CHECK(HAL_PT_LEAF_LEVEL_MAX <= top && HAL_PT_LEAF_LEVEL_MAX <= 2, "leaves up to level %u of %u",
          HAL_PT_LEAF_LEVEL_MAX, top + 1);
    CHECK(HAL_KMAP_BASE % (UINT64_C(1) << (PAGE_SHIFT + HAL_PT_INDEX_BITS)) == 0, "the kmap window is not aligned");
    CHECK(HAL_KMAP_BASE >= HAL_DIRECT_MAP_BASE + HAL_DIRECT_MAP_BYTES ||
              HAL_KMAP_BASE + HAL_KMAP_BYTES <= HAL_DIRECT_MAP_BASE, "the direct map and the kmap window overlap");
    for (unsigned round = 0; round < 64; round++) {
        paddr_t page = kit_random() % HAL_DIRECT_MAP_BYTES & ~(paddr_t)(PAGE_BYTES - 1);

        for (unsigned level = 0; level <= HAL_PT_LEAF_LEVEL_MAX; level++)
            for (unsigned prot = 0; prot <= prot_all; prot++)
                check_leaf(page & ~((PAGE_BYTES << (HAL_PT_INDEX_BITS * level)) - 1), prot, level);
        uint64_t pte = hal_pte_table(page);

        CHECK((pte & HAL_PTE_VALID) != 0 && hal_pte_paddr(pte) == page, "a table entry for %#llx says %#llx",
              (unsigned long long)page, (unsigned long long)hal_pte_paddr(pte));
        for (unsigned level = 1; level <= top; level++)
            CHECK(!hal_pte_is_leaf(pte, level), "a table entry is a leaf of level %u", level);
    }
    return NULL;
}

/* ---- The kernel's own tables ---- */

const char *level_tables(void)
{
    paddr_t root = kit_tables_build();
    static volatile unsigned in_bss;
    void *area = HAL_CPU_AREA_BYTES != 0 ? kit_pages_alloc(HAL_CPU_AREA_BYTES) : NULL;

    hal_mmu_activate_kernel(root);
    in_bss = in_bss + 1;
    CHECK(in_bss == 1, ".bss is not what it was");
    CHECK(hal_current() == &kit_boot_task, "hal_mmu_activate_kernel() changed hal_current()");
    CHECK(!hal_irq_is_enabled(), "hal_mmu_activate_kernel() enabled interrupts");
    hal_cpu_init(0, &kit_boot_task, area);
    CHECK(hal_current() == &kit_boot_task, "hal_current() is %p after the second hal_cpu_init()",
          (void *)hal_current());
    CHECK(!hal_irq_is_enabled(), "the second hal_cpu_init() enabled interrupts");
    vaddr_t va = kit_va_reserve(1);
    paddr_t page = kit_page_alloc();

    kit_map(root, va, page, PAGE_BYTES, PROT_WRITE | PROT_GLOBAL);
    *(volatile uint64_t *)va = 0x1234567;
    CHECK(*(volatile uint64_t *)kit_direct(page) == 0x1234567, "a page of the kmap window is not the page it maps");
    kit_boot_cpu.probe.stack_base = kit_stack_alloc();
    kit_boot_cpu.probe.stack_bytes = KIT_STACK_BYTES;
    return NULL;
}
