/* SPDX-License-Identifier: MIT */
/*
 * A process whose user half is made by hand: single pages, mapped by the walker. Its threads run kernel functions,
 * which reach those pages as the kernel does, or try to where they must not. For tests of that access alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/types.h>
#include <smp/spinlock.h>

struct process;
struct thread;

#define HAND_VA ((vaddr_t)0x10000000)
#define HAND_PAGES 64u
#define HAND_THREADS_MAX 8u

struct hand_space {
    struct process *process;
    struct thread *thread[HAND_THREADS_MAX]; /* those of the last hand_start() */
    unsigned thread_count;

    struct spinlock lock; /* the tables, and: */
    paddr_t page[HAND_PAGES] GUARDED_BY(lock); /* at HAND_VA and on; 0: none */
};

static inline vaddr_t hand_va(unsigned index)
{
    return HAND_VA + index * PAGE_BYTES;
}

/* False, and a failed check: out of memory. */
bool hand_create(struct hand_space *hand);

/* A zeroed page at hand_va(index), with PROT_USER and these rights, or the one that is there already. False: out of
 * memory. Context: task; threads of it may run, and a CPU that does not see the page yet asks again. */
bool hand_map(struct hand_space *hand, unsigned index, unsigned prot);

/* The kernel's own address of the page. */
void *hand_page(const struct hand_space *hand, unsigned index);

/* Run entry((void *)i) in thread i of `count`; wait for all of them, and take everything apart. No second start: the
 * process ends with its threads. */
void hand_start(struct hand_space *hand, unsigned count, int (*entry)(void *));
void hand_finish(struct hand_space *hand);
