/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI 6.5, chapter 5): untrusted bytes in, checked facts out. Physical memory is reached through the
 * caller's `map`, so that fuzzing and unit tests run on a buffer.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

struct acpi_source {
    /* A readable pointer to [pa, pa + bytes), or NULL if any of it is out of reach. */
    const void *(*map)(void *arg, paddr_t pa, size_t bytes);
    void *arg;
};

struct acpi_table {
    const uint8_t *data; /* whole table, header included, checksum good */
    uint32_t bytes;
    paddr_t pa;
};

struct acpi {
    struct acpi_source source;
    paddr_t root;      /* RSDT or XSDT */
    bool root_is_xsdt; /* 8-byte entries */
    unsigned table_count;
};

/* From a known RSDP: signature, checksums (revision 2: both), root table. -ENOENT, -EINVAL, -EFAULT (out of reach). */
int acpi_open(struct acpi *acpi, const struct acpi_source *source, paddr_t rsdp) MUST_USE;

/* Look for an RSDP in [from, to) on 16-byte boundaries. -ENOENT. */
int acpi_find_rsdp(const struct acpi_source *source, paddr_t from, paddr_t to, paddr_t *out) MUST_USE;

/* First table with this 4-character signature whose length and checksum hold. -ENOENT. */
int acpi_find_table(const struct acpi *acpi, const char *signature, struct acpi_table *out) MUST_USE;

/* MADT, one pass. CPUs that are enabled or online-capable, in table order; both local APIC and x2APIC entries. */
#define ACPI_MADT_CPUS_MAX 2048
#define ACPI_MADT_IOAPICS_MAX 16
#define ACPI_MADT_OVERRIDES_MAX 32
struct acpi_madt {
    paddr_t local_apic;
    bool has_pcat; /* dual 8259 present */
    struct { uint32_t apic_id, uid; bool enabled; } cpu[ACPI_MADT_CPUS_MAX];
    unsigned cpu_count;
    unsigned cpu_listed; /* also those that did not fit */
    struct { uint8_t id; paddr_t address; uint32_t gsi_base; } ioapic[ACPI_MADT_IOAPICS_MAX];
    unsigned ioapic_count;
    struct { uint8_t source; uint32_t gsi; uint16_t flags; } override[ACPI_MADT_OVERRIDES_MAX];
    unsigned override_count;
};
int acpi_parse_madt(const struct acpi_table *table, struct acpi_madt *out) MUST_USE;

/* HPET: base address and minimum tick are in the table; the period is in the device. -EINVAL. */
int acpi_parse_hpet(const struct acpi_table *table, paddr_t *out_base) MUST_USE;

/* SRAT, one pass: the proximity domain of each enabled CPU and range of memory, in table order; CPUs and ranges beyond
 * the bounds are left out. The domains' numbers are the firmware's, any 32 bits. -EINVAL: damaged, nothing is told. */
#define ACPI_SRAT_CPUS_MAX 2048
#define ACPI_SRAT_RANGES_MAX 128
struct acpi_srat {
    struct { uint32_t apic_id, domain; } cpu[ACPI_SRAT_CPUS_MAX];
    unsigned cpu_count;
    struct { paddr_t base; uint64_t bytes; uint32_t domain; } range[ACPI_SRAT_RANGES_MAX];
    unsigned range_count;
};
int acpi_parse_srat(const struct acpi_table *table, struct acpi_srat *out) MUST_USE;

/* SLIT: how far domain `to` is from `from`; 10 is a domain's distance to itself, 255 no way. -EINVAL: damaged; -ENOENT:
 * the table does not know one of them. */
int acpi_slit_distance(const struct acpi_table *table, uint32_t from, uint32_t to, uint8_t *out) MUST_USE;

/* PPTT, one pass: of each CPU's leaf, in table order, the node that is its core, and the node of all that share its
 * last cache; 0: no cache is told. Both are offsets in the table: equal for those who share, and for no others. A CPU
 * goes by its processor UID, the MADT's. CPUs beyond the bound are left out. -EINVAL: damaged, nothing is told;
 * -ENOENT: there is no leaf, or the table is of ACPI 6.2 (revision 1), where leaves are not marked. */
#define ACPI_PPTT_CPUS_MAX 2048
struct acpi_pptt {
    struct { uint32_t uid, core, cache; } cpu[ACPI_PPTT_CPUS_MAX];
    unsigned cpu_count;
};
int acpi_parse_pptt(const struct acpi_table *table, struct acpi_pptt *out) MUST_USE;

/* FADT: what power-off and reset need. */
struct acpi_fadt {
    uint32_t pm_timer_port; /* 0: none */
    bool pm_timer_is_32bit;
    uint32_t pm1a_control_port;
    paddr_t dsdt;
    uint8_t rtc_century; /* register of the real-time clock; 0: none */
    bool has_no_rtc;
};
int acpi_parse_fadt(const struct acpi_table *table, struct acpi_fadt *out) MUST_USE;
