/* SPDX-License-Identifier: MIT */
/*
 * Who steps next: the set of runnable CPUs, the table of strategies and the two simplest of them, what is recorded of
 * their choices, and the machine's sources of chance. A strategy is a few functions and one line in the table. No lock.
 */
#include "host_priv.h"

#include <string.h>

/* A xorshift generator must not start at 0. */
static uint64_t stream_start(uint64_t seed, uint64_t stream)
{
    uint64_t z = host_mix((seed << 16 | seed >> 48) + (stream + 1) * UINT64_C(0x9e3779b97f4a7c15));

    return z != 0 ? z : 1;
}

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016). */
static inline uint64_t stream_next(uint64_t *stream)
{
    uint64_t x = *stream;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *stream = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Uniform below bound (1..2^32), by the high bits: a multiplication instead of a division. */
static inline uint64_t stream_below(uint64_t *stream, uint64_t bound)
{
    return (stream_next(stream) >> 32) * bound >> 32;
}

uint64_t host_choose_below(uint64_t bound)
{
    return stream_below(&host.choice, bound);
}

uint64_t host_random(void)
{
    return stream_next(&host_self()->chance);
}

uint64_t host_random_below(uint64_t bound)
{
    return stream_below(&host_self()->chance, bound);
}

void host_runnable_add(struct host_cpu *cpu)
{
    cpu->state = HOST_CPU_RUNNABLE;
    cpu->runnable_slot = host.runnable_count;
    host.runnable[host.runnable_count++] = cpu;
    cpumask_add(&host.runnable_mask, cpu->id);
    host_clock_share();
    if (host.strategy->added != NULL)
        host.strategy->added(cpu);
}

void host_runnable_remove(struct host_cpu *cpu, enum host_cpu_state state)
{
    struct host_cpu *last = host.runnable[--host.runnable_count];

    host.runnable[cpu->runnable_slot] = last;
    last->runnable_slot = cpu->runnable_slot;
    cpumask_remove(&host.runnable_mask, cpu->id);
    cpu->state = state;
    host_clock_share();
    if (host.strategy->removed != NULL)
        host.strategy->removed(cpu);
}

struct host_cpu *host_runnable_next(const struct host_cpu *self)
{
    cpu_id_t id = cpumask_next(&host.runnable_mask, self->id + 1);

    return &host_cpus[id != CPU_NONE ? id : cpumask_next(&host.runnable_mask, 0)];
}

struct host_cpu *host_runnable_other(const struct host_cpu *self)
{
    unsigned slot = (unsigned)host_choose_below(host.runnable_count - 1);

    return host.runnable[slot + (slot >= self->runnable_slot ? 1 : 0)];
}

struct host_cpu *host_runnable_any(void)
{
    return host.runnable[host_choose_below(host.runnable_count)];
}

static struct host_cpu *uniform_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    (void)word;
    if (why == HOST_WHY_WAIT)
        return host_runnable_any();
    if (host.runnable_count == 1)
        return self;
    if (why == HOST_WHY_POINT && host_choose_below(host.config.switch_one_in) != 0)
        return self;
    return host_runnable_other(self);
}

static const struct host_strategy_ops uniform = { .name = "uniform", .next = uniform_next };

static struct host_cpu *round_robin_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    (void)why;
    (void)word;
    return host_runnable_next(self);
}

static const struct host_strategy_ops round_robin = { .name = "round-robin", .next = round_robin_next };

static const struct host_strategy_ops *const strategies[HOST_STRATEGY_COUNT] = {
    [HOST_UNIFORM] = &uniform,
    [HOST_ROUND_ROBIN] = &round_robin,
    [HOST_PCT] = &host_strategy_pct,
    [HOST_ADVERSARY] = &host_strategy_adversary,
    [HOST_ORDER] = &host_strategy_order,
    [HOST_UNEVEN] = &host_strategy_uneven,
    [HOST_DELAY] = &host_strategy_delay,
    [HOST_POSTPONE] = &host_strategy_postpone,
    [HOST_SCRIPT] = &host_strategy_script,
    [HOST_PARALLEL] = &host_strategy_parallel,
};

const char *host_strategy_name(enum host_strategy strategy)
{
    return (unsigned)strategy < HOST_STRATEGY_COUNT ? strategies[strategy]->name : "none";
}

enum host_strategy host_strategy_by_name(const char *name)
{
    unsigned strategy = 0;

    while (strategy < HOST_STRATEGY_COUNT && strcmp(strategies[strategy]->name, name) != 0)
        strategy++;
    return (enum host_strategy)strategy;
}

void host_schedule_reset(void)
{
    HOST_REQUIRE((unsigned)host.config.strategy < HOST_STRATEGY_COUNT, "there is no strategy %d",
                 (int)host.config.strategy);
    host.strategy = strategies[host.config.strategy];
    host.choice = stream_start(host.config.seed, 0);
    for (cpu_id_t id = 0; id < host.config.cpus; id++)
        host_cpus[id].chance = stream_start(host.config.seed, 1 + (uint64_t)id);
    if (host.strategy->reset != NULL)
        host.strategy->reset();
}

struct host_cpu *host_schedule_default(struct host_cpu *self, enum host_why why)
{
    return why == HOST_WHY_POINT && host.steps < host.streak_end ? self : host_runnable_next(self);
}

static void choice_record(struct host_cpu *self, enum host_why why, const struct host_cpu *next)
{
    struct host_record *record = host.config.record;

    if (record->preemption == NULL || next == host_schedule_default(self, why))
        return;
    if (record->preemption_count < record->preemption_room)
        record->preemption[record->preemption_count] =
            (struct host_preemption){ .cpu = self->id, .to = next->id, .at = self->steps };
    record->preemption_count++;
}

struct host_cpu *host_schedule_choose(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    struct host_cpu *next = host.strategy->next(self, why, word);

    if (UNLIKELY(host.config.record != NULL))
        choice_record(self, why, next);
    if (UNLIKELY(host.steps >= host.streak_end))
        host.streak_end = host.steps + HOST_FAIR_STEPS;
    return next;
}
