/* SPDX-License-Identifier: MIT */
/*
 * What C libraries call in place of the kernel, to read the time: vdso(7) has the names and versions of each ISA. The
 * machine has the code, which programs execute from a page of its own; core makes an ELF image of it, behind a page
 * with the numbers (proc/vdso.h). The code does not care where it stands, but for its distance from that page, and
 * reads the counter of hal/clock.h, which programs may do. What it cannot answer it asks the kernel.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <k/types.h>

/* At the beginning of the page below the code's. The time of day is what the counter says plus the offset. */
struct hal_vdso_data {
    uint64_t ns_mult; /* ns = ticks * ns_mult >> HAL_VDSO_SHIFT, in 128 bits */
    _Atomic(uint64_t) wall_offset_ns;
};
#define HAL_VDSO_SHIFT 32

struct hal_vdso_symbol {
    const char *name;
    const uint8_t *code; /* its first instruction, within hal_vdso.code */
};

/* Constant. */
struct hal_vdso {
    const uint8_t *code, *end;  /* aligned to HAL_VDSO_ALIGN, less than a page */
    const char *return_name;    /* HAL_SIGNAL_RETURN_CODE's name there, or NULL */
    const char *version;        /* of all names; not NULL */
    const struct hal_vdso_symbol *symbols;
    unsigned symbol_count;
};
#define HAL_VDSO_ALIGN 64
extern const struct hal_vdso hal_vdso;
