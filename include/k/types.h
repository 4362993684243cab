/* SPDX-License-Identifier: MIT */
/* Scalar vocabulary of the whole kernel. Time is always a uint64_t with its unit in the name. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint64_t paddr_t;  /* physical address, bytes */
typedef uintptr_t vaddr_t; /* virtual address, bytes */
typedef uint64_t pfn_t;    /* physical frame number: paddr / PAGE_BYTES */
typedef uint32_t cpu_id_t; /* dense CPU index chosen by us: 0 is the boot CPU */
typedef int32_t tid_t;     /* task id, > 0 */
typedef int32_t pid_t;     /* process id, > 0; 0 is the kernel itself */

#define PAGE_SHIFT 12
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)

#define CPU_NONE UINT32_MAX
#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)
#define TIME_NEVER UINT64_MAX /* a deadline that never comes, in any unit */
