/* SPDX-License-Identifier: MIT */
/*
 * What scenarios share: a start line, a counting semaphore, raw blocking, random choices, and small processes. Nothing
 * here has a time limit: a wait that never ends is found by the machine (deadlock) or by whoever bounds the run.
 */
#pragma once

#include <k/atomic.h>
#include <k/errno.h>
#include <proc/process.h>
#include <sched/event.h>
#include <sched/mutex.h>
#include <sched/waitq.h>
#include <time/clock.h>

#include "sim.h"

/* A line at which tasks wait until it opens. One use each time it is initialised. */
struct sim_line {
    struct waitq queue;
    struct waitq arrivals;
    _Atomic(unsigned) waiting;
    bool is_open; /* guarded by queue.lock */
};
void sim_line_init(struct sim_line *line);
void sim_line_wait(struct sim_line *line);
/* Wait until so many have come, then let everybody go. */
void sim_line_open(struct sim_line *line, unsigned waiting);

/* A counting semaphore made of a wait queue: what goes up comes down, whoever times out or is killed. */
struct sim_semaphore {
    struct waitq queue;
    unsigned count; /* guarded by queue.lock */
};
void sim_semaphore_init(struct sim_semaphore *semaphore, unsigned count);
int sim_down(struct sim_semaphore *semaphore, uint64_t deadline_ns, enum wait_mode mode);
void sim_up(struct sim_semaphore *semaphore);

/* Block, by sched_block() alone, until *count has reached `wanted`; whoever raises it wakes this task afterwards. */
void sim_block_until(_Atomic(unsigned) *count, unsigned wanted);

/* Sleep for up to so many ns of virtual time, by the seed; a kill ends it early. */
void sim_nap(uint64_t ns);

/* Between two looks at something that others bring about: long enough for several who look to leave the CPU to those,
 * with interrupts and switches counted in; free of charge where nobody else wants to run. */
void sim_pause(void);

/* Random choices. */
bool sim_chance(unsigned one_in);
cpu_id_t sim_some_cpu(void);                 /* online */
void sim_some_cpus(struct cpumask *out);     /* at least one online CPU, never an absent one */
int sim_some_fair_priority(void);
int sim_some_priority(void);                 /* of any class but the idle one */

/* The running task's affinity. */
void sim_stay_on(cpu_id_t cpu);
void sim_roam(void);

/* spawn_on() the n-th online CPU, with a default priority. */
struct task *sim_spawn_nth(const char *name, int (*entry)(void *), void *arg, unsigned nth);

/* Join all and drop the references; the sum of their codes. */
int64_t sim_finish_all(struct task *const *tasks, unsigned count);

/* Take blocks, linked through their first words, until `leave` pages are free: how many. And give them back. */
unsigned sim_hoard(paddr_t *hoarded, uint64_t leave);
void sim_give_back(paddr_t hoarded);

/* A child process of `parent` with one running thread; its pid, or 0 after a failed check. */
pid_t sim_child(struct process *parent, int (*entry)(void *), void *arg);
/* Thread number n of a process, running; its affinity: NULL, anywhere. NULL after a failed check. */
struct thread *sim_thread(struct process *process, int (*entry)(void *), void *arg, const struct cpumask *affinity);

/* User memory (scenario_user.c). Locks: one task at a time changes a space. */
#define SIM_PROGRAMS_MAX 6
#define SIM_USER_RW (PROT_USER | PROT_WRITE)
bool sim_user_map(struct process *process, vaddr_t va, paddr_t page, unsigned prot);
void sim_user_unmap(struct process *process, vaddr_t va);
void sim_user_shoot_down(struct process *process, vaddr_t va);
/* One program per CPU, at most SIM_PROGRAMS_MAX: threads of `process`, each with its number as argument. */
unsigned sim_programs_start(struct process *process, int (*entry)(void *), struct thread **out);
/* Wait for the process. No CPU uses its tables from then on: the threads left them before they were seen to end. */
void sim_programs_finish(struct process *process, struct thread **threads, unsigned count);

/* Entry functions that many stories need. */
int sim_end_with(void *code);           /* after a short delay */
int sim_sleep_until_killed(void *code); /* then end with that code; checks that every later sleep ends at once */
