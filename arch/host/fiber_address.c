/* SPDX-License-Identifier: MIT */
/*
 * Stack switches under AddressSanitizer: it must know the bounds of the stack that it stands on, to clear red zones
 * when a function does not return. Fake stacks are off (see CMakeLists.txt), so there is no per-stack state to keep.
 */
#include "host_priv.h"

#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* A report names functions with the help of a child process. On a kernel stack in the kmap window, which is shared
 * memory, fork() would let parent and child destroy each other's frames: so it is started before there is one. */
void host_fiber_prepare(void)
{
    static bool is_started;
    char name[64];

    if (!is_started)
        __sanitizer_symbolize_pc((void *)host_fiber_prepare, "%f", name, sizeof name);
    is_started = true;
}

void host_fiber_leave(const struct host_stack *to, bool orders_memory)
{
    (void)orders_memory;
    __sanitizer_start_switch_fiber(NULL, (const void *)to->base, to->bytes);
}

void host_fiber_arrive(void)
{
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
}

/* Whoever lived on this stack before left without returning from its frames: their red zones are still there. */
void host_fiber_bind(struct host_stack *stack)
{
    __asan_unpoison_memory_region((const void *)stack->base, stack->bytes);
    stack->fiber = NULL;
}

void host_fiber_meet(const struct host_stack *other)
{
    (void)other;
}

void host_fiber_release(void *tag)
{
    (void)tag;
}

void host_fiber_acquire(void *tag)
{
    (void)tag;
}

void host_fiber_caller(struct host_stack *stack)
{
    pthread_attr_t attr;
    void *base = NULL;
    size_t bytes = 0;

    *stack = (struct host_stack){ 0 };
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &base, &bytes) == 0)
        *stack = (struct host_stack){ .base = (uintptr_t)base, .bytes = bytes };
    (void)pthread_attr_destroy(&attr);
}
