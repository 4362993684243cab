/* SPDX-License-Identifier: MIT */
/*
 * The machine behind arch/host: its one state and what its files call of each other. Nothing here takes a lock: one
 * host thread steps one virtual CPU at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal/boot.h>
#include <hal/point.h>
#include <hal/upcall.h>
#include <hal_machine.h>
#include <host/machine.h>
#include <k/compiler.h>
#include <k/cpumask.h>
#include <k/limits.h>

/* Kinds of steps. Part of the trace hash: append only. */
enum host_point {
    HOST_POINT_ATOMIC,
    HOST_POINT_RELAX,
    HOST_POINT_IRQ_OFF,
    HOST_POINT_IRQ_ON,
    HOST_POINT_IDLE,
    HOST_POINT_SWITCH,
    HOST_POINT_TIMER_ARM,
    HOST_POINT_POKE,
    HOST_POINT_TLB,
    HOST_POINT_START,
    HOST_POINT_TAKE_TIMER, /* an interrupt is delivered */
    HOST_POINT_TAKE_IPI,
    HOST_POINT_PARK,
    HOST_POINT_COMPUTE,
    HOST_POINT_COUNT,
};

enum host_cpu_state { HOST_CPU_OFF, HOST_CPU_RUNNABLE, HOST_CPU_IDLE, HOST_CPU_PARKED, HOST_CPU_COMPUTES };

/* Interrupt sources of a CPU: indices of its events, and bits of `pending`. The end of what it computes is none that
 * the core hears of. */
enum host_irq { HOST_IRQ_TIMER, HOST_IRQ_IPI, HOST_IRQ_WORK, HOST_IRQ_COUNT };

#define HOST_EVENT_NONE UINT32_MAX
#define HOST_TIME_NEVER UINT64_MAX

struct host_stack {
    uintptr_t base;
    size_t bytes;
    void *fiber; /* ThreadSanitizer's name for what runs here */
};

struct host_cpu {
    struct host_cpu_regs regs; /* first: host_cpu_now points at it */
    cpu_id_t id;
    enum host_cpu_state state;
    uint32_t runnable_slot;    /* index in host.runnable while RUNNABLE */
    uint32_t pending;          /* 1 << enum host_irq */
    uintptr_t sp;              /* while another CPU is stepped */
    struct host_stack stack;   /* that it stands on */
    struct task *first_task;   /* given to hal_cpu_start() */
    bool is_initialised;       /* hal_cpu_init() was called */
    bool is_fpu_on, is_vector_on;
    void *area;                /* of hal_cpu_init(), carries a mark */
    paddr_t root;              /* of its page tables, 0: none yet */
    unsigned asid;             /* that it reads them under */
    uint64_t steps;
    uint64_t chance;           /* its stream of the machine's own chance, see host_random() */
    uint64_t fpu[HOST_FPU_WORDS], vector[HOST_VECTOR_WORDS];
    uint64_t event_ps[HOST_IRQ_COUNT];   /* when the source fires */
    uint32_t event_slot[HOST_IRQ_COUNT]; /* its place in the heap, or HOST_EVENT_NONE */
};

#define HOST_AREA_MARK UINT64_C(0x616572612d757063) /* "cpu-area" */
#define HOST_RECENT_STEPS 64u /* a power of two */

struct host_machine {
    struct host_config config;
    bool is_running;
    bool is_unit;   /* CPU 0 is the calling thread itself */
    bool is_checking; /* inside config.after_step, or quiet: atomics and HAL calls are no steps */
    bool is_window_open;
    uint64_t choice;     /* the stream of scheduling choices, see host_choose_below() */
    uint64_t steps;
    uint64_t rare_at;    /* after this step the hot path has more to do: the limit, a debugger's stop */
    uint64_t streak_end; /* the stepped CPU has gone on for HOST_FAIR_STEPS */
    uint64_t hash;
    struct {
        uint64_t ps;
        cpu_id_t cpu;
        enum host_point kind;
    } recent[HOST_RECENT_STEPS];

    /* Schedule. */
    const struct host_strategy_ops *strategy;
    struct host_cpu *runnable[CPU_MAX];
    unsigned runnable_count;
    struct cpumask runnable_mask;
    unsigned lonely_relaxes; /* in a row while no other CPU could run */

    /* Clock: picoseconds, so that a step shared by 1,024 CPUs still takes time. */
    uint64_t now_ps;
    uint64_t step_ps;       /* of one step at the present number of running CPUs */
    uint64_t ps_per_tick;
    uint64_t next_event_ps; /* of the heap's root */
    uint32_t heap[CPU_MAX * HOST_IRQ_COUNT]; /* cpu * HOST_IRQ_COUNT + source, earliest first */
    unsigned heap_count;

    /* The thread that called us. */
    uintptr_t caller_sp;
    struct host_stack caller_stack;

    struct host_result *result;
    struct boot_info boot;
};

extern struct host_machine host;
extern struct host_cpu host_cpus[CPU_MAX];

static inline struct host_cpu *host_self(void)
{
    return (struct host_cpu *)host_cpu_now;
}

/* machine.c */
void host_reset(const struct host_config *config, struct host_result *result);
void host_release(void);
void host_cpu_check_area(const struct host_cpu *cpu);
void host_report(void); /* into host.result, after the end */
[[noreturn]] void host_fail(const char *format, ...) PRINTF_LIKE(1, 2); /* the core broke the contract */
#define HOST_REQUIRE(cond, ...)      \
    do {                             \
        if (UNLIKELY(!(cond)))       \
            host_fail(__VA_ARGS__);  \
    } while (0)

/* step.c */
void host_step_reset(void);
void host_step_on(enum host_point kind, uintptr_t word); /* word: about to be touched, or 0 */
void host_step_wait(enum host_point kind, enum host_cpu_state state); /* the stepped CPU waits, until it is resumed */
void host_cpu_switch_to(struct host_cpu *next);
static inline void host_step(enum host_point kind)
{
    host_step_on(kind, 0);
}

/*
 * schedule.c. There is one choice at each step: who is stepped next. So (cpu, its own step) names a choice, and a run
 * whose choices are all known can be repeated.
 */
enum host_why {
    HOST_WHY_POINT, /* `self` may go on */
    HOST_WHY_RELAX, /* `self` spins: another one, and there is one */
    HOST_WHY_WAIT,  /* `self` waits or is parked: any that is runnable (again `self`, if its interrupt has come) */
};

struct host_strategy_ops {
    const char *name;
    bool keeps_time; /* its next() moves the clock, each CPU's steps by their own time: host_clock_to() */
    /* Who takes the next step. `word` is what self is about to touch, 0: none. */
    struct host_cpu *(*next)(struct host_cpu *self, enum host_why why, uintptr_t word);
    void (*reset)(void); /* a run begins; NULL: nothing to do */
    /* The set of runnable CPUs has changed; NULL: nothing to do. */
    void (*added)(struct host_cpu *cpu);
    void (*removed)(struct host_cpu *cpu);
};
extern const struct host_strategy_ops host_strategy_pct, host_strategy_adversary, host_strategy_order,
    host_strategy_uneven, host_strategy_delay, host_strategy_postpone, host_strategy_script, host_strategy_parallel;

void host_schedule_reset(void);
struct host_cpu *host_schedule_choose(struct host_cpu *self, enum host_why why, uintptr_t word);
/* What HOST_SCRIPT does where the script says nothing. A record keeps the choices that differ from it. */
struct host_cpu *host_schedule_default(struct host_cpu *self, enum host_why why);
struct host_cpu *host_runnable_next(const struct host_cpu *self);  /* by id, round and round; perhaps self */
struct host_cpu *host_runnable_other(const struct host_cpu *self); /* any but self, by the seed; there is one */
struct host_cpu *host_runnable_any(void);                          /* by the seed */
/*
 * Two kinds of chance, each from the seed: choices of who is stepped, and the machine's own (delays, orders, entropy).
 * They are apart, and the second is apart for each CPU, so that a run that is repeated with other choices meets the
 * same machine, as far as it can.
 */
uint64_t host_choose_below(uint64_t bound);
uint64_t host_random(void); /* the stepped CPU's */
uint64_t host_random_below(uint64_t bound);
/* lines.c: which other CPU touched this line last, or CPU_NONE; now it is `cpu`. */
cpu_id_t host_line_touch(uintptr_t line, cpu_id_t cpu);
void host_lines_reset(void);
void host_runnable_add(struct host_cpu *cpu);
void host_runnable_remove(struct host_cpu *cpu, enum host_cpu_state state);

/* clock.c */
void host_clock_reset(void);
void host_clock_share(void); /* the number of running CPUs has changed */
void host_clock_advance(uint64_t ps);
void host_clock_to(uint64_t ps); /* not back */
bool host_clock_jump(void); /* to the next event; false if there is none */
void host_event_set(struct host_cpu *cpu, enum host_irq source, uint64_t at_ps);
void host_event_cancel(struct host_cpu *cpu, enum host_irq source);

/* irq.c */
void host_irq_raise(struct host_cpu *cpu, enum host_irq source);
void host_irq_deliver(void);

/* run.c: the end of a run. Back to the caller, never to return. */
[[noreturn]] void host_leave(enum host_end end, int code);

/* The finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014):
 * numbers that are neighbours come out with nothing in common. */
static inline uint64_t host_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline bool host_is_kmap(vaddr_t va)
{
    return va >= HAL_KMAP_BASE && va - HAL_KMAP_BASE < HAL_KMAP_BYTES;
}

/* memory.c */
void host_memory_create(void);
void host_memory_destroy(void);
void host_memory_unshare(void); /* after fork(): an arena of this process's own */
bool host_memory_refill(paddr_t root, vaddr_t va, bool is_write); /* map va as the tables say; false: they do not */

/* kmap.c: the host's mappings in the kmap window. */
void host_kmap_create(void);
void host_kmap_destroy(void);
bool host_kmap_clear(void);
bool host_kmap_has(vaddr_t va); /* of the window: would a touch be none of fault.c's business? */
bool host_kmap_map(vaddr_t va, size_t bytes, paddr_t pa, bool is_writable, int file, uint64_t offset);
bool host_kmap_flush(paddr_t root, vaddr_t start, vaddr_t end); /* unmap what the tables at root no longer say */
void *host_memory_at(paddr_t pa);
bool host_memory_is_ram(paddr_t pa);

/* What the tables say about an address; false: nothing that is RAM. pa is the page's. */
struct host_walk {
    paddr_t pa;
    unsigned prot;
    paddr_t table; /* the last-level table that the walk came to, or 0 */
};
bool host_memory_walk(paddr_t root, vaddr_t va, struct host_walk *out);
bool host_memory_walk_table(paddr_t table, vaddr_t va, struct host_walk *out);

/* tlb.c */
void host_icache_create(paddr_t base, uint64_t span_bytes); /* of RAM */
void host_icache_destroy(void);
void host_icache_gone(paddr_t block, size_t bytes); /* the core gives it back */
/* The CPU comes to know that page of a program, with these rights. */
void host_icache_require(const struct host_cpu *cpu, vaddr_t va, paddr_t pa, unsigned prot);
void host_tlb_create(paddr_t base, uint64_t span_bytes); /* of RAM */
void host_tlb_destroy(void);
void host_tlb_start(const struct host_cpu *cpu);    /* it begins, with its root and on its stack */
void host_tlb_forget(const struct host_cpu *cpu);   /* everything, its root, too */
void host_tlb_activate(const struct host_cpu *cpu, bool is_space); /* it has another root or another id */
void host_tlb_stand(const struct host_cpu *cpu);    /* it is about to run on its stack */
void host_tlb_switched(const struct host_cpu *cpu); /* the same, by a switch of contexts */
void host_tlb_refilled(vaddr_t touched, vaddr_t low, vaddr_t high, paddr_t pa);
void host_tlb_flush(const struct host_cpu *cpu, unsigned asid, vaddr_t va, size_t pages);
/* A step, then the byte at va as the stepped CPU sees it, and so the rest of its page. NULL: a fault; is an entry there
 * that forbids it? */
void *host_tlb_user(vaddr_t va, unsigned want, bool *out_is_present);

/* fault.c */
void host_fault_install(void);
void host_fault_remove(void);

/* console.c */
void host_console_reset(void);
void host_console_flush(void);

/* swap_<isa>.c: switch stacks. The callee-saved registers go on the old one. */
void host_swap(uintptr_t *save_sp, uintptr_t load_sp);
/* A stack pointer to swap to: begins entry(arg) with return address 0. top is 16-byte aligned. */
uintptr_t host_swap_prepare(uintptr_t top, void (*entry)(void *), void *arg);

/* Where a host signal interrupted. */
/* usermode.c: if an interrupt came from user mode, leave the kernel as from there. */
bool host_user_exit(void);

void host_signal_return(void);
void host_swap_signal_facts(const void *ucontext, struct hal_trap *out);

/* fiber_<sanitizer>.c: before the swap, who will run; after it, on the new stack. */
void host_fiber_prepare(void); /* once per process, on the host thread's own stack */
void host_fiber_leave(const struct host_stack *to, bool orders_memory);
void host_fiber_arrive(void);
void host_fiber_bind(struct host_stack *stack);   /* a new life begins on this stack */
void host_fiber_caller(struct host_stack *stack); /* the host thread's own stack */
void host_fiber_meet(const struct host_stack *other); /* order what runs there and here, both ways */
void host_fiber_release(void *tag);               /* memory order that the HAL itself promises */
void host_fiber_acquire(void *tag);
