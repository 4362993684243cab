/* SPDX-License-Identifier: MIT */
/*
 * Timers: a queue per CPU, ordered by deadline, O(log n). A callback runs in interrupt context on the
 * CPU that armed the timer, with the queue's lock released; it may wake tasks and arm timers, and must
 * not touch its timer after it has made the timer's memory free to go.
 */
#pragma once

#include <stdbool.h>

#include <hal/clock.h>
#include <k/types.h>
#include <lib/rbtree.h>
#include <smp/cpu.h>
#include <smp/spinlock.h>

struct timer {
    struct rb_node node;          /* guarded by queue->lock */
    uint64_t deadline_ticks;      /* guarded by queue->lock */
    void (*fire)(struct timer *timer);
    bool is_queued;               /* guarded by queue->lock */
    /* Where it was armed last, or was moved to, with both queues' locks held. Atomic: a callback that arms its timer
     * again stores what stands there already, while timer_cancel() on another CPU looks for the lock, and looks
     * again once it has that. */
    _Atomic(struct timer_queue *) queue;
};

struct timer_queue {
    struct spinlock lock;
    struct rb_tree tree;          /* guarded by lock */
    struct timer *running;        /* guarded by lock: its callback is being called */
    struct cpu *cpu;
};

/* What a program sets a timer of its own to. */
struct timer_setting {
    uint64_t value_ns;  /* 0: not armed */
    uint64_t period_ns; /* 0: once */
};

void timer_queue_init(struct timer_queue *queue, struct cpu *cpu);

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));

/* Fire once at or after deadline_ns on this CPU. The timer is not armed. Context: interrupts disabled. */
void timer_arm(struct timer *timer, uint64_t deadline_ns);

/* After this returns the callback is neither pending nor running. True if it was prevented. Context: any; it may
 * spin while the callback runs on another CPU, so no callback waits for this CPU; not with a lock held
 * that the callback takes. */
bool timer_cancel(struct timer *timer);

/* The same without waiting: false leaves open whether its callback is running. So a lock that the callback takes may be
 * held, if a callback that comes late does no harm; before the memory goes, timer_cancel() without the lock. */
bool timer_try_cancel(struct timer *timer);

/* Fire what is due on this CPU. Context: irq. */
void timer_run_expired(struct cpu *cpu, uint64_t now_ticks);

/* All timers of this CPU, which is going off, move to `to`, with their deadlines. That CPU is told; what is due by then
 * fires late by so much. One CPU at a time. Context: interrupts disabled, no timer's callback, no lock held. */
void timer_hand_over(struct cpu *from, struct cpu *to);

/* The hardware timer must fire at deadline_ticks or before. Context: interrupts disabled, own CPU. */
static ALWAYS_INLINE void timer_program(struct cpu *cpu, uint64_t deadline_ticks)
{
    if (deadline_ticks < cpu->armed_deadline_ticks) {
        cpu->armed_deadline_ticks = deadline_ticks;
        cpu->armed_at_ticks = hal_clock_ticks();
        hal_timer_arm(deadline_ticks);
    }
}

/* Make sure that this CPU's hardware timer fires at the earlier of the queue's first deadline and the slice deadline.
 * A later hardware deadline is left alone only if it is not later than needed. Context: interrupts
 * disabled, own CPU. */
void timer_reprogram(struct cpu *cpu);
