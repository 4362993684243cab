/* SPDX-License-Identifier: MIT */
/*
 * Addresses, offsets and register bits that C and assembly share: plain numbers, no C. Offsets are asserted beside
 * the structs they describe (hal_machine.h). "ARM" below is the Arm Architecture Reference Manual, DDI 0487.
 */
#pragma once

/* Virtual layout, 48 bits: user below, kernel above 0xffff000000000000. kernel.ld repeats the image's address. */
#define LAYOUT_USER_END 0x0001000000000000
#define LAYOUT_DIRECT_MAP_BASE 0xffff000000000000
#define LAYOUT_DIRECT_MAP_BYTES 0x0000800000000000
#define LAYOUT_KMAP_BASE 0xffff800000000000
#define LAYOUT_KMAP_BYTES 0x0000008000000000

/* struct hal_context: x29 and x30, then sp. */
#define CONTEXT_X29 0
#define CONTEXT_SP 16

/* struct hal_trap. */
#define TRAP_X(n) (8 * (n))
#define TRAP_SP 248
#define TRAP_ELR 256
#define TRAP_SPSR 264
#define TRAP_ESR 272
#define TRAP_FAR 280
#define TRAP_TASK 288 /* of a user's frame */
#define TRAP_RECORD 304
#define TRAP_BYTES 320

/* A CPU's area (TPIDR_EL1): struct machine_cpu at its beginning, and from its end down the emergency stack. Logging and
 * panicking take about a quarter of it. */
#define CPU_AREA_BYTES 8192
#define BOOT_STACK_BYTES 16384

/* struct machine_fpu: q0-q31 stand first. */
#define FPU_FPSR 512

/* Descriptors, VMSAv8-64, 4 KiB granule (ARM D8.3). */
#define PTE_VALID 0x1
#define PTE_TABLE_OR_PAGE 0x2 /* level 0: page; above: pointer to a table; clear: block */
#define PTE_ATTR_NORMAL 0x4   /* MAIR index 1; index 0 is device memory */
#define PTE_ATTR_MASK 0x1c
#define PTE_USER 0x40         /* AP[1] */
#define PTE_READ_ONLY 0x80    /* AP[2] */
#define PTE_INNER_SHAREABLE 0x300
#define PTE_ACCESSED 0x400
#define PTE_NOT_GLOBAL 0x800
#define PTE_KERNEL_NO_EXEC 0x0020000000000000 /* PXN */
#define PTE_USER_NO_EXEC 0x0040000000000000   /* UXN */

/* MAIR_EL1: 0 device nGnRE, 1 normal write-back (ARM D17.2.97). */
#define MAIR_VALUE 0xff04

/* TCR_EL1 without the bits that depend on the CPU (IPS, AS): 48-bit halves, 4 KiB granule, walks write-back and inner
 * shareable (ARM D17.2.131). */
#define TCR_VALUE 0xb5103510

/* SCTLR_EL1 (ARM D17.2.118): the bits that are 1 on every CPU, then those we choose. */
#define SCTLR_RES1 0x30d00800
#define SCTLR_MMU 0x1
#define SCTLR_DCACHE 0x4
#define SCTLR_SP_ALIGNED 0x18 /* SA and SA0 */
#define SCTLR_ICACHE 0x1000
#define SCTLR_SPAN 0x800000 /* 1: exceptions leave PSTATE.PAN alone */
/* What user programs may do themselves: wfe and wfi, clear blocks of memory (DC ZVA), read CTR_EL0, and maintain caches
 * for code that they make: nTWE, nTWI, DZE, UCT, UCI. */
#define SCTLR_USER 0x405c000
#define SCTLR_BOOT (SCTLR_RES1 | SCTLR_MMU | SCTLR_DCACHE | SCTLR_SP_ALIGNED | SCTLR_ICACHE)
#define SCTLR_KERNEL (SCTLR_BOOT | SCTLR_USER)

/* CNTKCTL_EL1.EL0VCTEN: users read the counter (ARM D17.11.5). */
#define CNTKCTL_USER 0x2
