/* SPDX-License-Identifier: MIT */
/* The room's part of each CPU: a cache of pages, counts. */
#pragma once

#include <stddef.h>

struct cpu;

size_t mm_cpu_bytes(void);

/* Before the CPU allocates for the first time it gets that many zeroed bytes, aligned to a cache line, which it keeps
 * for ever. A CPU without them works, too, and is slower. Context: boot, after bootmem_finish(). */
void mm_cpu_init(struct cpu *cpu, void *zeroed);
