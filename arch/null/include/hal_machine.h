/* SPDX-License-Identifier: MIT */
/*
 * A machine that only compiles, and the form of a new port: every constant, type and inline function of include/hal.
 * What is not written ends in null_stop(); nothing here pretends to work. Page-table entries are pure functions, so
 * theirs are written, in a format of no CPU's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal/clock.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <hal/mmu.h>
#include <k/types.h>

[[noreturn]] void null_stop(void);

/* ---- Constants: their meaning is in hal/mmu.h, hal/context.h, hal/cpu.h and hal/debug.h. ---- */

#define HAL_STACK_ALIGN 16
#define HAL_FPU_BYTES ((size_t)0)
#define HAL_VECTOR_BYTES ((size_t)0)
#define HAL_FPU_VECTOR(area) (*(void **)(area)) /* there is none */
#define HAL_FPU_ALIGN 16
#define HAL_CPU_AREA_BYTES PAGE_BYTES /* at least an emergency stack */
#define HAL_FRAME_NEXT 0
#define HAL_FRAME_RETURN 8

#define HAL_PT_INDEX_BITS 9
#define HAL_PT_SHARED_ROOT 1
#define HAL_TLB_CACHES_INVALID 1 /* the safe answer until the manual says otherwise */
#define HAL_TLB_REMOTE 1
#define HAL_DIRECT_MAP_BASE UINT64_C(0xffff800000000000)
#define HAL_DIRECT_MAP_BYTES (UINT64_C(1) << 40)
#define HAL_KMAP_BASE UINT64_C(0xffffc00000000000)
#define HAL_KMAP_BYTES (UINT64_C(64) << 30)
#define HAL_USER_END (UINT64_C(1) << 47)

/* What a call preserves, or where it lies: nearly always a stack pointer is enough. */
struct hal_context {
    uintptr_t stack_pointer;
};

/* In assembly: the stack pointer, the register of hal_current(), and whichever registers it does not tell the compiler
 * that it destroys. */
static inline void hal_context_switch(struct task *prev, struct task *next)
{
    (void)prev;
    (void)next;
    null_stop();
}

/* ---- hal/cpu.h ---- */

/* From a register that hal_context_switch() changes with the task. */
static inline struct task *hal_current(void)
{
    null_stop();
}

/* The spin-wait hint, with a memory clobber. */
static inline void hal_cpu_relax(void)
{
    null_stop();
}

/* Wait, enable, disable: so that nothing fits between the caller's last check and the wait. */
static inline void hal_cpu_idle(void)
{
    null_stop();
}

/* ---- hal/irq.h: each with a memory clobber ---- */

static inline uintptr_t hal_irq_save(void)
{
    null_stop();
}

static inline void hal_irq_restore(uintptr_t state)
{
    (void)state;
    null_stop();
}

static inline void hal_irq_enable(void)
{
    null_stop();
}

static inline void hal_irq_disable(void)
{
    null_stop();
}

static inline bool hal_irq_is_enabled(void)
{
    null_stop();
}

/* ---- hal/debug.h ---- */

/* What the trap entry saves. */
struct hal_trap {
    uintptr_t pc;
    uintptr_t frame_pointer;
    uintptr_t sp, number, arg[6], result, tls;
};

/* ---- hal/usermode.h ---- */

#define HAL_USER_SP(trap) ((trap)->sp)
#define HAL_USER_NUMBER(trap) ((trap)->number)
#define HAL_USER_ARG(trap, i) ((trap)->arg[i])
#define HAL_USER_RESULT(trap) ((trap)->result)
#define HAL_USER_TLS(trap, area) ((trap)->tls)
#define HAL_SIGNAL_AT(trap) HAL_USER_SP(trap)
#define HAL_SIGNAL_FRAME_BYTES 1024
#define HAL_SIGNAL_VECTOR_AT HAL_SIGNAL_FRAME_BYTES
#define HAL_SIGNAL_HAS_VECTOR(frame) ((void)(frame), false)
#define HAL_SIGNAL_STACK_BYTES_MIN 2048u
#define HAL_SIGNAL_HAS_RESTORER 0
#define HAL_SIGNAL_RETURN_CODE { 0 }
#define HAL_USER_RED_ZONE 0
#define HAL_SYSCALL_BYTES 4
#define HAL_CLONE_TLS 3
#define HAL_ELF_MACHINE 0

#define HAL_TRAP_PC(trap) ((trap)->pc)
#define HAL_TRAP_FRAME_POINTER(trap) ((trap)->frame_pointer)

/* ---- hal/clock.h ---- */

/* Not executed before the loads in front of it. */
static inline uint64_t hal_clock_ticks(void)
{
    null_stop();
}

/* TIME_NEVER disarms; a past deadline fires at once. */
static inline void hal_timer_arm(uint64_t deadline_ticks)
{
    (void)deadline_ticks;
    null_stop();
}

/* ---- hal/mmu.h ---- */

#define NULL_PTE_VALID (UINT64_C(1) << 0)
#define NULL_PTE_LEAF (UINT64_C(1) << 1)
#define NULL_PTE_PROT_SHIFT 2 /* the five PROT_ bits as they are */
#define NULL_PTE_PROT_MASK UINT64_C(0x1f)
#define NULL_PTE_ADDRESS UINT64_C(0x000ffffffffff000)

#define HAL_PT_LEVELS 4u
#define HAL_PT_LEAF_LEVEL_MAX 2u

static inline uint64_t hal_pte_leaf(paddr_t pa, unsigned prot, unsigned level)
{
    (void)level; /* a leaf looks the same at every level */
    return pa | prot << NULL_PTE_PROT_SHIFT | NULL_PTE_LEAF | NULL_PTE_VALID;
}

static inline uint64_t hal_pte_table(paddr_t table)
{
    return table | NULL_PTE_VALID;
}

static inline bool hal_pte_is_leaf(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & NULL_PTE_LEAF) != 0;
}

static inline paddr_t hal_pte_paddr(uint64_t pte)
{
    return pte & NULL_PTE_ADDRESS;
}

static inline unsigned hal_pte_prot(uint64_t pte)
{
    return (unsigned)(pte >> NULL_PTE_PROT_SHIFT & NULL_PTE_PROT_MASK);
}
