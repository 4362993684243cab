/* SPDX-License-Identifier: MIT */
/* The inside of boot. */
#pragma once

#include <boot/options.h>
#include <boot/program.h>
#include <hal/boot.h>
#include <sched/task.h>
#include <time/clock.h>

/* Everything that CPU `id` owns: run queue, timers, idle task and its stack; its first context enters entry(cpu) there.
 * The CPU is ABSENT. Panics if there is no memory for it. */
struct cpu *bringup_prepare_cpu(cpu_id_t id, uint64_t hw_id, void (*entry)(void *arg));

#define CPU_ANSWER_NS (2 * NS_PER_SEC) /* a CPU that takes longer is taken for broken */
#define CPU_LOOK_NS (100 * NS_PER_US)  /* how often to look while waiting, if nothing wakes us */

/* The stopper of an online CPU, started. Context: the boot CPU's idle task. */
void bringup_prepare_stopper(struct cpu *cpu);

/* Which CPUs are near which; all of them have been prepared. */
void bringup_build_topology(const struct boot_info *boot, unsigned count);

/* The entry of every CPU but the boot CPU, each time that it starts. */
void bringup_secondary_main(void *arg);

/* Wait for an interrupt, CPU_LOOK_NS at most, without a switch. Context: interrupts disabled. */
void bringup_idle_a_moment(void);

/* The CPU, which says ONLINE, is a member of all sets of CPUs from here on. */
void bringup_count_in(struct cpu *cpu);

/* Start all CPUs but this one and wait for each; one that does not answer is named and left out. */
void bringup_start_others(const struct boot_info *boot, unsigned count);
