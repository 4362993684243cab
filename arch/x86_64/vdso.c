/* SPDX-License-Identifier: MIT */
/* The code and the names of hal/vdso.h. Programs read rdtsc, which CR4.TSD does not forbid. */
#include <hal/vdso.h>

#include <k/compiler.h>

static ALWAYS_INLINE uintptr_t here(void)
{
    uintptr_t at;

    __asm__("lea 0(%%rip), %0" : "=r"(at));
    return at;
}

static ALWAYS_INLINE long vdso_call(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

#define VDSO_HERE() here()
#define VDSO_CONSTANT(value) ((uint64_t)(value))

/* Numbers of system calls. */
#define SYS_CLOCK_GETTIME 228
#define SYS_CLOCK_GETRES 229
#define SYS_GETTIMEOFDAY 96
#define SYS_GETCPU 309
#include <shared/vdso_code.h>

VDSO_CODE static int64_t time(int64_t *out)
{
    int64_t seconds = (int64_t)(vdso_wall_ns(vdso_offset_ns()) / VDSO_NS_PER_SEC);

    if (out != NULL)
        *out = seconds;
    return seconds;
}

static const struct hal_vdso_symbol symbols[] = {
    { "__vdso_clock_gettime", (const uint8_t *)clock_gettime },
    { "__vdso_clock_getres", (const uint8_t *)clock_getres },
    { "__vdso_gettimeofday", (const uint8_t *)gettimeofday },
    { "__vdso_time", (const uint8_t *)time },
    { "__vdso_getcpu", (const uint8_t *)getcpu },
    { "clock_gettime", (const uint8_t *)clock_gettime },
    { "clock_getres", (const uint8_t *)clock_getres },
    { "gettimeofday", (const uint8_t *)gettimeofday },
    { "time", (const uint8_t *)time },
    { "getcpu", (const uint8_t *)getcpu },
};

const struct hal_vdso hal_vdso = {
    .code = __vdso_start,
    .end = __vdso_end,
    .return_name = NULL,
    .version = "LINUX_2.6",
    .symbols = symbols,
    .symbol_count = sizeof symbols / sizeof symbols[0],
};
