/* SPDX-License-Identifier: MIT */
/* Offsets that C and assembly share; machine_priv.h asserts each of them beside its struct. */
#pragma once

/* struct hal_context */
#define CONTEXT_RA 0
#define CONTEXT_SP 8
#define CONTEXT_S0 16
#define CONTEXT_GP 24

/* struct hal_trap: x0's place holds the program counter. */
#define TRAP_PC 0
#define TRAP_X(n) (8 * (n))
#define TRAP_SSTATUS 256
#define TRAP_SCAUSE 264
#define TRAP_STVAL 272
#define TRAP_TASK 280 /* of a user's frame: whose it is */
#define TRAP_RECORD_FP 288
#define TRAP_RECORD_RA 296
#define TRAP_BYTES 304

/* struct machine_cpu */
#define CPU_ENTRY_T0 0
#define CPU_ENTRY_T1 8
#define CPU_ENTRY_PC 16
#define CPU_BYTES 48

/* struct hart_start */
#define START_HART 0
#define START_SATP 8
#define START_TASK 16
#define START_ENTRY 24
#define START_BYTES 32
#define START_COUNT 1024
