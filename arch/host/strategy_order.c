/* SPDX-License-Identifier: MIT */
/*
 * HOST_ORDER: partial order sampling (Yuan, Yang, Gu, "Partial order aware concurrency sampling", CAV 2018). Each CPU's
 * next access has a random priority, and the highest one is done. Then those that are about to touch the same line draw
 * again, and so does who did it for what it does next: orders of accesses that meet are about equally likely, and what
 * does not meet costs no chance. The paper tells reads from writes; a point does not, so two reads count as meeting.
 * Its programs are short: in a long run who has drawn low would wait until the others have drawn lower still, for most
 * of it. So now and then somebody draws again, by chance.
 *
 * Owns the priorities and what each CPU is about to touch. A step looks at all runnable CPUs. No lock.
 */
#include "host_priv.h"

/* Somebody draws again this much more seldom than at one step in config.switch_one_in. */
#define CALM_FACTOR 4u

static struct {
    uint32_t priority[CPU_MAX];
    uintptr_t line[CPU_MAX]; /* 0: none */
} order;

static void draw(const struct host_cpu *cpu, uintptr_t line)
{
    order.priority[cpu->id] = (uint32_t)host_choose_below(UINT64_C(1) << 32);
    order.line[cpu->id] = line;
}

/* Equal ones by their numbers: the order of host.runnable[] is no matter of the seed alone. */
static bool is_before(const struct host_cpu *a, const struct host_cpu *b)
{
    uint32_t left = order.priority[a->id], right = order.priority[b->id];

    return left > right || (left == right && a->id < b->id);
}

static struct host_cpu *highest_but(const struct host_cpu *out)
{
    struct host_cpu *best = NULL;

    for (unsigned i = 0; i < host.runnable_count; i++)
        if (host.runnable[i] != out && (best == NULL || is_before(host.runnable[i], best)))
            best = host.runnable[i];
    return best;
}

static struct host_cpu *order_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    struct host_cpu *next;

    if (why != HOST_WHY_WAIT)
        draw(self, word / CACHE_LINE_BYTES);
    if (host_choose_below((uint64_t)host.config.switch_one_in * CALM_FACTOR) == 0) {
        struct host_cpu *again = host_runnable_any();

        draw(again, order.line[again->id]);
    }
    next = highest_but(why == HOST_WHY_RELAX ? self : NULL);
    for (unsigned i = 0; order.line[next->id] != 0 && i < host.runnable_count; i++)
        if (host.runnable[i] != next && order.line[host.runnable[i]->id] == order.line[next->id])
            draw(host.runnable[i], order.line[next->id]);
    return next;
}

static void order_added(struct host_cpu *cpu)
{
    draw(cpu, 0);
}

const struct host_strategy_ops host_strategy_order = {
    .name = "order",
    .next = order_next,
    .added = order_added,
};
