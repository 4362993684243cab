/* SPDX-License-Identifier: MIT */
/*
 * The watch: what it offers to those who run it (taps, the last events, promises by words) and to the checkers (the
 * moment that is looked at, shadows of tasks). Nothing here is called outside of a run, but what says so.
 */
#pragma once

#include <stdatomic.h>
#include <stdio.h>

#include "sim.h"

struct runq;
struct task;

/* ---- For whoever runs it ---- */

/* The same events as the checkers hear, each with the moment and the task that speaks. NULL: none. Before the run. */
typedef void sim_tap_fn(uint64_t step, uint64_t ns, cpu_id_t cpu, enum trace_event event, const void *object,
                        uint64_t value, const char *task_name);
void sim_watch_tap(sim_tap_fn *tap);

/* The last events of each CPU of the last run, oldest first, in words. After the run; a run in a child leaves them in
 * shared memory. */
#define SIM_EVENTS_KEPT 32u
void sim_events_print(FILE *out);

/* One event in words, as sim_events_print() puts it: "wakes 'init' (1) on CPU 2". */
void sim_event_words(enum trace_event event, const void *object, uint64_t value, const char *name, int tid, char *out,
                     size_t bytes);
const char *sim_lock_name(unsigned rank); /* "run queue" */

/* Which promise did a panic say it broke, or a machine's report? PROMISE_NONE: neither says so. */
enum sim_promise sim_promise_of_console(const char *console);
enum sim_promise sim_promise_of_report(const char *report);

/* ---- For checkers ---- */

/* The moment: filled before any checker is called. */
struct sim_moment {
    uint64_t step;
    uint64_t ns;
    uint64_t busy_ns;        /* time in which some CPU could run: jumps from event to event do not count */
    bool is_jump;            /* no CPU could run between the last step and this one: time went on to the next event */
    cpu_id_t cpu;            /* that is stepped, or speaks */
    const struct task *task; /* that it runs; NULL: none yet */
    struct runq *rq;         /* of that CPU; NULL before it has one */
    bool is_irq_on;          /* it would take an interrupt now */
    bool is_open;            /* and could be preempted: it holds no spinlock and is in no read section */
};
extern struct sim_moment sim_now;
extern unsigned sim_cpus;                     /* of the run */
uint64_t sim_ipi_delay_ns(void);              /* a poke of the run takes at most this long */

/* The word of a lock or another atomic, without an interleaving point. */
#define sim_peek(p) atomic_load_explicit((p), memory_order_relaxed)

/* A run queue, or NULL. */
struct runq *sim_runq(cpu_id_t cpu);
bool sim_runq_is_locked(cpu_id_t cpu);
bool sim_runq_is_locked_here(cpu_id_t cpu); /* by the CPU of the moment */

/* A task as its events tell: check_edges.c. */
struct sim_shadow {
    const struct task *task;
    uint8_t state;     /* enum task_state */
    bool is_latched;
    bool is_idle_task;
    cpu_id_t cpu;      /* that it names */
    uint64_t wait_mark;     /* check_idle.c: of its mask when it was first seen to wait for a CPU; 0: not yet */
    uint64_t wait_since_ns;

    /* check_wait.c: the wait that it is in. */
    const void *waiter; /* NULL: none */
    uint64_t wait_number; /* of all waits of the run */
    bool is_settled;
    bool is_owed;         /* whoever settled it has not been seen to be through with it */
    uint8_t wait_status;
};
struct sim_shadow *sim_shadow_of(const struct task *task); /* NULL: not known */
const struct task *sim_runs(cpu_id_t cpu); /* NULL: its idle task */

/* Sums of what the events told. */
struct sim_sums {
    uint64_t started, died, ready, running, blocked;
};
extern struct sim_sums sim_sums;

/* Walking lists costs: a checker says how many nodes it looked at, and looks become rarer. */
void sim_cost(unsigned nodes);

/* Since when has the task been seen to wait for a CPU, with the mask and the rank that it has? check_idle.c */
uint64_t sim_waits_since_ns(const struct task *task);

/* How long has a CPU been deaf to interrupts at most, in busy time, those included that still are? check_idle.c */
uint64_t sim_deaf_ns_max(void);

/* How long could a CPU not be preempted at most, in busy time, since the first call of this? check_deadline.c */
uint64_t sim_closed_ns_max(void);
