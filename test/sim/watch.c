/* SPDX-License-Identifier: MIT */
/*
 * The watch: hears every tracepoint and looks after every step, and asks all checkers what they think of it. Owns the
 * moment that they look at and the rhythm of the looks at lists; refuses to judge anything itself. No lock: one host
 * thread steps one virtual CPU at a time. Nothing of the host (time, addresses) decides when it looks, so a run that
 * broke a promise breaks it again at the same step.
 */
#include "watch.h"

#include <stdarg.h>
#include <string.h>

#include "checkers.h"
#include "events.h"
#include "sched_priv.h"

#define BROKEN_EXIT_CODE 90

/* Steps between two looks: at one run queue, its lists and counts; at the whole machine while no run queue is locked. A
 * look at long lists makes the next one come so much later, and one at many CPUs, too. */
#define QUEUE_LOOK_STEPS 24u
#define QUIET_LOOK_STEPS 32u
/* How often a queue whose lock is held is looked for again before it is the next one's turn. */
#define QUEUE_LOOK_TRIES 64u

/* What the machine would choose by itself; the checkers' bounds follow from it, so it is chosen here. */
#define IPI_DELAY_NS_MAX 2000u

/* A step takes 1 us at most, that of a CPU that relaxes alone, and the rest of the one before. */
#define STEP_NS_MAX UINT64_C(2000)

#define CHECKERS_MAX 16u

struct sim_moment sim_now;
unsigned sim_cpus;

const struct sim_checker *const sim_checkers[] = {
    &checker_edges, &checker_wait,  &checker_locks, &checker_grace, &checker_memory, &checker_tlb,
    &checker_place, &checker_order, &checker_time,  &checker_queue, &checker_census, &checker_idle, &checker_urgent,
    &checker_inherit, &checker_deadline, &checker_share, NULL,
};

static struct {
    bool is_on;   /* the machine has begun to step */
    bool is_over; /* a promise is broken, or core has panicked: nothing holds any more */
    sim_tap_fn *tap;
    void (*step[CHECKERS_MAX])(void);
    void (*event[CHECKERS_MAX])(enum trace_event event, const void *object, uint64_t value);
    unsigned steps, events;
    uint64_t last_ns;
    uint64_t ipi_delay_ns;
    unsigned cost;
    unsigned queue_in, quiet_in; /* steps until the next looks */
    unsigned queue_tries;
    cpu_id_t queue_turn;
} watch;

/* ThreadSanitizer: this code is not instrumented, but the few functions of core's libraries that it calls are. What it
 * reads without a lock is its own business. Other builds have no such functions. */
#pragma weak __tsan_ignore_thread_begin
#pragma weak __tsan_ignore_thread_end
void __tsan_ignore_thread_begin(void);
void __tsan_ignore_thread_end(void);

static inline void blind_begin(void)
{
    if (UNLIKELY(__tsan_ignore_thread_begin != NULL))
        __tsan_ignore_thread_begin();
}

static inline void blind_end(void)
{
    if (UNLIKELY(__tsan_ignore_thread_end != NULL))
        __tsan_ignore_thread_end();
}

struct runq *sim_runq(cpu_id_t cpu)
{
    return cpu < CPU_MAX ? (struct runq *)cpu_table[cpu] : NULL;
}

bool sim_runq_is_locked(cpu_id_t cpu)
{
    struct runq *rq = sim_runq(cpu);

    return rq != NULL && sim_peek(&rq->lock.word) != 0;
}

bool sim_runq_is_locked_here(cpu_id_t cpu)
{
    struct runq *rq = sim_runq(cpu);

    return rq == NULL || sim_peek(&rq->lock.word) == sim_now.cpu + 1;
}

uint64_t sim_ipi_delay_ns(void)
{
    return watch.ipi_delay_ns;
}

void sim_cost(unsigned nodes)
{
    watch.cost += nodes;
}

static inline void moment_take(void)
{
    cpu_id_t cpu = host_cpu_id();
    const struct task *task = hal_current();
    struct runq *rq = sim_runq(cpu);

    if (task == NULL || rq == NULL || sim_peek(&task->base.cpu) != &rq->cpu)
        rq = NULL;
    sim_now.step = host_trace_steps();
    sim_now.ns = host_virtual_ns();
    sim_now.cpu = cpu;
    sim_now.task = task;
    sim_now.rq = rq;
    sim_now.is_irq_on = hal_irq_is_enabled();
    sim_now.is_open = sim_now.is_irq_on && rq != NULL && rq->cpu.irq_depth == 0 && task->base.preempt_count == 0;
}

/* ---- Events ---- */

static void hear(enum trace_event event, const void *object, uint64_t value)
{
    if (!watch.is_on)
        return;
    bool was_quiet = host_quiet(true);

    blind_begin();
    moment_take();
    sim_event_keep(event, object, value);
    if (watch.tap != NULL)
        watch.tap(sim_now.step, sim_now.ns, sim_now.cpu, event, object, value,
                  sim_now.task != NULL ? sim_now.task->name : "");
    if (event == TRACE_PANIC)
        watch.is_over = true;
    for (unsigned i = 0; i < watch.events && !watch.is_over; i++)
        watch.event[i](event, object, value);
    blind_end();
    (void)host_quiet(was_quiet);
}

/* ---- Looks ---- */

static void look_at_queue(void)
{
    struct runq *rq = sim_runq(watch.queue_turn);

    if (rq != NULL && sim_peek(&rq->lock.word) != 0 && ++watch.queue_tries < QUEUE_LOOK_TRIES) {
        watch.queue_in = 1;
        return;
    }
    watch.cost = 0;
    if (rq != NULL && watch.queue_tries < QUEUE_LOOK_TRIES)
        for (unsigned i = 0; sim_checkers[i] != NULL; i++)
            if (sim_checkers[i]->queue != NULL)
                sim_checkers[i]->queue(watch.queue_turn);
    watch.queue_tries = 0;
    watch.queue_in = QUEUE_LOOK_STEPS + watch.cost;
    watch.queue_turn = watch.queue_turn + 1 < sim_cpus ? watch.queue_turn + 1 : 0;
}

static void look_at_all(void)
{
    watch.quiet_in = 1 + sim_cpus / 2;
    for (cpu_id_t id = 0; id < sim_cpus; id++)
        if (sim_runq_is_locked(id))
            return;
    watch.cost = 8 * sim_cpus;
    for (unsigned i = 0; sim_checkers[i] != NULL; i++)
        if (sim_checkers[i]->quiet != NULL)
            sim_checkers[i]->quiet();
    watch.quiet_in = QUIET_LOOK_STEPS + watch.cost;
}

static void look(void *unused)
{
    (void)unused;
    if (watch.is_over)
        return;
    /* Who took the listener's place keeps events from the checkers, and they would draw wrong conclusions. */
    if (UNLIKELY(sim_peek(&trace_listener) != hear)) {
        watch.is_over = true;
        host_memory_open_all(); /* nor would anybody open what is used again */
        return;
    }
    blind_begin();
    watch.is_on = true;
    moment_take();
    sim_now.is_jump = sim_now.ns - watch.last_ns > STEP_NS_MAX;
    sim_now.busy_ns += MIN(sim_now.ns - watch.last_ns, STEP_NS_MAX);
    watch.last_ns = sim_now.ns;
    if (UNLIKELY(sim_now.is_jump))
        watch.quiet_in = 1; /* things are still as they were while every CPU slept */
    for (unsigned i = 0; i < watch.steps; i++)
        watch.step[i]();
    if (--watch.queue_in == 0)
        look_at_queue();
    if (--watch.quiet_in == 0)
        look_at_all();
    blind_end();
}

/* ---- Begin and end ---- */

void sim_watch_tap(sim_tap_fn *tap)
{
    watch.tap = tap;
}

void sim_watch(struct host_config *config)
{
    sim_tap_fn *tap = watch.tap;

    memset(&watch, 0, sizeof watch);
    memset(&sim_now, 0, sizeof sim_now);
    watch.tap = tap;
    watch.queue_in = QUEUE_LOOK_STEPS;
    watch.quiet_in = QUIET_LOOK_STEPS;
    sim_cpus = config->cpus;
    if (config->ipi_delay_ns_max == 0)
        config->ipi_delay_ns_max = IPI_DELAY_NS_MAX;
    watch.ipi_delay_ns = config->ipi_delay_ns_max;
    for (unsigned i = 0; sim_checkers[i] != NULL; i++) {
        if (sim_checkers[i]->reset != NULL)
            sim_checkers[i]->reset(config);
        if (sim_checkers[i]->step != NULL)
            watch.step[watch.steps++] = sim_checkers[i]->step;
        if (sim_checkers[i]->event != NULL)
            watch.event[watch.events++] = sim_checkers[i]->event;
    }
    sim_events_begin();
    atomic_store_explicit(&trace_listener, hear, memory_order_relaxed);
    config->after_step = look;
    config->after_step_arg = NULL;
}

void sim_broken(enum sim_promise promise, const char *format, ...)
{
    char what[sizeof sim_outcome_now->what];
    va_list args;

    (void)host_quiet(true);
    watch.is_over = true;
    blind_begin();
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (sim_outcome_now == NULL) {
        (void)fprintf(stderr, "watch: %s: %s (CPU %u, step %llu)\n", sim_promise_name(promise), what, host_cpu_id(),
                      (unsigned long long)host_trace_steps());
    } else if (sim_outcome_now->broken == PROMISE_NONE) {
        sim_outcome_now->broken = promise;
        memcpy(sim_outcome_now->what, what, sizeof what);
    }
    blind_end();
    hal_machine_exit(BROKEN_EXIT_CODE);
}
