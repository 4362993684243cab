/* SPDX-License-Identifier: MIT */
/*
 * CPUs go off and come back while the kernel runs. What may move moves; nothing is lost, and nothing is counted twice.
 * One call at a time: others wait for it. Context of both: task, may sleep; it may run on the CPU in question.
 */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

/*
 * Take the CPU off. On return it is parked, its tasks and timers are elsewhere, and its caches of pages and objects are
 * empty. It waits for tasks that run there with preemption disabled, and for a grace period.
 *   -EINVAL  there is no such CPU
 *   -ENODEV  it is not online
 *   -EBUSY   the boot CPU (so the last one, too, for that is always online); or something may run nowhere else, a task
 *            that sleeps included. Nothing has changed then.
 */
int cpu_offline(cpu_id_t id) MUST_USE;

/*
 * Put a CPU on again that was taken off. On return tasks are sent there.
 *   -EINVAL  there is no such CPU
 *   -EBUSY   it is online
 *   -ENODEV  it never came up at boot, or the machine cannot start it again; in that case it stays off
 *   -EIO     the machine was asked, and the CPU does not answer, or had not gone off after all. If it was not even
 *            started it stays off; else it is given up for good.
 */
int cpu_online(cpu_id_t id) MUST_USE;
