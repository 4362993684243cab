/* SPDX-License-Identifier: MIT */
/* What tests of this room share beyond mm/mm_test.h: a whole task, because mutexes count themselves there. */
#pragma once

#include "../mm/mm_test.h"

#include <time.h>

#include <k/errno.h>
#include <sched/task.h>
#include <vm/object.h>
#include <vm/region.h>

static struct task vm_test_task;

/* Group set-up: memory as after a boot, interrupts enabled, the caches there. */
static inline int vm_test_boot(void **state)
{
    (void)mm_test_boot(state);
    vm_test_task.base.cpu = &mm_test_cpu;
    host_unit_enter(&vm_test_task);
    hal_irq_enable();
    region_cache_init();
    vm_object_cache_init();
    return 0;
}

static inline int vm_test_end(void **state)
{
    return mm_test_end(state) == 0 && vm_test_task.base.preempt_count == 0 && vm_test_task.mutexes_held == 0 ? 0 : -1;
}

/* Is it time to leave the rest of the rounds out? Under a sanitizer there are fewer, lest a test take minutes. */
static inline bool vm_test_is_late(const char *name, unsigned round, unsigned rounds)
{
    if (clock() / CLOCKS_PER_SEC < 20)
        return false;
    print_message("%s: slow machine, %u of %u rounds\n", name, round, rounds);
    return true;
}

#define vm_test(fn) cmocka_unit_test_setup_teardown(fn, mm_test_begin, vm_test_end)
