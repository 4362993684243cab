/* SPDX-License-Identifier: MIT */
/*
 * HOST_ADVERSARY: where a CPU is about to touch a cache line, the last other one that touched it is stepped, mostly.
 * CPUs that use the same lock, list or count meet there again and again: the first stands between its check and its act
 * while the second does both. Elsewhere there is seldom a switch.
 *
 * Owns an exact map from lines to CPUs. It remembers the LINES newest lines and forgets them in the order in which they
 * came, so what it knows depends on which addresses are equal and never on what they are. No lock.
 */
#include "host_priv.h"

#include <string.h>

#define LINES (1u << 16)
#define BUCKETS (2 * LINES)
/* Whatever is touched, a switch to anybody is this much rarer than one in config.switch_one_in. */
#define CALM_FACTOR 16u
/* Who comes that way and, HOST_FAIR_STEPS apart, has had less than this part of its share of the steps meets no rival
 * for a while: else two that meet all the time would let a third take a single step at each visit. */
#define STARVED_PART 8u
#define CALM_STEPS_MAX 256u

static struct {
    struct {
        uintptr_t line;
        cpu_id_t cpu;   /* touched it last */
        cpu_id_t other; /* touched it last of all but `cpu`, or CPU_NONE */
        uint32_t next; /* in its bucket, as there */
    } line[LINES];
    uint32_t used;            /* of line[] */
    uint32_t oldest;          /* once all are used */
    uint32_t bucket[BUCKETS]; /* 1 + the place of its newest line, or 0 */
    uint64_t calm_until;      /* machine step */
} map;

static uint32_t *bucket_of(uintptr_t line)
{
    return &map.bucket[(line * UINT64_C(0x9e3779b97f4a7c15) >> 32) % BUCKETS];
}

static void line_forget(uint32_t slot)
{
    uint32_t *link = bucket_of(map.line[slot].line);

    while (*link != slot + 1)
        link = &map.line[*link - 1].next;
    *link = map.line[slot].next;
}

static void line_insert(uintptr_t line, cpu_id_t cpu)
{
    uint32_t *bucket = bucket_of(line);
    uint32_t slot;

    if (map.used < LINES) {
        slot = map.used++;
    } else {
        slot = map.oldest;
        map.oldest = (map.oldest + 1) % LINES;
        line_forget(slot);
    }
    map.line[slot].line = line;
    map.line[slot].cpu = cpu;
    map.line[slot].other = CPU_NONE;
    map.line[slot].next = *bucket;
    *bucket = slot + 1;
}

/* Which other CPU touched it last, or CPU_NONE; now it is `cpu`. */
static cpu_id_t line_touch(uintptr_t line, cpu_id_t cpu)
{
    for (uint32_t at = *bucket_of(line); at != 0; at = map.line[at - 1].next) {
        if (map.line[at - 1].line == line) {
            if (map.line[at - 1].cpu != cpu)
                map.line[at - 1].other = map.line[at - 1].cpu;
            map.line[at - 1].cpu = cpu;
            return map.line[at - 1].other;
        }
    }
    line_insert(line, cpu);
    return CPU_NONE;
}

static struct host_cpu *adversary_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    cpu_id_t rival = word != 0 ? line_touch(word / CACHE_LINE_BYTES, self->id) : CPU_NONE;

    if (why == HOST_WHY_WAIT)
        return host_runnable_any();
    if (host.runnable_count == 1)
        return self;
    if (why == HOST_WHY_RELAX)
        return host_runnable_other(self);
    if (host.steps < map.calm_until)
        return self;
    /* One draw for both: seldom anybody, so that two rivals do not keep the others out for ever. */
    uint64_t draw = host_choose_below((uint64_t)host.config.switch_one_in * CALM_FACTOR);

    if (draw == 0) {
        struct host_cpu *next = host_runnable_other(self);

        if ((next->steps + HOST_FAIR_STEPS) * STARVED_PART < host.steps / host.runnable_count)
            map.calm_until = host.steps + 1 + host_choose_below(CALM_STEPS_MAX);
        return next;
    }
    if (rival != CPU_NONE && draw % host.config.switch_one_in != 0 && host_cpus[rival].state == HOST_CPU_RUNNABLE)
        return &host_cpus[rival];
    return self;
}

/* A line is found through its bucket only, so no more need be cleared; and nothing in a process that is new. */
static void adversary_reset(void)
{
    if (map.used > 0)
        memset(map.bucket, 0, sizeof map.bucket);
    map.used = map.oldest = 0;
    map.calm_until = 0;
}

const struct host_strategy_ops host_strategy_adversary = {
    .name = "adversary",
    .next = adversary_next,
    .reset = adversary_reset,
};
