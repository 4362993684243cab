/* SPDX-License-Identifier: MIT */
/* What stands beside whatever a benchmark measures: tasks that want all of a CPU. They stay on their CPU. */
#pragma once

#include <k/types.h>

enum load_kind {
    LOAD_NONE,
    LOAD_HOGS,  /* two fair tasks that never give way */
    LOAD_CROWD, /* a hundred fair tasks, each of which yields every LOAD_TURN_ROUNDS rounds */
    LOAD_MIXED, /* a real-time task and a fair one that never give way */
};

#define LOAD_CROWD_TASKS 100
#define LOAD_TURN_ROUNDS 2000

const char *load_name(enum load_kind kind);

/* Add the load to that CPU; all of it goes at load_stop(). Context: task, real-time above the load's. */
void load_start(enum load_kind kind, cpu_id_t cpu);
void load_stop(void);

/* Keep the CPU busy: so many rounds of a loop of a few instructions. */
void load_spin(unsigned rounds);
