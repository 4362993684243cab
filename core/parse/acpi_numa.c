/* SPDX-License-Identifier: MIT */
/* ACPI's tables of NUMA nodes: SRAT (ACPI 6.5, 5.2.16) and SLIT (5.2.17). Reads stay inside a table that
 * acpi_find_table() has measured and summed. Owns no state, no lock. */
#include <parse/acpi.h>

#include <lib/string.h>

#include <k/errno.h>

#define SIGNATURE_BYTES 4

#define SRAT_RECORDS 48
#define SRAT_LOCAL_APIC 0
#define SRAT_MEMORY 1
#define SRAT_LOCAL_X2APIC 2
#define SRAT_ENABLED 1u

#define SLIT_COUNT 36
#define SLIT_MATRIX 44

static uint32_t read_le32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t read_le64(const uint8_t *at)
{
    return read_le32(at) | (uint64_t)read_le32(at + 4) << 32;
}

static void add_cpu(struct acpi_srat *srat, uint32_t apic_id, uint32_t domain)
{
    if (srat->cpu_count == ACPI_SRAT_CPUS_MAX)
        return;
    srat->cpu[srat->cpu_count].apic_id = apic_id;
    srat->cpu[srat->cpu_count].domain = domain;
    srat->cpu_count++;
}

static void add_range(struct acpi_srat *srat, const uint8_t *record)
{
    uint64_t base = read_le64(record + 8);
    uint64_t bytes = read_le64(record + 16);

    if (srat->range_count == ACPI_SRAT_RANGES_MAX || bytes == 0 || base + bytes < base)
        return;
    srat->range[srat->range_count].base = base;
    srat->range[srat->range_count].bytes = bytes;
    srat->range[srat->range_count].domain = read_le32(record + 2);
    srat->range_count++;
}

/* The least length of a record whose fields are read. */
static uint8_t record_bytes(uint8_t type)
{
    switch (type) {
    case SRAT_LOCAL_APIC:
        return 16;
    case SRAT_MEMORY:
        return 40;
    case SRAT_LOCAL_X2APIC:
        return 24;
    default:
        return 2;
    }
}

static void add_record(struct acpi_srat *srat, const uint8_t *record)
{
    switch (record[0]) {
    case SRAT_LOCAL_APIC: /* the domain's upper three bytes came later, and stand apart */
        if (read_le32(record + 4) & SRAT_ENABLED)
            add_cpu(srat, record[3], record[2] | (read_le32(record + 8) & 0xffffff00u));
        break;
    case SRAT_MEMORY:
        if (read_le32(record + 28) & SRAT_ENABLED)
            add_range(srat, record);
        break;
    case SRAT_LOCAL_X2APIC:
        if (read_le32(record + 12) & SRAT_ENABLED)
            add_cpu(srat, read_le32(record + 8), read_le32(record + 4));
        break;
    default:
        break;
    }
}

int acpi_parse_srat(const struct acpi_table *table, struct acpi_srat *out)
{
    uint32_t offset = SRAT_RECORDS;

    out->cpu_count = 0;
    out->range_count = 0;
    if (table->bytes < SRAT_RECORDS || memcmp(table->data, "SRAT", SIGNATURE_BYTES) != 0)
        return -EINVAL;
    while (offset < table->bytes) {
        const uint8_t *record = table->data + offset;
        uint32_t left = table->bytes - offset;

        if (left < 2 || record[1] > left || record[1] < record_bytes(record[0])) {
            out->cpu_count = 0;
            out->range_count = 0;
            return -EINVAL;
        }
        add_record(out, record);
        offset += record[1];
    }
    return 0;
}

int acpi_slit_distance(const struct acpi_table *table, uint32_t from, uint32_t to, uint8_t *out)
{
    if (table->bytes < SLIT_MATRIX || memcmp(table->data, "SLIT", SIGNATURE_BYTES) != 0)
        return -EINVAL;
    uint64_t count = read_le64(table->data + SLIT_COUNT);

    if (count > UINT32_MAX || count * count > table->bytes - SLIT_MATRIX)
        return -EINVAL;
    if (from >= count || to >= count)
        return -ENOENT;
    *out = table->data[SLIT_MATRIX + from * count + to];
    return 0;
}
