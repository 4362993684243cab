/* SPDX-License-Identifier: MIT */
/*
 * The code of hal/vdso.h, but for its names, for one source file of a machine, which gives
 *
 *   VDSO_HERE()                an address in the page that the code runs in
 *   VDSO_CALL(number, a, b, c) a system call
 *   VDSO_DIVISOR(value)        value, so that a division by it reads no memory
 *
 * and is compiled without link-time optimisation: all of it must be in section .vdso, and nothing outside be called or
 * read, which tools/gen_relocs.py sees to. Functions are of the program's, and follow the C library's contracts:
 * clock_gettime(2) and so on.
 */
#pragma once

#include <hal/clock.h>
#include <hal/vdso.h>
#include <k/compiler.h>

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

static ALWAYS_INLINE long vdso_clock_gettime(int32_t id, struct vdso_timespec *out, long number)
{
    bool is_wall = vdso_is_one_of((uint32_t)id, VDSO_WALL_CLOCKS);

    if (!is_wall && !vdso_is_one_of((uint32_t)id, VDSO_MONOTONIC_CLOCKS))
        return VDSO_CALL(number, id, out, 0);
    uint64_t ns = vdso_wall_ns(is_wall ? vdso_offset_ns() : 0);

    out->seconds = (int64_t)(ns / VDSO_DIVISOR(VDSO_NS_PER_SEC));
    out->nanoseconds = (int64_t)(ns % VDSO_DIVISOR(VDSO_NS_PER_SEC));
    return 0;
}

static ALWAYS_INLINE long vdso_clock_getres(int32_t id, struct vdso_timespec *out, long number)
{
    if (!vdso_is_one_of((uint32_t)id, VDSO_WALL_CLOCKS | VDSO_MONOTONIC_CLOCKS))
        return VDSO_CALL(number, id, out, 0);
    if (out != NULL)
        *out = (struct vdso_timespec){ 0, 1 };
    return 0;
}

/* The zone, which nobody wants, is the kernel's. */
static ALWAYS_INLINE long vdso_gettimeofday(struct vdso_timespec *out, void *zone, long number)
{
    if (zone != NULL || out == NULL)
        return VDSO_CALL(number, out, zone, 0);
    uint64_t ns = vdso_wall_ns(vdso_offset_ns());

    out->seconds = (int64_t)(ns / VDSO_DIVISOR(VDSO_NS_PER_SEC));
    out->nanoseconds = (int64_t)(ns % VDSO_DIVISOR(VDSO_NS_PER_SEC) / VDSO_DIVISOR(1000)); /* a struct timeval */
    return 0;
}
