/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the simulated machine share: scratch kernels with upcalls of their own. No room of core is linked.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hal/boot.h>
#include <hal/clock.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <hal/mmu.h>
#include <hal/upcall.h>
#include <host/machine.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/errno.h>

#define SEEDS 200
#define SCRATCH_STACK_BYTES 65536

struct task {
    struct hal_context context;
};

struct scratch {
    struct task task[8];
    void (*on_timer)(void);
    void (*on_ipi)(void);
    void (*on_exit)(void);
    _Atomic(unsigned) timers;
    _Atomic(unsigned) ipis;
    _Atomic(unsigned) flag;
    _Atomic(unsigned) done;
    unsigned plain;
    uint64_t fired_at[8];
    struct fault_info fault;
    paddr_t next_page;
};

extern struct scratch scratch;
extern struct host_result result; /* of the last run */

int scratch_reset(void **state);
struct host_config config_of(unsigned cpus, uint64_t seed);

/* Reset, then run; a fault ends a scratch kernel with code 40 + its kind, as a panic ends the real one. */
int run(const struct host_config *config);
int run_entry(unsigned cpus, uint64_t seed, void (*entry)(struct boot_info *));

void boot_cpu_start(void);
void context_of(struct task *task, void (*entry)(void *), void *arg);

/* Memory: pages of RAM that nobody uses, never given back; the word of a table that maps va, tables made as needed. */
uint64_t *table_at(paddr_t pa);
paddr_t page_take(void);
uint64_t *pte_at(paddr_t root, vaddr_t va, unsigned level);
uint64_t *pte_of(paddr_t root, vaddr_t va);
void memory_prepare(const struct boot_info *boot);     /* before page_take() */
paddr_t memory_start(const struct boot_info *boot);    /* and on the boot CPU: takes an empty root into use */
