/* SPDX-License-Identifier: MIT */
/*
 * From PVH's start_info and ACPI to struct boot_info, on the boot CPU, on the early tables. All that core or this
 * machine needs later is copied, because the firmware's data may lie in memory that the map calls usable.
 */
#include <hal/boot.h>

#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/upcall.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <parse/acpi.h>
#include <shared/boot_caches.h>
#include <shared/slide.h>

#include "machine.h"
#include "x86.h"

/* Xen's public/arch-x86/hvm/start_info.h, version 1. */
#define START_INFO_MAGIC 0x336ec578u

struct start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t cmdline;
    uint64_t rsdp;
    uint64_t memory_map; /* from version 1 on */
    uint32_t memory_map_count;
    uint32_t reserved;
};

struct start_module {
    uint64_t address;
    uint64_t bytes;
    uint64_t cmdline;
    uint64_t reserved;
};

struct start_memory {
    uint64_t address;
    uint64_t bytes;
    uint32_t type;
    uint32_t reserved;
};

#define MEMORY_RAM 1 /* e820's number; every other type is to be left alone */

/* Below 1 MiB: firmware is known to write to the first 64 KiB at any time, whatever its map says, and where it keeps
 * its own data behind the rest is in two words of the BIOS's data area. */
#define LOW_FIRMWARE_END UINT64_C(0x10000)
#define LOW_RAM_END UINT64_C(0xa0000) /* start-up vectors end here, too: MultiProcessor Specification, B.4 */
#define LOW_RAM_END_LEAST UINT64_C(0x20000)
#define LOW_END (UINT64_C(1) << 20)
#define BDA_EXTENDED_SEGMENT 0x40eu /* where the extended data area begins, in paragraphs */
#define BDA_LOW_KIB 0x413u          /* how much RAM there is in front of what is the BIOS's */

#define BIOS_AREA_START 0xe0000u /* where a PC keeps an RSDP: ACPI 6.5, 5.2.5.1 */
#define BIOS_AREA_END 0x100000u

#define HPET_BYTES 1024u
#define ENTROPY_TRIES 10 /* SDM vol. 1, 7.3.17.1 */

extern const uint8_t __image_start[], __image_end[];

static struct boot_info boot;
static struct acpi_madt madt;

uint64_t boot_slide(uint64_t start_info_address);
void boot_main(uint64_t start_info_address);

static void say(const char *text)
{
    for (; *text != '\0'; text++)
        hal_console_put(*text);
}

void boot_warn(const char *text)
{
    say("warning: ");
    say(text);
    say("\r\n");
}

void boot_fail(const char *reason)
{
    say("verdant: cannot start: ");
    say(reason);
    say("\r\n");
    hal_machine_exit(1);
}

/* [pa, pa + bytes) as the early tables show it, or NULL. */
static const void *early_map(void *arg, paddr_t pa, size_t bytes)
{
    (void)arg;
    if (pa == 0 || pa >= EARLY_MAP_BYTES || bytes > EARLY_MAP_BYTES - pa)
        return NULL;
    return (const void *)direct_map(pa);
}

static void reserve(paddr_t base, uint64_t bytes)
{
    if (boot.reserved_count == BOOT_RANGES_MAX)
        boot_fail("the firmware's memory map has too many reserved ranges");
    boot.reserved[boot.reserved_count++] = (struct boot_range){ base, bytes };
}

static void add_device(paddr_t base, uint64_t bytes)
{
    if (boot.device_count < BOOT_RANGES_MAX)
        boot.device[boot.device_count++] = (struct boot_range){ base, bytes };
}

/* ---- start_info ---------------------------------------------------------------------------------------------- */

static void take_memory_map(const struct start_info *info)
{
    const struct start_memory *map = NULL;

    if (info->version >= 1)
        map = early_map(NULL, info->memory_map, info->memory_map_count * sizeof *map);
    if (map == NULL || info->memory_map_count == 0)
        boot_fail("the boot loader passed no memory map");
    for (uint32_t i = 0; i < info->memory_map_count; i++) {
        if (map[i].type != MEMORY_RAM)
            reserve(map[i].address, map[i].bytes);
        else if (boot.memory_count < BOOT_RANGES_MAX)
            boot.memory[boot.memory_count++] = (struct boot_range){ map[i].address, map[i].bytes };
        else
            boot_warn("the memory map is too long: some RAM is left out");
    }
}

static void take_cmdline(const struct start_info *info)
{
    const char *text = info->cmdline == 0 ? NULL : early_map(NULL, info->cmdline, CMDLINE_BYTES);

    if (text == NULL)
        return;
    size_t length = strnlen(text, CMDLINE_BYTES);

    boot.cmdline_truncated = length == CMDLINE_BYTES;
    length = MIN(length, CMDLINE_BYTES - 1);
    memcpy(boot.cmdline, text, length);
    boot.cmdline[length] = '\0';
}

static void take_modules(const struct start_info *info)
{
    const struct start_module *module = NULL;

    if (info->module_count > 0)
        module = early_map(NULL, info->modules, sizeof *module);
    if (module == NULL || module->bytes == 0)
        return;
    boot.initrd = (struct boot_range){ module->address, module->bytes };
    reserve(module->address, module->bytes);
}

static uint64_t bda_word(paddr_t pa)
{
    uint16_t word;

    memcpy(&word, (const void *)direct_map(pa), sizeof word);
    return word;
}

/* A loader without a BIOS leaves zeros there, and a map that is right. */
static paddr_t low_ram_end(void)
{
    const paddr_t said[] = { bda_word(BDA_LOW_KIB) << 10, bda_word(BDA_EXTENDED_SEGMENT) << 4 };
    paddr_t end = LOW_RAM_END;

    for (unsigned i = 0; i < ARRAY_COUNT(said); i++)
        if (said[i] >= LOW_RAM_END_LEAST)
            end = MIN(end, said[i]);
    return end;
}

/* The highest page of RAM that a start-up IPI can name: it stays there for CPUs that come later, or again. */
static void place_trampoline(paddr_t top)
{
    paddr_t best = 0;

    for (unsigned i = 0; i < boot.memory_count; i++) {
        const struct boot_range *range = &boot.memory[i];

        if (range->base >= top)
            continue;
        paddr_t end = MIN(range->bytes, top - range->base) + range->base;
        paddr_t page = ROUND_DOWN(end, PAGE_BYTES) - PAGE_BYTES;

        if (end >= 2 * PAGE_BYTES && page >= range->base && page > best)
            best = page;
    }
    if (best != 0) {
        reserve(best, PAGE_BYTES);
        secondary_install(best);
    } else {
        boot_warn("no RAM below 640 KiB for starting other CPUs");
    }
}

/* ---- ACPI ---------------------------------------------------------------------------------------------------- */

/* A whole and undamaged table, which is then kept from being handed out. */
static bool find_table(const struct acpi *acpi, const char *signature, struct acpi_table *out)
{
    if (acpi_find_table(acpi, signature, out) != 0)
        return false;
    reserve(out->pa, out->bytes);
    return true;
}

static bool open_acpi(const struct start_info *info, struct acpi *acpi)
{
    const struct acpi_source source = { .map = early_map };
    paddr_t rsdp = info->rsdp;

    if (rsdp != 0 && acpi_open(acpi, &source, rsdp) == 0)
        return true;
    return acpi_find_rsdp(&source, BIOS_AREA_START, BIOS_AREA_END, &rsdp) == 0 && acpi_open(acpi, &source, rsdp) == 0;
}

static void add_cpu(uint32_t apic_id)
{
    boot.cpu_listed++;
    if (boot.cpu_count == CPU_MAX)
        return;
    boot.cpu_hw_id[boot.cpu_count] = apic_id;
    apic_set_id(boot.cpu_count, apic_id);
    boot.cpu_count++;
}

/* The boot CPU is number 0, wherever the table lists it; others count if they are enabled: one that is only
 * "online capable" is an empty socket (ACPI 6.5, table 5.47). */
static void take_madt(const struct acpi *acpi)
{
    uint32_t self = cpu_apic_id();
    struct acpi_table table;
    bool is_good = find_table(acpi, "APIC", &table) && acpi_parse_madt(&table, &madt) == 0 && madt.cpu_count > 0;

    if (!is_good) {
        boot_warn("ACPI has no usable MADT: this CPU only");
        madt = (struct acpi_madt){ .local_apic = 0 };
    }
    add_cpu(self);
    for (unsigned i = 0; i < madt.cpu_count; i++)
        if (madt.cpu[i].enabled && madt.cpu[i].apic_id != self)
            add_cpu(madt.cpu[i].apic_id);
    boot.cpu_listed += madt.cpu_listed - madt.cpu_count;

    if (early_map(NULL, madt.local_apic, PAGE_BYTES) == NULL)
        madt.local_apic = apic_base();
    add_device(madt.local_apic, PAGE_BYTES);
    for (unsigned i = 0; i < madt.ioapic_count; i++) {
        if (early_map(NULL, madt.ioapic[i].address, PAGE_BYTES) == NULL)
            continue;
        add_device(madt.ioapic[i].address, PAGE_BYTES);
        ioapic_mask_all(madt.ioapic[i].address);
    }
}

static void take_places(const struct acpi *acpi)
{
    struct acpi_table srat, slit, pptt;
    bool has_srat = find_table(acpi, "SRAT", &srat);
    bool has_slit = find_table(acpi, "SLIT", &slit);

    places_take(&boot, has_srat ? &srat : NULL, has_slit ? &slit : NULL);
    boot_take_pptt(&boot, &madt, find_table(acpi, "PPTT", &pptt) ? &pptt : NULL);
}

static paddr_t take_hpet(const struct acpi *acpi)
{
    struct acpi_table table;
    paddr_t base;

    if (!find_table(acpi, "HPET", &table) || acpi_parse_hpet(&table, &base) != 0 ||
        early_map(NULL, base, HPET_BYTES) == NULL)
        return 0;
    add_device(base, HPET_BYTES);
    return base;
}

/* All zero if there is none: a PC without, such as one without ACPI, has what PCs had before there was one. */
static struct acpi_fadt take_fadt(const struct acpi *acpi)
{
    struct acpi_table table;
    struct acpi_fadt fadt;

    if (!find_table(acpi, "FACP", &table) || acpi_parse_fadt(&table, &fadt) != 0)
        fadt = (struct acpi_fadt){ 0 };
    return fadt;
}

/* ---- the rest ------------------------------------------------------------------------------------------------ */

/* The CPU's own name: a PC's firmware has no better one for the whole. */
static void name_machine(void)
{
    union {
        struct cpuid_result part[3];
        char text[48];
    } brand = { 0 };

    if (cpuid(0x80000000u, 0).eax >= 0x80000004u)
        for (uint32_t i = 0; i < 3; i++)
            brand.part[i] = cpuid(0x80000002u + i, 0);
    const char *text = brand.text;
    size_t length = strnlen(text, sizeof brand.text);

    while (length > 0 && *text == ' ') {
        text++;
        length--;
    }
    (void)fmt_print(boot.machine, sizeof boot.machine, "PC, %.*s", (int)length, length > 0 ? text : "unnamed CPU");
}

/* One word from the CPU's own generators: the one for seeds may be drained, the other one is not. A word of equal bits
 * is what a broken one gives. */
static bool read_generator(uint64_t *out)
{
    bool ok = false;

    for (unsigned i = 0; cpu_has_rdseed() && i < ENTROPY_TRIES && !ok; i++)
        __asm__ volatile("rdseed %0" : "=r"(*out), "=@ccc"(ok)::"cc");
    for (unsigned i = 0; cpu_has_rdrand() && i < ENTROPY_TRIES && !ok; i++)
        __asm__ volatile("rdrand %0" : "=r"(*out), "=@ccc"(ok)::"cc");
    return ok && *out != 0 && *out != UINT64_MAX;
}

static void take_entropy(void)
{
    uint64_t word;

    boot.entropy_bytes = 0;
    while (boot.entropy_bytes < sizeof boot.entropy && read_generator(&word)) {
        memcpy(boot.entropy + boot.entropy_bytes, &word, sizeof word);
        boot.entropy_bytes += sizeof word;
    }
}

/* At the linked address: how far the image moves. A CPU without a generator has only its clock, and that counts the
 * time since the machine was switched on. Without start_info nothing moves, and boot_main() says why. */
uint64_t boot_slide(uint64_t start_info_address)
{
    const struct start_info *info = early_map(NULL, start_info_address, sizeof *info);
    uint64_t random = hal_clock_ticks();
    bool is_random;

    if (info == NULL || info->magic != START_INFO_MAGIC)
        return 0;
    take_cmdline(info);
    take_entropy();
    random = slide_mix(random, boot.entropy, boot.entropy_bytes);
    uint64_t slide = slide_choose(boot.cmdline, (uintptr_t)__image_start, (uintptr_t)__image_end, random, &is_random);

    boot.is_slide_weak = is_random && boot.entropy_bytes < SLIDE_SEED_BYTES;
    return slide;
}

void boot_main(uint64_t start_info_address)
{
    const struct start_info *info = early_map(NULL, start_info_address, sizeof *info);
    struct acpi acpi = { .source = { .map = early_map } };

    pic_mask_all();
    uart_init();
    cpu_detect();
    trap_init();
    if (info == NULL || info->magic != START_INFO_MAGIC)
        boot_fail("entered without PVH start information");
    if (!cpu_features.has_local_apic)
        boot_fail("this CPU has no local APIC");

    take_memory_map(info);
    take_cmdline(info);
    take_modules(info);
    boot.image_paddr = IMAGE_LOAD;
    reserve(boot.image_paddr, (uint64_t)(__image_end - __image_start));
    paddr_t low_end = low_ram_end();

    reserve(0, LOW_FIRMWARE_END);
    reserve(low_end, LOW_END - low_end);

    bool has_acpi = open_acpi(info, &acpi);

    if (!has_acpi)
        boot_warn("no usable ACPI tables");
    place_trampoline(low_end); /* from here on the firmware's low memory, and with it start_info, is no longer read */
    take_madt(&acpi);
    take_places(&acpi);
    apic_init(madt.local_apic);
    boot.asid_count = cpu_features.has_asids ? 1u << 12 : 1;
    struct acpi_fadt fadt = take_fadt(&acpi);
    uint16_t pm_timer_port = fadt.pm_timer_port <= UINT16_MAX ? (uint16_t)fadt.pm_timer_port : 0;

    boot.clock_hz = timer_calibrate(take_hpet(&acpi), pm_timer_port);
    rtc_read(&fadt, &boot);
    take_entropy();
    name_machine();
    (void)str_copy(boot.firmware, has_acpi ? "PVH, ACPI" : "PVH, no ACPI", sizeof boot.firmware);
    kmain(&boot);
}
