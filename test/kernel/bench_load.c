/* SPDX-License-Identifier: MIT */
/* The loads of the benchmarks that measure time and not instructions. */
#include "bench_load.h"

#include <k/atomic.h>

#include "check.h"

#define TASKS_MAX 128u

static struct {
    _Atomic(bool) stop;
    struct task *task[TASKS_MAX];
    unsigned count;
} load;

const char *load_name(enum load_kind kind)
{
    static const char *const names[] = { "idle", "hogs", "crowd", "mixed" };

    return names[kind];
}

void load_spin(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++)
        compiler_barrier();
}

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&load.stop))
        load_spin(LOAD_TURN_ROUNDS);
    return 0;
}

static int take_turns(void *arg)
{
    (void)arg;
    while (!load_relaxed(&load.stop)) {
        load_spin(LOAD_TURN_ROUNDS);
        task_yield();
    }
    return 0;
}

static void add(struct task *task)
{
    if (task != NULL)
        load.task[load.count++] = task;
}

void load_start(enum load_kind kind, cpu_id_t cpu)
{
    CHECK(load.count + (kind == LOAD_CROWD ? LOAD_CROWD_TASKS : 2) <= TASKS_MAX);
    store_relaxed(&load.stop, false);
    if (kind == LOAD_CROWD)
        for (unsigned i = 0; i < LOAD_CROWD_TASKS; i++)
            add(spawn_on("crowd", take_turns, NULL, PRIORITY_DEFAULT, cpu));
    if (kind == LOAD_HOGS || kind == LOAD_MIXED)
        add(spawn_on("fair hog", hog, NULL, PRIORITY_DEFAULT, cpu));
    if (kind == LOAD_HOGS)
        add(spawn_on("fair hog", hog, NULL, PRIORITY_DEFAULT, cpu));
    if (kind == LOAD_MIXED)
        add(spawn_on("real-time hog", hog, NULL, PRIORITY_REALTIME_LOW, cpu));
}

void load_stop(void)
{
    store_relaxed(&load.stop, true);
    while (load.count > 0)
        CHECK(finish(load.task[--load.count]) == 0);
}
