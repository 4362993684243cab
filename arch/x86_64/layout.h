/* SPDX-License-Identifier: MIT */
/* Numbers that assembly and C share. machine.h checks the offsets against the structs, kernel.ld the image base. */
#pragma once

/* Virtual minus physical address of the image as it is linked; its physical place is fixed, its virtual one slides. */
#define IMAGE_BASE 0xffffffff80000000
#define IMAGE_LOAD 0x200000
#define DIRECT_MAP_BASE 0xffff800000000000

#define BOOT_STACK_BYTES 16384

/* Segment selectors, in the order that SYSCALL and SYSRET want (SDM vol. 3, 5.8.8): the GDT of cpu.c. */
#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_DATA 0x20
#define SELECTOR_USER_CODE 0x28
#define SELECTOR_TSS 0x30

#define CR0_PE 0x00000001
#define CR0_MP 0x00000002
#define CR0_TS 0x00000008
#define CR0_ET 0x00000010
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_PG 0x80000000
/* Caches on, write protection for the kernel, too; TS says whether the floating-point unit traps. */
#define CR0_KERNEL (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG)

#define CR4_PAE 0x00000020
#define CR4_MCE 0x00000040
#define CR4_PGE 0x00000080
#define CR4_OSFXSR 0x00000200
#define CR4_OSXMMEXCPT 0x00000400
#define CR4_UMIP 0x00000800
#define CR4_PCIDE 0x00020000
#define CR4_OSXSAVE 0x00040000
#define CR4_SMEP 0x00100000
#define CR4_SMAP 0x00200000

#define RFLAGS_AC 0x00040000

/* What SYSCALL clears of RFLAGS: TF, IF, DF, IOPL, NT, AC, and the arithmetic flags. */
#define SYSCALL_FLAGS_CLEARED 0x00047fd5

#define MSR_EFER 0xc0000080
#define EFER_SCE 0x1
#define EFER_LME 0x100
#define MSR_GS_BASE_NUMBER 0xc0000101
#define EFER_NXE 0x800

#define CPUID_EXTENDED_FEATURES 0x80000001
#define CPUID_EDX_NX 20
#define CPUID_EDX_LONG_MODE 29

#define COM1_PORT 0x3f8

/* struct cpu_block */
#define CPU_CURRENT 0
#define CPU_USER_STACK 76 /* tss.stack[0]: where an entry from user mode begins to store */
#define CPU_USER_SP 176   /* a working word of the SYSCALL entry */

/* struct hal_context */
#define CONTEXT_STACK_POINTER 0
#define CONTEXT_USER_STACK 8

/* struct hal_trap */
#define TRAP_R15 16
#define TRAP_R14 24
#define TRAP_R13 32
#define TRAP_R12 40
#define TRAP_R11 48
#define TRAP_RBP 56
#define TRAP_RDI 64 /* here the arguments of a system call begin */
#define TRAP_RSI 72
#define TRAP_RDX 80
#define TRAP_R10 88
#define TRAP_R8 96
#define TRAP_R9 104
#define TRAP_RCX 112
#define TRAP_RBX 120
#define TRAP_RAX 128
#define TRAP_RIP 152
#define TRAP_RFLAGS 168
#define TRAP_RSP 176
#define TRAP_BYTES 192
#define VECTOR_ENTRY_BYTES 16
