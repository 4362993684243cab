/* SPDX-License-Identifier: MIT */
/*
 * Supervisor registers (The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, version
 * 20240411, chapter 10; section numbers in this folder are that version's), for C and assembly alike. Only what the
 * machine uses.
 */
#pragma once

/* sstatus, section 10.1.1 */
#define SSTATUS_SIE 0x2
#define SSTATUS_SPIE 0x20
#define SSTATUS_SPP 0x100
#define SSTATUS_VS 0x600
#define SSTATUS_VS_CLEAN 0x400
#define SSTATUS_VS_DIRTY 0x600
#define SSTATUS_FS 0x6000
#define SSTATUS_FS_CLEAN 0x4000
#define SSTATUS_FS_DIRTY 0x6000
#define SSTATUS_SUM 0x40000
#define SSTATUS_MXR 0x80000

/* scause: the top bit says interrupt; sie and sip have one bit per interrupt code. */
#define SCAUSE_INTERRUPT 0x8000000000000000
#define IRQ_SOFTWARE 1
#define IRQ_TIMER 5
#define SIE_SSIE 0x2
#define SIE_STIE 0x20
#define SIP_SSIP 0x2

/* satp, section 10.1.11 */
#define SATP_MODE_SHIFT 60
#define SATP_MODE_SV39 8
#define SATP_MODE_SV48 9
#define SATP_MODE_SV57 10

#define SCOUNTEREN_TM 0x2

#define CSR_VLENB 0xc22
#define CSR_STIMECMP 0x14d /* Sstc; not every assembler knows the name */

#ifndef __ASSEMBLER__

#include <stdint.h>

#define CSR_STRING_(name) #name
#define CSR_STRING(name) CSR_STRING_(name)

#define csr_read(name)                                                                \
    ({                                                                                \
        uintptr_t csr_value_;                                                         \
        __asm__ volatile("csrr %0, " CSR_STRING(name) : "=r"(csr_value_) : : "memory"); \
        csr_value_;                                                                   \
    })

#define csr_write(name, value) \
    __asm__ volatile("csrw " CSR_STRING(name) ", %0" : : "rK"((uintptr_t)(value)) : "memory")

#define csr_set(name, bits) \
    __asm__ volatile("csrs " CSR_STRING(name) ", %0" : : "rK"((uintptr_t)(bits)) : "memory")

#define csr_clear(name, bits) \
    __asm__ volatile("csrc " CSR_STRING(name) ", %0" : : "rK"((uintptr_t)(bits)) : "memory")

/* Clear the bits and return what the register was before. */
#define csr_read_clear(name, bits)                                      \
    ({                                                                  \
        uintptr_t csr_value_;                                           \
        __asm__ volatile("csrrc %0, " CSR_STRING(name) ", %1"           \
                         : "=r"(csr_value_)                             \
                         : "rK"((uintptr_t)(bits))                      \
                         : "memory");                                   \
        csr_value_;                                                     \
    })

#endif
