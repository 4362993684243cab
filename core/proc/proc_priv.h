/* SPDX-License-Identifier: MIT */
/* The inside of the process room: the object around a task, and the tree lock. */
#pragma once

#include <mm/kstack.h>
#include <mm/slab.h>
#include <vm/space.h>
#include <proc/process.h>
#include <proc/task.h>
#include <smp/quiesce.h>

/* What proc keeps with a task. Freed by the reaper after the last reference and a grace period. */
struct task_object {
    struct task task; /* first */
    struct quiesce_head reclaim;
    struct kstack stack;
    struct space *space;     /* a reference, or NULL */
    void *fpu_area;
    int (*entry)(void *arg);
    void *arg;
    struct thread *thread;   /* a reference, or NULL; cleared by exit */
};

static inline struct task_object *object_of(struct task *task)
{
    return container_of(task, struct task_object, task);
}

/* One lock for the process tree, threads' links and exit records. LOCK_PROC_TREE, task context only. */
extern struct spinlock proc_tree_lock;

/* create.c: what task_create() and task_create_from_thread() share. The object is complete, NEW and unpublished. */
struct object_spec {
    const struct task_spec *task;
    tid_t tid;
    pid_t pid;
    struct space *space;   /* taken by reference; NULL: kernel tasks */
    struct thread *thread; /* taken by reference, or NULL */
};
int task_spec_check(const struct task_spec *spec) MUST_USE;
int object_create(const struct object_spec *spec, struct task_object **out) MUST_USE;
/* Undo object_create() of a task that never ran and that nobody else has seen. */
void object_discard(struct task_object *object);

/* object.c */
void object_cache_init(void);
struct task_object *object_alloc(void) MUST_USE;
void object_free(struct task_object *object);
int fpu_area_alloc(void **out) MUST_USE;
void fpu_area_free(void *area);
void object_count_created(void);
void object_count_exiting(void);
void object_count_buried(void);
uint64_t object_dying_count(void); /* tasks that began their exit and are not buried; 0: all have left their CPUs */

/* reaper.c */
void reaper_init(void);
void reaper_notify(void);
/* Who makes tasks waits here while too many dead ones are not buried. Context: task, may sleep. */
void reaper_keep_pace(void);

/* thread.c, process.c */
void process_init(void);
void thread_exited(struct thread *thread, int code);
/* One thread fewer, in one section with its leaving the list, so that all agree on who was the last; with has_status it
 * ran and this is its status. The last one turns the process into a record for its parent, or into nothing if nobody
 * will ask: such processes go to `gone`, and process_put_all() drops them after the section. */
void process_thread_ended_locked(struct process *process, bool has_status, int wait_status, struct list_node *gone)
    REQUIRES(proc_tree_lock);
void process_put_all(struct list_node *gone);
void thread_cache_init(void);
