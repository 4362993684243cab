/* SPDX-License-Identifier: MIT */
/* The code and the names of hal/vdso.h. Programs read cntvct_el0, by CNTKCTL_EL1.EL0VCTEN. */
#include <hal/vdso.h>

#include <k/compiler.h>

static ALWAYS_INLINE uintptr_t here(void)
{
    uintptr_t at;

    __asm__("adr %0, ." : "=r"(at));
    return at;
}

static ALWAYS_INLINE long call(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    register uintptr_t x8 __asm__("x8") = (uintptr_t)number;
    register uintptr_t x0 __asm__("x0") = a;
    register uintptr_t x1 __asm__("x1") = b;
    register uintptr_t x2 __asm__("x2") = c;

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return (long)x0;
}

#define VDSO_HERE() here()
#define VDSO_DIVISOR(value) (value)
#define VDSO_CALL(number, a, b, c) call(number, (uintptr_t)(a), (uintptr_t)(b), (uintptr_t)(c))
#include <shared/vdso_code.h>

/* Numbers of system calls. */
#define SYS_CLOCK_GETTIME 113
#define SYS_CLOCK_GETRES 114
#define SYS_GETTIMEOFDAY 169

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

/* kernel.ld */
extern const uint8_t __vdso_start[], __vdso_end[];

static const struct hal_vdso_symbol symbols[] = {
    { "__kernel_clock_gettime", (const uint8_t *)clock_gettime },
    { "__kernel_clock_getres", (const uint8_t *)clock_getres },
    { "__kernel_gettimeofday", (const uint8_t *)gettimeofday },
};

const struct hal_vdso hal_vdso = {
    .code = __vdso_start,
    .end = __vdso_end,
    .return_name = "__kernel_rt_sigreturn",
    .version = "LINUX_2.6.39",
    .symbols = symbols,
    .symbol_count = sizeof symbols / sizeof symbols[0],
};
