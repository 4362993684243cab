/* SPDX-License-Identifier: MIT */
/*
 * Computing on a real or emulated machine: spin until the task has had the CPU for so long. What the scheduler charges
 * the task is what counts, so time in which others have the CPU does not. It is asked only when the clock says that the
 * time may be up: asking takes a lock.
 */
#include <hal/cpu.h>
#include <time/clock.h>

#include "lab.h"

#define SPINS 200u /* between two looks at the clock */

static uint64_t run_ticks(void)
{
    struct task_snapshot snapshot;

    task_get_snapshot(current_task(), &snapshot);
    return snapshot.stats.run_ticks;
}

static void spin_until(uint64_t ticks)
{
    while ((int64_t)(ticks - hal_clock_ticks()) > 0) {
        for (unsigned i = 0; i < SPINS; i++)
            __asm__ volatile("" ::: "memory");
        hal_cpu_relax(); /* where virtual CPUs share a real one, the others get their turn */
    }
}

void lab_compute(uint64_t ns)
{
    uint64_t want = clock_ns_to_ticks(ns);
    uint64_t began = run_ticks();
    uint64_t had = 0;

    while (had < want) {
        spin_until(hal_clock_ticks() + (want - had));
        had = run_ticks() - began;
    }
}
