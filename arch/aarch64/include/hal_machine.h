/* SPDX-License-Identifier: MIT */
/*
 * AArch64 as core sees it: the inline half of include/hal, and the constants that size it. EL1 with 48-bit addresses
 * and a 4 KiB granule. Registers with a fixed job: SP_EL0 holds the current task (the kernel runs on SP_EL1),
 * TPIDR_EL1 this CPU's area, TPIDRRO_EL0 is scratch for the trap entry.
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
#include <k/compiler.h>
#include <k/types.h>
#include <machine_layout.h>

#define HAL_STACK_ALIGN 16
#define HAL_FPU_ALIGN 16
#define HAL_FPU_BYTES sizeof(struct machine_fpu)
#define HAL_VECTOR_BYTES (machine_vector.area_bytes)
#define HAL_FPU_VECTOR(area) (((struct machine_fpu *)(area))->vector)
#define HAL_CPU_AREA_BYTES CPU_AREA_BYTES

#define HAL_FRAME_NEXT 0
#define HAL_FRAME_RETURN 8

#define HAL_PT_INDEX_BITS 9
#define HAL_PT_SHARED_ROOT 0
#define HAL_DIRECT_MAP_BASE UINT64_C(LAYOUT_DIRECT_MAP_BASE)
#define HAL_DIRECT_MAP_BYTES UINT64_C(LAYOUT_DIRECT_MAP_BYTES)
#define HAL_KMAP_BASE UINT64_C(LAYOUT_KMAP_BASE)
#define HAL_KMAP_BYTES UINT64_C(LAYOUT_KMAP_BYTES)
#define HAL_USER_END UINT64_C(LAYOUT_USER_END)
#define HAL_TLB_CACHES_INVALID 0 /* an entry that faults is never cached (ARM D8.13) */
#define HAL_TLB_REMOTE 16 /* broadcasts */

/* The compiler has saved the other registers that it needs: hal_context_switch(). SP_EL0 is not here: it is the address
 * of this struct. */
struct hal_context {
    uint64_t x29, x30;
    uint64_t sp;
};
static_assert(offsetof(struct hal_context, x29) == CONTEXT_X29);
static_assert(offsetof(struct hal_context, x30) == CONTEXT_X29 + 8);
static_assert(offsetof(struct hal_context, sp) == CONTEXT_SP);

/* Registers at a trap. */
struct hal_trap {
    uint64_t x[31];
    uint64_t sp;
    uint64_t elr;
    uint64_t spsr;
    uint64_t esr;
    uint64_t far;
    uint64_t task;      /* of a user's frame: whose it is */
    uint64_t unused;
    uint64_t record[2]; /* the caller's x29, and elr: a frame record */
};

#define HAL_TRAP_PC(trap) ((trap)->elr)
#define HAL_TRAP_FRAME_POINTER(trap) ((trap)->x[29])
#define HAL_USER_SP(trap) ((trap)->sp)
#define HAL_USER_NUMBER(trap) ((trap)->x[8])
#define HAL_USER_ARG(trap, i) ((trap)->x[i])
#define HAL_USER_RESULT(trap) ((trap)->x[0])
#define HAL_USER_TLS(trap, area) (((struct machine_fpu *)(area))->tls)
#define HAL_SIGNAL_AT(trap) HAL_USER_SP(trap)
#define HAL_SIGNAL_FRAME_BYTES 1184
#define HAL_SIGNAL_VECTOR_AT 1120 /* behind the record of FP and SIMD */
#define HAL_SIGNAL_HAS_VECTOR(frame) \
    (((const struct machine_vector_head *)((const uint8_t *)(frame) + HAL_SIGNAL_VECTOR_AT))->magic == SVE_MAGIC && \
     ((const struct machine_vector_head *)((const uint8_t *)(frame) + HAL_SIGNAL_VECTOR_AT))->bytes != \
         sizeof(struct machine_vector_head))
#define HAL_SIGNAL_STACK_BYTES_MIN 5120u
#define HAL_SIGNAL_HAS_RESTORER 1
#define HAL_SIGNAL_RETURN_CODE { 0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4 } /* mov x8, #139; svc #0 */
#define HAL_USER_RED_ZONE 0
#define HAL_SYSCALL_BYTES 4
#define HAL_CLONE_TLS 3
#define HAL_ELF_MACHINE 183

/* FP and SIMD state of a task, and the thread pointer. fpu.c says what the last group is for. */
struct machine_cpu;
struct machine_fpu {
    uint8_t q[512];
    uint64_t control[2]; /* FPSR, FPCR */
    uint64_t tls; /* TPIDR_EL0 */

    void *vector;
    struct machine_cpu *held_by; /* its registers equal this area, if its `held` says so, too */
    uint16_t vector_length;      /* of its registers, in bytes, if it has a vector area */
    bool is_vector;              /* z0-z31, p0-p15 and ffr are in the vector area, instead of q0-q31 here */
    uint8_t use;                 /* how much it uses the unit */
    uint8_t eager_turns;         /* in so many turns to come the unit is on from the beginning */
};
static_assert(offsetof(struct machine_fpu, control) == FPU_FPSR);

/* A vector area: Linux's struct sve_context, the registers, and the records that end a signal frame. */
#define SVE_MAGIC 0x53564501u
struct machine_vector_head {
    uint32_t magic, bytes; /* with the registers, in multiples of 16 */
    uint16_t length;       /* of a vector, in bytes */
    uint16_t flags, reserved[2];
    uint8_t registers[];   /* z0-z31, p0-p15, ffr */
};

/* What SVE this machine has, all CPUs alike. Immutable once the boot CPU has a task. */
struct machine_vector {
    size_t area_bytes;   /* 0: none */
    uint16_t length_max; /* in bytes */
    uint16_t lengths;    /* bit N: registers of 16 * (N + 1) bytes */
};
extern struct machine_vector machine_vector;

static ALWAYS_INLINE struct task *hal_current(void)
{
    struct task *task;

    /* Not volatile: within one function the answer cannot change. */
    __asm__("mrs %0, sp_el0" : "=r"(task));
    return task;
}

/* context_swap, of context.S, keeps the stack and frame pointers. */
static ALWAYS_INLINE void hal_context_switch(struct task *prev, struct task *next)
{
    register struct task *from __asm__("x0") = prev;
    register struct task *to __asm__("x1") = next;

    __asm__ volatile("bl context_swap"
                     : "+r"(from), "+r"(to)
                     :: "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                        "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30",
                        "memory", "cc");
}

static ALWAYS_INLINE void hal_cpu_relax(void)
{
    __asm__ volatile("yield" ::: "memory");
}

/* wfi ends on a pending interrupt also while that is masked (ARM D1.7), so none is lost between check and sleep. The
 * isb is where a pending one is taken. */
static ALWAYS_INLINE void hal_cpu_idle(void)
{
    __asm__ volatile("dsb sy\n\twfi\n\tmsr daifclr, #2\n\tisb\n\tmsr daifset, #2" ::: "memory");
}

#define HAL_DAIF_IRQ_MASKED 0x80u

static ALWAYS_INLINE uintptr_t hal_irq_save(void)
{
    uintptr_t state;

    __asm__ volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(state)::"memory");
    return state;
}

static ALWAYS_INLINE void hal_irq_restore(uintptr_t state)
{
    __asm__ volatile("msr daif, %0" ::"r"(state) : "memory");
}

static ALWAYS_INLINE void hal_irq_enable(void)
{
    __asm__ volatile("msr daifclr, #2" ::: "memory");
}

static ALWAYS_INLINE void hal_irq_disable(void)
{
    __asm__ volatile("msr daifset, #2" ::: "memory");
}

static ALWAYS_INLINE bool hal_irq_is_enabled(void)
{
    uintptr_t state;

    __asm__ volatile("mrs %0, daif" : "=r"(state)::"memory");
    return (state & HAL_DAIF_IRQ_MASKED) == 0;
}

/* The isb keeps the read from being executed early: time would step back between CPUs (ARM D11.2.2). */
static ALWAYS_INLINE uint64_t hal_clock_ticks(void)
{
    uint64_t ticks;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
    return ticks;
}

/* The virtual timer fires while the counter is >= CVAL, so a past deadline fires at once (ARM D11.2.4). */
static ALWAYS_INLINE void hal_timer_arm(uint64_t deadline_ticks)
{
    if (deadline_ticks == UINT64_MAX) {
        __asm__ volatile("msr cntv_ctl_el0, xzr\n\tisb" ::: "memory");
        return;
    }
    __asm__ volatile("msr cntv_cval_el0, %0\n\tmsr cntv_ctl_el0, %1\n\tisb"
                     ::"r"(deadline_ticks), "r"(UINT64_C(1)) : "memory");
}

#define HAL_PT_LEVELS 4u
#define HAL_PT_LEAF_LEVEL_MAX 2u

static inline uint64_t hal_pte_leaf(paddr_t pa, unsigned prot, unsigned level)
{
    uint64_t pte = pa | PTE_VALID | PTE_ACCESSED | PTE_INNER_SHAREABLE | PTE_KERNEL_NO_EXEC | PTE_USER_NO_EXEC;

    if (level == 0)
        pte |= PTE_TABLE_OR_PAGE;
    if ((prot & PROT_WRITE) == 0)
        pte |= PTE_READ_ONLY;
    if ((prot & PROT_USER) != 0)
        pte |= PTE_USER;
    /* A page is executable for the kernel or for the user, never for both. */
    if ((prot & PROT_EXEC) != 0)
        pte &= ~((prot & PROT_USER) != 0 ? PTE_USER_NO_EXEC : PTE_KERNEL_NO_EXEC);
    if ((prot & PROT_GLOBAL) == 0)
        pte |= PTE_NOT_GLOBAL;
    if ((prot & PROT_DEVICE) == 0)
        pte |= PTE_ATTR_NORMAL;
    return pte;
}

static inline uint64_t hal_pte_table(paddr_t table)
{
    return table | PTE_VALID | PTE_TABLE_OR_PAGE;
}

static inline bool hal_pte_is_leaf(uint64_t pte, unsigned level)
{
    uint64_t kind = PTE_VALID | (level == 0 ? PTE_TABLE_OR_PAGE : 0);

    return (pte & (PTE_VALID | PTE_TABLE_OR_PAGE)) == kind;
}

static inline paddr_t hal_pte_paddr(uint64_t pte)
{
    return pte & UINT64_C(0x0000fffffffff000);
}

static inline unsigned hal_pte_prot(uint64_t pte)
{
    unsigned prot = 0;
    uint64_t no_exec = (pte & PTE_USER) != 0 ? PTE_USER_NO_EXEC : PTE_KERNEL_NO_EXEC;

    if ((pte & PTE_READ_ONLY) == 0)
        prot |= PROT_WRITE;
    if ((pte & PTE_USER) != 0)
        prot |= PROT_USER;
    if ((pte & no_exec) == 0)
        prot |= PROT_EXEC;
    if ((pte & PTE_NOT_GLOBAL) == 0)
        prot |= PROT_GLOBAL;
    if ((pte & PTE_ATTR_MASK) == 0)
        prot |= PROT_DEVICE;
    return prot;
}
