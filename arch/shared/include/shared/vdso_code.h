/* SPDX-License-Identifier: MIT */
/*
 * The code of hal/vdso.h, but for its names, for one source file of a machine, which gives
 *
 *   VDSO_HERE()                an address in the page that the code runs in
 *   vdso_call(number, a, b, c) a system call
 *   VDSO_CONSTANT(value)       a divisor; a machine whose compiler would load what it multiplies with in place of a
 *                              division from memory, which is not there, hides that it is a constant
 *   SYS_..                     the numbers of system calls; with SYS_GETCPU there is a getcpu()
 *
 * and is compiled without link-time optimisation: all of it must be in section .vdso, and nothing outside be called or
 * read, which tools/gen_relocs.py sees to. Functions are of the program's, and follow the C library's contracts:
 * clock_gettime(2) and so on.
 */
#pragma once

#include <hal/clock.h>
#include <hal/vdso.h>
#include <k/compiler.h>

#define VDSO_CALL(number, a, b, c) vdso_call(number, (uintptr_t)(a), (uintptr_t)(b), (uintptr_t)(c))
#define VDSO_CODE __attribute__((section(".vdso"), used, noinline))

#define VDSO_NS_PER_SEC UINT64_C(1000000000)

struct vdso_timespec {
    int64_t seconds, nanoseconds;
};

/* By clock id, of linux/time.h: REALTIME, REALTIME_COARSE, REALTIME_ALARM, TAI; and MONOTONIC, MONOTONIC_RAW,
 * MONOTONIC_COARSE, BOOTTIME, BOOTTIME_ALARM. All are as fine as the first of them. */
#define VDSO_WALL_CLOCKS (1u << 0 | 1u << 5 | 1u << 8 | 1u << 11)
#define VDSO_MONOTONIC_CLOCKS (1u << 1 | 1u << 4 | 1u << 6 | 1u << 7 | 1u << 9)

static ALWAYS_INLINE struct hal_vdso_data *vdso_data(void)
{
    return (struct hal_vdso_data *)((VDSO_HERE() & ~(uintptr_t)(PAGE_BYTES - 1)) - PAGE_BYTES);
}

static ALWAYS_INLINE uint64_t vdso_wall_ns(uint64_t offset_ns)
{
    return (uint64_t)((unsigned __int128)hal_clock_ticks() * vdso_data()->ns_mult >> HAL_VDSO_SHIFT) + offset_ns;
}

static ALWAYS_INLINE uint64_t vdso_offset_ns(void)
{
    return atomic_load_explicit(&vdso_data()->wall_offset_ns, memory_order_relaxed);
}

static ALWAYS_INLINE bool vdso_is_one_of(uint32_t id, uint32_t clocks)
{
    return id < 32 && (clocks >> id & 1) != 0;
}

VDSO_CODE static long clock_gettime(int32_t id, struct vdso_timespec *out)
{
    bool is_wall = vdso_is_one_of((uint32_t)id, VDSO_WALL_CLOCKS);

    if (!is_wall && !vdso_is_one_of((uint32_t)id, VDSO_MONOTONIC_CLOCKS))
        return VDSO_CALL(SYS_CLOCK_GETTIME, id, out, 0);
    uint64_t ns = vdso_wall_ns(is_wall ? vdso_offset_ns() : 0), second = VDSO_CONSTANT(VDSO_NS_PER_SEC);

    out->seconds = (int64_t)(ns / second);
    out->nanoseconds = (int64_t)(ns % second);
    return 0;
}

VDSO_CODE static long clock_getres(int32_t id, struct vdso_timespec *out)
{
    if (!vdso_is_one_of((uint32_t)id, VDSO_WALL_CLOCKS | VDSO_MONOTONIC_CLOCKS))
        return VDSO_CALL(SYS_CLOCK_GETRES, id, out, 0);
    if (out != NULL)
        *out = (struct vdso_timespec){ 0, 1 };
    return 0;
}

/* The zone, which nobody wants, is the kernel's. */
VDSO_CODE static long gettimeofday(struct vdso_timespec *out, void *zone)
{
    if (zone != NULL || out == NULL)
        return VDSO_CALL(SYS_GETTIMEOFDAY, out, zone, 0);
    uint64_t ns = vdso_wall_ns(vdso_offset_ns()), second = VDSO_CONSTANT(VDSO_NS_PER_SEC);

    out->seconds = (int64_t)(ns / second);
    out->nanoseconds = (int64_t)(ns % second / VDSO_CONSTANT(1000)); /* a struct timeval */
    return 0;
}

#ifdef SYS_GETCPU
/* The third argument has not been used since Linux 2.6.24. */
VDSO_CODE static long getcpu(unsigned *out_cpu, unsigned *out_node, void *unused)
{
    return VDSO_CALL(SYS_GETCPU, out_cpu, out_node, unused);
}
#endif

/* kernel.ld */
extern const uint8_t __vdso_start[], __vdso_end[];
