/* SPDX-License-Identifier: MIT */
/* Timer queues and the programming of the hardware timer. Each queue has its own lock, LOCK_TIMER, interrupts off. */
#include <time/timer.h>

#include <hal/clock.h>
#include <k/assert.h>
#include <k/trace.h>
#include <time/clock.h>

#define HAND_OVER_BATCH 16

static bool timer_less(const struct rb_node *a, const struct rb_node *b)
{
    return container_of(a, struct timer, node)->deadline_ticks < container_of(b, struct timer, node)->deadline_ticks;
}

void timer_queue_init(struct timer_queue *queue, struct cpu *cpu)
{
    spin_init(&queue->lock, LOCK_TIMER);
    rb_init(&queue->tree);
    queue->running = NULL;
    queue->cpu = cpu;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    timer->fire = fire;
    store_relaxed(&timer->queue, NULL);
    timer->is_queued = false;
}

void timer_arm(struct timer *timer, uint64_t deadline_ns)
{
    struct cpu *cpu = this_cpu();
    struct timer_queue *queue = cpu->timers;

    DEBUG_ASSERT(!hal_irq_is_enabled());
    ASSERT(!timer->is_queued && timer->fire != NULL);
    spin_lock_irqoff(&queue->lock);
    store_relaxed(&timer->queue, queue);
    timer->deadline_ticks = clock_ns_to_ticks(deadline_ns);
    timer->is_queued = true;
    rb_insert(&queue->tree, &timer->node, timer_less, NULL);
    trace(TRACE_TIMER_ARM, timer, timer->deadline_ticks);
    /* Also if it is not the first: the first one may have come from another CPU, and not be programmed yet. */
    timer_program(cpu, timer->deadline_ticks);
    spin_unlock_irqoff(&queue->lock);
}

bool timer_cancel(struct timer *timer)
{
    for (;;) {
        struct timer_queue *queue = load_relaxed(&timer->queue);

        if (queue == NULL)
            return false; /* never armed */
        uintptr_t state = spin_lock_irqsave(&queue->lock);

        if (UNLIKELY(load_relaxed(&timer->queue) != queue)) {
            spin_unlock_irqrestore(&queue->lock, state); /* its CPU goes off: it moved between the look and the lock */
            continue;
        }
        bool was_queued = timer->is_queued;
        bool is_running = queue->running == timer;

        if (was_queued) {
            if (!rb_try_remove_leaf(&queue->tree, &timer->node))
                rb_remove(&queue->tree, &timer->node, NULL);
            timer->is_queued = false;
        }
        trace(TRACE_TIMER_CANCEL, timer, was_queued);
        spin_unlock_irqrestore(&queue->lock, state);
        if (was_queued || !is_running)
            return was_queued;
        hal_cpu_relax(); /* its callback runs on another CPU, with interrupts off: it ends soon */
    }
}

void timer_run_expired(struct cpu *cpu, uint64_t now_ticks)
{
    struct timer_queue *queue = cpu->timers;

    /* One-shot: whatever was armed is spent, also if the machine fired early because it clamped a far deadline. */
    cpu->armed_deadline_ticks = TIME_NEVER;
    spin_lock_irqoff(&queue->lock);
    for (;;) {
        struct rb_node *node = rb_first(&queue->tree);
        struct timer *timer = container_of(node, struct timer, node);

        if (node == NULL || timer->deadline_ticks > now_ticks)
            break;
        rb_remove(&queue->tree, node, NULL);
        timer->is_queued = false;
        queue->running = timer;
        trace(TRACE_TIMER_FIRE, timer, timer->deadline_ticks);
        spin_unlock_irqoff(&queue->lock);
        timer->fire(timer);
        spin_lock_irqoff(&queue->lock);
        queue->running = NULL;
    }
    spin_unlock_irqoff(&queue->lock);
}

/* Up to so many at a time, so that nobody waits long for a lock. False: there are no more. */
static bool hand_over_some(struct timer_queue *from, struct timer_queue *to) NO_LOCK_ANALYSIS
{
    struct rb_node *node = NULL;

    spin_lock_irqoff(&from->lock);
    spin_lock_untracked(&to->lock); /* of one rank: nobody else ever holds two, and one CPU goes off at a time */
    ASSERT(from->running == NULL);
    for (unsigned i = 0; i < HAND_OVER_BATCH && (node = rb_first(&from->tree)) != NULL; i++) {
        struct timer *timer = container_of(node, struct timer, node);

        rb_remove(&from->tree, node, NULL);
        store_relaxed(&timer->queue, to);
        rb_insert(&to->tree, node, timer_less, NULL);
        trace(TRACE_TIMER_MOVE, timer, to->cpu->id);
    }
    spin_unlock_untracked(&to->lock);
    spin_unlock_irqoff(&from->lock);
    return node != NULL;
}

void timer_hand_over(struct cpu *from, struct cpu *to)
{
    DEBUG_ASSERT(!hal_irq_is_enabled() && from == this_cpu() && from != to);
    while (hand_over_some(from->timers, to->timers))
        ;
    /* It was given nothing to program before this, and is given everything now: only a CPU itself can do that. */
    cpu_request(to, IPI_TIMER);
}

void timer_reprogram(struct cpu *cpu)
{
    struct timer_queue *queue = cpu->timers;
    uint64_t deadline = load_relaxed(&cpu->slice_deadline_ticks);

    spin_lock_irqoff(&queue->lock);
    struct rb_node *node = rb_first(&queue->tree);

    if (node != NULL)
        deadline = MIN(deadline, container_of(node, struct timer, node)->deadline_ticks);
    spin_unlock_irqoff(&queue->lock);
    if (deadline != TIME_NEVER)
        timer_program(cpu, deadline);
}
