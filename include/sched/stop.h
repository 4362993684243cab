/* SPDX-License-Identifier: MIT */
/*
 * The stop class: one task on each CPU that comes before everything else there, and does what it is asked to with the
 * task that ran preempted and saved. For what must be done on a CPU while nothing of the scheduler's runs on it: moving
 * a running task away, and taking a CPU offline. Boot makes these tasks as it makes the idle tasks: sched never
 * allocates.
 */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

struct task;

/* The entry function of a stopper. */
void stop_main(void *arg);

/* `task`, NEW, with stop_main() as its entry and its affinity set to that CPU alone, becomes the stopper of `cpu`.
 * task_start() follows. Context: boot, before the CPU has one. */
void stop_set_task(cpu_id_t cpu, struct task *task);

/* Run fn(arg) on `cpu`, above every task there, and wait until it has returned. `fn` runs with preemption disabled: it
 * must not sleep. Calls for one CPU are served in their order. -EINVAL: the CPU is not online. Context: task. */
int stop_on_cpu(cpu_id_t cpu, void (*fn)(void *arg), void *arg) MUST_USE;
