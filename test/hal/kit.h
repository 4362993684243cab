/* SPDX-License-Identifier: MIT */
/*
 * The HAL conformance kit: a kernel of its own, above any machine, that asserts what include/hal promises, level by
 * level, in the order in which a port comes to life. It stands on the HAL, on lib and on the page-table walker, and on
 * nothing else of core. The first assertion that fails names itself and leaves the machine with a failing code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal/boot.h>
#include <hal/clock.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <hal/mmu.h>
#include <hal/upcall.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/limits.h>
#include <k/types.h>

#define KIT_STACK_BYTES ((size_t)16 << 10)
#define KIT_HOLE_PAGES 2u  /* one is a stack's guard, the other nobody's */
#define KIT_RECORDS_MAX 32u /* of a backtrace */

/* How long anything may take before it counts as lost. Far more than needed, for hosts that are busy. */
#define KIT_PATIENCE_NS (10 * NS_PER_SEC)

struct kit_cpu;

/* The kit's own idea of a task: what the HAL needs of it comes first. */
struct task {
    struct hal_context context;
    struct kit_cpu *cpu; /* that runs it */
    vaddr_t stack_base;
    size_t stack_bytes;
};

/* What a deliberate fault looked like to trap_fault(). */
struct kit_fault {
    struct fault_info info;
    uintptr_t pc;
    uintptr_t handler_frame;    /* of trap_fault() itself: which stack it ran on */
    bool was_irq_enabled;       /* inside trap_fault() */
    unsigned records;           /* frame records behind it, up to the end of the stack */
    bool has_end;               /* the last record's return address was 0 */
    unsigned dump_lines;        /* that hal_trap_dump() logged */
};

/* What a CPU does in trap_ipi(); called for pokes about anything. */
typedef void kit_ipi_fn(struct kit_cpu *self);

struct kit_job {
    void (*run)(struct kit_cpu *cpu, void *arg);
    void *arg;
};

/* One per CPU, found by hal_current()->cpu. Counters are written by their CPU alone. */
struct kit_cpu {
    cpu_id_t id;
    struct task *base;  /* its first task */
    struct task probe;  /* runs what is meant to fault */
    void *area;

    _Atomic(unsigned) timers, ipis, exits; /* upcalls so far; CPU 0 may look */
    volatile uint64_t timer_ticks;         /* clock at the last trap_timer() */
    _Atomic(kit_ipi_fn *) on_ipi;          /* PAIRS(kit_on_ipi): NULL: count only */
    struct task *volatile leave_for;       /* trap_exit() after a timer interrupt switches to it, once */
    volatile bool leave_now;

    struct task *catcher;      /* waits for the probe's fault */
    struct kit_fault *caught;
    bool has_caught;
    bool (*on_user_fault)(const struct fault_info *fault); /* what trap_fault() answers; NULL: false */
    uintptr_t emergency_frame; /* where the first stack overflow was handled; 0: none yet */

    _Atomic(bool) is_up;                   /* PAIRS(kit_up) */
    _Atomic(struct kit_job *) job;         /* PAIRS(kit_job): NULL: none, or it has run */
    _Atomic(bool) is_told, is_done;        /* PAIRS(kit_told): the poke about the job's begin, and its end, is sent */
};

struct kit_level {
    const char *name;
    const char *(*run)(void); /* NULL: passed; or why there was nothing to try */
};
extern const struct kit_level kit_levels[];

/* ---- kit.c ---- */

extern const struct boot_info *kit_boot;
extern struct kit_cpu *kit_cpus[CPU_MAX];
extern struct kit_cpu kit_boot_cpu;
extern struct task kit_boot_task;
extern bool kit_entered_enabled; /* interrupts, at kmain() */

static inline struct kit_cpu *kit_self(void)
{
    return hal_current()->cpu;
}

void kit_say(const char *format, ...) PRINTF_LIKE(1, 2);
void kit_count_check(void);
[[noreturn]] void kit_fail(const char *condition, const char *file, int line, const char *format, ...)
    PRINTF_LIKE(4, 5) COLD;

/* Assert; the sentence says what the machine did. Any CPU, any context. */
#define CHECK(condition, ...)                                              \
    do {                                                                   \
        kit_count_check();                                                 \
        if (UNLIKELY(!(condition)))                                        \
            kit_fail(#condition, __FILE_NAME__, __LINE__, __VA_ARGS__);    \
    } while (0)

/* In a loop that waits: it may not last for ever. Not counted. */
#define CHECK_BEFORE(end, ...)                                                                 \
    do {                                                                                       \
        if (UNLIKELY(hal_clock_ticks() >= (end)))                                              \
            kit_fail("hal_clock_ticks() < " #end, __FILE_NAME__, __LINE__, __VA_ARGS__);       \
    } while (0)

/* A word of the command line, "name=value": is it there? */
bool kit_option_is(const char *name, const char *value);

uint64_t kit_ticks_of_ns(uint64_t ns);
uint64_t kit_random(void); /* CPU 0 only */
uint64_t kit_random_next(uint64_t *state); /* of a stream of the caller's, not 0 */

/* Frame records from frame_pointer up, in [low, high): how many, and whether the last one ends the chain. */
unsigned kit_records_count(uintptr_t frame_pointer, uintptr_t low, uintptr_t high, bool *out_has_end);

/* ---- memory.c ---- */

void kit_memory_init(void);               /* find RAM that nobody else uses */
uint64_t kit_memory_left(void);
paddr_t kit_page_alloc(void);             /* zeroed */
paddr_t kit_memory_block(size_t bytes);   /* an aligned block of the kit's RAM, to look at; 0: none */
void *kit_pages_alloc(size_t bytes);      /* zeroed, by the direct map */
paddr_t kit_tables_build(void);           /* the kernel's: image, kit's RAM, devices; the root */
paddr_t kit_root(void);
vaddr_t kit_va_reserve(size_t pages);     /* of the kmap window, with KIT_HOLE_PAGES that are never mapped below it */
void kit_map(paddr_t root, vaddr_t va, paddr_t pa, size_t bytes, unsigned prot); /* and flush where needed */
void kit_unmap(paddr_t root, vaddr_t va, size_t bytes);                          /* and flush */
void kit_map_quietly(paddr_t root, vaddr_t va, paddr_t page, unsigned prot); /* one page, no flush */
uint64_t *kit_pte(paddr_t root, vaddr_t va); /* the entry of a mapped page */
vaddr_t kit_stack_alloc(void);            /* KIT_STACK_BYTES; the base */
paddr_t kit_user_root(vaddr_t va, paddr_t page); /* a space that maps one page in its user half */

static inline void *kit_direct(paddr_t pa)
{
    return (void *)((uintptr_t)HAL_DIRECT_MAP_BASE + (uintptr_t)pa);
}

/* ---- fault.c ---- */

/* Run fn(arg) as a task of its own on this CPU; true: it ended in a fault, and *out tells. */
bool kit_catch(void (*fn)(void *), void *arg, struct kit_fault *out);
void kit_catch_arrived(struct hal_trap *trap, const struct fault_info *fault); /* from trap_fault(); may not return */
void kit_probe_load(void *address);
void kit_probe_store(void *address);
void kit_probe_call(void *address);
void kit_probe_fpu(void *unused);
void kit_check_page_fault(const struct kit_fault *fault, bool has_faulted, uintptr_t address, const char *what);
void kit_check_cpu_faults(struct kit_cpu *self); /* a page fault and a stack overflow, on this CPU */

/* ---- time.c ---- */

/* Arm for `ns` from now, wait with interrupts enabled until it fires; how late, in ticks (0 if early). */
uint64_t kit_timer_once(uint64_t ns);
void kit_wait_ns(uint64_t ns); /* busy, the interrupt state left alone */

/* ---- cpus.c ---- */

void kit_cpus_restart(cpu_id_t cpu); /* it has parked, or is about to */
void kit_cpus_run(cpu_id_t cpu, void (*run)(struct kit_cpu *, void *), void *arg); /* and wait for it */
void kit_cpus_begin(cpu_id_t cpu, struct kit_job *job);
void kit_cpus_wait(cpu_id_t cpu);
void kit_idle_until_ns(uint64_t ns); /* idle once, at most about so long; interrupts disabled */

/* ---- machine_*.c: what differs between a simulated and a real machine, and is not the HAL's ---- */

/* Does boot_info.image_paddr hold this very image? The simulated machine's is the host's process. */
extern const bool kit_image_is_in_ram;
/* Rights for a page of the user half that kit_user_load() can read. */
extern const unsigned kit_user_prot;
/* What a load from the user half gives under the active tables; false: a fault. */
bool kit_user_load(vaddr_t va, uint64_t *out);
bool kit_is_code(uintptr_t address);
/* Can RAM that the kit maps be executed? The simulated machine's CPUs execute the host's code. */
extern const bool kit_executes_ram;

/* test/kernel/torture_ISA.S */
void crash_use_fpu(void);
