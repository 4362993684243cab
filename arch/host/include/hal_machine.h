/* SPDX-License-Identifier: MIT */
/*
 * The fast hooks and constants of the simulated machine. Everything that may step another CPU is out of line in
 * arch/host; what is here reads or writes the machine's own words and is hidden from ThreadSanitizer, because these
 * words stand for registers, which order nothing.
 */
#pragma once

#include <hal/clock.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <hal/mmu.h>

#define HOST_HOOK __attribute__((no_sanitize("thread")))

/*
 * Addresses. A sanitizer reserves most of the address space for its shadow; HOST_ADDRESS_BASE, of
 * arch/host/CMakeLists.txt, is a place that it leaves alone. The kernel half is everything from there up, the host
 * process's own image and stacks included; user addresses are below.
 */
#define HAL_DIRECT_MAP_BASE HOST_ADDRESS_BASE
#define HAL_DIRECT_MAP_BYTES (UINT64_C(1) << 38)
#define HAL_KMAP_BASE (HOST_ADDRESS_BASE + (UINT64_C(1) << 39))
#define HAL_KMAP_BYTES (UINT64_C(1) << 32)
#define HAL_USER_END HOST_ADDRESS_BASE
#define HAL_PT_INDEX_BITS 9
#define HAL_PT_SHARED_ROOT 1
/* A walk that finds nothing leaves nothing in the TLB. */
#define HAL_TLB_CACHES_INVALID 0
/* By configuration: both kinds of machines are simulated. */
extern unsigned host_tlb_remote;
#define HAL_TLB_REMOTE host_tlb_remote

#define HAL_STACK_ALIGN 16
#define HAL_FPU_ALIGN 16

/* The machine writes a mark into each CPU's area and checks that it stays there. */
#define HAL_CPU_AREA_BYTES 64

/* The host ABI's frame record: the caller's frame pointer, then the return address (x86_64, aarch64). */
#define HAL_FRAME_NEXT 0
#define HAL_FRAME_RETURN 8

struct hal_context {
    uintptr_t sp;         /* valid while no CPU runs the task */
    uintptr_t stack_base; /* bounds of the stack, for the sanitizers */
    size_t stack_bytes;
    uint32_t running_on;  /* 1 + the CPU that runs the task, or 0: resuming it twice ends the simulation */
    void *fiber;          /* the task as ThreadSanitizer knows it, or NULL */
    struct hal_trap *user; /* the registers of its program, once there is one */
    bool is_in_user;       /* and that runs */
};

struct hal_trap {
    uintptr_t pc;
    uintptr_t frame_pointer;
    uintptr_t sp;
    bool is_write;
    /* Of a user: host/machine.h. */
    uintptr_t number, arg[6], result, tls;
    unsigned depth; /* handlers that were entered and have not returned */
};

#define HAL_USER_SP(trap) ((trap)->sp)
#define HAL_USER_NUMBER(trap) ((trap)->number)
#define HAL_USER_ARG(trap, i) ((trap)->arg[i])
#define HAL_USER_RESULT(trap) ((trap)->result)
#define HAL_USER_TLS(trap, area) ((trap)->tls)
#define HAL_SIGNAL_AT(trap) HAL_USER_SP(trap)
#define HAL_SIGNAL_FRAME_BYTES 512
#define HAL_SIGNAL_VECTOR_AT HAL_SIGNAL_FRAME_BYTES
#define HAL_SIGNAL_HAS_VECTOR(frame) (*(const uint64_t *)(frame) == HOST_FRAME_WITH_VECTOR)
#define HOST_FRAME_WITH_VECTOR UINT64_C(0x726f746365766672)
#define HAL_SIGNAL_STACK_BYTES_MIN 2048u
#define HAL_SIGNAL_HAS_RESTORER 1
#define HAL_SIGNAL_RETURN_CODE { 0 } /* handlers are functions, and return */
#define HAL_USER_RED_ZONE 0
#define HAL_SYSCALL_BYTES 1 /* who makes a call looks at the program counter: host_user_call() */
#define HAL_CLONE_TLS 3
#define HAL_ELF_MACHINE 0   /* nothing that a file could hold */

#define HAL_TRAP_PC(trap) ((trap)->pc)
#define HAL_TRAP_FRAME_POINTER(trap) ((trap)->frame_pointer)

/* The floating-point unit is this many words; an area is a mark, the words, and where the vector unit's words are. */
#define HOST_FPU_WORDS 8
#define HOST_VECTOR_WORDS 16
struct host_fpu_area {
    uint64_t mark;
    uint64_t word[HOST_FPU_WORDS];
    uint64_t *vector;
};
#define HAL_FPU_BYTES ROUND_UP(sizeof(struct host_fpu_area), HAL_FPU_ALIGN)
#define HAL_VECTOR_BYTES ((HOST_VECTOR_WORDS + 2) * sizeof(uint64_t)) /* and in a frame its mark, and nothing */
#define HAL_FPU_VECTOR(area) (*(void **)&((struct host_fpu_area *)(area))->vector)

/* The words of the running CPU that the hooks below read. The rest of it is private to arch/host. */
struct host_cpu_regs {
    struct task *current;
    bool irq_enabled;
};

/* The virtual CPU that the host thread is stepping. Changes only inside out-of-line calls of the machine. */
extern struct host_cpu_regs *host_cpu_now;

void host_context_switch(struct task *prev, struct task *next);
void host_cpu_relax(void);
void host_cpu_idle(void);
uintptr_t host_irq_save(void);
void host_irq_enable(void);
void host_irq_disable(void);
uint64_t host_clock_ticks(void);
void host_timer_arm(uint64_t deadline_ticks);

HOST_HOOK static inline struct task *hal_current(void)
{
    return host_cpu_now->current;
}

HOST_HOOK static inline bool hal_irq_is_enabled(void)
{
    return host_cpu_now->irq_enabled;
}

static inline void hal_context_switch(struct task *prev, struct task *next)
{
    host_context_switch(prev, next);
}

static inline void hal_cpu_relax(void)
{
    host_cpu_relax();
}

static inline void hal_cpu_idle(void)
{
    host_cpu_idle();
}

static inline uintptr_t hal_irq_save(void)
{
    return host_irq_save();
}

static inline void hal_irq_enable(void)
{
    host_irq_enable();
}

static inline void hal_irq_disable(void)
{
    host_irq_disable();
}

static inline void hal_irq_restore(uintptr_t state)
{
    if (state != 0)
        host_irq_enable();
    else
        host_irq_disable();
}

static inline uint64_t hal_clock_ticks(void)
{
    return host_clock_ticks();
}

static inline void hal_timer_arm(uint64_t deadline_ticks)
{
    host_timer_arm(deadline_ticks);
}

/* Page-table entries: a format of the machine's own. Bits 12..51 are the address. */
#define HOST_PTE_VALID (UINT64_C(1) << 0)
#define HOST_PTE_LEAF (UINT64_C(1) << 1)
#define HOST_PTE_PROT_SHIFT 2 /* the five PROT_ bits as they are */
#define HOST_PTE_PROT_MASK UINT64_C(0x1f)
#define HOST_PTE_PADDR_MASK UINT64_C(0x000ffffffffff000)

/* Of the machine's own tables. Fewer do not reach the host's addresses, and with more the kernel's half and the user's
 * would share an entry of the root. */
#define HOST_PT_LEVELS 4u

/* What core is told: see host_pt_levels_set(). */
extern unsigned host_pt_levels;

#define HAL_PT_LEVELS host_pt_levels
#define HAL_PT_LEAF_LEVEL_MAX 2u

static inline uint64_t hal_pte_leaf(paddr_t pa, unsigned prot, unsigned level)
{
    (void)level; /* the walk knows it; the entry is the same on each level */
    return (pa & HOST_PTE_PADDR_MASK) | (prot & HOST_PTE_PROT_MASK) << HOST_PTE_PROT_SHIFT | HOST_PTE_LEAF |
           HOST_PTE_VALID;
}

static inline uint64_t hal_pte_table(paddr_t table)
{
    return (table & HOST_PTE_PADDR_MASK) | HOST_PTE_VALID;
}

static inline bool hal_pte_is_leaf(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & HOST_PTE_LEAF) != 0;
}

static inline paddr_t hal_pte_paddr(uint64_t pte)
{
    return pte & HOST_PTE_PADDR_MASK;
}

static inline unsigned hal_pte_prot(uint64_t pte)
{
    return (unsigned)(pte >> HOST_PTE_PROT_SHIFT & HOST_PTE_PROT_MASK);
}
