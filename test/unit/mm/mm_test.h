/* SPDX-License-Identifier: MIT */
/*
 * What tests of this room share: a machine in unit mode with memory brought up as a boot does it, and the conservation
 * check that ends every test.
 */
#pragma once

#include "unit.h"

#include <stdbool.h>
#include <string.h>

#include <hal/boot.h>
#include <host/machine.h>
#include <mm/bootmem.h>
#include <mm/fail.h>
#include <mm/kspace.h>
#include <mm/kstack.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <smp/cpu.h>

#include "mm_priv.h"

static struct cpu mm_test_cpu;
static struct task_base mm_test_task;
static struct host_result mm_test_result;

static inline void mm_test_enter(uint64_t memory_bytes)
{
    struct host_config config = {.cpus = 1, .seed = 1, .memory_bytes = memory_bytes, .max_steps = UINT64_MAX};

    host_unit_setup(&config);
    mm_test_cpu = (struct cpu){.id = 0};
    mm_test_task = (struct task_base){.cpu = &mm_test_cpu};
    host_unit_enter((struct task *)&mm_test_task);
}

/* Group set-up: memory as after a boot. */
static inline int mm_test_boot(void **state)
{
    (void)state;
    mm_test_enter(0);
    bootmem_init(host_boot_info());
    kspace_init(host_boot_info());
    bootmem_finish();
    return 0;
}

static inline int mm_test_shutdown(void **state)
{
    (void)state;
    host_unit_teardown();
    return 0;
}

static inline uint64_t mm_test_free_pages(void)
{
    struct phys_stats stats;

    phys_stats_get(&stats);
    return stats.free_pages;
}

/* Each test's set-up and tear-down: as many free pages as before, no lock held, no failure armed. */
static uint64_t mm_test_pages_before;

static inline int mm_test_begin(void **state)
{
    (void)state;
    mm_test_pages_before = mm_test_free_pages();
    return 0;
}

static inline int mm_test_end(void **state)
{
    (void)state;
    mm_fail_at(0);
    kstack_reclaim();
    slab_reclaim_all();
    return mm_test_free_pages() == mm_test_pages_before && mm_test_task.preempt_count == 0 ? 0 : -1;
}

/* fn(arg) panics, and says so in these words. In a process of its own: nothing of it is left here. */
#define assert_panics(fn, arg, words)                                                                \
    do {                                                                                             \
        bool mm_test_returned = host_unit_returns_forked((fn), (arg), &mm_test_result);              \
        if (mm_test_returned || mm_test_result.end != HOST_END_EXIT || mm_test_result.code == 0 ||   \
            strstr(mm_test_result.console, (words)) == NULL)                                         \
            fail_msg("no panic with \"%s\": %s%s", (words), mm_test_result.console, mm_test_result.report); \
    } while (0)

#define mm_test(fn) cmocka_unit_test_setup_teardown(fn, mm_test_begin, mm_test_end)
