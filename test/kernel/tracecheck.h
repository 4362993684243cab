/* SPDX-License-Identifier: MIT */
/*
 * What the program `trace` is made of: the workload (traceload.c, tracemix.c) and the record that it writes into
 * (tracecheck.c).
 */
#pragma once

#include <stdint.h>

/* Run it: every step's order follows from the scheduler's rules alone, never from how long anything took. */
void trace_workload(void);
void trace_processes(void);
void trace_mixture(void);

/* Until everybody else is blocked or dead: for the first task, while no other task is of the idle class. */
void trace_let_others_run(void);

/* Into the record, between the scheduling events: a part of the workload begins; what a call returned. */
void trace_phase(const char *name); /* lives as long as the record */
void trace_result(int32_t value);
