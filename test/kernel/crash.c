/* SPDX-License-Identifier: MIT */
/* Deliberate crashes: each must end in one panic with a symbolised backtrace, never in silence. */
#include <hal/mmu.h>
#include <k/assert.h>
#include <lib/string.h>
#include <sched/mutex.h>

#include "check.h"

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

static void write_text(void)
{
    *(volatile unsigned char *)(uintptr_t)write_text = 0;
}

static void execute_data(void)
{
    static unsigned char code[64];
    void (*volatile function)(void) = (void (*)(void))(uintptr_t)code;

    function();
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
    { "null-call", call_null },     { "stack-overflow", overflow_stack }, { "assert", fail_assertion },
    { "page-fault", write_nowhere }, { "null-read", read_null },          { "wx", write_text },
    { "nx", execute_data },          { "fpu", crash_use_fpu },            { "exit-with-mutex", exit_with_mutex },
    { "double-free", double_free },  { "deadlock", self_deadlock },
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
