/* SPDX-License-Identifier: MIT */
/*
 * What core sees of the x86_64 machine: constants, the machine's half of a task, and the hooks that must be inline.
 * SDM below is Intel's "64 and IA-32 Architectures Software Developer's Manual".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal/mmu.h> /* PROT_*: its own include of this file is the one that does nothing */
#include <k/compiler.h>
#include <k/types.h>

struct task;

/* ---- constants ---------------------------------------------------------------------------------------------- */

#define HAL_STACK_ALIGN 16
#define HAL_FPU_ALIGN 64 /* XSAVE: SDM vol. 1, 13.4 */
#define HAL_FRAME_NEXT 0
#define HAL_FRAME_RETURN 8

/* One CPU's block (GDT, TSS, current task) and its two emergency stacks: struct cpu_area in machine.h. */
#define HAL_CPU_AREA_BYTES (4 * PAGE_BYTES)

#define HAL_PT_INDEX_BITS 9
#define HAL_PT_SHARED_ROOT 1
#define HAL_TLB_CACHES_INVALID 0 /* SDM vol. 3, 4.10.2.3: not-present entries are never cached */
#define HAL_TLB_REMOTE 0

/* The kernel half of 4-level paging. The image is linked in the last 2 GiB (kernel.ld). */
#define HAL_DIRECT_MAP_BASE UINT64_C(0xffff800000000000)
#define HAL_DIRECT_MAP_BYTES (UINT64_C(64) << 40)
#define HAL_KMAP_BASE UINT64_C(0xffffd00000000000)
#define HAL_KMAP_BYTES (UINT64_C(64) << 30)

/* The last page of the lower half stays empty: a SYSCALL at its very end would have SYSRET return to an address that is
 * not canonical, and Intel's fault then, with the user's stack, in the kernel (SDM vol. 2, SYSRET). */
#define HAL_USER_END ((UINT64_C(1) << 47) - PAGE_BYTES)

/* ---- context ------------------------------------------------------------------------------------------------ */

/* All the rest of a switched-out task's state lies on its stack: context.S. */
struct hal_context {
    uintptr_t stack_pointer;
    uintptr_t user_stack; /* end of the user's trap frame: what the CPU has in CPU_USER_STACK while the task runs */
};

/* Registers at a trap, lowest address first: the frame record that entry.S makes, what it and then the CPU push. */
struct hal_trap {
    uint64_t frame_next, frame_return;
    uint64_t r15, r14, r13, r12, r11;
    uint64_t rbp;
    union {
        struct {
            uint64_t rdi, rsi, rdx, r10, r8, r9;
        };
        uint64_t arg[6]; /* of a system call (System V ABI, A.2.1) */
    };
    uint64_t rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

#define HAL_TRAP_PC(trap) ((trap)->rip)
#define HAL_TRAP_FRAME_POINTER(trap) ((trap)->rbp)

/* An XSAVE or FXSAVE area, and behind it the user's two segment bases. */
struct x86_bases {
    uint64_t fs, gs;
};
extern size_t x86_fpu_bytes; /* with them */
#define HAL_FPU_BYTES x86_fpu_bytes
#define HAL_VECTOR_BYTES ((size_t)0)
#define HAL_FPU_VECTOR(area) (*(void **)(area)) /* there is none */

static inline struct x86_bases *x86_bases_of(const void *area)
{
    return (struct x86_bases *)((uintptr_t)area + x86_fpu_bytes) - 1;
}

#define HAL_USER_SP(trap) ((trap)->rsp)
#define HAL_USER_NUMBER(trap) ((trap)->rax)
#define HAL_USER_RESULT(trap) ((trap)->rax)
#define HAL_USER_TLS(trap, area) (x86_bases_of(area)->fs)
#define HAL_SIGNAL_AT(trap) ((trap)->rsp - 8) /* the handler's RET has taken the return address */
#define HAL_SIGNAL_FRAME_BYTES 3584 /* 504, and an XSAVE area with AVX-512 */
#define HAL_SIGNAL_VECTOR_AT HAL_SIGNAL_FRAME_BYTES
#define HAL_SIGNAL_HAS_VECTOR(frame) ((void)(frame), false)
#define HAL_SIGNAL_STACK_BYTES_MIN 2048u
#define HAL_SIGNAL_HAS_RESTORER 1
#define HAL_SIGNAL_RETURN_CODE { 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05 } /* mov $15, %rax; syscall */
#define HAL_USER_RED_ZONE 128 /* System V ABI, 3.2.2 */
#define HAL_SYSCALL_BYTES 2
#define HAL_CLONE_TLS 4
#define HAL_ELF_MACHINE 62

#define HAL_USER_ARG(trap, i) ((trap)->arg[i])

/* GS.base points at this CPU's block, whose first word is the current task. The compiler sees an ordinary load, so it
 * neither moves one above hal_cpu_init() nor repeats one without need. */
#define X86_PER_CPU __attribute__((address_space(256)))

static inline struct task *hal_current(void)
{
    return *(struct task *X86_PER_CPU *)0;
}

/* context_swap, of context.S, keeps the stack and frame pointers; there is no red zone that its return address could
 * hit. */
static ALWAYS_INLINE void hal_context_switch(struct task *prev, struct task *next)
{
    __asm__ volatile("call context_swap"
                     : "+D"(prev), "+S"(next)
                     :: "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
                        "cc");
}

/* ---- CPU and interrupts ------------------------------------------------------------------------------------- */

#define X86_FLAGS_IF 0x200u

static inline void hal_cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

/* STI takes effect after the instruction behind it (SDM vol. 2, STI), so no interrupt fits between STI and HLT. */
static inline void hal_cpu_idle(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory", "cc");
}

static inline void hal_irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory", "cc");
}

static inline void hal_irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory", "cc");
}

static inline uintptr_t hal_irq_save(void)
{
    uintptr_t flags;

    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory", "cc");
    return flags;
}

static inline void hal_irq_restore(uintptr_t state)
{
    if (LIKELY((state & X86_FLAGS_IF) != 0))
        hal_irq_enable();
    else
        __asm__ volatile("" ::: "memory");
}

static inline bool hal_irq_is_enabled(void)
{
    uintptr_t flags;

    __asm__ volatile("pushfq; popq %0" : "=r"(flags)::"memory", "cc");
    return (flags & X86_FLAGS_IF) != 0;
}

/* ---- time --------------------------------------------------------------------------------------------------- */

/* LFENCE keeps RDTSC behind the loads before it (SDM vol. 2, RDTSC): a time read after taking a lock is not earlier
 * than one that another CPU read before it released that lock. */
static inline uint64_t hal_clock_ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

void x86_timer_arm(uint64_t deadline_ticks);

/* A deadline farther than the local APIC can count comes early, and one that was just replaced may still come: core
 * looks at the clock in trap_timer() and arms again. */
static inline void hal_timer_arm(uint64_t deadline_ticks)
{
    x86_timer_arm(deadline_ticks);
}

/* ---- page tables: SDM vol. 3, 4.5 --------------------------------------------------------------------------- */

#define X86_PTE_PRESENT (UINT64_C(1) << 0)
#define X86_PTE_WRITE (UINT64_C(1) << 1)
#define X86_PTE_USER (UINT64_C(1) << 2)
#define X86_PTE_PWT (UINT64_C(1) << 3)
#define X86_PTE_PCD (UINT64_C(1) << 4)
#define X86_PTE_ACCESSED (UINT64_C(1) << 5)
#define X86_PTE_DIRTY (UINT64_C(1) << 6)
#define X86_PTE_LARGE (UINT64_C(1) << 7) /* in levels 1 and 2 */
#define X86_PTE_GLOBAL (UINT64_C(1) << 8)
#define X86_PTE_NX (UINT64_C(1) << 63)
#define X86_PTE_ADDRESS UINT64_C(0x000ffffffffff000)

extern unsigned x86_leaf_level_max;

#define HAL_PT_LEVELS 4u
#define HAL_PT_LEAF_LEVEL_MAX x86_leaf_level_max

/* Accessed and dirty are set from the start: nothing here looks at them, and so the CPU need not write them. */
static inline uint64_t hal_pte_leaf(paddr_t pa, unsigned prot, unsigned level)
{
    uint64_t pte = pa | X86_PTE_PRESENT | X86_PTE_ACCESSED;

    if ((prot & PROT_WRITE) != 0)
        pte |= X86_PTE_WRITE | X86_PTE_DIRTY;
    if ((prot & PROT_EXEC) == 0)
        pte |= X86_PTE_NX;
    if ((prot & PROT_USER) != 0)
        pte |= X86_PTE_USER;
    if ((prot & PROT_GLOBAL) != 0)
        pte |= X86_PTE_GLOBAL;
    if ((prot & PROT_DEVICE) != 0)
        pte |= X86_PTE_PCD | X86_PTE_PWT; /* PAT entry 3: UC after reset, and we leave the PAT alone */
    return level > 0 ? pte | X86_PTE_LARGE : pte;
}

/* Rights are those of the leaf: a table grants everything. */
static inline uint64_t hal_pte_table(paddr_t table)
{
    return table | X86_PTE_PRESENT | X86_PTE_WRITE | X86_PTE_USER;
}

static inline bool hal_pte_is_leaf(uint64_t pte, unsigned level)
{
    return (pte & HAL_PTE_VALID) != 0 && (level == 0 || (pte & X86_PTE_LARGE) != 0);
}

static inline paddr_t hal_pte_paddr(uint64_t pte)
{
    return pte & X86_PTE_ADDRESS;
}

static inline unsigned hal_pte_prot(uint64_t pte)
{
    unsigned prot = PROT_READ_ONLY;

    if ((pte & X86_PTE_WRITE) != 0)
        prot |= PROT_WRITE;
    if ((pte & X86_PTE_NX) == 0)
        prot |= PROT_EXEC;
    if ((pte & X86_PTE_USER) != 0)
        prot |= PROT_USER;
    if ((pte & X86_PTE_GLOBAL) != 0)
        prot |= PROT_GLOBAL;
    if ((pte & X86_PTE_PCD) != 0)
        prot |= PROT_DEVICE;
    return prot;
}
