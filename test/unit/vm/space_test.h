/* SPDX-License-Identifier: MIT */
/*
 * What tests of this room share in unit mode: memory as after a boot, one task that may sleep and has a space, faults
 * that come through the front door, and a look into the TLB whenever a page is given back.
 */
#pragma once

#include "../mm/mm_test.h"

#include <entry/trap.h>
#include <hal/irq.h>
#include <k/errno.h>
#include <k/trace.h>
#include <mm/pagetable.h>
#include <mm/user.h>
#include <sched/task.h>
#include <smp/tlb.h>
#include <vm/object.h>
#include <vm/space.h>

#define SPACE_TEST_MEMORY_BYTES ((uint64_t)256 << 20)

static struct task space_test_task;

static inline void space_test_listen(enum trace_event event, const void *object, uint64_t value)
{
    (void)object;
    if (event == TRACE_PAGES_FREE)
        host_tlb_require_gone(ROUND_DOWN(value, PAGE_BYTES), PAGE_BYTES << (value % PAGE_BYTES));
}

static inline int space_test_boot(void **state)
{
    (void)state;
    mm_test_enter(SPACE_TEST_MEMORY_BYTES);
    bootmem_init(host_boot_info());
    kspace_init(host_boot_info());
    bootmem_finish();
    memset(&mm_test_part, 0, sizeof mm_test_part);
    mm_cpu_init(&mm_test_cpu, &mm_test_part);
    memset(cpu_table, 0, sizeof cpu_table);
    cpumask_clear(&cpu_online_mask);
    cpumask_clear(&cpu_live_mask);
    cpumask_clear(&cpu_started_mask);
    cpu_table[0] = &mm_test_cpu;
    cpumask_add(&cpu_online_mask, 0);
    cpumask_add(&cpu_live_mask, 0);
    cpumask_add(&cpu_started_mask, 0);
    store_relaxed(&cpu_started_count, 1);
    tlb_init(kspace_root(), host_boot_info()->asid_count, ASIDS_MAX, 1);
    space_init();
    trap_set_user_fault(space_fault_current);
    memset(&space_test_task, 0, sizeof space_test_task);
    space_test_task.base.cpu = &mm_test_cpu;
    host_unit_enter(&space_test_task);
    atomic_store_explicit(&trace_listener, space_test_listen, memory_order_relaxed);
    hal_irq_enable();
    return 0;
}

static inline int space_test_shutdown(void **state)
{
    (void)state;
    hal_irq_disable();
    atomic_store_explicit(&trace_listener, NULL, memory_order_relaxed);
    host_unit_teardown();
    return 0;
}

/* The task's space from now on; NULL: none. */
static inline void space_test_enter_space(struct space *space)
{
    uintptr_t irqs = hal_irq_save();

    space_test_task.space = space != NULL ? &space->tlb : NULL;
    tlb_switch(space_test_task.space);
    hal_irq_restore(irqs);
}

static inline struct space *space_test_new_space(void)
{
    struct space *space = NULL;

    assert_int_equal(space_create(&space), 0);
    space_test_enter_space(space);
    return space;
}

static inline void space_test_drop_space(struct space *space)
{
    space_test_enter_space(NULL);
    space_put(space);
}

static inline uint64_t space_test_free_pages(void)
{
    struct phys_stats stats;

    slab_reclaim_all();
    phys_stats_get(&stats);
    return stats.free_pages;
}

static inline int space_test_begin(void **state)
{
    (void)state;
    mm_test_faults_are_the_machines();
    mm_test_pages_before = space_test_free_pages();
    return 0;
}

static inline int space_test_end(void **state)
{
    (void)state;
    mm_fail_at(0);
    space_set_huge(false);
    space_test_enter_space(NULL);
    return space_test_free_pages() == mm_test_pages_before && space_test_task.base.preempt_count == 0 &&
                   space_test_task.mutexes_held == 0
               ? 0
               : -1;
}

#define space_test(fn) cmocka_unit_test_setup_teardown(fn, space_test_begin, space_test_end)

/* ---- What a program does ---- */

static inline bool space_test_load(vaddr_t va, uint64_t *out)
{
    return user_copy_in(out, va, sizeof *out) == 0;
}

static inline uint64_t space_test_value(vaddr_t va)
{
    uint64_t value = 0;

    assert_int_equal(user_copy_in(&value, va, sizeof value), 0);
    return value;
}

static inline bool space_test_store(vaddr_t va, uint64_t value)
{
    return user_copy_out(va, &value, sizeof value) == 0;
}

static inline vaddr_t space_test_map(struct space *space, vaddr_t at, size_t pages, unsigned rights, unsigned flags)
{
    struct space_request request = {
        .at = at, .bytes = pages * PAGE_BYTES, .rights = rights,
        .flags = flags | (at != 0 ? SPACE_FIXED : 0) | ((flags & SPACE_SHARED) == 0 ? SPACE_PRIVATE : 0),
    };
    vaddr_t va = 0;

    assert_int_equal(space_map(space, &request, &va), 0);
    return va;
}

static inline vaddr_t space_test_map_object(struct space *space, vaddr_t at, size_t pages, unsigned rights,
                                            unsigned flags, struct vm_object *object, uint64_t first)
{
    struct space_request request = {
        .at = at, .bytes = pages * PAGE_BYTES, .rights = rights, .flags = flags | (at != 0 ? SPACE_FIXED : 0),
        .object = object, .offset = first * PAGE_BYTES,
    };
    vaddr_t va = 0;

    assert_int_equal(space_map(space, &request, &va), 0);
    return va;
}

#define RW (VM_READ | VM_WRITE)
