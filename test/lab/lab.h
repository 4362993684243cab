/* SPDX-License-Identifier: MIT */
/*
 * The laboratory inside the kernel: a program that runs a workload's tasks and prints what they got. The same on every
 * machine but for lab_compute(). docs/SCHEDLAB.md says what the numbers mean.
 */
#pragma once

#include <k/atomic.h>
#include <k/list.h>
#include <proc/task.h>
#include <sched/event.h>
#include <sched/mutex.h>
#include <sched/sched.h>
#include <smp/spinlock.h>

#include "stats.h"
#include "workload.h"

/* The text of a workload that the image has, by name; NULL: none. A host program may give another one. */
struct lab_text {
    const char *name;
    const char *text;
    size_t bytes;
};
extern const struct lab_text lab_shipped[]; /* ended by a NULL name */
extern struct lab_text lab_given;           /* name NULL: none */

/* init=schedlab:NAME[:DURATION]. 0: it ran to its end; else 2: refused, 1: it could not be run. */
int schedlab_main(const char *argument);

/* The running task has the CPU for `ns`; time in which others have it is not counted. Context: task, interrupts and
 * preemption enabled. */
void lab_compute(uint64_t ns);

/* What follows is private to the program. */

struct lab_task {
    /* Immutable after its creation. */
    struct lab_task *next; /* of its group */
    struct task *task;     /* a reference; written by the launcher, for the launcher */
    uint16_t group;
    uint32_t index;
    uint64_t arrived_ns;   /* when it should begin */

    /* Its own. */
    uint64_t random;

    /* Written by itself alone. */
    _Atomic(uint64_t) passes, bursts, misses;
    uint64_t ended_ns;
    struct task_stats at_end;
    _Atomic(bool) has_ended; /* PAIRS(lab_ended): after what it was at its end */

    /* Waiting for an event or for a group's end: whoever takes it off the list writes signal_ns, then signals. */
    struct list_node wait_link;
    uint64_t signal_ns;
    struct event wake;

    /* The launcher's: since when it is measured, and what came of it. */
    uint64_t base_ns, base_run_ticks;
    uint64_t run_ns, share;
    bool is_throughout; /* there from the beginning of the measurement to the end */
};

/* What tasks wait for: a count of signals that nobody has taken, or those who wait. */
struct lab_event {
    struct spinlock lock; /* LOCK_OBJECT */
    uint64_t count;       /* guarded by lock; LAB_FOR_EVER: nobody waits any more */
    struct list_node waiting; /* guarded by lock: lab_task.wait_link, oldest first */
};
#define LAB_FOR_EVER UINT64_MAX

enum lab_measure { LAB_WAKE, LAB_PASS, LAB_TURNAROUND, LAB_MEASURES };

/* Histograms that a few CPUs share. */
struct lab_shard {
    struct spinlock lock; /* LOCK_OBJECT */
    struct lab_histogram histogram[LAB_MEASURES];
};

struct lab_group {
    const struct workload_group *is;
    struct sched_params params;
    struct lab_task *tasks;        /* the launcher's, newest first */
    uint32_t launched;             /* the launcher's */
    _Atomic(uint32_t) ended;
    struct lab_event end;          /* signalled for ever when all its tasks have ended */
    struct lab_shard *shard;       /* lab.shards of them */
};

struct lab {
    struct workload workload;
    struct lab_group group[WORKLOAD_GROUPS_MAX];
    struct lab_event event[WORKLOAD_EVENTS_MAX];
    struct mutex mutex[WORKLOAD_MUTEXES_MAX];
    unsigned shards;
    uint64_t seed;
    uint64_t start_ns, measured_ns, end_ns;
    struct event launcher; /* a group has ended */
    _Atomic(bool) is_over; /* nobody begins anything new */
    struct sched_cpu_stats before; /* sums over CPUs at the start */
};
extern struct lab *lab;

/* lab_task.c */
int lab_task_main(void *arg);
void lab_event_init(struct lab_event *event);

/* lab_report.c */
void lab_sum_cpus(struct sched_cpu_stats *out);
void lab_measure_from_now(void); /* shares of the tasks that there are count from here */
void lab_report(const char *name);
