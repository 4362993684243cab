/* SPDX-License-Identifier: MIT */
/* Floating-point and vector registers, each ISA's in its own way: what registers.c checks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define REGISTER_BYTES_MAX 16384

struct registers {
    const char *name;
    size_t (*bytes)(void); /* of all of them; 0: this CPU has none */
    /* Load all of them, wait until *flag is not 0 or `spins` rounds are over, store all of them: without a system call
     * in between. False: a control register has changed. */
    int (*hold)(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag);
    void (*store)(uint8_t *to); /* all of them, as they are */
    /* Make bytes such that every register can hold them. */
    void (*fit)(uint8_t *bytes);
    /* Where a signal frame has them, given the context; NULL: nowhere in one piece, or on this system not at all. */
    uint8_t *(*in_frame)(void *context);
    /* Change bits of byte `at` there, and wherever else a frame has them. NULL: there alone. */
    void (*change)(void *context, size_t at);
};

extern const struct registers register_files[];
extern const size_t register_file_count;
