/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's part of taking a CPU off and putting it on again. In this order: close, a grace period, evacuate;
 * the CPU's state is boot's (boot/hotplug.h). One task at a time calls these.
 */
#pragma once

#include <k/compiler.h>
#include <smp/cpu.h>

/* Out of the online set: nobody who looks from now on sends a task there. -EBUSY, and nothing has changed, if something
 * counts on the CPU: a task, asleep or not yet started, too, may run nowhere else, or the deadline tasks of the CPU do
 * not fit on others. (Those may have moved if it is a task that came only while they did.) Context: task. */
int sched_cpu_close(struct cpu *cpu) MUST_USE;

/* The CPU is closed, and a grace period has passed. On return no task runs or is queued there, and none will: the
 * caller has left it, too. Tasks that sleep go on naming it, and wake elsewhere. Context: task, may sleep. */
void sched_cpu_evacuate(struct cpu *cpu);

/* This CPU is back: in the online set, and it looks for work at once. Context: its idle task, interrupts disabled. */
void sched_cpu_open(struct cpu *cpu);
