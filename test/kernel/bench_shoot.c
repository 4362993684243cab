/* SPDX-License-Identifier: MIT */
/*
 * Costs of shoot-downs, counted as bench.c does, where the space is in use on all CPUs. QEMU runs the CPUs of -icount
 * one after the other and the clock counts what all of them execute. The others sleep in a thread of the space until
 * they are interrupted. So a line is the sum over all CPUs, until the call returns: the work, without waiting. Where
 * CPUs run at the same time, the part of the others overlaps.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include <proc/process.h>
#include <smp/call.h>
#include <smp/tlb.h>
#include <sched/waitq.h>
#include <time/clock.h>
#include <vm/space.h>

#include "bench.h"
#include "check.h"

#define ROUNDS 200u
#define SLEEPERS_MAX 8u /* threads; with more CPUs the others do not use the space */
#define USER_VA ((vaddr_t)0x10000000)

static struct {
    _Atomic(unsigned) asleep;
    _Atomic(bool) is_over;
    unsigned others;
} story;

/* Keeps the space in use on its CPU, and costs nothing. */
static int sleeper(void *arg)
{
    (void)arg;
    (void)fetch_add_relaxed(&story.asleep, 1);
    while (!load_relaxed(&story.is_over)) {
        uintptr_t state = hal_irq_save();

        if (!load_relaxed(&story.is_over))
            hal_cpu_idle();
        sched_irq_restore(state);
    }
    return 0;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

/* Of `pages` pages, in one range or each `stride` pages from the one before. */
static void shoot(const char *name, unsigned pages, unsigned stride)
{
    struct tlb_space *space = &space_current()->tlb;
    struct tlb_stats before, after;
    uint64_t ns = 0;

    tlb_stats_get(&before);
    for (unsigned round = 0; round <= ROUNDS; round++) {
        struct tlb_batch batch;

        tlb_batch_init(&batch, space);
        for (unsigned i = 0; i < pages; i++)
            tlb_batch_add(&batch, USER_VA + i * stride * PAGE_BYTES, 1);
        uint64_t start = clock_ns();

        tlb_batch_flush(&batch);
        if (round > 0)
            ns += clock_ns() - start;
    }
    tlb_stats_get(&after);
    /* All of them were reached, each time, or it would not be what the line says. */
    CHECK(after.disturbed - before.disturbed == (uint64_t)(ROUNDS + 1) * story.others);
    bench_report(name, ns, ROUNDS);
}

static int shooter(void *arg)
{
    (void)arg;
    while (load_relaxed(&story.asleep) < story.others)
        (void)task_sleep_for(NS_PER_MS);
    (void)task_sleep_for(NS_PER_MS); /* until the last one is */
    shoot("shootdown_page", 1, 1);
    shoot("shootdown_32_pages", 32, 1);
    shoot("shootdown_16_apart", 16, 2);
    store_relaxed(&story.is_over, true);
    smp_call_all(do_nothing, NULL); /* wakes them */
    return 0;
}

static struct thread *start(struct process *process, int (*entry)(void *), int priority, unsigned cpu)
{
    struct thread *thread = NULL;
    struct cpumask here;
    const struct thread_spec spec = {
        .name = "shoot", .entry = entry, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = priority,
        .affinity = &here,
    };

    cpumask_set_single(&here, online_cpu(cpu));
    if (CHECK(thread_create(process, &spec, &thread) == 0))
        CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
    return thread;
}

void bench_shootdown(void)
{
    struct process *process = NULL;
    struct thread *thread[SLEEPERS_MAX];
    int status = -1;

    if (!CHECK(process_create(&process_kernel, "shoot", &process) == 0))
        return;
    story.others = MIN(online_count(), SLEEPERS_MAX) - 1;
    store_relaxed(&story.asleep, 0);
    store_relaxed(&story.is_over, false);
    thread[0] = start(process, shooter, 0, 0);
    for (unsigned i = 1; i <= story.others; i++)
        thread[i] = start(process, sleeper, 65, i);
    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid && status == 0);
    for (unsigned i = 0; i <= story.others; i++)
        if (thread[i] != NULL)
            thread_put(thread[i]);
    process_put(process);
}
