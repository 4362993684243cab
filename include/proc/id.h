/* SPDX-License-Identifier: MIT */
/*
 * Task and process ids: one number space, 1..TID_MAX-1, handed out in cycles so that a number rests before it is used
 * again. A number is reserved first, published when its owner can be found, and free again when its last user lets go.
 */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

struct process;
struct process_group;
struct task;

#define PID_INIT 1 /* the first process's; nobody else gets it */

void id_init(void);

/* Reserve the next free number. -EAGAIN: all in use. -ENOMEM. Context: task. */
int id_alloc(tid_t *out) MUST_USE;

/* Reserve PID_INIT. -EAGAIN: it is in use. -ENOMEM. Context: task. */
int id_alloc_init(void) MUST_USE;

/* One more user of a reserved number (a process and its first thread share theirs). */
void id_hold(tid_t id);

/* A user lets go; nothing of its kind may be published under the number any more. Context: task. */
void id_release(tid_t id);

/* Make an object findable, or no longer so. Lookups that found it before keep their reference. */
void id_publish_task(tid_t id, struct task *task);
void id_unpublish_task(tid_t id);
void id_publish_process(pid_t id, struct process *process);
void id_unpublish_process(pid_t id);

/* The process group of that id, or NULL: published under the process tree's lock, which its finder holds, too. */
void id_publish_group(pid_t id, struct process_group *group);
struct process_group *id_group_locked(pid_t id) MUST_USE;

/* A counted reference, or NULL: no such task or process, or it is past its exit. Takes no lock. Context: any. */
struct task *task_lookup(tid_t tid) MUST_USE;
struct process *process_lookup(pid_t pid) MUST_USE;

/* The task with the lowest id at or above `from`, as task_lookup() finds it. NULL: there is none. So all tasks are
 * visited without a lock, while they are born and die: one that lives all the while is visited. The scan of unused
 * numbers has preemption enabled in between. Context: task. */
struct task *task_lookup_next(tid_t from) MUST_USE;

/* The same of processes. */
struct process *process_lookup_next(pid_t from) MUST_USE;

unsigned id_used_count(void);

/* The number that was given out last. */
tid_t id_last(void);

/* Free what is kept for reuse, so that memory counts can be compared. Context: task. */
void id_reclaim(void);
