/* SPDX-License-Identifier: MIT */
/* What the firmware says of caches, into struct boot_info, if it makes sense. Context: boot, one CPU. */
#pragma once

#include <hal/boot.h>

struct acpi_madt;
struct acpi_table;

/*
 * Take cache[id] as the last cache of CPU `id`, for all boot->cpu_count of them: equal for those who share it, and for
 * no others; 0: not told. boot->cpu_place[] is left as it is, and boot->cache_problem says why, if a CPU is not told,
 * if threads of one core do not share it, or if nobody else does: who tells only of the caches inside cores says
 * nothing about which cores are near. Without has_places each CPU is a core of its own. `source` is a constant: the
 * name of what says so. boot->cache_source names what the machine took before, or is NULL.
 */
void boot_take_caches(struct boot_info *boot, const char *source, const uint32_t cache[]);

/* The same with the PPTT's; NULL: there is none. The MADT tells which CPU a processor UID is. */
void boot_take_pptt(struct boot_info *boot, const struct acpi_madt *madt, const struct acpi_table *pptt);
