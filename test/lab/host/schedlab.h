/* SPDX-License-Identifier: MIT */
/* What the parts of the program `schedlab` call of each other: the run's record, and what is written of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../workload.h"

/* From `ns` on `cpu` runs that task. */
#define RECORD_IDLE 0xffffu  /* group: nothing */
#define RECORD_OTHER 0xfffeu /* group: a task of the kernel's own, the launcher among them */
#define RECORD_STOP 0xfffdu  /* group: a stopper of the kernel's */
struct record {
    uint64_t ns;
    uint32_t index; /* of the task in its group */
    uint16_t cpu, group;
};

/* In memory that the run's process shares. */
#define RECORDS_MAX ((size_t)8 << 20)
struct recording {
    size_t count;      /* kept */
    bool is_full;      /* what came later was not kept */
    uint64_t from_ns, until_ns; /* the launcher's first task, and the last moment that it speaks of */
    struct record record[RECORDS_MAX];
};

/* Before the run: remember switches from here on, by the names that the workload's tasks have. NULL: out of memory. */
struct recording *recording_begin(const struct workload *workload);

/* One task on one CPU, from one moment to another, in ns from the start of the run. */
struct stretch {
    uint64_t from_ns, to_ns;
    uint32_t index;
    uint16_t cpu, group;
};

struct timeline {
    const char *name;
    const struct workload *workload;
    unsigned cpus;
    uint64_t from_ns, to_ns; /* virtual time */
    bool is_cut;             /* more happened than is known */
    struct stretch *stretch; /* by CPU, then time; idle time is left out */
    size_t stretches;
    size_t *first;           /* of each CPU, and the end: cpus + 1 */
};
/* NULL: out of memory. Lives as long as the program. */
struct timeline *timeline_make(const char *name, const struct workload *workload, unsigned cpus,
                               const struct recording *recording);

/* "stopper" and "kernel" for those of no group. */
const char *group_name(const struct timeline *timeline, uint16_t group);

/* Each writes all of a file; the caller looks at ferror(). */
void perfetto_write(FILE *file, const struct timeline *timeline);
void svg_write(FILE *file, const struct timeline *timeline);
void html_write(FILE *file, const struct timeline *timeline, const char *table);

/* How many stretches perfetto_write() writes at most. */
#define PERFETTO_MAX ((size_t)400000)
