/* SPDX-License-Identifier: MIT */
/*
 * From the boot hart's first C function to kmain(): reads firmware and device tree into boot_info. What a kernel cannot
 * do without ends the boot here with one sentence; the rest is core's to judge. No lock: one CPU, before kmain().
 */
#include <stdarg.h>

#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/upcall.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <shared/boot_fdt.h>
#include <shared/rtc.h>

#include "machine_priv.h"
#include "sbi.h"

#define DTB_BYTES_MAX (2u << 20) /* as Linux's boot protocols limit it: a bound against a damaged header */
#define MESSAGE_BYTES 256

struct machine_facts machine_facts RO_AFTER_INIT;
struct boot_info boot_info;

static void boot_say(const char *format, va_list args)
{
    char text[MESSAGE_BYTES];

    fmt_vprint(text, sizeof(text), format, args);
    for (const char *c = "boot: "; *c != '\0'; c++)
        hal_console_put(*c);
    for (const char *c = text; *c != '\0'; c++)
        hal_console_put(*c);
    hal_console_put('\r');
    hal_console_put('\n');
}

void boot_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    boot_say(format, args);
    va_end(args);
}

void boot_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    boot_say(format, args);
    va_end(args);
    hal_machine_exit(1);
}

/* A hart without an MMU is for other software. */
static bool hart_is_usable(const struct fdt *fdt, fdt_node_t node)
{
    const char *mmu = fdt_get_string(fdt, node, "mmu-type");

    return mmu != NULL && strcmp(mmu, "riscv,none") != 0;
}

/* NULL, or what is wrong with it. */
static const char *open_tree(struct fdt *fdt, paddr_t dtb)
{
    if (dtb == 0 || dtb % sizeof(uint64_t) != 0 || !direct_map_covers(dtb, DTB_BYTES_MAX))
        return "cannot be";
    uint32_t bytes = fdt_claimed_bytes(direct_map(dtb));

    if (bytes == 0 || bytes > DTB_BYTES_MAX)
        return "is none";
    return fdt_open(fdt, direct_map(dtb), bytes) != 0 ? "is damaged" : NULL;
}

/* A tree that cannot be read moves nothing, and boot_hart_main() says why. */
uint64_t boot_slide(paddr_t dtb)
{
    struct fdt fdt;

    if (open_tree(&fdt, dtb) != NULL)
        return 0;
    return boot_fdt_choose_slide(&fdt, (uintptr_t)__image_start, (uintptr_t)__image_end, csr_read(time), &boot_info);
}

/* "2023.01+dfsg-2" is 2023.01 with a distribution's own count. */
static int version_length(const char *text)
{
    int length = 0;

    while (length < 16 && ((text[length] >= '0' && text[length] <= '9') || text[length] == '.'))
        length++;
    return length;
}

static void describe_firmware(const struct fdt *fdt, struct boot_info *boot)
{
    char sbi[40];
    fdt_node_t chosen = fdt_find_path(fdt, "/chosen");
    const char *loader = chosen != FDT_NODE_NONE ? fdt_get_string(fdt, chosen, "u-boot,version") : NULL;

    sbi_describe(sbi, sizeof(sbi));
    if (loader != NULL)
        fmt_print(boot->firmware, sizeof(boot->firmware), "%s, U-Boot %.*s, device tree", sbi,
                  version_length(loader), loader);
    else
        fmt_print(boot->firmware, sizeof(boot->firmware), "%s, device tree", sbi);
}

static void read_clock(const struct fdt *fdt, struct boot_info *boot)
{
    fdt_node_t cpus = fdt_find_path(fdt, "/cpus");

    /* 0 if the tree does not say: core refuses to run without a clock. */
    if (cpus == FDT_NODE_NONE || fdt_get_number(fdt, cpus, "timebase-frequency", &boot->clock_hz) != 0)
        boot->clock_hz = 0;
    if (!machine_facts.has_sstc && !sbi_facts.has_time)
        boot_die("no timer: the harts lack Sstc and the firmware lacks SBI TIME");
}

/* Other harts need two services of the firmware. */
static void limit_cpus(struct boot_info *boot)
{
    if (boot->cpu_count > 1 && (!sbi_facts.has_hsm || !sbi_facts.has_ipi)) {
        boot_warn("the firmware lacks SBI %s: going on with one of %u harts", sbi_facts.has_hsm ? "IPI" : "HSM",
                  boot->cpu_listed);
        boot->cpu_count = 1;
    }
}

static void read_time_of_day(const struct fdt *fdt, struct boot_info *boot)
{
    struct rtc_place place = rtc_find(fdt);

    if (place.kind == RTC_NONE || !direct_map_covers(place.base, place.bytes))
        return;
    boot->wall_at_ticks = csr_read(time);
    boot->wall_ns = rtc_read_ns(place.kind, (vaddr_t)direct_map(place.base));
}

void boot_hart_main(uint64_t hart, paddr_t dtb)
{
    struct boot_info *boot = &boot_info;
    const char *problem;
    struct fdt fdt;

    cpu_init_early();
    mmu_note_levels(csr_read(satp) >> SATP_MODE_SHIFT == SATP_MODE_SV48 ? 4 : 3); /* isa.c knows better */
    sbi_init();
    problem = open_tree(&fdt, dtb);
    if (problem != NULL)
        boot_die("the device tree at 0x%lx, where a1 points, %s", (unsigned long)dtb, problem);
    console_init(&fdt, boot);
    exit_init(&fdt, boot);

    int err = boot_fdt_read(&fdt, dtb, boot, &problem);

    if (err == 0)
        err = boot_fdt_read_cpus(&fdt, hart, hart_is_usable, boot, &problem);
    if (err != 0)
        boot_die("damaged device tree: %s (error %d)", problem, -err);
    boot_fdt_read_places(&fdt, boot);

    boot->image_paddr = machine_facts.image_paddr;
    boot->asid_count = mmu_asid_count();
    if (boot_add_reserved(boot, boot->image_paddr, (uint64_t)(__image_end - __image_start)) != 0)
        boot_die("too many reserved ranges to list the kernel image");
    describe_firmware(&fdt, boot);
    isa_init(&fdt);
    read_clock(&fdt, boot);
    read_time_of_day(&fdt, boot);
    limit_cpus(boot);
    kmain(boot);
}
