/* SPDX-License-Identifier: MIT */
/*
 * The simulator: scenarios, the promises that are watched while they run, and what is known about a run that broke one.
 * One process boots the real kernel on the simulated machine once per seed; the scenario is its init task.
 */
#pragma once

#include <host/machine.h>
#include <k/compiler.h>
#include <k/trace.h>

#include "check.h" /* CHECK, spawn, finish: for scenarios */

/* A short story, aimed at one hazard. */
struct sim_scenario {
    const char *name;   /* one word, letters, digits and dashes */
    const char *aim;    /* a sentence: what could go wrong here */
    unsigned cpus;      /* usual number of CPUs */
    unsigned cpus_min;  /* with fewer it says nothing */
    unsigned rounds;    /* usual sim_rounds() */
    uint64_t memory_bytes; /* 0: 16 MiB */
    const char *options;   /* more words for the kernel's command line, or NULL */
    bool is_small;      /* has a window (host_window()) short enough for exhaustive search */
    void (*run)(void);  /* in the kernel, as its init task; counts of pages, tasks and ids are compared around it */
};

/* One table per file of scenarios, each ended by a NULL name; sim_scenarios[] lists the tables, ended by NULL. */
extern const struct sim_scenario *const sim_scenarios[];
const struct sim_scenario *sim_scenario_find(const char *name);

/* Inside a run. */
unsigned sim_rounds(void);         /* how long the story is told: shrinking lowers it, at least 1 */
uint64_t sim_random(void);         /* of a stream that the seed starts, another for each task that asks */
uint64_t sim_random_below(uint64_t bound);
void sim_delay(void);              /* 0 to a few hundred points, by the seed: shifts tasks against each other */

/*
 * The promises. Each has a checker, or a place in core that panics; all end the run and say which was broken. A run
 * that ends otherwise than by success, and names none, has broken PROMISE_LIVENESS (deadlock, hang) or PROMISE_SANITY.
 */
enum sim_promise {
    PROMISE_NONE,
    PROMISE_CENSUS,       /* no task lost: queued + running + blocked + dead == started */
    PROMISE_ONE_CPU,      /* no task runs on two CPUs, or before its last CPU has left its stack */
    PROMISE_EDGES,        /* only the edges of include/sched/task.h */
    PROMISE_COUNTS,       /* counts equal the lists they count */
    PROMISE_WAKE_ONCE,    /* no wake-up lost, none delivered twice */
    PROMISE_CONSERVATION, /* no CPU idles for long while a task that may run there waits */
    PROMISE_LOCKS,        /* ranks rise; no lock held across a switch but the run queue's; no sleep in atomic context */
    PROMISE_GRACE,        /* what a grace period guards is freed after it */
    PROMISE_MEMORY,       /* freed memory is not touched, objects and pages are freed once */
    PROMISE_TLB,          /* no translation to a freed page is left in a TLB */
    PROMISE_CONSERVED,    /* pages, tasks, ids, stacks and references come back */
    PROMISE_AFFINITY,     /* a task runs where its affinity says */
    PROMISE_ORDER,        /* a more urgent task does not wait for long where a less urgent one runs */
    PROMISE_INHERIT,      /* a task is as urgent as the most urgent of those who wait for its mutexes, and no more */
    PROMISE_DEADLINE,     /* no deadline task has more than it was promised, or has it late beyond a bound */
    PROMISE_SHARE,        /* deadline tasks have no more than promised, real-time tasks no more than their limit */
    PROMISE_TIME,         /* timers fire once, not early, and not late beyond a bound */
    PROMISE_RACE,         /* every access is ordered by C11 rules (ThreadSanitizer) */
    PROMISE_LIVENESS,     /* the run comes to its end */
    PROMISE_STORY,        /* the scenario's own CHECKs */
    PROMISE_SANITY,       /* any other panic, broken HAL contract or crash */
    PROMISE_COUNT,
};
const char *sim_promise_name(enum sim_promise promise);     /* "census" */
const char *sim_promise_sentence(enum sim_promise promise); /* "no task lost: ..." */

/* End the run: `promise` is broken. Context: any, inside a run (checker, listener or scenario). */
[[noreturn]] void sim_broken(enum sim_promise promise, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * One checker: any of these functions. `event` hears every tracepoint before the core goes on; `step` is called after
 * every step of the machine; `queue` for one CPU after the other at steps at which its run-queue lock is not held, so
 * that its lists may be walked; `quiet` at steps at which no run-queue lock is held at all (neither at every such step:
 * see watch.c). `reset` before each run. All run with the machine quiet (host_quiet()).
 */
struct sim_checker {
    enum sim_promise promise;
    const char *name;
    void (*reset)(const struct host_config *config);
    void (*event)(enum trace_event event, const void *object, uint64_t value);
    void (*step)(void);
    void (*queue)(cpu_id_t cpu);
    void (*quiet)(void);
};
extern const struct sim_checker *const sim_checkers[]; /* ended by NULL */

/* Set the listener and after_step of `config` so that all checkers watch the run. Outside a run, before it. */
void sim_watch(struct host_config *config);

/* What one run came to. */
struct sim_outcome {
    enum sim_promise broken; /* PROMISE_NONE: the run was right */
    char what[256];          /* one line */
    struct host_result result;
};

/* How to run: everything that a replay needs, and nothing else. */
struct sim_run {
    const struct sim_scenario *scenario;
    uint64_t seed;
    unsigned cpus;
    unsigned rounds;
    enum host_strategy strategy;
    const struct host_preemption *script; /* HOST_SCRIPT */
    size_t script_count;
    struct host_record *record;           /* NULL: none */
};

/* The run that goes on in this process, for what runs inside it; set by run.c before it starts. What a run found out
 * reaches the process that asked through *sim_outcome_now, which is shared memory: sim_broken() writes `broken` and
 * `what` there, the first one only, and ends the machine. */
extern struct sim_run sim_run_now;
extern struct sim_outcome *sim_outcome_now;

/* Run it in a child process; or in this one, once per process: for a debugger. Returns out->broken. */
enum sim_promise sim_execute(const struct sim_run *run, struct sim_outcome *out);
enum sim_promise sim_execute_here(const struct sim_run *run, struct sim_outcome *out);
