/* SPDX-License-Identifier: MIT */
/* What the files of this machine know of each other; core sees none of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal/boot.h>
#include <hal_machine.h>
#include <k/compiler.h>
#include <k/types.h>

#include "offsets.h"

/* kernel.ld */
extern char __image_start[], __image_end[];

/* At the top end of a CPU's area; gp points here, and the emergency stack grows down from here.
 * Owned by its CPU, interrupts off. */
struct machine_cpu {
    uintptr_t entry_t0; /* trap_vector's two working registers */
    uintptr_t entry_t1;
    uintptr_t entry_pc; /* sepc of the trap that is being entered, should the entry itself fault */
    struct machine_fpu *area; /* of the running task, or NULL */
    struct machine_fpu *held; /* whose registers are in the units, if its held_by says so, too: fpu.c */
    uintptr_t unused;
};

/* What a started hart reads with its MMU off. Written before the start and not again. */
struct hart_start {
    uint64_t hart;
    uintptr_t satp; /* 0: nobody has started this CPU */
    struct task *task;
    uintptr_t entry; /* virtual address of secondary_virtual */
};

static_assert(offsetof(struct hal_context, ra) == CONTEXT_RA);
static_assert(offsetof(struct hal_context, sp) == CONTEXT_SP);
static_assert(offsetof(struct hal_context, s0) == CONTEXT_S0);
static_assert(offsetof(struct hal_context, gp) == CONTEXT_GP);
static_assert(offsetof(struct hal_trap, pc) == TRAP_PC);
static_assert(offsetof(struct hal_trap, x) == TRAP_X(1));
static_assert(offsetof(struct hal_trap, sstatus) == TRAP_SSTATUS);
static_assert(offsetof(struct hal_trap, scause) == TRAP_SCAUSE);
static_assert(offsetof(struct hal_trap, stval) == TRAP_STVAL);
static_assert(offsetof(struct hal_trap, task) == TRAP_TASK);
static_assert(offsetof(struct hal_trap, record_fp) == TRAP_RECORD_FP);
static_assert(offsetof(struct hal_trap, record_ra) == TRAP_RECORD_RA);
static_assert(sizeof(struct hal_trap) == TRAP_BYTES && TRAP_BYTES % HAL_STACK_ALIGN == 0);
static_assert(TRAP_RECORD_RA == TRAP_BYTES + HAL_FRAME_RETURN && TRAP_RECORD_FP == TRAP_BYTES + HAL_FRAME_NEXT);
static_assert(offsetof(struct machine_cpu, entry_t0) == CPU_ENTRY_T0);
static_assert(offsetof(struct machine_cpu, entry_t1) == CPU_ENTRY_T1);
static_assert(offsetof(struct machine_cpu, entry_pc) == CPU_ENTRY_PC);
static_assert(sizeof(struct machine_cpu) == CPU_BYTES && CPU_BYTES % HAL_STACK_ALIGN == 0);
static_assert(offsetof(struct hart_start, hart) == START_HART);
static_assert(offsetof(struct hart_start, satp) == START_SATP);
static_assert(offsetof(struct hart_start, task) == START_TASK);
static_assert(offsetof(struct hart_start, entry) == START_ENTRY);
static_assert(sizeof(struct hart_start) == START_BYTES && START_COUNT == CPU_MAX);
static_assert(HAL_CPU_AREA_BYTES % PAGE_BYTES == 0);

/* The machine's own view of memory, before mm and besides it. */
static inline void *direct_map(paddr_t pa)
{
    return (void *)(HAL_DIRECT_MAP_BASE + pa);
}

static inline bool direct_map_covers(paddr_t base, uint64_t bytes)
{
    return base < HAL_DIRECT_MAP_BYTES && bytes <= HAL_DIRECT_MAP_BYTES - base;
}

/* Physical address of something inside the kernel image. */
static inline paddr_t image_paddr_of(const void *va)
{
    return machine_facts.image_paddr + ((uintptr_t)va - (uintptr_t)__image_start);
}

/* The pointer in gp, which trap_vector relies on: set it before stvec. */
static inline void machine_cpu_set(struct machine_cpu *cpu)
{
    __asm__ volatile("mv gp, %0" : : "r"(cpu) : "memory");
}

/* Context: interrupts disabled. */
static inline struct machine_cpu *machine_cpu(void)
{
    struct machine_cpu *cpu;

    __asm__ volatile("mv %0, gp" : "=r"(cpu));
    return cpu;
}

/* boot.c: boot_hart_main() is the first C function with the MMU on. boot_die() ends a boot that cannot go on. */
extern struct boot_info boot_info;
[[noreturn]] void boot_hart_main(uint64_t hart, paddr_t dtb);
[[noreturn]] void boot_die(const char *format, ...) PRINTF_LIKE(1, 2) COLD;
void boot_warn(const char *format, ...) PRINTF_LIKE(1, 2) COLD;

/* Chooses the image's slide, at the linked address. */
uint64_t boot_slide(paddr_t dtb);

/* boot_map.c: the first runs before the MMU is on. Three roots that map the same, whatever mode the harts have. */
void boot_map_early(paddr_t image_paddr, vaddr_t image_va);
void boot_map_image(vaddr_t image_va, bool is_there);
extern uint64_t boot_root_sv57[], boot_root_sv48[], boot_root_sv39[];

/* mmu.c: before kmain(), take on tables of 3 to 5 levels in place of those that boot.S chose. A mode that the hart
 * lacks changes nothing; machine_facts.pt_levels says what is in use. */
void mmu_take_levels(unsigned levels);
void mmu_note_levels(unsigned levels); /* the tables in use have so many */

/* The modes are numbered by levels (section 10.1.11). */
static_assert(SATP_MODE_SV39 + 1 == SATP_MODE_SV48 && SATP_MODE_SV48 + 1 == SATP_MODE_SV57);

static inline uintptr_t satp_of_levels(unsigned levels)
{
    return (uintptr_t)(levels - 3 + SATP_MODE_SV39) << SATP_MODE_SHIFT;
}

/* mmu.c: address-space ids that this hart can tell apart. Its tables are in use. */
unsigned mmu_asid_count(void);

/* cpu.c: gp, the trap vector and an empty tp, for faults before kmain(). */
void cpu_init_early(void);

/* console.c: choose the console from the tree. exit.c: find the exit device. */
struct fdt;
void console_init(const struct fdt *fdt, struct boot_info *boot);
void exit_init(const struct fdt *fdt, struct boot_info *boot);

/* timer.c: silence the timer interrupt that is being handled. */
void timer_acknowledge(void);

/* cpu.c: by CPU; boot.S reads it, too. */
extern struct hart_start hart_starts[CPU_MAX];

/* user.c: where to go on when the access to user memory at pc fails; 0: there is none at pc. */
uintptr_t user_failed_pc(uintptr_t pc);

/* isa.c: what every hart in use has, into machine_facts; page tables of as many levels as all of them have. */
void isa_init(const struct fdt *fdt);

/* fpu.c: after an illegal instruction: whether to try again, since the units were off in this turn. Then they are on.
 * Context: interrupts disabled. */
bool fpu_use(void);

/* fpu.S. Context: sstatus.FS not Off, interrupts disabled. */
void fpu_save(void *area);
void fpu_load(const void *area);

/* fpu.S. Context: sstatus.VS not Off, interrupts disabled. */
void vector_save(void *vector);
void vector_load(const void *vector);
uint64_t vector_vlenb(void);

/* cpu.c: bytes of this hart's vector registers. Leaves VS off. */
uint64_t cpu_vlenb(void);

/* entry.S, boot.S, context.S: addresses only, except for trap_handle() and trap_handle_overflow(), which they call. */
void trap_vector(void);
void secondary_start(void);
void secondary_virtual(void);
void context_first_run(void);
[[noreturn]] void user_enter(struct hal_trap *trap);
void trap_handle(struct hal_trap *trap);
void trap_handle_user(struct hal_trap *trap);
void trap_handle_overflow(struct hal_trap *trap);
