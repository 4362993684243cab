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

/* HOST_SCRIPT, HOST_PCT, HOST_DELAY: after so many steps somebody else is stepped, lest a loop that never relaxes
 * starve others. */
#define HOST_FAIR_STEPS 20000
/* What the time of day is when the clock shows 0: 2026 begins. */
#define HOST_WALL_NS (UINT64_C(1767225600) * 1000000000)
#define HOST_PCT_DEPTH_MAX 64

/* Who is stepped next. */
enum host_strategy {
    HOST_UNIFORM,     /* at one point in `switch_one_in`, any runnable CPU, chosen by the seed */
    HOST_ROUND_ROBIN, /* at every point the next runnable CPU */
    HOST_PCT,         /* random priorities, lowered at `pct_depth` - 1 random points (Burckhardt et al., ASPLOS 2010) */
    HOST_ADVERSARY,   /* where a word is about to be touched, the last other CPU that touched its line, but at one point
                         in `switch_one_in`; elsewhere as HOST_UNIFORM, 16 times as seldom */
    HOST_ORDER,       /* random priorities of accesses, drawn again by those that meet (Yuan et al., CAV 2018) */
    HOST_UNEVEN,      /* as HOST_UNIFORM, but CPUs have speeds, by the seed, up to 512 times as slow as the fastest */
    HOST_DELAY,       /* the default (see host_preemption), but at `pct_depth` - 1 random points, and seldom behind them
                         (Emmi et al., POPL 2011) */
    HOST_POSTPONE,    /* a CPU is held before a word until another one is about to touch its line (Sen, PLDI 2008) */
    HOST_SCRIPT,      /* the default (see host_preemption), but where `script` says otherwise */
    HOST_PARALLEL,    /* no chance: CPUs run at the same time. Each takes a step in each `step_ns`, the earliest first;
                         time is not shared, and a relax takes five steps' time */
    HOST_STRATEGY_COUNT,
};

/* "uniform", "round-robin", "pct" .. by the names above; and back: HOST_STRATEGY_COUNT if it is none. */
const char *host_strategy_name(enum host_strategy strategy);
enum host_strategy host_strategy_by_name(const char *name);

/*
 * After its own step `at` (the first is 1) `cpu` was left for `to`. What a script does not name is done by default: a
 * CPU goes on until it relaxes, idles or parks; then, and after HOST_FAIR_STEPS steps in a row, comes the next runnable
 * one by id, round and round. A record keeps what differs from that: the record of a run is the script that repeats it,
 * under the same seed. So some entries name who followed a CPU that relaxed, and some keep a CPU where it is (`to` is
 * `cpu`). An entry is passed over where `to` cannot run.
 */
struct host_preemption {
    cpu_id_t cpu;
    cpu_id_t to;
    uint64_t at;
};

/* One interleaving point of a run, recorded while the window is open (host_window()). */
struct host_touch {
    cpu_id_t cpu;
    uint64_t at;   /* its own step */
    uintptr_t word; /* about to be touched; 0: no word */
};

/*
 * What a run did, for shrinking and for exhaustive search. Lives in memory of host_shared_alloc(), so that a run in a
 * child process can fill it. What does not fit is counted and not kept.
 */
struct host_record {
    struct host_preemption *preemption; /* preemption_room of them, or NULL */
    size_t preemption_room, preemption_count;
    struct host_touch *touch;           /* touch_room of them, or NULL */
    size_t touch_room, touch_count;
};
void *host_shared_alloc(size_t bytes); /* zeroed, kept by children; NULL: out of memory */
void host_shared_free(void *memory, size_t bytes);

struct host_config {
    unsigned cpus;         /* 1..CPU_MAX */
    uint64_t seed;
    enum host_strategy strategy;
    unsigned switch_one_in; /* all that switch by chance at each point; 0: 4 */
    unsigned pct_depth;     /* HOST_PCT, HOST_DELAY: the depth d of the bug that is looked for; 0: 3; at most
                               HOST_PCT_DEPTH_MAX */
    uint64_t pct_steps;     /* HOST_PCT, HOST_DELAY: about how many steps a run takes; 0: 100,000 */
    const struct host_preemption *script; /* HOST_SCRIPT: in any order */
    size_t script_count;
    struct host_record *record; /* NULL: not recorded */
    uint64_t stop_at_step;      /* call host_stop_here() before this step; 0: never */
    uint64_t memory_bytes; /* RAM in two ranges with a hole between; 0: 32 MiB; at most 64 GiB */
    uint64_t max_steps;    /* a run that takes more is a hang; 0: 100 million */
    uint64_t clock_hz;     /* rate of hal_clock_ticks(), a divisor of 10^12; 0: 100 MHz, so ticks are not nanoseconds */
    unsigned step_ns;      /* virtual time of a step; but for HOST_PARALLEL, shared by the CPUs that run; 0: 20 */
    unsigned ipi_delay_ns_max; /* a poke arrives after 0 to this many ns, by the seed; 0: 2000 */
    unsigned asids;        /* address-space ids, 1: no tags, at most 65,536; 0: 256 */
    bool has_remote_flush; /* hal_tlb_flush_remote() exists; else core interrupts the CPUs */
    unsigned wall_seconds; /* forked runs: killed after this much real time (a loop without a step); 0: 120 */
    unsigned threads;      /* CPUs of a core, */
    unsigned cores;        /* cores that share a cache, */
    unsigned caches;       /* and caches of a node; each 0: the firmware says nothing of cores, caches, nodes */
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

/*
 * The running task computes: `ns` of CPU time pass, however long, as few steps. Interrupts are taken meanwhile; time in
 * which they, or other tasks, have the CPU is not counted, and the task may end on another CPU. Meanwhile its CPU is
 * not idle and takes no steps. Time passes by the strategy's rules, so only with HOST_PARALLEL do the steps of others
 * take as long as they do while it does not compute. Context: task, interrupts enabled.
 */
void host_compute(uint64_t ns);

/* A debugger's breakpoint: nothing happens here. */
void host_stop_here(void);

/* Inside a run: record touches from here on, or no longer. An exhaustive search preempts only inside. */
void host_window(bool is_open);

/* Until it is called with what it returned, atomics and HAL calls are no steps: for listeners and checkers. */
bool host_quiet(bool is_quiet);

/* Facts about a CPU for checkers: how many steps it took; does it wait for an interrupt? */
uint64_t host_cpu_steps(cpu_id_t cpu);
bool host_cpu_is_idle(cpu_id_t cpu);
cpu_id_t host_cpu_id(void); /* who is stepped */

/*
 * User memory: what a program's load or store at a user address does, through the TLB of the CPU that is stepped and,
 * where that holds nothing, the tables that hal_mmu_activate() was given. False: a fault, nothing was done. Context:
 * task, interrupts enabled or not.
 */
bool host_user_load(vaddr_t va, uint64_t *out);
bool host_user_store(vaddr_t va, uint64_t value);

/* Unit mode: tell core that tables have 3 to PT_LEVELS_MAX levels. For tables of a test's own, which the machine never
 * walks: its own have 4, and must not be changed until 4 is set again. A new machine begins with 4. */
void host_pt_levels_set(unsigned levels);

/* The core is about to reuse these pages: no TLB may hold a translation to them, or the run ends with a report. And
 * before a CPU comes to know one of them as a program's code, hal_icache_sync() must have been called for it again. For
 * a listener of TRACE_PAGES_FREE. */
void host_tlb_require_gone(paddr_t block, size_t bytes);

/* Does the page hold what it held when hal_icache_sync() was called for it last? */
bool host_icache_has(paddr_t page);

/* Of the CPUs, only these must have forgotten by then: the others flush everything before they use what they know. The
 * machine keeps the pointer; NULL, as at the start: all. */
void host_tlb_must_forget(const struct cpumask *cpus);

/* AddressSanitizer builds: nobody may touch [at, at + bytes) until it is opened again. Elsewhere: nothing. */
void host_memory_shut(const volatile void *at, size_t bytes);
void host_memory_open(const volatile void *at, size_t bytes);
void host_memory_open_all(void); /* whoever shut it will not hear any more when it is used again */

/* The simulated floating-point unit: what a task's own vector code would do. Using it while it is off is a fault. */
void host_fpu_use(unsigned word, uint64_t value);
uint64_t host_fpu_peek(unsigned word);

/* The simulated vector unit: what a user program's vector code would do. Its first use is FAULT_VECTOR_OFF. */
void host_vector_use(unsigned word, uint64_t value);
uint64_t host_vector_peek(unsigned word);
bool host_vector_is_on(void);

/* User programs are functions of the host's: hal_user_init()'s program counter is one of these, and it gets the first
 * argument register. It never returns. A system call: number and arguments; the result. */
typedef void host_user_program(uintptr_t arg);
uintptr_t host_user_call(uintptr_t number, const uintptr_t arg[6]);

/* The program did what this says. A signal's handler is a function, too: number, address of siginfo, of the frame; it
 * returns. */
struct fault_info;
void host_user_fault(const struct fault_info *fault);
