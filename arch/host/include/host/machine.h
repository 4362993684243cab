/* SPDX-License-Identifier: MIT */
/*
 * How tests drive the simulated machine. One machine at a time per process, stepped by the calling thread. The same
 * binary and config give the same steps, and so the same trace hash.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/cpumask.h>
#include <k/types.h>

struct boot_info;
struct task;

/* Who is stepped next. */
enum host_strategy {
    HOST_UNIFORM,     /* at one point in `switch_one_in`, any runnable CPU, chosen by the seed */
    HOST_ROUND_ROBIN, /* at every point the next runnable CPU */
};

struct host_config {
    unsigned cpus;         /* 1..CPU_MAX */
    uint64_t seed;
    enum host_strategy strategy;
    unsigned switch_one_in; /* HOST_UNIFORM; 0: 4 */
    uint64_t memory_bytes; /* RAM in two ranges with a hole between; 0: 32 MiB; at most 64 GiB */
    uint64_t max_steps;    /* a run that takes more is a hang; 0: 100 million */
    uint64_t clock_hz;     /* rate of hal_clock_ticks(), a divisor of 10^12; 0: 100 MHz, so ticks are not nanoseconds */
    unsigned step_ns;      /* virtual time of a step while one CPU runs; shared by those that run; 0: 20 */
    unsigned ipi_delay_ns_max; /* a poke arrives after 0 to this many ns, by the seed; 0: 2000 */
    unsigned wall_seconds; /* forked runs: killed after this much real time (a loop without a step); 0: 120 */
    const char *cmdline;
    const char *console_input;
    const struct cpumask *silent_cpus; /* hal_cpu_start() says 0, but they never answer */
    bool console_echo;     /* also write the console to standard output */

    /* What CPU 0 runs instead of kmain(): for scratch kernels. Never returns. */
    void (*entry)(struct boot_info *boot);

    /* Called after every step, on the stepped CPU's stack: may look at anything (its atomics are no steps), must not
     * change anything or call the HAL except hal_machine_exit(). */
    void (*after_step)(void *arg);
    void *after_step_arg;
};

enum host_end {
    HOST_END_EXIT,     /* hal_machine_exit(code) */
    HOST_END_DEADLOCK, /* every CPU waits, and no event will come */
    HOST_END_STEPS,    /* max_steps reached */
    HOST_END_CONTRACT, /* the core broke the HAL's contract; the report says how */
    HOST_END_CRASH,    /* forked runs: the process died of signal `code`, or of a sanitizer's report */
};

#define HOST_REPORT_BYTES 8192
#define HOST_CONSOLE_BYTES 65536

struct host_result {
    enum host_end end;
    int code;
    uint64_t steps;
    uint64_t hash;       /* FNV-1a over (cpu, kind of point) of each step */
    uint64_t virtual_ns;
    char report[HOST_REPORT_BYTES];   /* unless HOST_END_EXIT: what happened, state of the CPUs, the last steps */
    size_t console_bytes;             /* may exceed what was kept */
    char console[HOST_CONSOLE_BYTES]; /* the first bytes that the kernel printed, terminated */
};

/* Boot kmain() (or config->entry) on CPU 0 and step until the end. Returns 0 only for hal_machine_exit(0); otherwise
 * its code, or 100 + end. The machine is as new each time, the core's static data is not: see below. */
int host_machine_run(const struct host_config *config, struct host_result *result);

/* The same in a child process, so that each run finds fresh static data and a crash is a result. */
int host_machine_run_forked(const struct host_config *config, struct host_result *result);

/* Print what a run left: how it ended, its report and the end of its console. */
void host_result_print(const struct host_config *config, const struct host_result *result);

/*
 * Unit mode: the calling thread is CPU 0, interrupts disabled, no boot. HAL calls work on its own stack; other CPUs may
 * be started. host_unit_enter() gives it the running task (task_base.cpu is the caller's to set).
 */
void host_unit_setup(const struct host_config *config);
void host_unit_enter(struct task *task);
void host_unit_teardown(void);

/* Facts of the firmware, as kmain() gets them. Valid between set-up and tear-down, and during a run. */
struct boot_info *host_boot_info(void);

/* Unit mode: run fn(arg); true if it returned, false if it ended the machine (panic, exit, deadlock, broken contract):
 * then *result says how. What fn left half done stays so; prefer the forked form where that matters. */
bool host_unit_returns(void (*fn)(void *), void *arg, struct host_result *result);

/* The same in a child process with its own copy of the machine's memory: nothing that fn does is seen here. */
bool host_unit_returns_forked(void (*fn)(void *), void *arg, struct host_result *result);

/*
 * A team: body(cpu, arg) on every CPU at once, each as tasks[cpu], without a scheduler; ends with code 0 when all have
 * returned. For seeded tests of locks and lists. tasks[cpu] must be set up as far as the tested room looks at it.
 * Bodies start and end with interrupts disabled.
 */
struct host_team {
    struct task **tasks;
    void (*body)(cpu_id_t cpu, void *arg);
    void *arg;
};
int host_team_run(const struct host_config *config, const struct host_team *team, struct host_result *result);
int host_team_run_forked(const struct host_config *config, const struct host_team *team, struct host_result *result);

/* The trace so far, for tests that run inside the machine. */
uint64_t host_trace_hash(void);
uint64_t host_trace_steps(void);
uint64_t host_virtual_ns(void);

/* The simulated floating-point unit: what a task's own vector code would do. Using it while it is off is a fault. */
#define HOST_FPU_WORDS 8
void host_fpu_use(unsigned word, uint64_t value);
uint64_t host_fpu_peek(unsigned word);
