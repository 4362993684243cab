/* SPDX-License-Identifier: MIT */
/*
 * How much of what a task ran it ran in user mode. The sum is exact: task_stats.run_ticks, by the clock at every
 * switch. How it divides is sampled, so that a system call costs nothing for it: the way in and the way out take no
 * look at any clock.
 *
 * Samples are interrupts of a timer of each CPU, the sampler. What it interrupts, user mode or the kernel, gets the
 * time since the last sample of the CPU as its weight; system time is the run time times the kernel's part of the
 * weights, and user time is the rest. Both only grow: what has been told is never taken back. Before its first sample,
 * and if all of them found it there, a task that has been in user mode was there all the time. One that never was, the
 * kernel's own, ran in the kernel.
 *
 * The sampler runs only where a task with a user runs, also if that is alone on its CPU: else a program that is never
 * interrupted would be told nothing of what the kernel did for it. It costs such a CPU no more than it must:
 *
 *   from     to       who
 *   off      on       a switch to a task with a user, or such a task's first way to its user
 *   on       on       a sample that finds a task with a user
 *   on       off      a sample that finds another, such as the idle task: an idle CPU takes none. The CPU goes off
 *
 * The next sample comes after SAMPLE_NS_MIN, or, as long as one after the other finds the same task in the same mode,
 * after an eighth of the time that it has been so, up to SAMPLE_NS_MAX. That is spread by a quarter up and down, by
 * chance, so that no program keeps in step with it.
 *
 * So a figure is off by what chance does to some samples, and after a change by an eighth of what went before: a task
 * that has run for less than a few milliseconds in all has no figures worth the name.
 */
#pragma once

#include <stdbool.h>

#include <k/types.h>

struct cpu;

#define SAMPLE_NS_MIN UINT64_C(4000000)
#define SAMPLE_NS_MAX UINT64_C(1000000000)

/* Of a task, or of a CPU: guarded by the run queue's lock. All zero at first. */
struct cputime {
    uint64_t user_weight, system_weight; /* ticks that samples stand for */
    uint64_t user_ticks, system_ticks;   /* what was told last */
};

/* `run_ticks`, never less than the last time, are in user_ticks and system_ticks then. */
void cputime_split(struct cputime *time, bool has_user, uint64_t run_ticks);

/* The running task goes to its user for the first time. Context: interrupts disabled. */
void cputime_begin(void);

/* This CPU's sampler has fired (cpu->is_sample_due), and `is_user` is what it interrupted. Context: the way out of an
 * interrupt, interrupts disabled, no lock. */
void cputime_sample(struct cpu *cpu, bool is_user);
