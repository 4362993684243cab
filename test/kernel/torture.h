/* SPDX-License-Identifier: MIT */
/*
 * Register patterns: fill every register that a program may use, let interrupts and switches happen, look whether each
 * still holds what was put there. The lower half is the machine's (torture_ARCH.S; on the host machine torture_host.c),
 * the upper half is torture.c, portable. Nothing here knows a scheduler; test_torture.c provides the trouble.
 *
 * Left out: the stack pointer, and what the kernel itself keeps in a register: the running task (tp, SP_EL0), this CPU
 * (gp on riscv64, GS on x86_64). The kernel's C code uses no floating-point or vector register, so between a load and a
 * dump of those it may do anything, and all of them must survive also where the ABI would let a call change them.
 */
#pragma once

#include <stdint.h>

#define TORTURE_WORDS_MAX 80 /* x86_64 has the most: 2 control words, 8 of MMX, 16 vectors of 4 */

/* A word in which only the bits of `mask` are free to choose; the rest is `base`, which a new program sees, too. */
struct torture_control {
    uint64_t mask;
    uint64_t base;
};

/* General words: 0 is the flags, the rest registers. Floating-point words: 0 and 1 are control and status, the rest are
 * registers. A machine without one of the control words gives it mask and base 0 and dumps 0. */
struct torture_isa {
    uint64_t general_words;
    uint64_t general_preserved; /* bit n: a call preserves word n */
    struct torture_control flags;
    struct torture_control fpu_control[2];
};
extern const struct torture_isa torture_isa;

/* What the words are called, in their order, separated by blanks. */
extern const char torture_general_names[], torture_fpu_names[];

/* Load all general words, hold them for some hundred instructions without touching one, store what they are then.
 * Interrupts enabled, and want[0] says so where the flags hold that bit. */
void torture_general_hold(const uint64_t *want, uint64_t *got);

/* Load the general words that a call preserves, call task_yield(), store what they are then; got[] keeps the others. */
void torture_general_yield(const uint64_t *want, uint64_t *got);

/* Floating-point words that this CPU has and the kernel lets tasks use. Any task. */
uint64_t torture_fpu_words(void);
void torture_fpu_load(const uint64_t *want, uint64_t words);
void torture_fpu_dump(uint64_t *got, uint64_t words);

/* Each: `rounds` times, a new pattern each time; 0, or 1 + the first word that was wrong, which is also logged. */
uint64_t torture_general(uint64_t seed, uint64_t rounds);
uint64_t torture_general_yielding(uint64_t seed, uint64_t rounds);
uint64_t torture_fpu(uint64_t seed, uint64_t rounds);          /* a task that uses floating point, as the next two */
uint64_t torture_fpu_yielding(uint64_t seed, uint64_t rounds);
uint64_t torture_fpu_is_clean(void); /* 1 if every word is what a new program sees, else 0 and a line in the log */
