/* SPDX-License-Identifier: MIT */
/*
 * Create: everything that can fail comes first (object, stack, extended state, id), each undone in
 * reverse; then the task is initialised, which cannot fail, published under its id, and started.
 */
#include <hal/mmu.h>
#include <k/errno.h>
#include <k/trace.h>
#include <mm/kspace.h>
#include <proc/id.h>
#include <sched/sched.h>

#include "proc_priv.h"

/* First code of every task that proc makes. */
static void task_main(void *arg)
{
    struct task_object *self = arg;

    task_exit(self->entry(self->arg));
}

ALWAYS_INLINE int task_spec_check(const struct task_spec *spec)
{
    if (spec->name == NULL || spec->name[0] == '\0' || spec->entry == NULL)
        return -EINVAL;
    if (!priority_is_valid(spec->priority))
        return -EINVAL;
    if (spec->stack_bytes == 0 || spec->stack_bytes > STACK_BYTES_MAX)
        return -EINVAL;
    if (spec->affinity != NULL && !cpumask_intersects(spec->affinity, &cpu_online_mask))
        return -EINVAL;
    return 0;
}

ALWAYS_INLINE int object_create(const struct object_spec *spec, struct task_object **out)
{
    const struct task_spec *task = spec->task;
    struct task_object *object = object_alloc();
    void *fpu_area = NULL;
    int result = -ENOMEM;

    if (object == NULL)
        return -ENOMEM;
    result = kstack_alloc(task->stack_bytes, &object->stack);
    if (result != 0)
        goto free_object;
    if (task->uses_fpu) {
        result = fpu_area_alloc(&fpu_area);
        if (result != 0)
            goto free_stack;
    }

    /* Nothing fails from here on. */
    const struct task_params params = {
        .tid = spec->tid,
        .pid = spec->pid,
        .parent_tid = current_task()->tid,
        .name = task->name,
        .entry = task_main,
        .arg = object,
        .stack_base = object->stack.base,
        .stack_bytes = object->stack.bytes,
        .space = spec->space != NULL ? &spec->space->tlb : NULL,
        .fpu_area = fpu_area,
        .priority = task->priority,
        .affinity = task->affinity,
    };

    task_init(&object->task, &params);
    object->space = spec->space;
    object->fpu_area = fpu_area;
    object->entry = task->entry;
    object->arg = task->arg;
    object->thread = spec->thread;
    if (spec->space != NULL)
        space_get(spec->space);
    if (spec->thread != NULL)
        thread_get(spec->thread);
    *out = object;
    return 0;

free_stack:
    kstack_free(&object->stack);
free_object:
    object_free(object);
    return result;
}

void object_discard(struct task_object *object)
{
    ASSERT(object->task.state == TASK_NEW && load_relaxed(&object->task.refs) == 1);
    trace(TRACE_TASK_FREE, &object->task, (uint64_t)object->task.tid);
    task_dismiss(&object->task);
    kstack_free(&object->stack);
    fpu_area_free(object->fpu_area);
    if (object->space != NULL)
        space_put(object->space);
    if (object->thread != NULL)
        thread_put(object->thread);
    object_free(object);
}

static ALWAYS_INLINE tid_t try_create(const struct task_spec *spec, struct task **out)
{
    struct object_spec full = { .task = spec };
    struct task_object *object = NULL;
    int result = task_spec_check(spec);

    ASSERT(context_can_sleep());
    if (result != 0)
        return result;
    result = id_alloc(&full.tid);
    if (result != 0)
        return result;
    full.pid = full.tid;
    result = object_create(&full, &object);
    if (result != 0) {
        id_release(full.tid);
        return result;
    }
    tid_t tid = full.tid;

    result = task_admit(&object->task);
    if (result != 0) {
        object_discard(object);
        id_release(tid);
        return result;
    }
    /* The object's first reference is its existence, dropped by the reaper. */
    if (out != NULL) {
        task_get(&object->task);
        *out = &object->task;
    }
    object_count_created();
    id_publish_task(tid, &object->task);
    result = task_start(&object->task);
    ASSERT(result == 0); /* it was admitted */
    return tid; /* the task may have run and died by now */
}

tid_t task_try_create(const struct task_spec *spec, struct task **out)
{
    return try_create(spec, out);
}

static NOINLINE tid_t create_after_pass(const struct task_spec *spec, struct task **out, bool is_short_of_memory)
{
    reaper_wait_pass();
    /* What the dead were made of may lie in the magazines of the CPU that buried them. */
    if (is_short_of_memory)
        slab_reclaim_all();
    return task_try_create(spec, out);
}

tid_t task_create(const struct task_spec *spec, struct task **out)
{
    reaper_keep_pace();
    tid_t tid = try_create(spec, out);

    if (UNLIKELY(tid == -ENOMEM || tid == -EAGAIN))
        return create_after_pass(spec, out, tid == -ENOMEM);
    return tid;
}

void proc_init(void)
{
    id_init();
    object_cache_init();
    process_init();
    reaper_init();
}
