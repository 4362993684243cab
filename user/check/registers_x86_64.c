/* SPDX-License-Identifier: MIT */
/* x86_64: SSE's registers, and what AVX and AVX-512 make of them. */
#include "registers.h"

#ifdef __x86_64__

#include <ucontext.h>

#define TO_15 "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"
#define TO_31 TO_15 ", 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31"
#define LOAD(op, bytes, name, all) ".irp r, " all "\n " op " " #bytes "*\\r(%[a]), %%" name "\\r\n.endr\n"
#define STORE(op, bytes, name, all) ".irp r, " all "\n " op " %%" name "\\r, " #bytes "*\\r(%[a])\n.endr\n"
#define MASKS "0, 1, 2, 3, 4, 5, 6, 7"
#define WAIT "1: cmpl $0, (%[flag])\n jne 2f\n subq $1, %[spins]\n jne 1b\n2:\n"
#define XMM_LOST                                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",     \
    "xmm13", "xmm14", "xmm15"

#define WANTED_CONTROL 0x5f91u /* rounding mode 2, and two flags */

#define HOLD(load, store)                                                                                      \
    const uint8_t *a = from;                                                                                   \
    uint32_t wanted = WANTED_CONTROL, control, usual = 0x1f80;                                                 \
    __asm__ volatile(load "ldmxcsr %[wanted]\n mov %[to], %[a]\n" WAIT "stmxcsr %[control]\n ldmxcsr %[usual]\n" \
                     store                                                                                     \
                     : [a] "+&r"(a), [spins] "+&r"(spins), [control] "=m"(control)                             \
                     : [to] "r"(to), [flag] "r"(flag), [wanted] "m"(wanted), [usual] "m"(usual)                \
                     : "memory", "cc", XMM_LOST);                                                              \
    return control == wanted

static void any(uint8_t *bytes)
{
    (void)bytes;
}

static uint8_t *not_in_one_piece(void *context)
{
    (void)context;
    return NULL;
}

static size_t xmm_bytes(void)
{
    return 16 * 16;
}

#define XMM_LOAD LOAD("movdqu", 16, "xmm", TO_15)
#define XMM_STORE STORE("movdqu", 16, "xmm", TO_15)

static int xmm_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    HOLD(XMM_LOAD, XMM_STORE);
}

static void xmm_store(uint8_t *to)
{
    __asm__ volatile(XMM_STORE :: [a] "r"(to) : "memory");
}

static uint8_t *xmm_in_frame(void *context)
{
    return (uint8_t *)((ucontext_t *)context)->uc_mcontext.fpregs->_xmm;
}

static size_t ymm_bytes(void)
{
    return __builtin_cpu_supports("avx") ? 16 * 32 : 0;
}

#define YMM_LOAD LOAD("vmovdqu", 32, "ymm", TO_15)
#define YMM_STORE STORE("vmovdqu", 32, "ymm", TO_15)

static int ymm_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    HOLD(YMM_LOAD, YMM_STORE "vzeroupper\n");
}

static void ymm_store(uint8_t *to)
{
    __asm__ volatile(YMM_STORE :: [a] "r"(to) : "memory");
}

static size_t zmm_bytes(void)
{
    return __builtin_cpu_supports("avx512f") ? 32 * 64 : 0;
}

#define ZMM_LOAD LOAD("vmovdqu64", 64, "zmm", TO_31)
#define ZMM_STORE STORE("vmovdqu64", 64, "zmm", TO_31)

static int zmm_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    HOLD(ZMM_LOAD, ZMM_STORE "vzeroupper\n");
}

static void zmm_store(uint8_t *to)
{
    __asm__ volatile(ZMM_STORE :: [a] "r"(to) : "memory");
}

static size_t k_bytes(void)
{
    return __builtin_cpu_supports("avx512f") ? 8 * 2 : 0;
}

static int k_hold(const uint8_t *from, uint8_t *to, unsigned long spins, volatile int *flag)
{
    HOLD(LOAD("kmovw", 2, "k", MASKS), STORE("kmovw", 2, "k", MASKS));
}

static void k_store(uint8_t *to)
{
    __asm__ volatile(STORE("kmovw", 2, "k", MASKS) :: [a] "r"(to) : "memory");
}

const struct registers register_files[] = {
    {"xmm0-xmm15", xmm_bytes, xmm_hold, xmm_store, any, xmm_in_frame, NULL},
    {"ymm0-ymm15", ymm_bytes, ymm_hold, ymm_store, any, not_in_one_piece, NULL},
    {"zmm0-zmm31", zmm_bytes, zmm_hold, zmm_store, any, not_in_one_piece, NULL},
    {"k0-k7", k_bytes, k_hold, k_store, any, not_in_one_piece, NULL},
};
const size_t register_file_count = sizeof register_files / sizeof register_files[0];

#endif
