/* SPDX-License-Identifier: MIT */
/*
 * Who steps next: the strategies, the set of runnable CPUs, and the machine's one source of chance. A strategy is two
 * functions and one line in a table.
 */
#include "host_priv.h"

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016). */
uint64_t host_random(void)
{
    uint64_t x = host.random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    host.random = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Uniform below bound (1..2^32), by the high bits: a multiplication instead of a division. */
uint64_t host_random_below(uint64_t bound)
{
    return (host_random() >> 32) * bound >> 32;
}

void host_runnable_add(struct host_cpu *cpu)
{
    cpu->state = HOST_CPU_RUNNABLE;
    cpu->runnable_slot = host.runnable_count;
    host.runnable[host.runnable_count++] = cpu;
    cpumask_add(&host.runnable_mask, cpu->id);
    host_clock_share();
}

void host_runnable_remove(struct host_cpu *cpu, enum host_cpu_state state)
{
    struct host_cpu *last = host.runnable[--host.runnable_count];

    host.runnable[cpu->runnable_slot] = last;
    last->runnable_slot = cpu->runnable_slot;
    cpumask_remove(&host.runnable_mask, cpu->id);
    cpu->state = state;
    host_clock_share();
}

/* `self` has left the runnable set: step the others until somebody has put it back and chosen it. */
void host_wait_for_others(struct host_cpu *self)
{
    while (host.runnable_count == 0)
        if (!host_clock_jump())
            host_leave(HOST_END_DEADLOCK, 0);
    struct host_cpu *next = host.strategy->replace(self);

    if (next != self)
        host_cpu_switch_to(next);
}

/*
 * A CPU that relaxes while no other can run waits for time alone, or for an event. Time then passes faster with each
 * relax in a row, up to 1 us; an event is never jumped over, because the clock stops there.
 */
static void relax_alone(void)
{
    unsigned shift = MIN(host.lonely_relaxes, 16u);
    uint64_t ps = MIN(host.step_ps << shift, UINT64_C(1000000));

    host.lonely_relaxes++;
    host_clock_advance(host.next_event_ps > host.now_ps ? MIN(ps, host.next_event_ps - host.now_ps) : 0);
}

/* Uniform among the runnable CPUs other than self; there is at least one. */
static struct host_cpu *uniform_other(struct host_cpu *self)
{
    unsigned slot = (unsigned)host_random_below(host.runnable_count - 1);

    return host.runnable[slot + (slot >= self->runnable_slot ? 1 : 0)];
}

static struct host_cpu *uniform_next(struct host_cpu *self, enum host_point kind)
{
    if (host.runnable_count == 1) {
        if (kind == HOST_POINT_RELAX)
            relax_alone();
        return host.runnable_count == 1 || kind != HOST_POINT_RELAX ? self : uniform_other(self);
    }
    if (kind == HOST_POINT_RELAX)
        return uniform_other(self);
    return host_random_below(host.config.switch_one_in) == 0 ? uniform_other(self) : self;
}

static struct host_cpu *uniform_replace(struct host_cpu *self)
{
    (void)self;
    return host.runnable[host_random_below(host.runnable_count)];
}

static struct host_cpu *round_robin_replace(struct host_cpu *self)
{
    cpu_id_t id = cpumask_next(&host.runnable_mask, self->id + 1);

    return &host_cpus[id != CPU_NONE ? id : cpumask_next(&host.runnable_mask, 0)];
}

static struct host_cpu *round_robin_next(struct host_cpu *self, enum host_point kind)
{
    if (host.runnable_count == 1 && kind == HOST_POINT_RELAX)
        relax_alone();
    return round_robin_replace(self);
}

static const struct host_strategy_ops strategies[] = {
    [HOST_UNIFORM] = { "uniform", uniform_next, uniform_replace },
    [HOST_ROUND_ROBIN] = { "round-robin", round_robin_next, round_robin_replace },
};

const struct host_strategy_ops *host_strategy_find(enum host_strategy strategy)
{
    return (size_t)strategy < ARRAY_COUNT(strategies) ? &strategies[strategy] : &strategies[HOST_UNIFORM];
}
