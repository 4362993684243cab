/* SPDX-License-Identifier: MIT */
/*
 * The clocks of programs: clock_gettime(2), clock_nanosleep(2). Ids are Linux's; a negative one is the CPU time of a
 * process or thread, as clock_getcpuclockid(3) makes it. All clocks are as fine as the machine's. Such
 * a clock counts what was run in user mode and in the kernel, exactly, or in user mode only, by samples
 * (sched/cputime.h). Context: task.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/compiler.h>

enum clock_id {
    CLOCK_REALTIME,
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_THREAD_CPUTIME_ID,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_BOOTTIME,
    CLOCK_REALTIME_ALARM,
    CLOCK_BOOTTIME_ALARM,
    CLOCK_TAI = 11,
};

/* -EINVAL: no such clock, or a process or thread that is not there (a thread of another process among them). */
int clock_get(int32_t id, uint64_t *out_ns) MUST_USE;

/* Set the time of day, and let those look again who sleep by it. -EINVAL: not that clock, or before the monotonic one,
 * which would be a time of day before 1970 at boot. */
int clock_set(int32_t id, uint64_t ns) MUST_USE;

/* Sleep for `ns`, or until the clock shows `ns` or more. 0; -EINVAL: no such clock; -EOPNOTSUPP: nobody can
 * sleep by it. Interrupted: -EINTR and what is left in *out_left_ns, or -ERESTARTNOHAND if absolute. */
int clock_sleep(int32_t id, bool is_absolute, uint64_t ns, uint64_t *out_left_ns) MUST_USE;

/* When the monotonic clock will show that, if nobody sets the time of day: CLOCK_REALTIME and CLOCK_MONOTONIC only. */
uint64_t clock_deadline(enum clock_id id, uint64_t ns);
