/* SPDX-License-Identifier: MIT */
/* CPUs: set-up, start, poke, park, contexts, and the end of the machine. No lock; each CPU touches what is its own. */
#include <hal/cpu.h>

#include <hal/context.h>
#include <hal/irq.h>
#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>
#include <k/log.h>

#include "machine_priv.h"

#define ID_MMFR1_PAN(value) ((value) >> 20 & 0xf)
#define ID_MMFR2_UAO(value) ((value) >> 4 & 0xf)

RO_AFTER_INIT bool cpu_has_pan;
RO_AFTER_INIT struct hal_user_facts hal_user_facts = { .platform = "aarch64" };

/* Linux, Documentation/arch/arm64/elf_hwcaps.rst: which bit a field of an ID register sets, from which value on. */
#define PFR0_FP 16 /* 15: there is none */
static const struct {
    uint8_t shift, least, bit;
} isar0_hwcaps[] = {
    { 4, 1, 3 },   /* AES */
    { 4, 2, 4 },   /* PMULL */
    { 8, 1, 5 },   /* SHA1 */
    { 12, 1, 6 },  /* SHA2 */
    { 16, 1, 7 },  /* CRC32 */
    { 20, 2, 8 },  /* ATOMICS */
};
#define HWCAP_FP_ASIMD 3u
#define HWCAP_SVE (UINT64_C(1) << 22)
static const struct {
    uint8_t shift, least, bit;
} zfr0_hwcaps2[] = {
    { 0, 1, 1 },   /* SVE2 */
    { 0, 2, 36 },  /* SVE2P1 */
    { 4, 1, 2 },   /* SVEAES */
    { 4, 2, 3 },   /* SVEPMULL */
    { 16, 1, 4 },  /* SVEBITPERM */
    { 20, 1, 12 }, /* SVEBF16 */
    { 20, 2, 33 }, /* SVE_EBF16 */
    { 32, 1, 5 },  /* SVESHA3 */
    { 40, 1, 6 },  /* SVESM4 */
    { 44, 1, 9 },  /* SVEI8MM */
    { 52, 1, 10 }, /* SVEF32MM */
    { 56, 1, 11 }, /* SVEF64MM */
};

/* Linux's numbers: asm-generic/unistd.h, linux/prctl.h. */
#define CALL_PRCTL 167
#define PR_SVE_SET_VL 50
#define PR_SVE_GET_VL 51

/* boot.S */
extern char boot_cpu_area[CPU_AREA_BYTES];
extern paddr_t boot_kernel_root;
void boot_secondary(void);

/* context.S, entry.S */
void context_first_run(void);
[[noreturn]] void user_enter(struct hal_trap *trap);

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

static void find_user_facts(void)
{
    uint64_t isar0 = SYSREG_READ(id_aa64isar0_el1);

    hal_user_facts.hwcap = (SYSREG_READ(id_aa64pfr0_el1) >> PFR0_FP & 0xf) != 0xf ? HWCAP_FP_ASIMD : 0;
    for (size_t i = 0; i < ARRAY_COUNT(isar0_hwcaps); i++)
        if ((isar0 >> isar0_hwcaps[i].shift & 0xf) >= isar0_hwcaps[i].least)
            hal_user_facts.hwcap |= UINT64_C(1) << isar0_hwcaps[i].bit;
    if (machine_vector.lengths == 0)
        return;
    uint64_t zfr0 = SYSREG_READ(S3_0_C0_C4_4); /* ID_AA64ZFR0_EL1 */

    hal_user_facts.hwcap |= HWCAP_SVE;
    for (size_t i = 0; i < ARRAY_COUNT(zfr0_hwcaps2); i++)
        if ((zfr0 >> zfr0_hwcaps2[i].shift & 0xf) >= zfr0_hwcaps2[i].least)
            hal_user_facts.hwcap2 |= UINT64_C(1) << zfr0_hwcaps2[i].bit;
}

void hal_cpu_init(cpu_id_t cpu, struct task *task, void *area)
{
    SYSREG_WRITE(sp_el0, (uintptr_t)task);
    SYSREG_WRITE(tpidr_el1, (uintptr_t)(area != NULL ? area : boot_cpu_area));
    fpu_init_cpu(cpu == 0);
    SYSREG_WRITE(cntkctl_el1, CNTKCTL_USER);
    SYSREG_WRITE(mdscr_el1, 0);
    SYSREG_WRITE(cntv_ctl_el0, 0);
    SYSREG_WRITE(cntp_ctl_el0, 0);
    ISB();
    init_walls(cpu == 0);
    if (cpu == 0)
        find_user_facts();
    ASSERT(mmu_asid_count() >= boot_info.asid_count); /* on each CPU the ids are as long as on the boot CPU */
    __asm__ volatile("msr daifclr, #5" ::: "memory"); /* SError and FIQ: fatal, so never late */
    /* Without an area the controller's registers are not mapped yet. */
    if (area == NULL)
        return;
    gic_init_cpu(cpu);
    if (cpu == 0)
        log_debug("cpu: walls: PXN UXN%s", cpu_has_pan ? " PAN" : "");
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

void hal_user_init(struct hal_trap *trap, vaddr_t pc, vaddr_t sp)
{
    /* SPSR 0: EL0, AArch64, nothing masked. Whose frame it is stays: the running task may be between two entries. */
    *trap = (struct hal_trap){ .elr = pc, .sp = sp, .task = trap->task };
}

void hal_user_enter(struct hal_trap *trap)
{
    ASSERT(IS_ALIGNED((uintptr_t)trap, HAL_STACK_ALIGN) && !hal_irq_is_enabled());
    trap->task = (uintptr_t)hal_current();
    user_enter(trap);
}

/* What of prctl(2) is this machine's. Linux has no other calls here. */
int64_t hal_user_call(struct hal_trap *trap, void *area, uintptr_t number)
{
    if (number != CALL_PRCTL)
        return -ENOSYS;
    switch ((int)HAL_USER_ARG(trap, 0)) {
    case PR_SVE_SET_VL:
        return fpu_set_vector_length(area, HAL_USER_ARG(trap, 1));
    case PR_SVE_GET_VL:
        return fpu_get_vector_length(area);
    default:
        return -ENOSYS;
    }
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
