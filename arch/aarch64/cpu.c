/* SPDX-License-Identifier: MIT */
/* CPUs: set-up, start, poke, park, contexts, and the end of the machine. No lock; each CPU touches what is its own. */
#include <hal/cpu.h>

#include <hal/context.h>
#include <hal/irq.h>
#include <k/assert.h>
#include <k/errno.h>
#include <k/log.h>

#include "machine_priv.h"

#define ID_MMFR1_PAN(value) ((value) >> 20 & 0xf)
#define ID_MMFR2_UAO(value) ((value) >> 4 & 0xf)

RO_AFTER_INIT bool cpu_has_pan;

/* boot.S */
extern char boot_cpu_area[CPU_AREA_BYTES];
extern paddr_t boot_kernel_root;
void boot_secondary(void);

/* context.S, entry.S */
void context_first_run(void);
extern const char trap_vectors[];

/*
 * The kernel never touches user pages but by the routines of user.S (ARM D8.4.3): PAN forbids it, and with SPAN 0 every
 * trap sets PAN again. UAO would turn those routines' accesses into the kernel's own; every trap clears it. All CPUs
 * are taken to be alike. The boot CPU comes here first, and again when there is an area.
 */
static void init_walls(bool may_store)
{
    bool has_pan = ID_MMFR1_PAN(SYSREG_READ(id_aa64mmfr1_el1)) != 0;

    if (may_store)
        cpu_has_pan = has_pan;
    ASSERT(has_pan == cpu_has_pan);
    if (ID_MMFR2_UAO(SYSREG_READ(id_aa64mmfr2_el1)) != 0)
        __asm__ volatile("msr S3_0_C4_C2_4, xzr" ::: "memory"); /* PSTATE.UAO */
    if (!has_pan)
        return;
    SYSREG_WRITE(sctlr_el1, SYSREG_READ(sctlr_el1) & ~(uint64_t)SCTLR_SPAN);
    ISB();
    __asm__ volatile(".arch_extension pan\n\tmsr pan, #1" ::: "memory");
}

void hal_cpu_init(cpu_id_t cpu, struct task *task, void *area)
{
    SYSREG_WRITE(sp_el0, (uintptr_t)task);
    SYSREG_WRITE(tpidr_el1, (uintptr_t)(area != NULL ? area : boot_cpu_area));
    SYSREG_WRITE(vbar_el1, (uintptr_t)trap_vectors);
    SYSREG_WRITE(cpacr_el1, 0);
    SYSREG_WRITE(cntkctl_el1, 0);
    SYSREG_WRITE(mdscr_el1, 0);
    SYSREG_WRITE(cntv_ctl_el0, 0);
    SYSREG_WRITE(cntp_ctl_el0, 0);
    ISB();
    init_walls(cpu == 0);
    ASSERT(mmu_asid_count() >= boot_info.asid_count); /* on each CPU the ids are as long as on the boot CPU */
    __asm__ volatile("msr daifclr, #5" ::: "memory"); /* SError and FIQ: fatal, so never late */
    /* Without an area the controller's registers are not mapped yet. */
    if (area == NULL)
        return;
    gic_init_cpu(cpu);
    if (cpu == 0)
        log_debug("cpu: walls: %sPXN UXN%s", (SYSREG_READ(sctlr_el1) & SCTLR_WXN) != 0 ? "WXN " : "",
                  cpu_has_pan ? " PAN" : "");
}

void hal_context_init(struct hal_context *context, vaddr_t stack_top, size_t stack_bytes, void (*entry)(void *),
                      void *arg)
{
    ASSERT(stack_top % HAL_STACK_ALIGN == 0 && stack_bytes > TRAP_BYTES);
    uintptr_t *first = (uintptr_t *)stack_top - 2; /* what context_first_run takes off */

    first[0] = (uintptr_t)entry;
    first[1] = (uintptr_t)arg;
    *context = (struct hal_context){ .x30 = (uintptr_t)context_first_run, .sp = (uintptr_t)first };
}

/* The new CPU reads this with its MMU off, past all caches: write it back to the point of coherency. */
static void publish_root(paddr_t root)
{
    boot_kernel_root = root;
    __asm__ volatile("dc cvac, %0" ::"r"(&boot_kernel_root) : "memory");
    DSB(sy);
}

int hal_cpu_start(cpu_id_t cpu, paddr_t root, struct task *task)
{
    if (cpu == 0 || cpu >= boot_info.cpu_count || root == 0)
        return -EINVAL;
    if (task == NULL)
        return psci_cpu_is_off(boot_info.cpu_hw_id[cpu]);
    /* All CPUs share one kernel root, so that an earlier start that has not read it yet cannot be misled. */
    ASSERT(boot_kernel_root == 0 || boot_kernel_root == root);
    publish_root(root);
    return psci_cpu_on(boot_info.cpu_hw_id[cpu], mmu_image_paddr((uintptr_t)boot_secondary), (uintptr_t)task);
}

void hal_cpu_poke(cpu_id_t cpu)
{
    gic_poke(cpu);
}

void hal_cpu_park(void)
{
    hal_irq_disable();
    /* QEMU's reset of a CPU leaves the timer's line as it was, and hal_cpu_init() would not lower it. */
    SYSREG_WRITE(cntv_ctl_el0, 0);
    ISB();
    gic_mask_cpu();
    psci_cpu_off();
    for (;;) /* the firmware cannot: then nobody starts it again */
        __asm__ volatile("wfi" ::: "memory");
}

void hal_machine_exit(int code)
{
    semihost_exit(code);
    psci_system_off();
    hal_cpu_park();
}
