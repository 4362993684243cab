/* SPDX-License-Identifier: MIT */
/* Damaged ACPI tables, their checksums mostly put right again: core/parse/acpi.c stays within what it mapped. */
#include "fuzz.h"

#include <string.h>

#include <k/errno.h>

#include "acpi_build.h"

static struct acpi_build builds[2]; /* of revisions 0 and 2 */
static const struct acpi_build *base;

static struct {
    const uint8_t *data;
    size_t bytes;
} memory; /* the input of this iteration */

static size_t make(struct fuzz_random *random, uint8_t *to)
{
    size_t which = fuzz_random_below(random, 2);

    if (builds[which].used == 0)
        acpi_build_numa_machine(&builds[which], which == 0 ? 0 : 2);
    base = &builds[which];
    memcpy(to, base->memory, base->used);
    return base->used;
}

static void repair_sum(uint8_t *data, size_t bytes, size_t sum_at)
{
    uint8_t sum = 0;

    data[sum_at] = 0;
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum - data[i]);
    data[sum_at] = sum;
}

static void repair_table(uint8_t *data, size_t bytes, uint32_t table)
{
    uint32_t length = 0;

    if (bytes < 36 || table > bytes - 36)
        return;
    for (size_t i = 0; i < 4; i++)
        length |= (uint32_t)data[table + 4 + i] << (8 * i);
    if (length >= 36 && length <= bytes - table)
        repair_sum(data + table, length, 9);
}

static size_t repair(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    if (fuzz_random_below(random, 8) == 0)
        return bytes;
    for (uint32_t i = 0; i < base->table_count; i++)
        repair_table(data, bytes, base->tables[i]);
    repair_table(data, bytes, base->rsdt);
    if (base->xsdt != 0)
        repair_table(data, bytes, base->xsdt);
    if (bytes >= 20 && base->rsdp <= bytes - 20)
        repair_sum(data + base->rsdp, 20, 8);
    if (bytes >= 36 && base->rsdp <= bytes - 36 && data[base->rsdp + 15] >= 2)
        repair_sum(data + base->rsdp, 36, 32);
    return bytes;
}

static const void *map(void *arg, paddr_t pa, size_t bytes)
{
    (void)arg;
    FUZZ_CHECK(pa + bytes >= pa);
    if (pa < ACPI_BUILD_BASE || pa - ACPI_BUILD_BASE > memory.bytes || bytes > memory.bytes - (pa - ACPI_BUILD_BASE))
        return NULL;
    return memory.data + (pa - ACPI_BUILD_BASE);
}

static void parse_numa(const struct acpi_table *table)
{
    static struct acpi_srat srat;
    uint8_t distance;
    int error = acpi_parse_srat(table, &srat);

    FUZZ_CHECK(error == 0 || error == -EINVAL);
    FUZZ_CHECK(srat.cpu_count <= ACPI_SRAT_CPUS_MAX && srat.range_count <= ACPI_SRAT_RANGES_MAX);
    for (unsigned i = 0; i < srat.range_count; i++)
        FUZZ_CHECK(srat.range[i].bytes != 0 && srat.range[i].base + srat.range[i].bytes >= srat.range[i].base);
    for (uint32_t from = 0; from < 4; from++) {
        error = acpi_slit_distance(table, from, 3 - from, &distance);
        FUZZ_CHECK(error == 0 || error == -EINVAL || error == -ENOENT);
    }
}

static void parse_pptt(const struct acpi_table *table)
{
    static struct acpi_pptt pptt;
    int error = acpi_parse_pptt(table, &pptt);

    FUZZ_CHECK(error == 0 || error == -EINVAL || error == -ENOENT);
    FUZZ_CHECK((error == 0) == (pptt.cpu_count != 0) && pptt.cpu_count <= ACPI_PPTT_CPUS_MAX);
    for (unsigned i = 0; i < pptt.cpu_count; i++)
        FUZZ_CHECK(pptt.cpu[i].core < table->bytes && pptt.cpu[i].cache < table->bytes && pptt.cpu[i].core != 0);
}

/* Parse a table as it is, and as a copy of its own beside an unreadable page. */
static void parse_guarded(const struct acpi_table *table)
{
    static struct acpi_madt madt;
    struct acpi_table copy = *table;
    uint8_t *place = fuzz_guarded(1, table->bytes, false);
    struct acpi_fadt fadt;
    paddr_t hpet;
    int error;

    memcpy(place, table->data, table->bytes);
    copy.data = place;
    error = acpi_parse_madt(&copy, &madt);
    FUZZ_CHECK(error == 0 || error == -EINVAL);
    if (error == 0) {
        FUZZ_CHECK(madt.cpu_count <= ACPI_MADT_CPUS_MAX && madt.cpu_count <= madt.cpu_listed);
        FUZZ_CHECK(madt.ioapic_count <= ACPI_MADT_IOAPICS_MAX && madt.override_count <= ACPI_MADT_OVERRIDES_MAX);
        for (unsigned i = 1; i < madt.cpu_count; i++)
            FUZZ_CHECK(madt.cpu[i].apic_id != madt.cpu[i - 1].apic_id);
    }
    error = acpi_parse_hpet(&copy, &hpet);
    FUZZ_CHECK(error == -EINVAL || (error == 0 && hpet != 0));
    parse_numa(&copy);
    parse_pptt(&copy);
    error = acpi_parse_fadt(&copy, &fadt);
    FUZZ_CHECK(error == 0 || error == -EINVAL);
    if (error == 0)
        FUZZ_CHECK(fadt.pm_timer_port <= 0xffff && fadt.pm1a_control_port <= 0xffff);
}

static bool run(const uint8_t *data, size_t bytes)
{
    static const char *const signatures[] = {"APIC", "FACP", "HPET", "SRAT", "SLIT", "PPTT"};
    const struct acpi_source source = {.map = map};
    bool all_found = true;
    struct acpi acpi;
    paddr_t rsdp;
    int error;

    memory.data = data;
    memory.bytes = bytes;
    error = acpi_find_rsdp(&source, ACPI_BUILD_BASE, ACPI_BUILD_BASE + bytes + 64, &rsdp);
    FUZZ_CHECK(error == 0 || error == -ENOENT);
    if (error != 0)
        rsdp = ACPI_BUILD_BASE + base->rsdp;
    error = acpi_open(&acpi, &source, rsdp);
    FUZZ_CHECK(error == 0 || error == -ENOENT || error == -EINVAL || error == -EFAULT);
    if (error != 0)
        return false;
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
        struct acpi_table table;

        error = acpi_find_table(&acpi, signatures[i], &table);
        FUZZ_CHECK(error == 0 || error == -ENOENT);
        all_found &= error == 0;
        if (error == 0) {
            FUZZ_CHECK(table.data >= data && table.bytes <= bytes);
            FUZZ_CHECK((size_t)(table.data - data) <= bytes - table.bytes);
            parse_guarded(&table);
        }
    }
    return all_found;
}

int main(int argc, char **argv)
{
    static const struct fuzz_target target = {.name = "acpi", .make = make, .repair = repair, .run = run};

    return fuzz_main(&target, argc, argv);
}
