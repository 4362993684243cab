/* SPDX-License-Identifier: MIT */
/*
 * From boot.S to kmain(): what the device tree says, in struct boot_info, and a direct map of what core's first steps
 * touch. RAM is mapped as memory exactly where the tree lists it: a device that is mapped as memory may be read
 * speculatively. Boot CPU only, before any task: what goes wrong is a panic. No lock.
 */
#include <hal/boot.h>
#include <hal/upcall.h>

#include <hal/mmu.h>
#include <k/compiler.h>
#include <k/image.h>
#include <k/panic.h>
#include <lib/fmt.h>
#include <shared/boot_fdt.h>
#include <shared/rtc.h>

#include "machine_priv.h"

struct boot_info boot_info;

/* boot.S */
uint64_t boot_slide(paddr_t dtb, paddr_t image);
[[noreturn]] void boot_main(paddr_t dtb, paddr_t image, unsigned entry_level);

void boot_use_device(paddr_t base, uint64_t bytes, const char *what)
{
    if (bytes == 0 || base >= LAYOUT_DIRECT_MAP_BYTES || bytes > LAYOUT_DIRECT_MAP_BYTES - base)
        panic("device tree: the %s cannot be at %#llx", what, (unsigned long long)base);
    if (boot_add_device(&boot_info, base, bytes) != 0)
        panic("device tree: no room to list the %s", what);
}

/* The blob is mapped as far as it says it reaches, its first page before that. Writable like the RAM around it: what is
 * padding is not reserved, and core may use it before it has tables of its own. The boot protocol has it 8-byte
 * aligned. NULL, or what is wrong with it. */
static const char *open_device_tree(paddr_t dtb, struct fdt *fdt)
{
    /* The protocol says 2 MiB; QEMU pads a tree that it is given (-dtb) to more than twice its size. */
    const uint64_t bytes_max = UINT64_C(4) << 20;

    if (dtb == 0 || dtb % 8 != 0 || dtb >= LAYOUT_DIRECT_MAP_BYTES - bytes_max)
        return "cannot be";
    (void)mmu_map_early(dtb, 8, PROT_WRITE);
    uint32_t bytes = fdt_claimed_bytes((const void *)phys_to_direct(dtb));

    if (bytes == 0 || bytes > bytes_max)
        return "is none";
    if (mmu_map_early(dtb, bytes, PROT_WRITE) < bytes)
        return "is too much for the early page tables";
    return fdt_open(fdt, (const void *)phys_to_direct(dtb), bytes) != 0 ? "is damaged" : NULL;
}

/* At the linked address. A tree that cannot be read moves nothing, and boot_main() says why. */
uint64_t boot_slide(paddr_t dtb, paddr_t image)
{
    struct fdt fdt;

    boot_info.image_paddr = image;
    if (open_device_tree(dtb, &fdt) != NULL)
        return 0;
    return boot_fdt_choose_slide(&fdt, (uintptr_t)__image_start, (uintptr_t)__image_end, SYSREG_READ(cntvct_el0),
                                 &boot_info);
}

/* Whole pages of RAM, with the largest blocks that fit exactly. */
static void map_memory(void)
{
    for (unsigned i = 0; i < boot_info.memory_count; i++) {
        paddr_t start = ROUND_UP(boot_info.memory[i].base, PAGE_BYTES);
        paddr_t end = ROUND_DOWN(boot_info.memory[i].base + boot_info.memory[i].bytes, PAGE_BYTES);

        end = MIN(end, LAYOUT_DIRECT_MAP_BYTES);
        if (start < end && mmu_map_early(start, end - start, PROT_WRITE) < end - start)
            panic("the RAM at %#llx is too ragged for the early page tables", (unsigned long long)start);
    }
}

static void read_time_of_day(const struct fdt *fdt)
{
    struct rtc_place place = rtc_find(fdt);

    if (place.kind == RTC_NONE || mmu_map_early(place.base, place.bytes, PROT_WRITE | PROT_DEVICE) < place.bytes)
        return;
    boot_info.wall_at_ticks = SYSREG_READ(cntvct_el0);
    boot_info.wall_ns = rtc_read_ns(place.kind, phys_to_direct(place.base));
}

/* Who called us, for the log. U-Boot signs the device tree. */
static void name_firmware(const struct fdt *fdt, unsigned entry_level)
{
    fdt_node_t chosen = fdt_find_path(fdt, "/chosen");
    const char *uboot = chosen != FDT_NODE_NONE ? fdt_get_string(fdt, chosen, "u-boot,version") : NULL;
    unsigned psci = psci_version();
    char power[16] = "no PSCI";

    if (psci != 0)
        (void)fmt_print(power, sizeof(power), "PSCI %u.%u", psci >> 16, psci & 0xffff);
    (void)fmt_print(boot_info.firmware, sizeof(boot_info.firmware), "%s%.20s%s%s, EL%u, device tree",
                    uboot != NULL ? "U-Boot " : "", uboot != NULL ? uboot : "", uboot != NULL ? ", " : "", power,
                    entry_level);
}

/* `image` is where __image_start is in memory; entry_level is the exception level that the firmware left us at. */
void boot_main(paddr_t dtb, paddr_t image, unsigned entry_level)
{
    const char *problem = "";
    struct fdt fdt;

    boot_info.image_paddr = image;
    boot_info.asid_count = mmu_asid_count();
    problem = open_device_tree(dtb, &fdt);
    if (problem != NULL)
        panic("the device tree at %#llx, where x0 points, %s", (unsigned long long)dtb, problem);
    uart_discover(&fdt);
    psci_discover(&fdt);
    gic_discover(&fdt);
    timer_discover(&fdt);
    if (boot_fdt_read(&fdt, dtb, &boot_info, &problem) != 0 ||
        boot_fdt_read_cpus(&fdt, SYSREG_READ(mpidr_el1) & MPIDR_AFFINITY_MASK, NULL, &boot_info, &problem) != 0)
        panic("device tree: %s", problem);
    boot_fdt_read_places(&fdt, &boot_info);
    if (boot_add_reserved(&boot_info, image, (uint64_t)(__image_end - __image_start)) != 0)
        panic("device tree: no room to list the image as reserved");
    read_time_of_day(&fdt);
    map_memory();
    name_firmware(&fdt, entry_level);
    kmain(&boot_info);
}
