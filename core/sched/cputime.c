/* SPDX-License-Identifier: MIT */
/*
 * User time and system time, sampled: sched/cputime.h. Owns the sampler of each CPU, a timer and what it found last. A
 * timer's lock ranks before a run queue's, so a switch that wants it on leaves that to the next task (AFTER_SAMPLER).
 */
#include <sched/cputime.h>

#include <time/clock.h>

#include "sched_priv.h"

#define STEADY_PART 8
#define RATIO_BITS 32

/* ---- The split ---- */

static uint64_t system_of(const struct cputime *time, uint64_t run_ticks)
{
    uint64_t user = time->user_weight, system = time->system_weight;

    if (system == 0)
        return 0;
    if (user == 0)
        return run_ticks;
    /* There is no division of 128 bits: the ratio in 32. */
    unsigned bits = 64 - (unsigned)__builtin_clzll(user + system);
    unsigned shift = bits > RATIO_BITS ? bits - RATIO_BITS : 0;
    uint64_t ratio = ((system >> shift) << RATIO_BITS) / ((user + system) >> shift);

    return (uint64_t)((unsigned __int128)run_ticks * ratio >> RATIO_BITS);
}

void cputime_split(struct cputime *time, bool has_user, uint64_t run_ticks)
{
    uint64_t told = time->user_ticks + time->system_ticks;
    uint64_t fresh = run_ticks > told ? run_ticks - told : 0;
    uint64_t system = has_user ? system_of(time, told + fresh) : told + fresh;

    system = MIN(MAX(system, time->system_ticks), time->system_ticks + fresh);
    time->user_ticks += fresh - (system - time->system_ticks);
    time->system_ticks = system;
}

static void weigh(struct cputime *time, bool is_user, uint64_t ticks)
{
    *(is_user ? &time->user_weight : &time->system_weight) += ticks;
}

/* ---- The sampler: its CPU's alone, interrupts disabled ---- */

static void sampler_fire(struct timer *timer)
{
    struct runq *rq = container_of(timer, struct runq, sampler.timer);

    DEBUG_ASSERT(&rq->cpu == this_cpu());
    rq->cpu.is_sample_due = true;
}

void cputime_init_runq(struct runq *rq)
{
    timer_init(&rq->sampler.timer, sampler_fire);
    rq->sampler.chance = (uint32_t)rq->cpu.id * 2 + 1;
}

/* `ns`, and up to a quarter more or less. Numerical Recipes' generator: its upper bits will do. */
static uint64_t spread(struct sampler *sampler, uint64_t ns)
{
    sampler->chance = sampler->chance * 1664525 + 1013904223;
    return ns - ns / 4 + (ns / 2) * (sampler->chance >> 16) / 65536;
}

static void sampler_arm(struct sampler *sampler, uint64_t now_ticks, uint64_t after_ns)
{
    sampler->is_on = true;
    sampler->at_ticks = now_ticks;
    timer_arm(&sampler->timer, clock_ticks_to_ns(now_ticks) + spread(sampler, after_ns));
}

NOINLINE void cputime_start(struct runq *rq)
{
    if (rq->sampler.is_on)
        return;
    rq->sampler.steady = NULL;
    sampler_arm(&rq->sampler, hal_clock_ticks(), SAMPLE_NS_MIN);
}

void cputime_begin(void)
{
    DEBUG_ASSERT(!hal_irq_is_enabled());
    if (UNLIKELY(!this_runq()->sampler.is_on))
        cputime_start(this_runq());
}

/* After which time to look again at what was found. */
static uint64_t pause_ns(struct sampler *sampler, const struct task *task, bool is_user, uint64_t now_ticks)
{
    if (sampler->steady != task || sampler->is_steady_user != is_user) {
        sampler->steady = task;
        sampler->is_steady_user = is_user;
        sampler->steady_since_ticks = now_ticks;
        return SAMPLE_NS_MIN;
    }
    uint64_t steady_ns = clock_ticks_to_ns(elapsed_ticks(sampler->steady_since_ticks, now_ticks));

    return MIN(MAX(steady_ns / STEADY_PART, SAMPLE_NS_MIN), SAMPLE_NS_MAX);
}

void cputime_sample(struct cpu *cpu, bool is_user)
{
    struct runq *rq = runq_of(cpu);
    struct sampler *sampler = &rq->sampler;
    struct task *task = current_task();
    uint64_t now = hal_clock_ticks();
    uint64_t passed = elapsed_ticks(sampler->at_ticks, now);

    cpu->is_sample_due = false;
    sampler->is_on = false;
    if (is_idle_task(rq, task))
        return;
    spin_lock_irqoff(&rq->lock);
    weigh(&task->cputime, is_user, passed);
    weigh(&rq->sampler.all, is_user, passed);
    spin_unlock_irqoff(&rq->lock);
    if (load_relaxed(&task->is_user))
        sampler_arm(sampler, now, pause_ns(sampler, task, is_user, now));
}

/* The CPU goes off. */
void cputime_stop(struct runq *rq)
{
    (void)timer_cancel(&rq->sampler.timer);
    rq->sampler.is_on = false;
    rq->cpu.is_sample_due = false;
}
