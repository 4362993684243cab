/* SPDX-License-Identifier: MIT */
/* Memory of tasks: the object around a task, its extended-state area, and how many of them there are. */
#include <hal/context.h>
#include <k/errno.h>
#include <k/trace.h>
#include <proc/id.h>

#include "proc_priv.h"

static struct {
    struct slab_cache objects;
    struct slab_cache fpu_areas;
    _Atomic(uint64_t) created;
    _Atomic(uint64_t) exiting; /* begun their exit, ever */
    _Atomic(uint64_t) buried;  /* taken off the dead list, ever */
    _Atomic(uint64_t) reclaimed;
} object;

static void release_task(struct task *task);

void object_cache_init(void)
{
    slab_cache_init(&object.objects, "task", sizeof(struct task_object), CACHE_LINE_BYTES);
    slab_cache_init(&object.fpu_areas, "fpu area", HAL_FPU_BYTES, HAL_FPU_ALIGN);
    vector_cache_init();
    task_set_release(release_task);
}

struct task_object *object_alloc(void)
{
    return slab_alloc(&object.objects);
}

void object_free(struct task_object *freed)
{
    slab_free(&object.objects, freed);
}

int fpu_area_alloc(void **out)
{
    *out = slab_alloc(&object.fpu_areas);
    if (*out == NULL)
        return -ENOMEM;
    hal_fpu_init(*out);
    return 0;
}

void fpu_area_free(void *area)
{
    if (area == NULL)
        return;
    if (HAL_VECTOR_BYTES != 0)
        vector_free(HAL_FPU_VECTOR(area));
    slab_free(&object.fpu_areas, area);
}

void object_count_created(void)
{
    (void)fetch_add_relaxed(&object.created, 1);
}

void object_count_exiting(void)
{
    (void)fetch_add_relaxed(&object.exiting, 1);
}

void object_count_buried(void)
{
    (void)fetch_add_acq_rel(&object.buried, 1); /* PAIRS(object_buried) */
}

uint64_t object_dying_count(void)
{
    uint64_t buried = load_acquire(&object.buried); /* PAIRS(object_buried): read first, so that 0 means none */

    return load_relaxed(&object.exiting) - buried;
}

/* After the grace period: nobody can reach it. Stack, space and extended state went when it left its CPU. */
static void reclaim(struct quiesce_head *head)
{
    struct task_object *dead = container_of(head, struct task_object, reclaim);

    ASSERT(load_relaxed(&dead->task.refs) == 0);
    ASSERT(dead->stack.bytes == 0 && dead->space == NULL && dead->thread == NULL && dead->fpu_area == NULL);
    trace(TRACE_TASK_FREE, &dead->task, (uint64_t)dead->task.tid);
    id_release(dead->task.tid);
    /* Before it goes: who sees one task fewer alive sees it counted here. PAIRS(object_reclaimed) */
    (void)fetch_add_acq_rel(&object.reclaimed, 1);
    object_free(dead);
}

static void release_task(struct task *task)
{
    ASSERT(task->state == TASK_DEAD);
    quiesce_call(&object_of(task)->reclaim, reclaim);
}

void proc_stats_get(struct proc_stats *out)
{
    out->tasks_alive = slab_used(&object.objects);
    out->tasks_reclaimed = load_acquire(&object.reclaimed); /* PAIRS(object_reclaimed): after the living */
    out->tasks_created = load_relaxed(&object.created);
}
