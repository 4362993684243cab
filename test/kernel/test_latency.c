/* SPDX-License-Identifier: MIT */
/* The latency ledger finds planted stretches, with their lengths and, where the image knows names, their places. */
#include <hal/irq.h>
#include <lib/string.h>
#include <sched/latency.h>
#include <smp/preempt.h>
#include <time/clock.h>
#include <time/timer.h>
#include <trace/backtrace.h>

#include "check.h"

#define PLANTED_NS (200 * NS_PER_US)

static struct task *urgent;
static _Atomic(bool) has_fired;

/* Does the code address lie in the function of that name? An image without names cannot tell. */
static bool is_in(uintptr_t pc, const char *function)
{
    char name[96];
    uintptr_t slide;

    symbol_format(pc, name, sizeof name);
    if (!symbol_slide(&slide))
        return pc != 0;
    return strncmp(name, function, strlen(function)) == 0;
}

static void note_fired(struct timer *timer)
{
    (void)timer;
    store_relaxed(&has_fired, true);
}

static void wake_urgent(struct timer *timer)
{
    (void)task_wake(urgent);
    note_fired(timer);
}

static void spin_until(uint64_t ns)
{
    while (clock_ns() < ns)
        hal_cpu_relax();
}

static void pin_to(cpu_id_t cpu)
{
    struct cpumask mask;

    cpumask_set_single(&mask, cpu);
    CHECK(task_set_affinity(current_task(), &mask) == 0);
}

static void unpin(void)
{
    struct cpumask all;

    cpumask_set_all(&all);
    CHECK(task_set_affinity(current_task(), &all) == 0);
}

/* The entry that ends in the function, or NULL. Longer ones may be beside it: a machine that stands still is late with
 * whatever it has to do next. */
static const struct latency_entry *find_end(const struct latency_entry worst[LATENCY_WORST], const char *function)
{
    for (unsigned i = 0; i < LATENCY_WORST; i++)
        if (worst[i].end != 0 && is_in(worst[i].end, function))
            return &worst[i];
    return NULL;
}

/* The interrupt comes at the instruction that lets it in: one in this function. Returns with interrupts disabled, so
 * that no other one comes in between. */
static NOINLINE uintptr_t planted_without_interrupts(struct timer *timer)
{
    uintptr_t state = hal_irq_save();
    uint64_t start = clock_ns();

    store_relaxed(&has_fired, false);
    latency_reset(this_cpu_id());
    timer_arm(timer, start + PLANTED_NS / 2);
    spin_until(clock_ns() + 2 * PLANTED_NS); /* a timer that is armed when it is due counts from then on */
    hal_irq_restore(state);
    /* Not always at once: an emulator's timer may be late, too. */
    while (!load_relaxed(&has_fired))
        hal_cpu_relax();
    return hal_irq_save();
}

static void interrupts_off(void)
{
    struct latency_entry worst[LATENCY_WORST];
    struct timer timer;

    pin_to(online_cpu(0));
    timer_init(&timer, note_fired);
    uintptr_t state = planted_without_interrupts(&timer);

    latency_get(this_cpu_id(), LATENCY_TIMER, worst);
    hal_irq_restore(state);
    (void)timer_cancel(&timer);
    const struct latency_entry *found = find_end(worst, "planted_without_interrupts");

    if (CHECK(found != NULL)) {
        CHECK(found->ticks >= clock_ns_to_ticks(PLANTED_NS));
        CHECK(found->tid == current_task()->tid);
    }
    unpin();
}

static int wait_once(void *arg)
{
    uintptr_t state = hal_irq_save();

    (void)arg;
    sched_block(TASK_BLOCKED, WAIT_UNINTERRUPTED);
    hal_irq_restore(state);
    return 0;
}

/* The request comes early in the section, by an interrupt; it is met at its end. */
static NOINLINE void planted_without_preemption(struct timer *timer)
{
    preempt_disable();
    uintptr_t state = hal_irq_save();
    uint64_t start = clock_ns();

    store_relaxed(&has_fired, false);
    latency_reset(this_cpu_id());
    timer_arm(timer, start + PLANTED_NS / 4);
    hal_irq_restore(state);
    while (!load_relaxed(&has_fired))
        hal_cpu_relax();
    spin_until(clock_ns() + 2 * PLANTED_NS);
    preempt_enable();
    compiler_barrier(); /* the call that it may make is not this function's last act */
}

static void preemption_off(void)
{
    struct latency_entry worst[LATENCY_WORST];
    struct task_snapshot snapshot;
    struct timer timer;
    unsigned found = LATENCY_WORST;

    pin_to(online_cpu(0));
    urgent = spawn_on("urgent", wait_once, NULL, 5, this_cpu_id());
    if (urgent == NULL)
        return;
    WAIT_FOR((task_get_snapshot(urgent, &snapshot), snapshot.state == TASK_BLOCKED));
    timer_init(&timer, wake_urgent);
    planted_without_preemption(&timer);
    latency_get(this_cpu_id(), LATENCY_PREEMPT, worst);
    (void)timer_cancel(&timer);
    for (unsigned i = LATENCY_WORST; i-- > 0;)
        if (worst[i].inside != 0 && is_in(worst[i].end, "planted_without_preemption"))
            found = i;
    if (CHECK(found < LATENCY_WORST)) {
        CHECK(worst[found].ticks >= clock_ns_to_ticks(PLANTED_NS));
        CHECK(is_in(worst[found].inside, "planted_without_preemption"));
        CHECK(worst[found].tid == current_task()->tid);
    }
    CHECK(finish(urgent) == 0);
    unpin();
}

struct deaf {
    _Atomic(bool) is_deaf;
    _Atomic(bool) is_told;
    struct latency_entry worst[LATENCY_WORST];
};

static NOINLINE uintptr_t planted_without_pokes(struct deaf *deaf)
{
    uintptr_t state = hal_irq_save();

    latency_reset(this_cpu_id());
    store_relaxed(&deaf->is_deaf, true);
    while (!load_relaxed(&deaf->is_told))
        hal_cpu_relax();
    spin_until(clock_ns() + 2 * PLANTED_NS);
    hal_irq_restore(state);
    while (load_relaxed(&this_cpu()->ipi_pending) != 0)
        hal_cpu_relax();
    return hal_irq_save();
}

static int be_deaf(void *arg)
{
    struct deaf *deaf = arg;
    uintptr_t state = planted_without_pokes(deaf);

    latency_get(this_cpu_id(), LATENCY_POKE, deaf->worst);
    hal_irq_restore(state);
    return 0;
}

static void pokes_off(void)
{
    struct deaf deaf = { .is_deaf = false };

    if (online_count() < 2)
        return;
    pin_to(online_cpu(0));
    struct task *task = spawn_on("deaf", be_deaf, &deaf, 60, online_cpu(1));

    WAIT_FOR(load_relaxed(&deaf.is_deaf));
    cpu_request(cpu_table[online_cpu(1)], IPI_RESCHEDULE);
    store_relaxed(&deaf.is_told, true);
    CHECK(finish(task) == 0);
    const struct latency_entry *found = find_end(deaf.worst, "planted_without_pokes");

    if (CHECK(found != NULL))
        CHECK(found->ticks >= clock_ns_to_ticks(PLANTED_NS));
    unpin();
}

const struct kernel_test tests_latency[] = {
    { "latency: a stretch without interrupts that holds the timer off is found with its place", interrupts_off },
    { "latency: a stretch without preemption is found with its place", preemption_off },
    { "latency: a stretch without interrupts that holds a poke off is found with its place", pokes_off },
    { NULL, NULL },
};
