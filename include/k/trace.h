/* SPDX-License-Identifier: MIT */
/*
 * Tracepoints: what the core did, told to whoever listens. The simulator's checkers and timelines are such listeners,
 * and so is the recorder that compares machines. Debug builds only; nobody listens unless a test says so.
 *
 * A listener is called in the middle of things: any context, any lock held, on the small stack of a task. It must not
 * call back into core, and takes no lock.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <k/compiler.h>

/* What `object` and `value` are. A task's state at the time of the event is the new one. Append only. */
enum trace_event {
    TRACE_TASK_INIT,     /* task, tid: a NEW task */
    TRACE_TASK_START,    /* task, CPU that it is queued on: NEW to READY */
    TRACE_TASK_RUN,      /* task, 1 if it is the CPU's idle task: the CPU that speaks runs it from here on */
    TRACE_TASK_REQUEUE,  /* task, 1 if it yielded: RUNNING to READY */
    TRACE_TASK_BLOCK,    /* task, new state: RUNNING to BLOCKED, SLEEPING or STOPPED */
    TRACE_TASK_WAKE,     /* task, CPU that it is queued on: blocked to READY */
    TRACE_TASK_LATCH,    /* task, 0: a wake found it running or ready, and is kept for its next block */
    TRACE_TASK_MIGRATE,  /* task, CPU that it names from now on */
    TRACE_TASK_EXIT,     /* task, 0: RUNNING to DEAD */
    TRACE_TASK_FREE,     /* task, tid: its memory goes back after this */
    TRACE_WAIT_BEGIN,    /* waiter, task: its record is on a queue */
    TRACE_WAIT_SETTLE,   /* waiter, enum waiter_status: decided, once */
    TRACE_WAIT_END,      /* waiter, enum waiter_status: the wait returns */
    TRACE_IRQ_ENTER,     /* NULL, reasons: 0 for the timer */
    TRACE_IRQ_EXIT,      /* NULL, reasons */
    TRACE_IDLE_ENTER,    /* NULL, 0: about to wait for an interrupt */
    TRACE_IDLE_EXIT,     /* NULL, 0 */
    TRACE_SPIN_ENTER,    /* lock, rank: it is held elsewhere */
    TRACE_SPIN_EXIT,     /* lock, rank */
    TRACE_QUIESCE_CALL,  /* head, 0: a grace period must pass from here */
    TRACE_QUIESCE_FREE,  /* head, 0: it has passed */
    TRACE_PAGES_ALLOC,   /* NULL, physical address | order: before the allocator looks at the poison in them */
    TRACE_PAGES_FREE,    /* NULL, physical address | order: nobody but the allocator may reach them from here on */
    TRACE_PAGES_FREED,   /* the same: poisoned; the first cache line of each page is the allocator's */
    TRACE_OBJECT_ALLOC,  /* object, bytes with its red zone: before the allocator looks at the poison in it */
    TRACE_OBJECT_FREE,   /* object, bytes: nobody may touch it from here on */
    TRACE_TASK_UNLATCH,  /* task, 1 if a wake had been kept, 0 if it is killed: it does not block now */
    TRACE_TIMER_ARM,     /* timer, deadline in ticks: on the CPU that speaks */
    TRACE_TIMER_FIRE,    /* timer, deadline in ticks: its callback is called now */
    TRACE_TIMER_CANCEL,  /* timer, 1 if it was armed, and does not fire now */
    TRACE_PANIC,         /* NULL, 0: from here on no promise holds */
    TRACE_PI_CHANGE,     /* task, 1: it begins to change who waits for a mutex, or how urgent a task is; 0: done */
    TRACE_TIMER_MOVE,    /* timer, CPU that it fires on from here on */
    TRACE_EVENT_COUNT,
};

typedef void trace_listener_fn(enum trace_event event, const void *object, uint64_t value);

/* NULL: nobody. Set it while one CPU runs and interrupts are disabled, or before the machine exists. */
extern _Atomic(trace_listener_fn *) trace_listener;

/* Not an interleaving point: listening must not change what is listened to. Context: any. Order: none. */
static ALWAYS_INLINE void trace(enum trace_event event, const void *object, uint64_t value)
{
    if (!KERNEL_DEBUG)
        return;
    trace_listener_fn *listener = atomic_load_explicit(&trace_listener, memory_order_relaxed);

    if (UNLIKELY(listener != NULL))
        listener(event, object, value);
}
