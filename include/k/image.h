/* SPDX-License-Identifier: MIT */
/*
 * Where the linker put the kernel. All page aligned, ends exclusive, in rising order; what lies between
 * __ro_after_init_end and __image_end is .data and .bss. mm needs no others, so a machine without a linker script
 * of its own (the host) defines just these eight around a block that stands for an image.
 */
#pragma once

extern char __image_start[];
extern char __text_start[], __text_end[];
extern char __rodata_start[], __rodata_end[];
extern char __ro_after_init_start[], __ro_after_init_end[];
extern char __image_end[];
