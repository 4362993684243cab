/* SPDX-License-Identifier: MIT */
/*
 * Virtual time and the events that wait in it: one timer and one poke in flight per CPU, in a binary heap. Time passes
 * with steps and jumps to the next event when no CPU can run. Equal times fire in CPU order, so runs repeat.
 */
#include "host_priv.h"

#define PS_PER_SEC UINT64_C(1000000000000)
#define PS_PER_NS UINT64_C(1000)

void host_clock_reset(void)
{
    host.ps_per_tick = PS_PER_SEC / host.config.clock_hz;
    host.next_event_ps = HOST_TIME_NEVER;
    host_clock_share();
}

/* CPUs run at the same time, steps come one after the other: each takes its share. */
void host_clock_share(void)
{
    uint64_t ps = host.config.step_ns * PS_PER_NS;

    if (host.strategy != NULL && host.strategy->keeps_time) {
        host.step_ps = 0;
        return;
    }
    host.step_ps = host.runnable_count > 1 ? ps / host.runnable_count : ps;
    if (host.step_ps == 0)
        host.step_ps = 1;
}

static struct host_cpu *event_cpu(uint32_t event)
{
    return &host_cpus[event / HOST_IRQ_COUNT];
}

static uint64_t event_ps(uint32_t event)
{
    return event_cpu(event)->event_ps[event % HOST_IRQ_COUNT];
}

static bool event_is_before(uint32_t a, uint32_t b)
{
    return event_ps(a) < event_ps(b) || (event_ps(a) == event_ps(b) && a < b);
}

static void heap_put(unsigned slot, uint32_t event)
{
    host.heap[slot] = event;
    event_cpu(event)->event_slot[event % HOST_IRQ_COUNT] = slot;
}

/* Move the event at `slot` to where its time belongs. */
static void heap_settle(unsigned slot)
{
    uint32_t event = host.heap[slot];

    while (slot > 0 && event_is_before(event, host.heap[(slot - 1) / 2])) {
        heap_put(slot, host.heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    for (;;) {
        unsigned child = 2 * slot + 1;

        if (child >= host.heap_count)
            break;
        if (child + 1 < host.heap_count && event_is_before(host.heap[child + 1], host.heap[child]))
            child++;
        if (!event_is_before(host.heap[child], event))
            break;
        heap_put(slot, host.heap[child]);
        slot = child;
    }
    heap_put(slot, event);
}

static void heap_changed(void)
{
    host.next_event_ps = host.heap_count > 0 ? event_ps(host.heap[0]) : HOST_TIME_NEVER;
}

void host_event_set(struct host_cpu *cpu, enum host_irq source, uint64_t at_ps)
{
    unsigned slot = cpu->event_slot[source];

    cpu->event_ps[source] = at_ps;
    if (slot == HOST_EVENT_NONE) {
        slot = host.heap_count++;
        heap_put(slot, cpu->id * HOST_IRQ_COUNT + (uint32_t)source);
    }
    heap_settle(slot);
    heap_changed();
}

void host_event_cancel(struct host_cpu *cpu, enum host_irq source)
{
    unsigned slot = cpu->event_slot[source];

    if (slot == HOST_EVENT_NONE)
        return;
    cpu->event_slot[source] = HOST_EVENT_NONE;
    host.heap_count--;
    if (slot < host.heap_count) {
        heap_put(slot, host.heap[host.heap_count]);
        heap_settle(slot);
    }
    heap_changed();
}

static void events_fire(void)
{
    while (host.now_ps >= host.next_event_ps) {
        uint32_t event = host.heap[0];
        struct host_cpu *cpu = event_cpu(event);
        enum host_irq source = (enum host_irq)(event % HOST_IRQ_COUNT);

        host_event_cancel(cpu, source);
        host_irq_raise(cpu, source);
    }
}

void host_clock_advance(uint64_t ps)
{
    host.now_ps += ps;
    if (UNLIKELY(host.now_ps >= host.next_event_ps))
        events_fire();
}

void host_clock_to(uint64_t ps)
{
    host_clock_advance(MAX(ps, host.now_ps) - host.now_ps);
}

bool host_clock_jump(void)
{
    if (host.heap_count == 0)
        return false;
    host.now_ps = MAX(host.now_ps, host.next_event_ps);
    events_fire();
    return true;
}

uint64_t host_clock_ticks(void)
{
    return host.is_running ? host.now_ps / host.ps_per_tick : 0;
}

/* A deadline beyond what picoseconds can count (half a year) never comes in a run. */
void host_timer_arm(uint64_t deadline_ticks)
{
    host_step(HOST_POINT_TIMER_ARM);
    struct host_cpu *self = host_self();

    HOST_REQUIRE(host.is_running, "hal_timer_arm() without a machine");
    HOST_REQUIRE(!self->regs.irq_enabled, "hal_timer_arm() on CPU %u with interrupts enabled", self->id);
    /* An interrupt of the earlier deadline that is pending may still be taken (a latched local APIC) or not (a level
     * comparator): the core must bear both. */
    if ((self->pending & 1u << HOST_IRQ_TIMER) != 0 && host_random_below(2) == 0)
        self->pending &= ~(1u << HOST_IRQ_TIMER);
    if (deadline_ticks >= HOST_TIME_NEVER / host.ps_per_tick)
        host_event_cancel(self, HOST_IRQ_TIMER);
    else
        host_event_set(self, HOST_IRQ_TIMER, deadline_ticks * host.ps_per_tick);
}
