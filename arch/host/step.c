/* SPDX-License-Identifier: MIT */
/*
 * The step: one interleaving point of one virtual CPU. It counts, hashes and records, lets time pass, asks the schedule
 * who is next and switches there. Owns what a run leaves as its trace, and quiet, in which nothing is a step. No lock.
 */
#include "host_priv.h"

#include "os.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)
#define LONELY_RELAX_PS_MAX UINT64_C(1000000)

static void rare_set(void)
{
    uint64_t stop = host.config.stop_at_step;

    host.rare_at = host.config.max_steps;
    if (stop > host.steps)
        host.rare_at = MIN(host.rare_at, stop - 1);
}

void host_step_reset(void)
{
    struct host_record *record = host.config.record;

    host.hash = FNV_OFFSET;
    host.streak_end = HOST_FAIR_STEPS;
    if (record != NULL)
        record->preemption_count = record->touch_count = 0;
    rare_set();
}

static void step_rare(void)
{
    if (host.steps >= host.config.max_steps)
        host_leave(HOST_END_STEPS, 0);
    if (host.steps + 1 == host.config.stop_at_step)
        host_stop_here();
    host.config.stop_at_step = 0;
    rare_set();
}

static void touch_record(const struct host_cpu *self, uintptr_t word)
{
    struct host_record *record = host.config.record;

    if (record == NULL || record->touch == NULL)
        return;
    if (record->touch_count < record->touch_room)
        record->touch[record->touch_count] = (struct host_touch){ .cpu = self->id, .at = self->steps, .word = word };
    record->touch_count++;
}

static void step_check(void)
{
    host.is_checking = true;
    host.config.after_step(host.config.after_step_arg);
    host.is_checking = false;
}

static inline void step_take(struct host_cpu *self, enum host_point kind, uintptr_t word)
{
    if (UNLIKELY(host.steps >= host.rare_at))
        step_rare();
    unsigned at = (unsigned)(host.steps % HOST_RECENT_STEPS);

    host.recent[at].ps = host.now_ps;
    host.recent[at].cpu = self->id;
    host.recent[at].kind = kind;
    host.steps++;
    self->steps++;
    host.hash = (host.hash ^ ((uint64_t)self->id << 8 | (uint64_t)kind)) * FNV_PRIME;
    if (UNLIKELY(host.is_window_open))
        touch_record(self, word);
    host_clock_advance(host.step_ps);
    if (UNLIKELY(host.config.after_step != NULL))
        step_check();
}

/*
 * A CPU that relaxes while no other can run waits for time alone, or for an event. Time then passes faster with each
 * relax in a row, up to 1 us; an event is never jumped over, because the clock stops there.
 */
static void relax_alone(void)
{
    unsigned shift = MIN(host.lonely_relaxes, 16u);
    uint64_t ps = MIN(host.step_ps << shift, LONELY_RELAX_PS_MAX);

    host.lonely_relaxes++;
    host_clock_advance(host.next_event_ps > host.now_ps ? MIN(ps, host.next_event_ps - host.now_ps) : 0);
}

void host_step_on(enum host_point kind, uintptr_t word)
{
    if (UNLIKELY(!host.is_running || host.is_checking))
        return;
    struct host_cpu *self = host_self();
    struct host_cpu *next = self;

    step_take(self, kind, word);
    if (kind != HOST_POINT_RELAX) {
        next = host_schedule_choose(self, HOST_WHY_POINT, word);
    } else {
        bool is_alone = host.runnable_count == 1 && !host.strategy->keeps_time;

        if (is_alone)
            relax_alone();
        if (!is_alone || host.runnable_count > 1)
            next = host_schedule_choose(self, HOST_WHY_RELAX, word);
    }
    if (next != self)
        host_cpu_switch_to(next);
    host_irq_deliver();
}

/* With an interrupt pending there is no wait. A parked CPU has none, and never comes back here: hal_cpu_start() begins
 * another life of it, on another stack. */
void host_step_wait(enum host_point kind, enum host_cpu_state state)
{
    struct host_cpu *self = host_self();

    step_take(self, kind, 0);
    if (self->pending != 0)
        return;
    host_runnable_remove(self, state);
    while (host.runnable_count == 0)
        if (!host_clock_jump())
            host_leave(HOST_END_DEADLOCK, 0);
    struct host_cpu *next = host_schedule_choose(self, HOST_WHY_WAIT, 0);

    if (next != self)
        host_cpu_switch_to(next);
}

void host_point_atomic(const volatile void *word)
{
    host_step_on(HOST_POINT_ATOMIC, (uintptr_t)word);
}

void host_cpu_relax(void)
{
    host_step(HOST_POINT_RELAX);
}

/* Step `next` from here on; returns when somebody steps this CPU again. */
void host_cpu_switch_to(struct host_cpu *next)
{
    struct host_cpu *self = host_self();

    host.lonely_relaxes = 0;
    host.streak_end = host.steps + HOST_FAIR_STEPS;
    host_cpu_now = &next->regs;
    host_fiber_leave(&next->stack, false);
    host_swap(&self->sp, next->sp);
    host_fiber_arrive();
}

__attribute__((noinline)) void host_stop_here(void)
{
    __asm__ volatile("" ::: "memory");
}

void host_window(bool is_open)
{
    host.is_window_open = is_open;
}

bool host_quiet(bool is_quiet)
{
    bool was = host.is_checking;

    host.is_checking = is_quiet;
    return was;
}

void *host_shared_alloc(size_t bytes)
{
    return os_alloc(bytes, true);
}

void host_shared_free(void *memory, size_t bytes)
{
    if (memory != NULL)
        os_release(memory, bytes);
}

uint64_t host_cpu_steps(cpu_id_t cpu)
{
    return host_cpus[cpu].steps;
}

bool host_cpu_is_idle(cpu_id_t cpu)
{
    return host_cpus[cpu].state == HOST_CPU_IDLE;
}

cpu_id_t host_cpu_id(void)
{
    return host.is_running ? host_self()->id : CPU_NONE;
}

uint64_t host_trace_hash(void)
{
    return host.hash;
}

uint64_t host_trace_steps(void)
{
    return host.steps;
}

uint64_t host_virtual_ns(void)
{
    return host.now_ps / 1000;
}
