/* SPDX-License-Identifier: MIT */
/* core/sched/latency.c: a planted stretch is found, with its length and place; the worst few are kept, each once. */
#include "booted.h"
#include "unit.h"

#include <string.h>

#include <hal/irq.h>
#include <sched/latency.h>
#include <smp/preempt.h>
#include <time/clock.h>
#include <time/timer.h>

static struct task *urgent;

static void spin_until(uint64_t ticks)
{
    while (hal_clock_ticks() < ticks)
        hal_cpu_relax();
}

static void nothing(struct timer *timer)
{
    (void)timer;
}

static void wake_urgent(struct timer *timer)
{
    (void)timer;
    (void)task_wake(urgent);
}

static const struct latency_entry *worst(enum latency_kind kind)
{
    static struct latency_entry entry[LATENCY_WORST];

    latency_get(this_cpu_id(), kind, entry);
    return entry;
}

static void pin_here(void)
{
    struct cpumask here;

    cpumask_set_single(&here, this_cpu_id());
    CHECK(task_set_affinity(current_task(), &here) == 0);
}

/* The timer is due in the middle of a section without interrupts. */
static void irqs_off(void)
{
    struct timer timer;

    pin_here();
    uintptr_t state = hal_irq_save();
    uint64_t due = hal_clock_ticks() + 10000;

    latency_reset(this_cpu_id());
    timer_init(&timer, nothing);
    timer_arm(&timer, clock_ticks_to_ns(due));
    spin_until(due + 50000);
    CHECK(worst(LATENCY_TIMER)->ticks == 0);
    hal_irq_restore(state);
    state = hal_irq_save();
    CHECK(worst(LATENCY_TIMER)->ticks >= 50000 - 1000); /* 1000: an interrupt of before may be due first */
    CHECK(worst(LATENCY_TIMER)->end != 0 && worst(LATENCY_TIMER)->tid == current_task()->tid);
    hal_irq_restore(state);
    (void)timer_cancel(&timer);
}

/* A deadline in the past is no delay: what counts is when it was asked for. */
static void past_deadline(void)
{
    struct timer timer;

    pin_here();
    spin_until(200000);
    uintptr_t state = hal_irq_save();

    latency_reset(this_cpu_id());
    timer_init(&timer, nothing);
    timer_arm(&timer, 1);
    hal_irq_restore(state);
    state = hal_irq_save();
    CHECK(worst(LATENCY_TIMER)->ticks < 100000);
    hal_irq_restore(state);
    (void)timer_cancel(&timer);
}

static int wait_once(void *arg)
{
    uintptr_t state = hal_irq_save();

    (void)arg;
    sched_block(TASK_BLOCKED, WAIT_UNINTERRUPTED);
    hal_irq_restore(state);
    return 0;
}

static void preempt_off(void)
{
    struct task_snapshot snapshot;
    struct timer timer;

    pin_here();
    urgent = spawn_on("urgent", wait_once, NULL, 5, this_cpu_id());
    WAIT_FOR((task_get_snapshot(urgent, &snapshot), snapshot.state == TASK_BLOCKED));
    preempt_disable();
    uintptr_t state = hal_irq_save();

    latency_reset(this_cpu_id());
    timer_init(&timer, wake_urgent);
    timer_arm(&timer, 1);
    hal_irq_restore(state);
    spin_until(hal_clock_ticks() + 50000);
    CHECK(worst(LATENCY_PREEMPT)->ticks == 0);
    preempt_enable();
    CHECK(worst(LATENCY_PREEMPT)->ticks >= 49000);
    CHECK(worst(LATENCY_PREEMPT)->inside != 0 && worst(LATENCY_PREEMPT)->end != 0);
    CHECK(finish(urgent) == 0);
    (void)timer_cancel(&timer);
}

/* Another CPU asks, and this one does not listen. */
static int stop_listening(void *arg)
{
    _Atomic(bool) *deaf = arg;
    uintptr_t state = hal_irq_save();

    latency_reset(this_cpu_id());
    store_relaxed(deaf, true);
    while (load_relaxed(&this_cpu()->ipi_pending) == 0)
        hal_cpu_relax();
    spin_until(hal_clock_ticks() + 50000);
    hal_irq_restore(state);
    state = hal_irq_save();
    CHECK(worst(LATENCY_POKE)->ticks >= 49000);
    CHECK(worst(LATENCY_POKE)->tid == current_task()->tid);
    hal_irq_restore(state);
    return 0;
}

static void poke(void)
{
    _Atomic(bool) deaf = false;
    struct cpumask here;

    cpumask_set_single(&here, 0);
    CHECK(task_set_affinity(current_task(), &here) == 0);
    struct task *task = spawn_on("deaf", stop_listening, &deaf, 60, 1);

    WAIT_FOR(load_relaxed(&deaf));
    cpu_request(cpu_table[1], IPI_RESCHEDULE);
    CHECK(finish(task) == 0);
}

/* The worst few: by length, each place once, the shortest gives way. */
static void order(void)
{
    static const uint64_t ticks[] = { 1u << 30, 1u << 29, 7u << 28, 1u << 28, 3u << 29, 3u << 28 };
    struct latency_entry *entry = (struct latency_entry *)(uintptr_t)worst(LATENCY_IDLE);
    uintptr_t state = hal_irq_save();
    struct cpu *cpu = this_cpu();

    latency_reset(cpu->id);
    for (unsigned i = 0; i < ARRAY_COUNT(ticks); i++)
        latency_enter(cpu, LATENCY_IDLE, ticks[i], 0, 100 + i);
    CHECK(worst(LATENCY_IDLE) == entry && entry[0].ticks == 7u << 28 && entry[1].ticks == 3u << 29);
    CHECK(entry[2].ticks == 1u << 30 && entry[3].ticks == 3u << 28);
    CHECK(!latency_counts(cpu->latency, LATENCY_IDLE, 3u << 28));
    CHECK(latency_counts(cpu->latency, LATENCY_IDLE, (3u << 28) + 1));
    latency_enter(cpu, LATENCY_IDLE, (3u << 28) + 1, 0, 100); /* a place that is there with more */
    CHECK(worst(LATENCY_IDLE) == entry && entry[2].ticks == 1u << 30 && entry[3].ticks == 3u << 28);
    CHECK(!latency_counts(cpu->latency, LATENCY_IDLE, (3u << 28) + 1)); /* turned away once, not looked at again */
    latency_enter(cpu, LATENCY_IDLE, 4u << 29, 0, 100); /* and now with most */
    CHECK(worst(LATENCY_IDLE) == entry && entry[0].ticks == 4u << 29 && entry[0].end == 100);
    CHECK(entry[1].end == 102 && entry[2].end == 104 && entry[3].end == 105);
    latency_reset(cpu->id);
    CHECK(worst(LATENCY_IDLE) == entry && entry[0].ticks == 0);
    hal_irq_restore(state);
}

static void format(void)
{
    const struct latency_entry entry = { .ticks = clock_ns_to_ticks(5000), .inside = 1, .end = 1, .tid = 17 };
    char text[200];

    CHECK(latency_format(3, LATENCY_PREEMPT, &entry, text, sizeof text) < (int)sizeof text);
    CHECK(strstr(text, "CPU 3 preempt") == text && strstr(text, "task 17, at ?") != NULL);
    CHECK(strstr(text, "(inside ?)") != NULL);
}

/* For the run with latency=on: something must be there to be shown. */
static void shown(void)
{
    CHECK(latency_is_logged());
    (void)task_sleep_for(50000);
}

const struct kernel_test booted_tests[] = {
    { "irqs-off", irqs_off }, { "past-deadline", past_deadline }, { "preempt-off", preempt_off }, { "poke", poke },
    { "order", order },       { "format", format },               { "shown", shown },             { NULL, NULL },
};

static void a_timer_that_is_held_off_is_found(void **state)
{
    (void)state;
    booted_run("irqs-off", 24);
}

static void a_deadline_in_the_past_is_not_a_delay(void **state)
{
    (void)state;
    booted_run("past-deadline", 16);
}

static void a_preemption_that_is_held_off_is_found(void **state)
{
    (void)state;
    booted_run("preempt-off", 24);
}

static void a_poke_that_is_held_off_is_found(void **state)
{
    (void)state;
    booted_run_on(2, "poke", "", 16);
}

static void the_worst_few_places_are_kept(void **state)
{
    (void)state;
    booted_run_on(1, "order", "", 8);
    booted_run_on(1, "format", "", 8);
}

static void the_option_prints_it_at_the_end(void **state)
{
    (void)state;
    booted_run_on(2, "shown", "latency=on loglevel=2", 8);
    assert_non_null(strstr(booted_console(), "latency: CPU 0 handler"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_that_is_held_off_is_found),
        cmocka_unit_test(a_deadline_in_the_past_is_not_a_delay),
        cmocka_unit_test(a_preemption_that_is_held_off_is_found),
        cmocka_unit_test(a_poke_that_is_held_off_is_found),
        cmocka_unit_test(the_worst_few_places_are_kept),
        cmocka_unit_test(the_option_prints_it_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
