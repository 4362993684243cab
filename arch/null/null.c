/* SPDX-License-Identifier: MIT */
/*
 * The functions of include/hal that are not inline, all unwritten: the form of a new port. Copy the folder, and write
 * them in the order of docs/PORTING.md, a file per subject. The kit, test/hal, says which of them are right.
 */
#include <hal/boot.h>
#include <hal/upcall.h>
#include <hal/user.h>
#include <hal/usermode.h>
#include <hal/vdso.h>
#include <hal_machine.h>

void null_entry(void);

/* The one body of what is not written. A port has no such function in the end. */
void null_stop(void)
{
    __builtin_trap();
}

/* Where the loader enters, in assembly on a real machine: boot order in docs/PORTING.md. Ends in kmain(&boot_info). */
void null_entry(void)
{
    null_stop();
}

/* ---- hal/debug.h ---- */

void hal_console_put(char c)
{
    (void)c;
    null_stop();
}

int hal_console_get(void)
{
    null_stop();
}

void hal_trap_dump(const struct hal_trap *trap)
{
    (void)trap;
    null_stop();
}

/* ---- hal/cpu.h ---- */

/* Current task, trap vector, interrupt controller, timer disarmed, floating point off. */
void hal_cpu_init(cpu_id_t cpu, struct task *task, void *area)
{
    (void)cpu;
    (void)task;
    (void)area;
    null_stop();
}

/* Takes `root`, enters task's context, interrupts disabled. Does not wait for the CPU. */
int hal_cpu_start(cpu_id_t cpu, paddr_t root, struct task *task)
{
    (void)cpu;
    (void)root;
    (void)task;
    null_stop();
}

/* A release barrier towards the interrupt controller first. */
void hal_cpu_poke(cpu_id_t cpu)
{
    (void)cpu;
    null_stop();
}

/* Mask what would end the wait, then wait, in a loop. */
void hal_cpu_park(void)
{
    null_stop();
}

/* A code other than 0 must not become 0 outside. */
void hal_machine_exit(int code)
{
    (void)code;
    null_stop();
}

/* ---- hal/context.h ---- */

/* Return address and frame pointer 0; the stack aligned as after a call. */
void hal_context_init(struct hal_context *context, vaddr_t stack_top, size_t stack_bytes, void (*entry)(void *),
                      void *arg)
{
    (void)context;
    (void)stack_top;
    (void)stack_bytes;
    (void)entry;
    (void)arg;
    null_stop();
}

void hal_fpu_init(void *area)
{
    (void)area;
    null_stop();
}

/* Save, then load and switch on, or switch off. */
void hal_fpu_switch(void *save, void *load)
{
    (void)save;
    (void)load;
    null_stop();
}

/* ---- hal/usermode.h ---- */

struct hal_user_facts hal_user_facts;
const struct hal_vdso hal_vdso = { .version = "" };

/* By kind of fault. */
const struct hal_fault_signal hal_fault_signals[FAULT_OTHER + 1];

/* All zero but for these two; user mode, interrupts enabled. */
void hal_user_init(struct hal_trap *trap, vaddr_t pc, vaddr_t sp)
{
    (void)trap;
    (void)pc;
    (void)sp;
    null_stop();
}

/* The way back to user mode of a trap. */
void hal_user_enter(struct hal_trap *trap)
{
    (void)trap;
    null_stop();
}

/* Linux's signal frame of the ISA. */
size_t hal_signal_push(struct hal_trap *trap, const void *area, const struct hal_signal *signal, vaddr_t sp,
                       void *frame, vaddr_t *out_va)
{
    (void)trap;
    (void)area;
    (void)signal;
    (void)sp;
    (void)frame;
    (void)out_va;
    null_stop();
}

/* Nothing that a program may not have comes in. */
bool hal_signal_pop(struct hal_trap *trap, void *area, const void *frame, size_t bytes, struct hal_signal *out)
{
    (void)trap;
    (void)area;
    (void)frame;
    (void)bytes;
    (void)out;
    null_stop();
}

/* The calls that only this ISA has. */
int64_t hal_user_call(struct hal_trap *trap, void *area, uintptr_t number)
{
    (void)trap;
    (void)area;
    (void)number;
    null_stop();
}

/* ---- hal/mmu.h ---- */

/* Root and id at once; nothing of the old tables is read behind it. */
void hal_mmu_activate(paddr_t root, unsigned asid)
{
    (void)root;
    (void)asid;
    null_stop();
}

/* Under the running code, from the early tables to core's. */
void hal_mmu_activate_kernel(paddr_t root)
{
    (void)root;
    null_stop();
}

/* What is known of tables, too; for HAL_ASID_ANY under every id. */
void hal_tlb_flush_local(unsigned asid, vaddr_t va, size_t pages)
{
    (void)asid;
    (void)va;
    (void)pages;
    null_stop();
}

/* Only a machine whose CPUs reach each other's TLBs has it: the others define HAL_TLB_REMOTE as 0. */
void hal_tlb_flush_remote(const struct cpumask *cpus, unsigned asid, vaddr_t va, size_t pages)
{
    (void)cpus;
    (void)asid;
    (void)va;
    (void)pages;
    null_stop();
}

/* What was stored is what all CPUs fetch; empty where fetches are coherent. */
void hal_icache_sync(paddr_t pa, size_t bytes)
{
    (void)pa;
    (void)bytes;
    null_stop();
}

/* ---- hal/user.h: in assembly ---- */

/* Opens user memory, copies, closes it. A fault in it that trap_fault() does not repair ends the copy. */
size_t hal_user_copy(void *kernel, vaddr_t user, size_t bytes, enum user_copy direction)
{
    (void)kernel;
    (void)user;
    (void)bytes;
    (void)direction;
    null_stop();
}

int hal_user_cas(vaddr_t user, uint32_t *expected, uint32_t desired)
{
    (void)user;
    (void)expected;
    (void)desired;
    null_stop();
}
