/* SPDX-License-Identifier: MIT */
/* The room's part of each CPU: a cache of pages, counts. */
#pragma once

#include <stddef.h>

struct cpu;

size_t mm_cpu_bytes(void);

/* Before the CPU allocates for the first time it gets that many zeroed bytes, aligned to a cache line, which it keeps
 * for ever. A CPU without them works, too, and is slower. Context: boot, after bootmem_finish(). */
void mm_cpu_init(struct cpu *cpu, void *zeroed);

/* From now on its pages come from that NUMA node, or from the nearest one that has memory. At first it is 0. Context:
 * boot, the CPU is this one or has not started yet. */
void mm_cpu_set_node(struct cpu *cpu, unsigned node);
/* What the caches of a CPU that is OFFLINE hold goes back to where everybody finds it: pages, and objects with their
 * magazines. Who saw the CPU OFFLINE may call this. Context: task. */
void mm_cpu_drain(struct cpu *cpu);
