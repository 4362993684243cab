/* SPDX-License-Identifier: MIT */
/*
 * riscv64's answers to include/hal: the constants and the inline functions. Registers with a fixed use in the kernel:
 * tp is the running task (switched with it), gp this CPU's struct machine_cpu (never switched, never restored from a
 * frame: a task may come back on another CPU).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal/mmu.h>
#include <k/compiler.h>
#include <k/types.h>
#include <riscv_csr.h>

struct task;

/* Address space. In Sv48 all of it lies under the last entry of the root, so Sv39 and Sv48 differ only above it. */
#define HAL_PT_INDEX_BITS 9
#define HAL_PT_SHARED_ROOT 1
#define HAL_DIRECT_MAP_BASE UINT64_C(0xffffffc000000000)
#define HAL_DIRECT_MAP_BYTES (UINT64_C(128) << 30)
#define HAL_KMAP_BASE UINT64_C(0xffffffe000000000)
#define HAL_KMAP_BYTES (UINT64_C(64) << 30)
#define HAL_TLB_CACHES_INVALID 1 /* SFENCE.VMA also after making an entry valid: Privileged Architecture, 10.2.1 */
#define HAL_TLB_REMOTE 0         /* there is a way, and it is dearer than interrupts: mmu.c */

/* Stacks and frames (RISC-V ELF psABI: s0 is the frame pointer, the record stands below what it points to). */
#define HAL_STACK_ALIGN 16
#define HAL_FRAME_NEXT (-16)
#define HAL_FRAME_RETURN (-8)
#define HAL_FPU_ALIGN 8

/* Per-CPU memory that core gives to hal_cpu_init(): the emergency stack with struct machine_cpu at its top. */
#define HAL_CPU_AREA_BYTES 8192

/* The compiler has saved the other registers that it needs: hal_context_switch(). tp needs no slot: it is the address
 * of the context. Offsets: offsets.h. */
struct hal_context {
    uintptr_t ra;
    uintptr_t sp;
    uintptr_t s0;
    uintptr_t gp; /* of the CPU that the task runs on, for its entry from user mode */
};

/* Registers at a trap, on the stack of what it interrupted. It ends in a frame record, so backtraces walk through. */
struct hal_trap {
    uintptr_t pc;
    uintptr_t x[31]; /* x1..x31 */
    uintptr_t sstatus;
    uintptr_t scause;
    uintptr_t stval;
    uintptr_t task; /* of a user's frame: whose it is, since hal_user_enter() */
    uintptr_t record_fp;
    uintptr_t record_ra;
};

#define HAL_TRAP_PC(trap) ((trap)->pc)
#define HAL_USER_SP(trap) ((trap)->x[2 - 1])
#define HAL_USER_NUMBER(trap) ((trap)->x[17 - 1])
#define HAL_USER_ARG(trap, i) ((trap)->x[10 - 1 + (i)])
#define HAL_USER_RESULT(trap) ((trap)->x[10 - 1])
#define HAL_USER_TLS(trap, area) ((trap)->x[4 - 1])
#define HAL_SIGNAL_AT(trap) HAL_USER_SP(trap)
#define HAL_SIGNAL_FRAME_BYTES 1088
#define HAL_SIGNAL_VECTOR_AT 1088
#define HAL_SIGNAL_HAS_VECTOR(frame) (((const uint32_t *)(frame))[SIGNAL_EXTENSION_AT / 4] == RISCV_V_MAGIC)
#define SIGNAL_EXTENSION_AT 1080u /* of the record that follows the registers: magic, bytes */
#define RISCV_V_MAGIC 0x53465457u
#define HAL_SIGNAL_STACK_BYTES_MIN 2048u
#define HAL_SIGNAL_HAS_RESTORER 0
#define HAL_SIGNAL_RETURN_CODE { 0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00 } /* li a7, 139; ecall */
#define HAL_USER_RED_ZONE 0
#define HAL_SYSCALL_BYTES 4
#define HAL_CLONE_TLS 3
#define HAL_ELF_MACHINE 243
#define HAL_TRAP_FRAME_POINTER(trap) ((trap)->x[8 - 1])

struct machine_cpu;

/* Floating-point registers, and where the vector registers are; the offsets are fpu.S's. */
struct machine_fpu {
    uint64_t f[32];
    uint64_t fcsr;
    void *vector;
    struct machine_cpu *held_by; /* the CPU whose units hold the same, if its `held` says so, too: fpu.c */
    uint8_t use; /* how often the units are written to: fpu.c */
};
#define HAL_FPU_BYTES (machine_facts.has_fpu ? sizeof(struct machine_fpu) : 0)
#define HAL_FPU_VECTOR(area) (((struct machine_fpu *)(area))->vector)

/* The V extension's: Linux's struct __riscv_v_ext_state, v0..v31 behind it, and the record that ends a signal frame. */
struct machine_vector {
    uint64_t vstart, vl, vtype, vcsr, vlenb;
    uint64_t data_va; /* in a frame: where the registers are */
    uint8_t registers[];
};
#define VECTOR_END_BYTES 16u
#define HAL_VECTOR_BYTES \
    (machine_facts.vlenb != 0 ? sizeof(struct machine_vector) + 32 * machine_facts.vlenb + VECTOR_END_BYTES : 0)

/* Facts about this machine, written by its boot code before kmain(). */
struct machine_facts {
    paddr_t image_paddr;
    unsigned pt_levels;
    uint64_t user_end; /* HAL_USER_END: the lower half of what so many levels translate */
    bool has_sstc; /* every hart has stimecmp */
    bool has_fpu;  /* every hart has F and D */
    size_t vlenb;  /* bytes of a vector register, if every hart has V; else 0 */
};
extern struct machine_facts machine_facts;

/* Arms the timer by an SBI call: the way of harts without Sstc. */
void timer_arm_sbi(uint64_t deadline_ticks);

/* --- hal/irq.h --- */

static inline uintptr_t hal_irq_save(void)
{
    return csr_read_clear(sstatus, SSTATUS_SIE) & SSTATUS_SIE;
}

static inline void hal_irq_restore(uintptr_t state)
{
    csr_set(sstatus, state);
}

static inline void hal_irq_enable(void)
{
    csr_set(sstatus, SSTATUS_SIE);
}

static inline void hal_irq_disable(void)
{
    csr_clear(sstatus, SSTATUS_SIE);
}

static inline bool hal_irq_is_enabled(void)
{
    return (csr_read(sstatus) & SSTATUS_SIE) != 0;
}

/* --- hal/cpu.h --- */

register struct task *machine_current_task __asm__("tp");

static inline struct task *hal_current(void)
{
    return machine_current_task;
}

/* context_swap, of context.S, keeps the stack and frame pointers; gp stays the CPU's. */
static ALWAYS_INLINE void hal_context_switch(struct task *prev, struct task *next)
{
    register struct task *from __asm__("a0") = prev;
    register struct task *to __asm__("a1") = next;

    __asm__ volatile("call context_swap"
                     : "+r"(from), "+r"(to)
                     :: "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a2", "a3", "a4", "a5", "a6", "a7", "s1", "s2",
                        "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "memory");
}

static inline void hal_cpu_relax(void)
{
    /* PAUSE (Zihintpause) is a FENCE with no effect where it is not known. */
    __asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" : : : "memory");
}

static inline void hal_cpu_idle(void)
{
    /* WFI ends when an interrupt enabled in sie is pending, whatever sstatus.SIE says (section 3.3.3), so none can slip
     * in between the caller's last check and the wait. The write that sets SIE evaluates pending interrupts at once
     * (section 10.1.3): all of them are taken between these two instructions. */
    __asm__ volatile("wfi" : : : "memory");
    hal_irq_enable();
    hal_irq_disable();
}

/* --- hal/clock.h --- */

static inline uint64_t hal_clock_ticks(void)
{
    return csr_read(time);
}

static inline void hal_timer_arm(uint64_t deadline_ticks)
{
    if (machine_facts.has_sstc)
        csr_write(CSR_STIMECMP, deadline_ticks);
    else
        timer_arm_sbi(deadline_ticks);
}

/* --- hal/mmu.h --- */

/* Page-table entries, section 10.3.1. The low two software bits are free: one of them remembers PROT_DEVICE, since the
 * memory type comes from the physical memory attributes and needs no bit. */
#define PTE_VALID UINT64_C(0x1)
#define PTE_READ UINT64_C(0x2)
#define PTE_WRITE UINT64_C(0x4)
#define PTE_EXEC UINT64_C(0x8)
#define PTE_USER UINT64_C(0x10)
#define PTE_GLOBAL UINT64_C(0x20)
#define PTE_ACCESSED UINT64_C(0x40)
#define PTE_DIRTY UINT64_C(0x80)
#define PTE_SOFT_DEVICE UINT64_C(0x100)
#define PTE_PPN_SHIFT 10
#define PTE_PPN_MASK ((UINT64_C(1) << 44) - 1)

#define HAL_PT_LEVELS (machine_facts.pt_levels)
#define HAL_USER_END (machine_facts.user_end)

#define HAL_PT_LEAF_LEVEL_MAX 2u /* Sv39 and Sv48 both allow leaves at every level (section 10.4.1) */

static inline uint64_t hal_pte_table(paddr_t table)
{
    return (uint64_t)table >> PAGE_SHIFT << PTE_PPN_SHIFT | PTE_VALID;
}

static inline uint64_t hal_pte_leaf(paddr_t pa, unsigned prot, unsigned level)
{
    /* A and D are set here, so that no hart needs to update them, in hardware or by a fault. */
    uint64_t pte = hal_pte_table(pa) | PTE_READ | PTE_ACCESSED | PTE_DIRTY;

    (void)level; /* a leaf looks the same at every level */
    pte |= prot & PROT_WRITE ? PTE_WRITE : 0;
    pte |= prot & PROT_EXEC ? PTE_EXEC : 0;
    pte |= prot & PROT_USER ? PTE_USER : 0;
    pte |= prot & PROT_GLOBAL ? PTE_GLOBAL : 0;
    pte |= prot & PROT_DEVICE ? PTE_SOFT_DEVICE : 0;
    return pte;
}

static inline bool hal_pte_is_leaf(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & HAL_PTE_VALID) != 0 && (pte & (PTE_READ | PTE_WRITE | PTE_EXEC)) != 0;
}

static inline paddr_t hal_pte_paddr(uint64_t pte)
{
    return (pte >> PTE_PPN_SHIFT & PTE_PPN_MASK) << PAGE_SHIFT;
}

static inline unsigned hal_pte_prot(uint64_t pte)
{
    unsigned prot = PROT_READ_ONLY;

    prot |= pte & PTE_WRITE ? PROT_WRITE : 0;
    prot |= pte & PTE_EXEC ? PROT_EXEC : 0;
    prot |= pte & PTE_USER ? PROT_USER : 0;
    prot |= pte & PTE_GLOBAL ? PROT_GLOBAL : 0;
    prot |= pte & PTE_SOFT_DEVICE ? PROT_DEVICE : 0;
    return prot;
}
