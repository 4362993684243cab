/* SPDX-License-Identifier: MIT */
/*
 * Timers: armed once, fired or cancelled once, never before the deadline, on the CPU that armed them, or that they were
 * moved to; and not late. The
 * bound is the machine's own: the timer interrupt is pending from the deadline on, so a CPU takes it at the first step
 * with interrupts enabled, and its handler fires all that is due. A deadline that passes while the handler is at work
 * needs another interrupt. So a CPU that has taken LATE_STEPS_MAX steps with interrupts enabled since the deadline, or
 * that waits for an interrupt after it, has not programmed its timer. Virtual time in which it is deaf does not count.
 * Owns a copy of what is armed.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "table.h"
#include "watch.h"

#include <hal/boot.h>

#define LATE_STEPS_MAX 4u
#define JUMP_NS_MIN 2000u /* the event that ends a jump is not longer ago than the steps since */
#define TIMERS_MAX 262144u

SIM_MAP(by_timer, "armed timers", 19);

/* An armed timer, in the list of its CPU. Numbers are 1 + index; 0 is none. */
struct armed {
    uint64_t deadline_ps;
    uint64_t due_ps;          /* the deadline; UINT64_MAX while its CPU does not know of it */
    cpu_id_t cpu;
    uint32_t next, prev;
};

struct clock {
    uint32_t list;
    uint32_t count;
    bool is_stale;            /* the earliest one has gone: look for the next */
    uint32_t look_in;         /* steps until then: a long list is not walked at every step */
    uint64_t earliest_ps;     /* UINT64_MAX: none */
    unsigned late_steps;
};

static struct armed armed[TIMERS_MAX];

static struct {
    uint32_t used;
    uint32_t free;
    uint64_t ps_per_tick;
    struct clock clock[CPU_MAX];
} timers;

static void time_reset(const struct host_config *config)
{
    (void)config;
    sim_map_clear(&by_timer);
    timers.used = timers.free = 0;
    timers.ps_per_tick = 0;
    for (cpu_id_t id = 0; id < CPU_MAX; id++)
        timers.clock[id] = (struct clock){ .earliest_ps = UINT64_MAX };
}

static uint64_t ps_of(uint64_t ticks)
{
    if (timers.ps_per_tick == 0)
        timers.ps_per_tick = UINT64_C(1000000000000) / host_boot_info()->clock_hz;
    return ticks < UINT64_MAX / timers.ps_per_tick ? ticks * timers.ps_per_tick : UINT64_MAX;
}

static uint32_t number_new(void)
{
    uint32_t number = timers.free;

    if (number != 0)
        timers.free = armed[number - 1].next;
    else if (timers.used < TIMERS_MAX)
        number = ++timers.used;
    else
        sim_broken(PROMISE_SANITY, "the watch has no room for more than %u timers", TIMERS_MAX);
    return number;
}

static void timer_put(const void *timer, cpu_id_t cpu, uint64_t deadline_ps, uint64_t due_ps)
{
    uint64_t *at = sim_map_put(&by_timer, timer);
    struct clock *clock = &timers.clock[cpu];

    if (UNLIKELY(*at != 0))
        sim_broken(PROMISE_TIME, "CPU %u arms timer %p, which is armed on CPU %u", cpu, timer, armed[*at - 1].cpu);
    uint32_t number = number_new();
    struct armed *new = &armed[number - 1];

    *at = number;
    *new = (struct armed){ .deadline_ps = deadline_ps, .due_ps = due_ps, .cpu = cpu, .next = clock->list };
    if (clock->list != 0)
        armed[clock->list - 1].prev = number;
    clock->list = number;
    clock->count++;
    if (new->due_ps < clock->earliest_ps) {
        clock->earliest_ps = new->due_ps;
        clock->late_steps = 0;
    }
}

static void timer_armed(const void *timer, uint64_t ticks)
{
    timer_put(timer, sim_now.cpu, ps_of(ticks), ps_of(ticks));
}

static void timer_gone(const void *timer, uint32_t number)
{
    struct armed *gone = &armed[number - 1];
    struct clock *clock = &timers.clock[gone->cpu];

    if (gone->prev != 0)
        armed[gone->prev - 1].next = gone->next;
    else
        clock->list = gone->next;
    if (gone->next != 0)
        armed[gone->next - 1].prev = gone->prev;
    clock->count--;
    if (gone->due_ps == clock->earliest_ps) {
        clock->earliest_ps = UINT64_MAX;
        clock->is_stale = clock->count > 0;
        clock->look_in = clock->count / 4;
    }
    sim_map_remove(&by_timer, timer);
    gone->next = timers.free;
    timers.free = number;
}

static void timer_fired(const void *timer)
{
    const uint64_t *at = sim_map_find(&by_timer, timer);

    if (UNLIKELY(at == NULL))
        sim_broken(PROMISE_TIME, "timer %p fires on CPU %u, and is not armed", timer, sim_now.cpu);
    const struct armed *fired = &armed[*at - 1];

    if (UNLIKELY(fired->cpu != sim_now.cpu))
        sim_broken(PROMISE_TIME, "timer %p was armed on CPU %u, and fires on CPU %u", timer, fired->cpu, sim_now.cpu);
    if (UNLIKELY(sim_now.ns < fired->deadline_ps / 1000))
        sim_broken(PROMISE_TIME, "timer %p fires %llu ns before its deadline", timer,
                   (unsigned long long)(fired->deadline_ps / 1000 - sim_now.ns));
    timer_gone(timer, (uint32_t)*at);
}

static void timer_cancelled(const void *timer, bool was_armed)
{
    const uint64_t *at = sim_map_find(&by_timer, timer);

    if (UNLIKELY(was_armed != (at != NULL)))
        sim_broken(PROMISE_TIME, "timer %p is cancelled as if it were%s armed", timer, was_armed ? "" : " not");
    if (at != NULL)
        timer_gone(timer, (uint32_t)*at);
}

/* Its CPU goes off. The other one hears of it by a poke, and knows of no deadline before that; a poke that does not
 * come is found by those who wait for the timer. */
static void timer_moved(const void *timer, cpu_id_t cpu)
{
    const uint64_t *at = sim_map_find(&by_timer, timer);

    if (UNLIKELY(at == NULL))
        sim_broken(PROMISE_TIME, "timer %p moves to CPU %u, and is not armed", timer, cpu);
    uint64_t deadline_ps = armed[*at - 1].deadline_ps;

    timer_gone(timer, (uint32_t)*at);
    timer_put(timer, cpu, deadline_ps, UINT64_MAX);
}

static void moved_are_known(cpu_id_t cpu)
{
    struct clock *clock = &timers.clock[cpu];

    for (uint32_t number = clock->list; number != 0; number = armed[number - 1].next)
        armed[number - 1].due_ps = armed[number - 1].deadline_ps;
    clock->is_stale = clock->count > 0;
    clock->look_in = 0;
}

static void time_event(enum trace_event event, const void *object, uint64_t value)
{
    if (event == TRACE_TIMER_ARM)
        timer_armed(object, value);
    else if (event == TRACE_TIMER_FIRE)
        timer_fired(object);
    else if (event == TRACE_TIMER_CANCEL)
        timer_cancelled(object, value != 0);
    else if (event == TRACE_TIMER_MOVE)
        timer_moved(object, (cpu_id_t)value);
    else if (event == TRACE_IRQ_ENTER && (value & IPI_TIMER) != 0)
        moved_are_known(sim_now.cpu);
}

static void earliest_find(struct clock *clock)
{
    if (clock->look_in > 0) {
        clock->look_in--;
        return;
    }
    for (uint32_t number = clock->list; number != 0; number = armed[number - 1].next)
        clock->earliest_ps = MIN(clock->earliest_ps, armed[number - 1].due_ps);
    clock->is_stale = false;
    clock->late_steps = 0;
}

/* Every CPU slept until the next event. None of the deadlines was that, so they were not programmed. */
static void require_none_jumped_over(void)
{
    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        uint64_t earliest_ps = timers.clock[id].earliest_ps;

        if (UNLIKELY(earliest_ps != UINT64_MAX && earliest_ps / 1000 + JUMP_NS_MIN < sim_now.ns))
            sim_broken(PROMISE_TIME, "every CPU slept, while a timer was due on CPU %u for %llu ns", id,
                       (unsigned long long)(sim_now.ns - earliest_ps / 1000));
    }
}

static bool is_due(const struct clock *clock)
{
    return clock->earliest_ps != UINT64_MAX && sim_now.ns > clock->earliest_ps / 1000;
}

static void time_step(void)
{
    struct clock *clock = &timers.clock[sim_now.cpu];

    if (UNLIKELY(sim_now.is_jump))
        require_none_jumped_over();
    if (UNLIKELY(clock->is_stale))
        earliest_find(clock);
    if (LIKELY(!sim_now.is_irq_on || !is_due(clock)))
        return;
    if (UNLIKELY(++clock->late_steps > LATE_STEPS_MAX))
        sim_broken(PROMISE_TIME, "CPU %u takes interrupts, but a timer has been due there for %llu ns", sim_now.cpu,
                   (unsigned long long)(sim_now.ns - clock->earliest_ps / 1000));
}

/* A deadline wakes a CPU that waits for an interrupt. */
static void time_quiet(void)
{
    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        const struct clock *clock = &timers.clock[id];

        if (UNLIKELY(is_due(clock) && host_cpu_is_idle(id)))
            sim_broken(PROMISE_TIME, "CPU %u sleeps, but a timer has been due there for %llu ns", id,
                       (unsigned long long)(sim_now.ns - clock->earliest_ps / 1000));
    }
}

const struct sim_checker checker_time = {
    .promise = PROMISE_TIME,
    .name = "timers",
    .reset = time_reset,
    .event = time_event,
    .step = time_step,
    .quiet = time_quiet,
};
