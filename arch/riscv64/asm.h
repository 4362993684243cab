/* SPDX-License-Identifier: MIT */
/* Every assembly routine opens with FUNCTION and closes with END. */
#pragma once

#define FUNCTION(name)            \
    .globl name;                  \
    .type name, @function;        \
    .balign 4;                    \
    name:                         \
    .cfi_startproc

#define END(name)                 \
    .cfi_endproc;                 \
    .size name, . - name

.cfi_sections .debug_frame
