/* SPDX-License-Identifier: MIT */
/*
 * What a linker script gives a kernel image on real machines: page-aligned sections in one block. The host process has
 * its own layout, so this block stands for the image; mm maps it and checks its rights like any other.
 */
#include <k/image.h>

#include <stdint.h>

/* The table of function names is empty: a host debugger has a better one. Its types are core/trace's. */
extern const uint64_t ksyms_count;
extern const uint64_t ksyms_linked;
extern const uint32_t ksyms_table[2];
extern const char ksyms_names[1];
const uint64_t ksyms_count = 0;
const uint64_t ksyms_linked = 0;
const uint32_t ksyms_table[2] = { 0 };
const char ksyms_names[1] = { 0 };

__asm__(".pushsection .host_image, \"aw\", @nobits\n\t"
        ".balign 32768\n\t" /* wherever the host puts the program, these 24 KiB lie under one last-level table */
        ".globl __image_start, __text_start, __text_end, __rodata_start, __rodata_end\n\t"
        ".globl __ro_after_init_start, __ro_after_init_end, __image_end\n"
        "__image_start:\n"
        "__text_start: .skip 8192\n"
        "__text_end:\n"
        "__rodata_start: .skip 4096\n"
        "__rodata_end:\n"
        "__ro_after_init_start: .skip 4096\n"
        "__ro_after_init_end: .skip 8192\n"
        "__image_end:\n\t"
        ".popsection");
