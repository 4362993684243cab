/* SPDX-License-Identifier: MIT */
/* Threads that run in an address space of their own and use it by user copies, so through real faults. */
#pragma once

#include <proc/process.h>
#include <vm/space.h>

#define USER_VA ((vaddr_t)0x10000000)
#define RW (VM_READ | VM_WRITE)

/* An aligned word of user memory; false: the access failed. */
bool load_word(vaddr_t va, uint64_t *out);
bool store_word(vaddr_t va, uint64_t value);

/* At that address, in place of what is there: space_map()'s result. */
int map_at(struct space *space, vaddr_t va, size_t pages, unsigned rights, unsigned flags);

/* A running thread of a process with that space (taken over; NULL: a new one). NULL after a failed check. */
struct thread *start_in(struct space *space, int (*entry)(void *), void *arg, struct process **out);

/* Wait for the process, whose code must be 0, and drop both. */
void finish_process(struct thread *thread, struct process *process);
void run_in(struct space *space, int (*entry)(void *), void *arg);
