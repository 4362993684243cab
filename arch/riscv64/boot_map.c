/* SPDX-License-Identifier: MIT */
/*
 * The first page tables: the image at its linked address, then where it slides to, and the whole direct-map window, for
 * the C code that runs until core has built its own. Readable, writable and (the image) executable at once; gone before
 * the first task.
 *
 * This code runs with the MMU off, at physical addresses, and later while the image already belongs elsewhere: it must
 * use no pointer from initialised data, and no switch statement that could become a table of addresses. No lock: one
 * CPU.
 */
#include <hal/cpu.h>

#include "machine_priv.h"
#include "sbi.h"

#define ENTRIES (1u << HAL_PT_INDEX_BITS)
#define INDEX(va, level) ((va) >> (PAGE_SHIFT + HAL_PT_INDEX_BITS * (level)) & (ENTRIES - 1))
#define LEVEL_BYTES(level) (UINT64_C(1) << (PAGE_SHIFT + HAL_PT_INDEX_BITS * (level)))

/* Each root is also the one table below the next larger, since the kernel half lies in its last entry altogether. */
ALIGNED(PAGE_BYTES) uint64_t boot_root_sv57[ENTRIES];
ALIGNED(PAGE_BYTES) uint64_t boot_root_sv48[ENTRIES];
ALIGNED(PAGE_BYTES) uint64_t boot_root_sv39[ENTRIES];
/* Two tables in a row: the top 2 GiB, where the image may be. */
#define IMAGE_ENTRIES (2 * ENTRIES)
static ALIGNED(PAGE_BYTES) uint64_t boot_image_tables[IMAGE_ENTRIES];

static_assert(INDEX(HAL_DIRECT_MAP_BASE, 3) == ENTRIES - 1, "the kernel half is one entry of an Sv48 root");
static_assert(INDEX(HAL_DIRECT_MAP_BASE, 4) == ENTRIES - 1, "and of an Sv57 root");

/* No page table can map a misplaced image, and no console is known yet but the firmware's. */
[[noreturn]] static void die_misplaced(void)
{
    static const char text[] = "boot: the kernel was not loaded at a multiple of 2 MiB\r\n";

    for (unsigned i = 0; text[i] != '\0'; i++)
        sbi_call(SBI_EXT_LEGACY_PUTCHAR, 0, (unsigned char)text[i], 0, 0);
    sbi_call(SBI_EXT_SRST, SBI_SRST_RESET, 0, 1, 0);
    hal_cpu_park();
}

void boot_map_image(vaddr_t image_va, bool is_there)
{
    uint64_t bytes = (uint64_t)(__image_end - __image_start);

    for (uint64_t at = 0; at < bytes; at += LEVEL_BYTES(1))
        boot_image_tables[(image_va + at) / LEVEL_BYTES(1) % IMAGE_ENTRIES] =
            is_there ? hal_pte_leaf(machine_facts.image_paddr + at, PROT_WRITE | PROT_EXEC | PROT_GLOBAL, 1) : 0;
}

void boot_map_early(paddr_t image_paddr, vaddr_t image_va)
{
    unsigned direct_index = INDEX(HAL_DIRECT_MAP_BASE, 2);

    if (image_paddr % LEVEL_BYTES(1) != 0)
        die_misplaced();
    machine_facts.image_paddr = image_paddr;
    boot_map_image(image_va, true);
    boot_root_sv39[ENTRIES - 2] = hal_pte_table((paddr_t)boot_image_tables);
    boot_root_sv39[ENTRIES - 1] = hal_pte_table((paddr_t)(boot_image_tables + ENTRIES));

    for (unsigned i = 0; i < HAL_DIRECT_MAP_BYTES / LEVEL_BYTES(2); i++)
        boot_root_sv39[direct_index + i] = hal_pte_leaf(i * LEVEL_BYTES(2), PROT_WRITE | PROT_GLOBAL, 2);

    boot_root_sv48[ENTRIES - 1] = hal_pte_table((paddr_t)boot_root_sv39);
    boot_root_sv57[ENTRIES - 1] = hal_pte_table((paddr_t)boot_root_sv48);
}
