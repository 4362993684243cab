/* SPDX-License-Identifier: MIT */
/* The code and the names of hal/vdso.h. Programs read time, by scounteren.TM. */
#include <hal/vdso.h>

#include <k/compiler.h>

static ALWAYS_INLINE uintptr_t here(void)
{
    uintptr_t at;

    __asm__("auipc %0, 0" : "=r"(at));
    return at;
}

static ALWAYS_INLINE long call(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    register uintptr_t a7 __asm__("a7") = (uintptr_t)number;
    register uintptr_t a0 __asm__("a0") = a;
    register uintptr_t a1 __asm__("a1") = b;
    register uintptr_t a2 __asm__("a2") = c;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return (long)a0;
}

/* What the compiler multiplies by instead of a division by a constant, it would keep in memory. */
static ALWAYS_INLINE uint64_t unseen(uint64_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

#define VDSO_HERE() here()
#define VDSO_DIVISOR(value) unseen(value)
#define VDSO_CALL(number, a, b, c) call(number, (uintptr_t)(a), (uintptr_t)(b), (uintptr_t)(c))
#include <shared/vdso_code.h>

/* Numbers of system calls. */
#define SYS_CLOCK_GETTIME 113
#define SYS_CLOCK_GETRES 114
#define SYS_GETTIMEOFDAY 169
#define SYS_GETCPU 168

VDSO_CODE static long clock_gettime(int32_t id, struct vdso_timespec *out)
{
    return vdso_clock_gettime(id, out, SYS_CLOCK_GETTIME);
}

VDSO_CODE static long clock_getres(int32_t id, struct vdso_timespec *out)
{
    return vdso_clock_getres(id, out, SYS_CLOCK_GETRES);
}

VDSO_CODE static long gettimeofday(struct vdso_timespec *out, void *zone)
{
    return vdso_gettimeofday(out, zone, SYS_GETTIMEOFDAY);
}

/* The third argument has not been used since Linux 2.6.24. */
VDSO_CODE static long getcpu(unsigned *out_cpu, unsigned *out_node, void *unused)
{
    return VDSO_CALL(SYS_GETCPU, out_cpu, out_node, unused);
}

/* kernel.ld */
extern const uint8_t __vdso_start[], __vdso_end[];

static const struct hal_vdso_symbol symbols[] = {
    { "__vdso_clock_gettime", (const uint8_t *)clock_gettime },
    { "__vdso_clock_getres", (const uint8_t *)clock_getres },
    { "__vdso_gettimeofday", (const uint8_t *)gettimeofday },
    { "__vdso_getcpu", (const uint8_t *)getcpu },
};

const struct hal_vdso hal_vdso = {
    .code = __vdso_start,
    .end = __vdso_end,
    .return_name = "__vdso_rt_sigreturn",
    .version = "LINUX_4.15",
    .symbols = symbols,
    .symbol_count = sizeof symbols / sizeof symbols[0],
};
