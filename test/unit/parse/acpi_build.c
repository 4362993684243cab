/* SPDX-License-Identifier: MIT */
/* See acpi_build.h. Layouts: ACPI 6.5, 5.2. Aborts if a test outgrows the buffer. */
#include "acpi_build.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 36

void acpi_build_set(struct acpi_build *build, uint32_t offset, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        build->memory[offset + i] = (uint8_t)(value >> (8 * i));
}

uint32_t acpi_build_get32(const struct acpi_build *build, uint32_t offset)
{
    const uint8_t *at = build->memory + offset;

    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void acpi_build_begin(struct acpi_build *build)
{
    memset(build, 0, sizeof(*build));
    build->used = 16; /* no table at offset 0 */
}

void acpi_build_put(struct acpi_build *build, uint64_t value, size_t bytes)
{
    if (build->used + bytes > ACPI_BUILD_BYTES)
        abort();
    acpi_build_set(build, build->used, value, bytes);
    build->used += (uint32_t)bytes;
}

static uint8_t negative_sum(const uint8_t *data, uint32_t bytes)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum - data[i]);
    return sum;
}

uint32_t acpi_build_table(struct acpi_build *build, const char *signature, uint8_t revision, bool listed)
{
    uint32_t table;

    while (build->used % 16 != 0)
        acpi_build_put(build, 0, 1);
    table = build->used;
    for (int i = 0; i < HEADER_BYTES; i++)
        acpi_build_put(build, 0, 1);
    memcpy(build->memory + table, signature, 4);
    build->memory[table + 8] = revision;
    memcpy(build->memory + table + 10, "UNITTSUNITTEST", 14);
    if (listed)
        build->tables[build->table_count++] = table;
    return table;
}

void acpi_build_sum(struct acpi_build *build, uint32_t table)
{
    build->memory[table + 9] = 0;
    build->memory[table + 9] = negative_sum(build->memory + table, acpi_build_get32(build, table + 4));
}

void acpi_build_finish(struct acpi_build *build, uint32_t table)
{
    acpi_build_set(build, table + 4, build->used - table, 4);
    acpi_build_sum(build, table);
}

static uint32_t build_root(struct acpi_build *build, const char *signature, size_t entry_bytes)
{
    uint32_t root = acpi_build_table(build, signature, 1, false);

    for (uint32_t i = 0; i < build->table_count; i++)
        acpi_build_put(build, ACPI_BUILD_BASE + build->tables[i], entry_bytes);
    acpi_build_finish(build, root);
    return root;
}

void acpi_build_sum_rsdp(struct acpi_build *build)
{
    uint8_t *rsdp = build->memory + build->rsdp;

    rsdp[8] = 0;
    rsdp[8] = negative_sum(rsdp, 20);
    if (rsdp[15] >= 2) {
        rsdp[32] = 0;
        rsdp[32] = negative_sum(rsdp, 36);
    }
}

void acpi_build_end(struct acpi_build *build, uint8_t revision)
{
    build->rsdt = build_root(build, "RSDT", 4);
    if (revision >= 2)
        build->xsdt = build_root(build, "XSDT", 8);
    while (build->used % 16 != 0)
        acpi_build_put(build, 0, 1);
    build->rsdp = build->used;
    for (int i = 0; i < (revision >= 2 ? 36 : 20); i++)
        acpi_build_put(build, 0, 1);
    memcpy(build->memory + build->rsdp, "RSD PTR ", 8);
    memcpy(build->memory + build->rsdp + 9, "UNITTS", 6);
    build->memory[build->rsdp + 15] = revision;
    acpi_build_set(build, build->rsdp + 16, ACPI_BUILD_BASE + build->rsdt, 4);
    if (revision >= 2) {
        acpi_build_set(build, build->rsdp + 20, 36, 4);
        acpi_build_set(build, build->rsdp + 24, ACPI_BUILD_BASE + build->xsdt, 8);
    }
    acpi_build_sum_rsdp(build);
}

static void build_fadt(struct acpi_build *build, uint8_t revision)
{
    uint32_t table = acpi_build_table(build, "FACP", revision >= 2 ? 6 : 1, true);
    uint32_t bytes = revision >= 2 ? 276 : 116;

    while (build->used < table + bytes)
        acpi_build_put(build, 0, 1);
    acpi_build_set(build, table + 40, 0x7fe0000, 4); /* DSDT */
    acpi_build_set(build, table + 64, 0x604, 4);     /* PM1a control */
    acpi_build_set(build, table + 76, 0x608, 4);     /* PM timer */
    acpi_build_set(build, table + 91, 4, 1);
    acpi_build_set(build, table + 112, 1u << 8, 4);
    acpi_build_finish(build, table);
}

static void build_madt(struct acpi_build *build)
{
    uint32_t table = acpi_build_table(build, "APIC", 3, true);

    acpi_build_put(build, 0xfee00000, 4);
    acpi_build_put(build, 1, 4); /* PCAT_COMPAT */
    for (uint32_t i = 0; i < 4; i++) { /* CPUs 0 to 3: enabled, enabled, online capable, absent */
        acpi_build_put(build, 0x0800 | i << 16 | i << 24, 4);
        acpi_build_put(build, (const uint32_t[]){1, 1, 2, 0}[i], 4);
    }
    acpi_build_put(build, 0x1009, 4); /* x2APIC, 16 bytes */
    acpi_build_put(build, 0x12345, 4);
    acpi_build_put(build, 1, 4);
    acpi_build_put(build, 4, 4);
    acpi_build_put(build, 0x00070c01, 4); /* I/O APIC 7 */
    acpi_build_put(build, 0xfec00000, 4);
    acpi_build_put(build, 0, 4);
    acpi_build_put(build, 0x00000a02, 4); /* IRQ 0 is GSI 2 */
    acpi_build_put(build, 2, 4);
    acpi_build_put(build, 0, 2);
    acpi_build_put(build, 0x09000a02, 4); /* IRQ 9: level, active high */
    acpi_build_put(build, 9, 4);
    acpi_build_put(build, 0xd, 2);
    acpi_build_put(build, UINT64_C(0x0100000ff0604), 6); /* local NMI: skipped */
    acpi_build_finish(build, table);
}

static void build_hpet(struct acpi_build *build)
{
    uint32_t table = acpi_build_table(build, "HPET", 1, true);

    acpi_build_put(build, 0x8086a201, 4);
    acpi_build_put(build, 0x00004000, 4); /* memory space, 64 bits */
    acpi_build_put(build, 0xfed00000, 8);
    acpi_build_put(build, 0, 4);
    acpi_build_finish(build, table);
}

/* Two nodes of one CPU each, the second with memory. */
static void build_numa(struct acpi_build *build)
{
    uint32_t table = acpi_build_table(build, "SRAT", 3, true);

    acpi_build_put(build, 1, 4);
    acpi_build_put(build, 0, 8);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        acpi_build_put(build, 0x1000 | (uint64_t)cpu << 16 | (uint64_t)cpu << 24, 4);
        acpi_build_put(build, 1, 4);
        acpi_build_put(build, 0, 8);
    }
    acpi_build_put(build, 0x2801, 2);
    acpi_build_put(build, 1, 6);
    acpi_build_put(build, 0x40000000, 8);
    acpi_build_put(build, 0x20000000, 8);
    acpi_build_put(build, 0, 4);
    acpi_build_put(build, 1, 4);
    acpi_build_put(build, 0, 8);
    acpi_build_finish(build, table);

    table = acpi_build_table(build, "SLIT", 1, true);
    acpi_build_put(build, 2, 8);
    acpi_build_put(build, 0x0a14140a, 4);
    acpi_build_finish(build, table);
}

uint32_t acpi_build_processor(struct acpi_build *build, uint32_t table, uint32_t flags, uint32_t parent, uint32_t uid,
                              uint32_t cache)
{
    uint32_t at = build->used - table;

    acpi_build_put(build, cache == 0 ? 0x1400 : 0x1800, 4);
    acpi_build_put(build, flags, 4);
    acpi_build_put(build, parent, 4);
    acpi_build_put(build, uid, 4);
    acpi_build_put(build, cache != 0, 4);
    if (cache != 0)
        acpi_build_put(build, cache, 4);
    return at;
}

uint32_t acpi_build_cache(struct acpi_build *build, uint32_t table, uint8_t type, uint32_t next)
{
    uint32_t at = build->used - table;

    acpi_build_put(build, 0x1801, 4);
    acpi_build_put(build, 0x7f, 4);
    acpi_build_put(build, next, 4);
    acpi_build_put(build, 0x10000, 4); /* bytes */
    acpi_build_put(build, 0x100, 4);   /* sets */
    acpi_build_put(build, 4, 1);       /* ways */
    acpi_build_put(build, (uint64_t)type << 2, 1);
    acpi_build_put(build, 64, 2); /* bytes of a line */
    return at;
}

/* A package with a cache for its two CPUs, which have two of their own in a chain. */
static void build_pptt(struct acpi_build *build)
{
    uint32_t table = acpi_build_table(build, "PPTT", 2, true);
    uint32_t second = acpi_build_cache(build, table, 2, 0);
    uint32_t first = acpi_build_cache(build, table, 1, second);
    uint32_t last = acpi_build_cache(build, table, 3, 0);
    uint32_t package = acpi_build_processor(build, table, 1, 0, 0, last);

    for (uint32_t cpu = 0; cpu < 2; cpu++)
        (void)acpi_build_processor(build, table, 0xa, package, cpu, first);
    acpi_build_finish(build, table);
}

void acpi_build_numa_machine(struct acpi_build *build, uint8_t revision)
{
    acpi_build_begin(build);
    build_fadt(build, revision);
    build_madt(build);
    build_hpet(build);
    build_numa(build);
    build_pptt(build);
    acpi_build_end(build, revision);
}

void acpi_build_machine(struct acpi_build *build, uint8_t revision)
{
    acpi_build_begin(build);
    build_fadt(build, revision);
    build_madt(build);
    build_hpet(build);
    acpi_build_end(build, revision);
}

static const void *map_memory(void *arg, paddr_t pa, size_t bytes)
{
    struct acpi_build *build = arg;

    if (pa + bytes < pa)
        abort(); /* a range that wraps is for the parser to refuse */
    if (pa < ACPI_BUILD_BASE || pa - ACPI_BUILD_BASE > ACPI_BUILD_BYTES ||
        bytes > ACPI_BUILD_BYTES - (pa - ACPI_BUILD_BASE))
        return NULL;
    return build->memory + (pa - ACPI_BUILD_BASE);
}

struct acpi_source acpi_build_source(struct acpi_build *build)
{
    return (struct acpi_source){.map = map_memory, .arg = build};
}
