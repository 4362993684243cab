/* SPDX-License-Identifier: MIT */
/*
 * How near CPUs are to each other: threads of one core, CPUs that share their last cache, NUMA nodes and the distances
 * between them. Built once at boot from what the firmware says, and never changed: read without a lock, in any context.
 * A level that tells no CPU from another does not exist, so a machine of equal CPUs has no levels at all.
 */
#pragma once

#include <hal/boot.h>
#include <k/cpumask.h>
#include <smp/cpu.h>

#define TOPOLOGY_DISTANCE_HERE 10u /* of a node to itself: the unit of ACPI's SLIT and of the device tree's matrix */

/* Bytes of memory, zeroed and aligned to a cache line, that topology_init() needs for so many CPUs. */
size_t topology_bytes(unsigned cpus);

/* From boot->cpu_place[] and boot->node_distance[]; fills cpu_table[id]->near[] for id < cpus. What the firmware says
 * may be nonsense: a node that is out of range counts as node 0, a distance below TOPOLOGY_DISTANCE_HERE as that.
 * Context: boot, all of cpu_table[0..cpus) is there. */
void topology_init(void *memory, const struct boot_info *boot, unsigned cpus);

/* CPUs that share this level with the CPU, itself included; NULL: the level says nothing about it. */
static inline const struct cpumask *topology_near(const struct cpu *cpu, enum topology_level level)
{
    return cpu->near[level];
}

/* The numbers of all nodes, by their distance from `from`, those of one distance by number; itself is the first. For
 * those who need it before topology_init(). Context: any. */
void topology_order_nodes(const struct boot_info *boot, unsigned from, uint8_t order[]);

unsigned topology_nodes(void);                        /* at least 1 */
const struct cpumask *topology_node_cpus(unsigned node);
uint32_t topology_node_words(unsigned node);          /* bit i: word i of that mask has any */
unsigned topology_distance(unsigned from, unsigned to); /* nodes, as the firmware gives it */
/* The i-th nearest node, 0 <= i < topology_nodes(): the first is `from` itself. */
unsigned topology_nearest(unsigned from, unsigned i);
bool topology_has_threads(void);                      /* some core has more than one CPU */

/* For the log: "1 node, 2 caches, 4 cores". */
void topology_describe(char *out, size_t bytes);
