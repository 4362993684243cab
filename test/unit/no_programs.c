/* SPDX-License-Identifier: MIT */
/* An empty table of boot programs, weak: a test that defines one of its own replaces it. */
#include <boot/program.h>

#include <k/compiler.h>

__attribute__((weak)) const struct boot_program boot_programs[1];
