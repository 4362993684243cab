/* SPDX-License-Identifier: MIT */
/* Writes ACPI tables for tests into a buffer that stands for physical memory from ACPI_BUILD_BASE on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <parse/acpi.h>

#define ACPI_BUILD_BASE 0xe0000u
#define ACPI_BUILD_BYTES 65536u

struct acpi_build {
    uint8_t memory[ACPI_BUILD_BYTES];
    uint32_t used;
    uint32_t tables[16]; /* offsets, in the order of the root table */
    uint32_t table_count;
    uint32_t rsdp, rsdt, xsdt; /* offsets; 0: none */
};

void acpi_build_begin(struct acpi_build *build);

/* A table with its header; the body follows by acpi_build_put(). Listed in the root table if `listed`. */
uint32_t acpi_build_table(struct acpi_build *build, const char *signature, uint8_t revision, bool listed);
void acpi_build_put(struct acpi_build *build, uint64_t value, size_t bytes);

/* Length and checksum of the table at this offset, which reaches to the end of what was put. */
void acpi_build_finish(struct acpi_build *build, uint32_t table);

/* Only the checksum, for a table that was changed. */
void acpi_build_sum(struct acpi_build *build, uint32_t table);

/* Root tables and pointer: revision 0 (RSDT) or 2 (RSDT and XSDT). */
void acpi_build_end(struct acpi_build *build, uint8_t revision);
void acpi_build_sum_rsdp(struct acpi_build *build);

/* Records of the PPTT at `table`, the last that was begun: their offsets in it, by which they name each other. `cache`
 * 0: no private resource. Types of caches: 0 data, 1 instructions, 2 and 3 both. */
uint32_t acpi_build_processor(struct acpi_build *build, uint32_t table, uint32_t flags, uint32_t parent, uint32_t uid,
                              uint32_t cache);
uint32_t acpi_build_cache(struct acpi_build *build, uint32_t table, uint8_t type, uint32_t next);

/* FACP, APIC, HPET of a small PC with the given revision of the root pointer. */
void acpi_build_machine(struct acpi_build *build, uint8_t revision);

/* The same with SRAT, SLIT and PPTT. */
void acpi_build_numa_machine(struct acpi_build *build, uint8_t revision);

/* The buffer as a source of tables. */
struct acpi_source acpi_build_source(struct acpi_build *build);

uint32_t acpi_build_get32(const struct acpi_build *build, uint32_t offset);
void acpi_build_set(struct acpi_build *build, uint32_t offset, uint64_t value, size_t bytes);
