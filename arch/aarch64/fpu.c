/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD and floating point: q0-q31, FPSR, FPCR; with them goes the user's thread pointer, TPIDR_EL0. The unit
 * traps (CPACR_EL1.FPEN) unless the running task owns an area. SVE and SME stay off (CPACR_EL1.ZEN, SMEN, and their EL2
 * traps): nobody's state needs them, and they would come here as a larger area.
 */
#include <hal/context.h>

#include <lib/string.h>

#include "machine_priv.h"

#define CPACR_FPEN UINT64_C(0x300000)

/* context.S */
void fpu_save(void *area);
void fpu_load(const void *area);

/* All zero: round to nearest, no exception trapped, none seen. */
void hal_fpu_init(void *area)
{
    memset(area, 0, FPU_BYTES);
}

static uint64_t *tls_of(void *area)
{
    return (uint64_t *)((uint8_t *)area + FPU_TLS);
}

void hal_fpu_switch(void *save, const void *load)
{
    /* Who has an area to save has had the unit on. */
    if (save != NULL) {
        fpu_save(save);
        *tls_of(save) = SYSREG_READ(tpidr_el0);
    }
    if (save == load && save != NULL)
        return;
    if (load == NULL) {
        SYSREG_WRITE(cpacr_el1, 0);
        ISB();
        return;
    }
    SYSREG_WRITE(cpacr_el1, CPACR_FPEN);
    ISB();
    fpu_load(load);
    SYSREG_WRITE(tpidr_el0, *(const uint64_t *)((const uint8_t *)load + FPU_TLS));
}
