/* SPDX-License-Identifier: MIT */
/* Run a function on other CPUs, in interrupt context there, and wait until all have done it. */
#pragma once

#include <k/cpumask.h>
#include <k/types.h>

struct cpu;

/* fn(arg) on every live CPU (smp/cpu.h) of `mask`, this one included if it is in it. fn runs with interrupts disabled
 * and takes no lock below LOCK_WAITQ. Returns when all have finished: their stores are visible then (acquire).
 * Context: task, interrupts enabled (a CPU that waits must stay able to answer). Holds no spinlock that fn's CPUs may
 * spin for with interrupts disabled. */
void smp_call(const struct cpumask *mask, void (*fn)(void *), void *arg);

/* The same on all live CPUs. */
void smp_call_all(void (*fn)(void *), void *arg);

/* The CPU comes into the set of live CPUs: every call that begins later knows. Context: task. */
void smp_call_admit(cpu_id_t cpu);

/* It goes out of it. see_off(cpu) is called first, with preemption disabled, and returns when the CPU has stopped: no
 * call is in flight, and none begins before it has gone out of the set, so until it stops it forgets what all forget,
 * and afterwards nobody waits for it. Context: task, interrupts enabled. */
void smp_call_retire(struct cpu *cpu, void (*see_off)(struct cpu *));
