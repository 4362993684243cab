/* SPDX-License-Identifier: MIT */
/*
 * Out of memory: user memory that cannot be had is made free by the end of a process.
 *
 * The victim is of the largest family, which is all children of one process, because a crowd of forks is as bad as one
 * large program; and of that the process with most memory: in its space, and in what its descriptors keep, pipes,
 * sockets and files without a name. Among those below OOM_SMALL_PAGES it is the one that began last, so a shell
 * outlives what it started. What was written to /proc/PID/oom_score_adj adds that many thousandths of the machine's
 * memory; OOM_ADJUST_NEVER, and the first process, are never chosen. All processes on
 * the victim's space end with it (vfork(2)). There is one victim at a time: whoever runs out of memory meanwhile, or
 * while a process with memory is about to end anyway, waits for that one's.
 *
 * | state of a process | becomes | by |
 * | alive | victim: it is ending, and oom_victims counts it | who runs out of memory, under the tree lock |
 * | victim | its memory is back, and oom_victims does not count it | its last thread, behind space_put() |
 */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

#define OOM_ADJUST_MAX 1000
#define OOM_ADJUST_NEVER (-1000)
#define OOM_SMALL_PAGES 256u

struct process;

/* What is compared: `pages` and what speaks for or against it, of a machine of `total` pages. 0: never. Pure. */
uint64_t oom_points(uint64_t pages, int adjust, uint64_t total);

/* The running task, whose process runs programs, needs memory and there was none. Chooses a victim if there is none
 * yet, and waits until one's memory is back, until deadline_ns or until it is killed itself. 0: worth another try: also
 * at once, and nobody is chosen, if a victim's memory has come back that its last try may not have found yet.
 * -EINTR: its own process is to end. -ENOMEM: nobody can be a victim. -ETIMEDOUT: no memory so far.
 * Context: task, no spinlock held. With a mutex held, which the victim may want, only with a deadline. */
int oom_relieve(uint64_t deadline_ns) MUST_USE;

/* space_fault_current(), for accesses of the kernel's to user memory: what cannot be had is waited for; with a mutex
 * held only for a while. */
int oom_fault_current(vaddr_t va, unsigned access) MUST_USE;

/* oom_score_adj. -EINVAL: out of range; -EACCES: less than it may have without `has_right`. Context: task. */
int oom_adjust_get(struct process *process);
int oom_adjust_set(struct process *process, int adjust, bool has_right) MUST_USE;
/* oom_score: 0 to 2000. */
unsigned oom_score_get(struct process *process);
