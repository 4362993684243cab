/* SPDX-License-Identifier: MIT */
/*
 * Vector areas (hal/context.h): given to a task at its first use of such registers, taken by an exec and at its end. A
 * fork's child and a new thread begin without one: no ABI that has them keeps all of them over a system call. No lock:
 * an area is its task's, and while it is given or taken no switch may come between.
 */
#include <hal/context.h>
#include <hal/irq.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <proc/user.h>

#include "proc_priv.h"

static struct slab_cache vector_areas;

void vector_cache_init(void)
{
    if (HAL_VECTOR_BYTES != 0)
        slab_cache_init(&vector_areas, "vector area", HAL_VECTOR_BYTES, HAL_FPU_ALIGN);
}

void vector_free(void *vector)
{
    if (vector != NULL)
        slab_free(&vector_areas, vector);
}

static void *vector_alloc(void)
{
    void *vector = slab_alloc(&vector_areas);

    if (vector != NULL)
        memset(vector, 0, HAL_VECTOR_BYTES);
    return vector;
}

void *vector_swap(void *vector)
{
    void *area = current_task()->fpu_area;
    uintptr_t state = hal_irq_save();

    hal_fpu_switch(area, area);
    void *old = HAL_FPU_VECTOR(area);

    HAL_FPU_VECTOR(area) = vector;
    hal_fpu_switch(NULL, area);
    hal_irq_restore(state);
    return old;
}

int proc_vector_use(void)
{
    void *vector = vector_alloc();

    if (vector == NULL)
        return -ENOMEM;
    ASSERT(current_task()->fpu_area != NULL && HAL_FPU_VECTOR(current_task()->fpu_area) == NULL);
    (void)vector_swap(vector);
    return 0;
}

int vector_read_frame(const void *frame, size_t bytes, vaddr_t va)
{
    bool has_vector = bytes == HAL_SIGNAL_FRAME_BYTES && HAL_SIGNAL_HAS_VECTOR(frame);
    void *area = current_task()->fpu_area;

    if (HAL_VECTOR_BYTES == 0 || area == NULL || (!has_vector && HAL_FPU_VECTOR(area) == NULL))
        return 0;
    /* While it is nobody's, no switch stores over what comes in. */
    void *vector = vector_swap(NULL);
    int result = 0;

    if (vector == NULL)
        vector = slab_alloc(&vector_areas);
    if (vector == NULL)
        return -ENOMEM;
    if (has_vector)
        result = user_copy_in(vector, va + HAL_SIGNAL_VECTOR_AT, HAL_VECTOR_BYTES);
    if (!has_vector || result != 0)
        memset(vector, 0, HAL_VECTOR_BYTES);
    (void)vector_swap(vector);
    return result;
}
