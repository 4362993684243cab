/* SPDX-License-Identifier: MIT */
/*
 * Stack switches under ThreadSanitizer. Each task is a fiber. Stepping another CPU switches fibers without
 * synchronisation, so that only the core's own atomics order memory between CPUs; a context switch on one CPU does
 * synchronise, because a CPU sees its own stores in order. The machine's own code is not instrumented.
 *
 * A fiber belongs to the stack it was made for. When a stack is used for a new task the old fiber is destroyed: its
 * task is dead, for nobody else may stand on that stack.
 */
#include "host_priv.h"

#include <sanitizer/common_interface_defs.h>
#include <sanitizer/tsan_interface.h>

#define FIBER_SLOTS (1u << 16)

static struct {
    struct {
        uintptr_t base;
        void *fiber;
    } slot[FIBER_SLOTS]; /* open addressing by stack base; entries are replaced, never removed */
} fibers;

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
    if (to->fiber != NULL)
        __tsan_switch_to_fiber(to->fiber, orders_memory ? 0 : __tsan_switch_to_fiber_no_sync);
}

void host_fiber_arrive(void)
{
}

void host_fiber_bind(struct host_stack *stack)
{
    size_t at = (stack->base >> PAGE_SHIFT) * 0x9e3779b1u % FIBER_SLOTS;

    for (unsigned probes = 0; fibers.slot[at].base != 0 && fibers.slot[at].base != stack->base; probes++) {
        HOST_REQUIRE(probes < FIBER_SLOTS, "more than %u stacks under ThreadSanitizer", FIBER_SLOTS);
        at = (at + 1) % FIBER_SLOTS;
    }
    if (fibers.slot[at].base != 0)
        __tsan_destroy_fiber(fibers.slot[at].fiber);
    fibers.slot[at].base = stack->base;
    fibers.slot[at].fiber = __tsan_create_fiber(0);
    stack->fiber = fibers.slot[at].fiber;
}

/* A visit with synchronisation both ways, without moving the stack: what either did before is seen by the other. */
void host_fiber_meet(const struct host_stack *other)
{
    void *self = __tsan_get_current_fiber();

    if (other->fiber == NULL || other->fiber == self)
        return;
    __tsan_switch_to_fiber(other->fiber, 0);
    __tsan_switch_to_fiber(self, 0);
}

void host_fiber_release(void *tag)
{
    __tsan_release(tag);
}

void host_fiber_acquire(void *tag)
{
    __tsan_acquire(tag);
}

void host_fiber_caller(struct host_stack *stack)
{
    *stack = (struct host_stack){ .fiber = __tsan_get_current_fiber() };
}
