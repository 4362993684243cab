/* SPDX-License-Identifier: MIT */
/* Deliberate crashes: each must end in one panic with a symbolised backtrace, never in silence. */
#include <boot/program.h>
#include <entry/trap.h>
#include <hal/boot.h>
#include <hal/mmu.h>
#include <k/assert.h>
#include <k/errno.h>
#include <k/image.h>
#include <lib/string.h>
#include <mm/user.h>
#include <sched/mutex.h>

#include "check.h"
#include "userspace.h"

static NOINLINE void call_null(void)
{
    void (*volatile function)(void) = NULL;

    function();
}

static volatile bool go_deeper = true;

static NOINLINE unsigned overflow(volatile unsigned char *above)
{
    volatile unsigned char frame[512];

    frame[0] = *above;
    frame[510] = frame[511] = 1;
    return frame[0] + (go_deeper ? overflow(&frame[511]) : 0) + frame[510];
}

static void overflow_stack(void)
{
    volatile unsigned char start = 1;

    log_info("%u", overflow(&start));
}

static void fail_assertion(void)
{
    volatile int one = 1;

    ASSERT(one == 2);
}

static void write_nowhere(void)
{
    *(volatile int *)(HAL_KMAP_BASE + HAL_KMAP_BYTES - 64) = 1;
}

static void read_null(void)
{
    volatile int *volatile nowhere = NULL;

    log_info("%d", *nowhere);
}

static void write_null(void)
{
    volatile int *volatile nowhere = NULL;

    *nowhere = 1;
}

static void write_byte(uintptr_t address)
{
    *(volatile unsigned char *)address = 0;
}

static void write_text(void)
{
    write_byte((uintptr_t)write_text);
}

/* Where the direct map shows the same page. */
static void write_text_alias(void)
{
    uintptr_t offset = (uintptr_t)write_text_alias - (uintptr_t)__image_start;

    write_byte((uintptr_t)phys_to_virt(boot_report.info->image_paddr + offset));
}

static const uint64_t constant = 1;

static void write_constant(void)
{
    write_byte((uintptr_t)&constant);
}

static RO_AFTER_INIT uint64_t sealed = 1;

static void write_sealed(void)
{
    write_byte((uintptr_t)&sealed);
}

static void write_guard(void)
{
    write_byte(current_task()->stack_base - sizeof(uint64_t));
}

/* Whatever is there: it must not come to running it. */
static void execute(uintptr_t address)
{
    ((void (*volatile)(void))address)();
}

static void execute_data(void)
{
    static unsigned char code[64];

    execute((uintptr_t)code);
}

static void execute_stack(void)
{
    unsigned char code[64] = { 0 };

    execute((uintptr_t)code);
}

static void execute_direct_map(void)
{
    execute((uintptr_t)phys_to_virt(phys_alloc_zeroed(0)));
}

/* ---- The user half: threads of a process with one page ---- */

static struct hand_space space;

static void run_in_user_space(int (*entry)(void *), unsigned prot)
{
    if (!hand_create(&space) || !hand_map(&space, 0, prot))
        return;
    hand_start(&space, 1, entry);
    hand_finish(&space);
}

static int load_user(void *unused)
{
    (void)unused;
    log_info("%d", *(volatile int *)hand_va(0));
    return 0;
}

static int store_user(void *unused)
{
    (void)unused;
    *(volatile int *)hand_va(0) = 1;
    return 0;
}

static int call_user(void *unused)
{
    (void)unused;
    execute(hand_va(0));
    return 0;
}

/* What a copy may do, the handler of its fault may not. */
static int load_in_handler(vaddr_t va, unsigned access)
{
    (void)va;
    (void)access;
    log_info("%d", *(volatile int *)hand_va(0));
    return -EFAULT;
}

static int copy_user(void *unused)
{
    char byte;

    (void)unused;
    return user_copy_in(&byte, hand_va(1), 1);
}

static void read_user(void)
{
    run_in_user_space(load_user, PROT_WRITE);
}

static void write_user(void)
{
    run_in_user_space(store_user, PROT_WRITE);
}

static void execute_user(void)
{
    run_in_user_space(call_user, PROT_EXEC);
}

static void read_user_in_handler(void)
{
    (void)trap_set_user_fault(load_in_handler);
    run_in_user_space(copy_user, PROT_WRITE);
}

static void exit_with_mutex(void)
{
    static struct mutex mutex = MUTEX_INIT(mutex);

    mutex_lock(&mutex);
    task_exit(0);
}

static void double_free(void)
{
    paddr_t page = phys_alloc(0);

    phys_free(page, 0);
    phys_free(page, 0);
}

static void self_deadlock(void) NO_LOCK_ANALYSIS
{
    static struct spinlock lock = SPINLOCK_INIT(LOCK_SLAB);

    spin_lock(&lock);
    spin_lock(&lock);
}

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = {
    { "null-call", call_null },
    { "null-read", read_null },
    { "null-write", write_null },
    { "stack-overflow", overflow_stack },
    { "stack-guard", write_guard },
    { "assert", fail_assertion },
    { "page-fault", write_nowhere },
    { "wx", write_text },
    { "wx-alias", write_text_alias },
    { "rodata", write_constant },
    { "sealed", write_sealed },
    { "nx", execute_data },
    { "nx-stack", execute_stack },
    { "nx-direct-map", execute_direct_map },
    { "user-read", read_user },
    { "user-write", write_user },
    { "user-execute", execute_user },
    { "user-in-handler", read_user_in_handler },
    { "fpu", crash_use_fpu },
    { "exit-with-mutex", exit_with_mutex },
    { "double-free", double_free },
    { "deadlock", self_deadlock },
};

int crash_main(const char *argument)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (strcmp(argument, kinds[i].name) != 0)
            continue;
        log_info("crash: %s", argument);
        kinds[i].run();
        log_error("crash: %s did not crash", argument);
        return 3;
    }
    log_error("crash: no kind '%s'; there are:", argument);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        log_error("  %s", kinds[i].name);
    return 2;
}
