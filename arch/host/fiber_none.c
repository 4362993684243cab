/* SPDX-License-Identifier: MIT */
/* Stack switches without a sanitizer: nobody needs to be told. */
#include "host_priv.h"

void host_fiber_prepare(void)
{
}

void host_fiber_leave(const struct host_stack *to, bool orders_memory)
{
    (void)to;
    (void)orders_memory;
}

void host_fiber_arrive(void)
{
}

void host_fiber_bind(struct host_stack *stack)
{
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
    *stack = (struct host_stack){ 0 };
}
