/* SPDX-License-Identifier: MIT */
/*
 * HOST_POSTPONE: a CPU that is about to touch a shared line is held there, now and then, until another one is about to
 * touch the same line; then chance says who comes first, and who goes on after each of the next few steps. From
 * race-directed testing (Sen, "Race directed random testing of concurrent programs", PLDI 2008), but for all shared
 * lines instead of a list of suspects. HOST_ADVERSARY brings in who was there last, for one visit; here one waits for
 * whoever comes next, however long that takes, up to HOLD_STEPS_MAX.
 *
 * Owns who is held, where and until when. It compares addresses for equality only. No lock.
 */
#include "host_priv.h"

#include <string.h>

#define HOLD_ONE_IN 8u
#define HOLD_STEPS_MAX 4096u
/* Who relaxes waits for somebody, who may be held: at one relax in so many the one goes on that is held for longest. */
#define RELAX_FREES_ONE_IN 8u
/* Whatever is touched, a switch to anybody is this much rarer than one in config.switch_one_in. */
#define CALM_FACTOR 16u
/* Steps after a meeting at which chance says which of the two goes on. */
#define CLOSE_STEPS 16u

static struct {
    cpu_id_t cpu[CPU_MAX];   /* those that are held, the longest first */
    unsigned count;
    bool is_held[CPU_MAX];
    uintptr_t line[CPU_MAX];
    uint64_t until[CPU_MAX]; /* machine step */
} held;

static struct {
    struct host_cpu *cpu[2];
    uint64_t until; /* machine step */
} pair;

/* Without memmove(): ThreadSanitizer would take it for an access of the CPU that is asked for the next one. */
__attribute__((no_builtin("memmove"))) static void let_go(unsigned slot)
{
    held.is_held[held.cpu[slot]] = false;
    held.count--;
    for (; slot < held.count; slot++)
        held.cpu[slot] = held.cpu[slot + 1];
}

static void let_go_late(void)
{
    for (unsigned slot = held.count; slot-- > 0;)
        if (host.steps >= held.until[held.cpu[slot]])
            let_go(slot);
}

static struct host_cpu *oldest(void)
{
    struct host_cpu *cpu = &host_cpus[held.cpu[0]];

    let_go(0);
    return cpu;
}

/* Anybody but `out` who is not held; with nobody left, who has been held for longest. */
static struct host_cpu *anybody_but(const struct host_cpu *out)
{
    unsigned start = (unsigned)host_choose_below(host.runnable_count);

    for (unsigned i = 0; i < host.runnable_count; i++) {
        struct host_cpu *cpu = host.runnable[(start + i) % host.runnable_count];

        if (cpu != out && !held.is_held[cpu->id])
            return cpu;
    }
    return oldest();
}

static struct host_cpu *hold(struct host_cpu *self, uintptr_t line)
{
    struct host_cpu *next = anybody_but(self);

    held.cpu[held.count++] = self->id;
    held.is_held[self->id] = true;
    held.line[self->id] = line;
    held.until[self->id] = host.steps + 1 + host_choose_below(HOLD_STEPS_MAX);
    return next;
}

static struct host_cpu *meet(struct host_cpu *self, uintptr_t line, bool is_shared)
{
    for (unsigned slot = 0; slot < held.count; slot++) {
        struct host_cpu *other = &host_cpus[held.cpu[slot]];

        if (held.line[other->id] == line) {
            let_go(slot);
            pair.cpu[0] = self;
            pair.cpu[1] = other;
            pair.until = host.steps + CLOSE_STEPS;
            return pair.cpu[host_choose_below(2)];
        }
    }
    return is_shared && host_choose_below(HOLD_ONE_IN) == 0 ? hold(self, line) : self;
}

static struct host_cpu *postpone_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    bool is_shared = word != 0 && host_line_touch(word / CACHE_LINE_BYTES, self->id) != CPU_NONE;

    if (held.count != 0)
        let_go_late();
    if (why == HOST_WHY_WAIT)
        return anybody_but(NULL);
    if (host.runnable_count == 1)
        return self;
    if (why == HOST_WHY_RELAX && held.count != 0 && host_choose_below(RELAX_FREES_ONE_IN) == 0)
        return oldest();
    if (why == HOST_WHY_RELAX || host_choose_below((uint64_t)host.config.switch_one_in * CALM_FACTOR) == 0)
        return anybody_but(self);
    if (host.steps < pair.until && pair.cpu[0]->state == HOST_CPU_RUNNABLE && pair.cpu[1]->state == HOST_CPU_RUNNABLE)
        return pair.cpu[host_choose_below(2)];
    return word != 0 ? meet(self, word / CACHE_LINE_BYTES, is_shared) : self;
}

static void postpone_reset(void)
{
    host_lines_reset();
    held.count = 0;
    pair.until = 0;
    memset(held.is_held, 0, sizeof held.is_held);
}

const struct host_strategy_ops host_strategy_postpone = {
    .name = "postpone",
    .next = postpone_next,
    .reset = postpone_reset,
};
