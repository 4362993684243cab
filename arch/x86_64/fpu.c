/* SPDX-License-Identifier: MIT */
/*
 * Floating-point and vector state: XSAVE where CPUID offers it, FXSAVE else (SDM vol. 1, chapters 10 and 13). CR0.TS is
 * set while the running task has no area, so that its first use traps; state is never left in the unit for later. The
 * bases of FS and GS, which users change by arch_prctl(2) alone, are loaded with it and never saved.
 */
#include <hal/context.h>

#include <lib/string.h>

#include "machine.h"
#include "x86.h"

/* Offsets in the legacy region and the values after FNINIT and at reset: SDM vol. 1, table 10-2 and 11.6.4. */
#define FXSAVE_FCW 0
#define FXSAVE_MXCSR 24
#define FCW_INITIAL 0x037f
#define MXCSR_INITIAL 0x1f80

void fpu_init_cpu(void)
{
    if (cpu_features.has_xsave)
        write_xcr0(cpu_features.xcr0);
    write_cr0(CR0_KERNEL | CR0_TS);
}

/* A zero XSAVE header says "every component is in its initial state"; XRSTOR takes MXCSR from the area all the same. */
void hal_fpu_init(void *area)
{
    const uint16_t fcw = FCW_INITIAL;
    const uint32_t mxcsr = MXCSR_INITIAL;

    memset(area, 0, x86_fpu_bytes);
    memcpy((uint8_t *)area + FXSAVE_FCW, &fcw, sizeof fcw);
    memcpy((uint8_t *)area + FXSAVE_MXCSR, &mxcsr, sizeof mxcsr);
}

/* XSAVEOPT may leave out what has not changed since XRSTOR from the same address: every load here is an XRSTOR, so the
 * CPU never compares with another task's area. All components that XCR0 enables: EDX:EAX = -1. */
static void fpu_save(void *area)
{
    if (cpu_features.has_xsaveopt)
        __asm__ volatile("xsaveopt64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
    else if (cpu_features.has_xsave)
        __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

static void fpu_load(const void *area)
{
    if (cpu_features.has_xsave)
        __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

void hal_fpu_switch(void *save, void *load)
{
    if (save != NULL)
        fpu_save(save);
    if (save == load && save != NULL)
        return; /* an XSAVE changes nothing in the unit, nor where XSAVEOPT takes it to have been loaded from */
    if (load == NULL) {
        write_cr0(CR0_KERNEL | CR0_TS);
        return;
    }
    if (save == NULL)
        __asm__ volatile("clts" ::: "memory");
    fpu_load(load);
    wrmsr(MSR_FS_BASE, x86_bases_of(load)->fs);
    wrmsr(MSR_KERNEL_GS_BASE, x86_bases_of(load)->gs); /* SWAPGS makes it the user's */
}
