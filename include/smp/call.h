/* SPDX-License-Identifier: MIT */
/* Run a function on other CPUs, in interrupt context there, and wait until all have done it. */
#pragma once

#include <k/cpumask.h>

/* fn(arg) on every ONLINE CPU of `mask`, this one included if it is in it. fn runs with interrupts disabled
 * and takes no lock below LOCK_WAITQ. Returns when all have finished: their stores are visible then (acquire).
 * Context: task, interrupts enabled (a CPU that waits must stay able to answer). Holds no spinlock that fn's CPUs may
 * spin for with interrupts disabled. */
void smp_call(const struct cpumask *mask, void (*fn)(void *), void *arg);

/* The same on all online CPUs. */
void smp_call_all(void (*fn)(void *), void *arg);
