/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD and floating point: q0-q31, FPSR, FPCR. The unit traps (CPACR_EL1.FPEN) unless the running task owns an
 * area. SVE and SME stay off (CPACR_EL1.ZEN, SMEN, and their EL2 traps): nobody's state needs them, and they would come
 * here as a larger area.
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

void hal_fpu_switch(void *save, const void *load)
{
    /* Who has an area to save has had the unit on. */
    if (save != NULL)
        fpu_save(save);
    if (load == NULL) {
        SYSREG_WRITE(cpacr_el1, 0);
        ISB();
        return;
    }
    SYSREG_WRITE(cpacr_el1, CPACR_FPEN);
    ISB();
    fpu_load(load);
}
