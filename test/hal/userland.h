/* SPDX-License-Identifier: MIT */
/*
 * A program for user mode, userland_ISA.S: position-independent code that names no address. Its stack pointer points to
 * USERLAND_WORDS words that it loads into its other registers, behind which it stores what they hold later. Which word
 * goes to which register is the machine's affair; a word may be nobody's.
 *
 *   userland_call    load all; system call; store all; again from the start. The result is stored as it came.
 *   userland_spin    load all; change nothing and spin
 *   userland_store   store all; system call; then begins at userland_call. Entered where userland_spin spins.
 *   userland_read    load all; read the word at the address in userland_words.address_word
 *   userland_deny    an instruction that a user may not execute
 */
#pragma once

#define USERLAND_WORDS 34
#define USERLAND_BYTES 4096 /* of code at most */

#ifndef __ASSEMBLER__
#include <stdint.h>

extern const char userland_begin[], userland_call[], userland_spin[], userland_store[], userland_read[],
    userland_deny[], userland_end[];

struct userland_words {
    uint8_t number, arg[6], result; /* words of the registers that a system call uses */
    uint8_t address;                /* of userland_read */
    uint8_t lost[2];                /* words of registers that a system call may destroy; USERLAND_WORDS: none */
};
extern const struct userland_words userland_words;

#endif
