/* SPDX-License-Identifier: MIT */
/* The symbol table of the first link, empty and at its final place, and the table of words that move, empty, too. */
.section .ksyms, "a"
.balign 8
.globl ksyms_count
ksyms_count: .quad 0
.globl ksyms_linked
ksyms_linked: .quad 0
.globl ksyms_image
ksyms_image: .quad __image_start
.globl ksyms_table
ksyms_table:
.globl ksyms_names
ksyms_names:
.quad 0
.section .relocs, "a"
.globl relocs_words, relocs_words_end, relocs_halves, relocs_halves_end
relocs_words:
relocs_words_end:
relocs_halves:
relocs_halves_end:
