/* SPDX-License-Identifier: MIT */
/*
 * Where the CPUs are. An APIC id is made of the thread, the core and the package; CPUID says where one ends and the
 * next begins, and how many ids share the last cache (SDM vol. 2, CPUID leaves 0BH and 04H). The boot CPU's answer is
 * taken for all. ACPI's PPTT knows better which cores share a cache, if there is one (boot_caches.h). Nodes come from
 * SRAT and SLIT.
 */
#include <hal/boot.h>
#include <parse/acpi.h>

#include "machine.h"
#include "x86.h"

#define LEAF_CACHES 0x4u
#define LEAF_TOPOLOGY 0xbu
#define CACHES_MAX 8u
#define LEVELS_MAX 4u

static struct acpi_srat srat;

/* From how many bits up do ids tell cores, and packages, apart? 0 and 0: the CPU does not say. */
static void id_shifts(unsigned *core, unsigned *package)
{
    *core = *package = 0;
    if (cpuid(0, 0).eax < LEAF_TOPOLOGY)
        return;
    for (unsigned i = 0; i < LEVELS_MAX; i++) {
        struct cpuid_result r = cpuid(LEAF_TOPOLOGY, i);
        unsigned type = r.ecx >> 8 & 0xff;

        if (type == 0 || (r.ebx & 0xffff) == 0)
            return;
        if (type == 1)
            *core = r.eax & 0x1f;
        *package = r.eax & 0x1f; /* of the last level there is */
    }
}

/* The last cache's, or the package's if it is not said or larger. */
static unsigned cache_shift(unsigned core, unsigned package)
{
    unsigned best_level = 0;
    unsigned shift = package;

    for (unsigned i = 0; cpuid(0, 0).eax >= LEAF_CACHES && i < CACHES_MAX; i++) {
        struct cpuid_result r = cpuid(LEAF_CACHES, i);
        unsigned level = r.eax >> 5 & 7;
        unsigned sharing = (r.eax >> 14 & 0xfff) + 1;

        if ((r.eax & 0x1f) == 0)
            break;
        if (level < 2 || level <= best_level)
            continue;
        best_level = level;
        for (shift = 0; 1u << shift < sharing; shift++)
            continue;
    }
    return shift < core ? core : shift < package ? shift : package;
}

/* Domains are any numbers: the n-th that a CPU is in is node n. NODES_MAX: there is no room for another. */
static unsigned node_of_domain(struct boot_info *boot, uint32_t domains[NODES_MAX], uint32_t domain)
{
    unsigned node = 0;

    while (node < boot->node_count && domains[node] != domain)
        node++;
    if (node == boot->node_count && node < NODES_MAX)
        domains[boot->node_count++] = domain;
    return node;
}

static void take_nodes(struct boot_info *boot, uint32_t domains[NODES_MAX])
{
    for (unsigned i = 0; i < srat.cpu_count; i++)
        for (cpu_id_t id = 0; id < boot->cpu_count; id++)
            if (boot->cpu_hw_id[id] == srat.cpu[i].apic_id)
                boot->cpu_place[id].node = node_of_domain(boot, domains, srat.cpu[i].domain);
    /* After those of CPUs, so that domains of memory alone get the last numbers. */
    for (unsigned i = 0; i < srat.range_count && boot->node_memory_count < BOOT_RANGES_MAX; i++)
        boot->node_memory[boot->node_memory_count++] = (struct boot_node_memory){
            .base = srat.range[i].base,
            .bytes = srat.range[i].bytes,
            .node = node_of_domain(boot, domains, srat.range[i].domain),
        };
}

void places_take(struct boot_info *boot, const struct acpi_table *srat_table, const struct acpi_table *slit)
{
    uint32_t domains[NODES_MAX];
    unsigned core, package;

    id_shifts(&core, &package);
    unsigned cache = cache_shift(core, package);

    boot->has_places = package != 0;
    boot->cache_source = boot->has_places ? "CPUID" : NULL;
    for (cpu_id_t id = 0; id < boot->cpu_count; id++) {
        boot->cpu_place[id].core = (uint32_t)(boot->cpu_hw_id[id] >> core);
        boot->cpu_place[id].cache = (uint32_t)(boot->cpu_hw_id[id] >> cache);
    }
    if (srat_table == NULL || acpi_parse_srat(srat_table, &srat) != 0)
        return;
    take_nodes(boot, domains);
    for (unsigned from = 0; slit != NULL && from < boot->node_count; from++)
        for (unsigned to = 0; to < boot->node_count; to++)
            if (acpi_slit_distance(slit, domains[from], domains[to], &boot->node_distance[from][to]) != 0)
                boot->node_distance[from][to] = 0;
}
