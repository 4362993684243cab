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

static ALWAYS_INLINE long call(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

#define VDSO_HERE() here()
#define VDSO_DIVISOR(value) (value)
#define VDSO_CALL(number, a, b, c) call(number, (uintptr_t)(a), (uintptr_t)(b), (uintptr_t)(c))
#include <shared/vdso_code.h>

/* Numbers of system calls. */
#define SYS_CLOCK_GETTIME 228
#define SYS_CLOCK_GETRES 229
#define SYS_GETTIMEOFDAY 96
#define SYS_TIME 201
#define SYS_GETCPU 309

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

VDSO_CODE static int64_t time(int64_t *out)
{
    int64_t seconds = (int64_t)(vdso_wall_ns(vdso_offset_ns()) / VDSO_NS_PER_SEC);

    if (out != NULL)
        *out = seconds;
    return seconds;
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
