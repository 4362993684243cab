/* SPDX-License-Identifier: MIT */
/* CPUs that ask something of each other: calls, grace periods, passes of the reaper, whatever else they are doing. */
#include "scenario.h"

#include <hal/cpu.h>
#include <hal/point.h>
#include <smp/call.h>
#include <smp/preempt.h>
#include <smp/quiesce.h>

#define CALLERS 8

static struct {
    struct sim_line line;
    struct waitq contended;   /* its spinlock is fought for with interrupts disabled */
    unsigned guarded;         /* by contended.lock */
    _Atomic(unsigned) callers; /* at work */
    unsigned rounds;
} calls;

/* On the caller's stack: everything that the called CPUs stored must be there when the call returns. */
struct tally {
    _Atomic(unsigned) hits;
    unsigned on_cpu[64]; /* each written by its CPU alone */
};

static void tally_call(void *arg)
{
    struct tally *tally = arg;

    CHECK(!hal_irq_is_enabled());
    tally->on_cpu[this_cpu_id() % ARRAY_COUNT(tally->on_cpu)]++;
    (void)fetch_add_relaxed(&tally->hits, 1);
}

static void call_some(void)
{
    struct cpumask mask;
    struct tally tally = { .hits = 0 };
    unsigned expected = 0;

    sim_some_cpus(&mask);
    if (sim_chance(2))
        cpumask_set_all(&mask);
    smp_call(&mask, tally_call, &tally);
    for (unsigned i = 0; i < online_count(); i++) {
        cpu_id_t cpu = online_cpu(i);
        unsigned wanted = cpumask_contains(&mask, cpu) ? 1 : 0;

        CHECK(cpu >= ARRAY_COUNT(tally.on_cpu) || online_count() > ARRAY_COUNT(tally.on_cpu) ||
              tally.on_cpu[cpu] == wanted);
        expected += wanted;
    }
    CHECK(load_relaxed(&tally.hits) == expected);
}

static int call_often(void *arg)
{
    (void)arg;
    sim_line_wait(&calls.line);
    for (unsigned i = 0; i < calls.rounds; i++) {
        call_some();
        sim_delay();
    }
    (void)fetch_sub_relaxed(&calls.callers, 1);
    return 0;
}

/* Holds interrupts off, alone and in a fight for a spinlock. */
static int hold_interrupts_off(void *arg)
{
    int times = 0;

    (void)arg;
    sim_line_wait(&calls.line);
    while (load_relaxed(&calls.callers) > 0) {
        uintptr_t state = spin_lock_irqsave(&calls.contended.lock);

        calls.guarded++;
        sim_delay();
        spin_unlock_irqrestore(&calls.contended.lock, state);
        sched_check();
        sim_pause();
        times++;
    }
    return times;
}

/* Hazard 14: callers from all CPUs at once, while others hold interrupts off and spin. */
static void call_storm(void)
{
    struct task *caller[CALLERS], *holder[2];
    unsigned callers = MIN(online_count(), (unsigned)CALLERS);

    sim_line_init(&calls.line);
    waitq_init(&calls.contended);
    calls.guarded = 0;
    calls.rounds = 3 * sim_rounds();
    store_relaxed(&calls.callers, callers);
    for (unsigned i = 0; i < callers; i++)
        caller[i] = sim_spawn_nth("caller", call_often, NULL, i);
    for (unsigned i = 0; i < 2; i++)
        holder[i] = sim_spawn_nth("holder", hold_interrupts_off, NULL, i);
    sim_line_open(&calls.line, callers + 2);
    CHECK(sim_finish_all(caller, callers) == 0);
    CHECK(sim_finish_all(holder, 2) == (int64_t)calls.guarded);
}

#define OBJECTS 6
#define OBJECT_ALIVE 0x11fe11fe11fe11feu

struct guarded {
    struct quiesce_head reclaim;
    uint64_t mark; /* OBJECT_ALIVE while anybody may look */
    _Atomic(bool) is_free; /* PAIRS(sim_object) */
};

static struct {
    struct guarded object[OBJECTS];
    _Atomic(struct guarded *) current; /* PAIRS(sim_current) */
    _Atomic(unsigned) retired, freed;
    _Atomic(unsigned) writers;
    _Atomic(bool) stop;
} grace;

static void free_guarded(struct quiesce_head *head)
{
    struct guarded *object = container_of(head, struct guarded, reclaim);

    CHECK(object->mark == OBJECT_ALIVE);
    object->mark = 0;
    (void)fetch_add_relaxed(&grace.freed, 1);
    store_release(&object->is_free, true); /* PAIRS(sim_object) */
}

static void retire(struct guarded *object)
{
    if (object == NULL)
        return;
    (void)fetch_add_relaxed(&grace.retired, 1);
    quiesce_call(&object->reclaim, free_guarded);
}

static int replace_often(void *arg)
{
    for (uintptr_t left = (uintptr_t)arg; left > 0;) {
        struct guarded *object = &grace.object[sim_random_below(OBJECTS)];
        bool expected = true;

        if (!cas_acq_rel(&object->is_free, &expected, false)) { /* PAIRS(sim_object) */
            if (sim_chance(4))
                reaper_wait_pass();
            else
                sim_pause();
            continue;
        }
        object->mark = OBJECT_ALIVE;
        retire(xchg_acq_rel(&grace.current, object)); /* PAIRS(sim_current) */
        sim_delay();
        left--;
    }
    (void)fetch_sub_relaxed(&grace.writers, 1);
    return 0;
}

static void read_section(bool with_irqs_off)
{
    uintptr_t state = with_irqs_off ? hal_irq_save() : 0;

    preempt_disable();
    struct guarded *object = load_acquire(&grace.current); /* PAIRS(sim_current) */

    if (object != NULL) {
        CHECK(object->mark == OBJECT_ALIVE);
        sim_delay();
        CHECK(object->mark == OBJECT_ALIVE);
    }
    if (with_irqs_off)
        hal_irq_restore(state);
    preempt_enable();
}

static int read_often(void *arg)
{
    (void)arg;
    while (load_relaxed(&grace.writers) > 0) {
        read_section(sim_chance(2));
        if (sim_chance(2))
            sim_nap(3 * NS_PER_US);
        else
            task_yield();
    }
    return 0;
}

static void grace_begin(unsigned writers)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        store_relaxed(&grace.object[i].is_free, true);
    store_relaxed(&grace.current, NULL);
    store_relaxed(&grace.retired, 0);
    store_relaxed(&grace.freed, 0);
    store_relaxed(&grace.writers, writers);
    store_relaxed(&grace.stop, false);
}

static void grace_end(void)
{
    retire(xchg_acq_rel(&grace.current, NULL)); /* PAIRS(sim_current) */
    reaper_wait_pass();                         /* begins after it was queued, so it frees it */
    CHECK(load_relaxed(&grace.freed) == load_relaxed(&grace.retired));
    for (unsigned i = 0; i < OBJECTS; i++)
        CHECK(load_acquire(&grace.object[i].is_free)); /* PAIRS(sim_object) */
}

/* Nothing that a reader has found is freed while it reads. */
static void grace_readers(void)
{
    struct task *writer[2], *reader[3];

    grace_begin(ARRAY_COUNT(writer));
    for (unsigned i = 0; i < ARRAY_COUNT(reader); i++)
        reader[i] = sim_spawn_nth("reader", read_often, NULL, i);
    for (unsigned i = 0; i < ARRAY_COUNT(writer); i++)
        writer[i] = sim_spawn_nth("writer", replace_often, (void *)(uintptr_t)(3 * sim_rounds()), i + 1);
    CHECK(sim_finish_all(writer, ARRAY_COUNT(writer)) == 0);
    CHECK(sim_finish_all(reader, ARRAY_COUNT(reader)) == 0);
    grace_end();
    CHECK(load_relaxed(&grace.retired) == 6 * sim_rounds());
}

static int spin_until_stopped(void *arg)
{
    (void)arg;
    while (!load_relaxed(&grace.stop))
        hal_cpu_relax();
    return 0;
}

/* A CPU that never switches, idles or is interrupted by itself must not hold up a grace period for ever. */
static void grace_busy(void)
{
    struct task *busy[2];
    unsigned count = MIN(online_count() - 1, (unsigned)ARRAY_COUNT(busy));

    grace_begin(1);
    sim_stay_on(online_cpu(0));
    for (unsigned i = 0; i < count; i++)
        busy[i] = spawn_on("busy", spin_until_stopped, NULL, PRIORITY_REALTIME_NORMAL, online_cpu(i + 1));
    CHECK(replace_often((void *)(uintptr_t)(1 + sim_rounds())) == 0);
    grace_end();
    store_relaxed(&grace.stop, true);
    CHECK(sim_finish_all(busy, count) == 0);
    sim_roam();
}

const struct sim_scenario sim_scenarios_cross[] = {
    { .name = "call-storm", .aim = "CPUs that call each other, or hold interrupts off, wait for each other for ever",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = call_storm },
    { .name = "grace-readers", .aim = "something is freed while a reader still looks at it",
      .cpus = 4, .cpus_min = 1, .rounds = 2, .run = grace_readers },
    { .name = "grace-busy", .aim = "a CPU that never switches holds a grace period up for ever",
      .cpus = 3, .cpus_min = 2, .rounds = 1, .run = grace_busy },
    { .name = NULL },
};
