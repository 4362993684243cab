/* SPDX-License-Identifier: MIT */
/* The symbol table of the first link: empty, at its final place. */
.section .ksyms, "a"
.balign 8
.globl ksyms_count
ksyms_count: .quad 0
.globl ksyms_table
ksyms_table:
.globl ksyms_names
ksyms_names:
.quad 0
