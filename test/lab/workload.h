/* SPDX-License-Identifier: MIT */
/*
 * A workload: what docs/SCHEDLAB.md calls a file of tasks, as text and as checked facts. Pure code: the host program
 * and the booted kernel read the same bytes with it. It stands here and not in the room `parse`, because the kernel
 * proper has no use for it, and because it speaks of policies, which that room may not know.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <k/compiler.h>
#include <k/cpumask.h>
#include <sched/params.h>

#define WORKLOAD_BYTES_MAX ((size_t)64 << 10)
#define WORKLOAD_GROUPS_MAX 64u
#define WORKLOAD_ACTIONS_MAX 512u /* of all groups */
#define WORKLOAD_EVENTS_MAX 64u
#define WORKLOAD_MUTEXES_MAX 32u
#define WORKLOAD_TASKS_MAX 120000u /* of all groups: ids are for 131,072, and a boot needs some */
#define WORKLOAD_NAME_BYTES 9      /* with its NUL: "GROUP/INDEX" is a task's name */
#define WORKLOAD_NS_MAX (UINT64_C(3600) * 1000 * 1000 * 1000)
#define WORKLOAD_DURATION_NS (UINT64_C(10) * 1000 * 1000 * 1000) /* where the file has none */
#define WORKLOAD_RT_MAX 98u /* 99 is the launcher's own, or it could not end what runs for ever */
#define WORKLOAD_NONE UINT16_MAX

/* How long; drawn anew at each use. */
enum workload_spread { WORKLOAD_CONSTANT, WORKLOAD_UNIFORM, WORKLOAD_EXPONENTIAL };
struct workload_time {
    enum workload_spread spread;
    uint64_t ns;     /* the length, the least, or the mean; > 0 */
    uint64_t ns_max; /* WORKLOAD_UNIFORM: the most */
};

enum workload_kind {
    WORKLOAD_RUN,       /* CPU time */
    WORKLOAD_SLEEP,
    WORKLOAD_SIGNAL,    /* event: `count` waits of it go on, now or when they come */
    WORKLOAD_BROADCAST, /* event: all that wait now go on */
    WORKLOAD_WAIT,      /* event */
    WORKLOAD_HOLD,      /* mutex: lock, CPU time, unlock */
    WORKLOAD_JOIN,      /* group: until all its tasks have ended */
    WORKLOAD_YIELD,
    WORKLOAD_MOVE,      /* CPU: from now on on that one alone, whatever the group's affinity */
    WORKLOAD_STOP,      /* CPU: its stopper computes for so long, and is waited for */
};
struct workload_action {
    enum workload_kind kind;
    uint16_t object; /* index of the event, mutex or group; the CPU */
    uint32_t count;
    struct workload_time time;
};

/* WORKLOAD_OTHER: of another class of this kernel, by its name in sched/classes.h. */
enum workload_policy {
    WORKLOAD_FAIR,
    WORKLOAD_FIFO,
    WORKLOAD_RR,
    WORKLOAD_IDLE,
    WORKLOAD_DEADLINE,
    WORKLOAD_OTHER,
};

/* Tasks that do the same. A pass is once through the actions. */
struct workload_group {
    char name[WORKLOAD_NAME_BYTES];
    uint32_t count;
    enum workload_policy policy;
    enum sched_policy other;  /* OTHER */
    int8_t nice;              /* FAIR, OTHER */
    uint8_t priority;         /* FIFO, RR: 1..WORKLOAD_RT_MAX, most urgent last */
    uint64_t slice_ns;        /* FAIR, RR, OTHER; 0: the system's */
    uint64_t dl_runtime_ns, dl_deadline_ns, dl_period_ns; /* DEADLINE */
    bool has_affinity;
    struct cpumask affinity;
    uint64_t arrive_ns;       /* after the start, or after `after` has ended */
    uint64_t stagger_ns;      /* each next one so much later */
    uint16_t after;           /* group whose end it waits for, or WORKLOAD_NONE */
    uint64_t every_ns;        /* passes begin so far apart; 0: one after the other */
    uint64_t deadline_ns;     /* a pass that takes longer, counted from when it should begin, is a miss; 0: none */
    uint32_t repeat;          /* passes; 0: until the end */
    uint16_t first, actions;  /* in workload.action[] */
};

struct workload {
    uint64_t duration_ns;
    uint32_t cpus; /* what it is written for; 0: any */
    uint32_t tasks; /* of all groups */
    uint16_t groups, actions, events, mutexes;
    struct workload_group group[WORKLOAD_GROUPS_MAX];
    struct workload_action action[WORKLOAD_ACTIONS_MAX];
    char event[WORKLOAD_EVENTS_MAX][WORKLOAD_NAME_BYTES];
    char mutex[WORKLOAD_MUTEXES_MAX][WORKLOAD_NAME_BYTES];
};

struct workload_error {
    unsigned line, column; /* from 1 */
    char text[96];         /* a sentence; shows no byte that is not printable */
};

/* Read `bytes` bytes, which need not end in a NUL. 0; -EINVAL: *error says what and where, *out is useless. */
int workload_parse(const char *text, size_t bytes, struct workload *out, struct workload_error *error) MUST_USE;

/* "20ms": a whole number, its unit ns, us, ms or s, at most WORKLOAD_NS_MAX. -EINVAL. */
int workload_parse_time(const char *text, size_t bytes, uint64_t *out_ns) MUST_USE;
