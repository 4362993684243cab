/* SPDX-License-Identifier: MIT */
/* Every bound of the system, with its reason. */
#pragma once

#include <stddef.h>

#define CPU_MAX 1024             /* CPUs that the core is written for; per-CPU state is allocated, not compiled in */
#define NODES_MAX 64             /* NUMA nodes: Linux's usual bound is of that size; the matrix is its square */
#define ASIDS_MAX 4096           /* address-space ids in use; more would only make running out rarer */
#define TID_MAX 131072           /* task and process ids share one space: 100,000 tasks plus room to cycle */
#define TASK_NAME_BYTES 16       /* Linux's comm length, with its NUL */
#define STACK_BYTES_DEFAULT ((size_t)16 << 10)
#define STACK_BYTES_MAX ((size_t)256 << 10) /* a kernel task that asks for more has a bug */
#define BOOT_RANGES_MAX 128      /* memory, reserved and device ranges each; e820 maps in the wild have < 100 */
#define CMDLINE_BYTES 1024
#define PT_LEVELS_MAX 5
#define SLAB_CACHES_MAX 64       /* object caches with magazines: a pointer each in every CPU; others do without */
#define LOG_RING_BYTES (16 << 10)
#define BACKTRACE_FRAMES_MAX 32
#define VM_REGIONS_MAX 65536     /* regions of one space: what Linux allows, so what programs are content with */
#define VM_STACK_GUARD_BYTES ((size_t)1 << 20) /* a stack frame that skips more than this is no accident */
