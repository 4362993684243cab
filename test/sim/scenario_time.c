/* SPDX-License-Identifier: MIT */
/* Timers and sleeps: against cancelling, against each other, and never early. */
#include "scenario.h"

#include <boot/hotplug.h>
#include <hal/cpu.h>
#include <hal/point.h>
#include <lib/string.h>
#include <time/timer.h>

#define TIMERS 6

enum slot_state { SLOT_FREE, SLOT_BUSY, SLOT_ARMED };

struct slot {
    _Atomic(enum slot_state) state; /* PAIRS(sim_slot) */
    _Atomic(bool) is_firing;
    uint64_t deadline_ns; /* owned by whoever made the slot busy */
    struct timer timer;
};

static struct {
    struct slot slot[TIMERS];
    _Atomic(unsigned) armed, fired, prevented;
    _Atomic(unsigned) armers;
} timers;

static void note_fire(struct timer *timer)
{
    struct slot *slot = container_of(timer, struct slot, timer);

    store_relaxed(&slot->is_firing, true);
    CHECK(clock_ns() >= slot->deadline_ns);
    (void)fetch_add_relaxed(&timers.fired, 1);
    for (unsigned i = 0; i < 8; i++)
        hal_point(NULL); /* so that a cancel can meet it here */
    store_relaxed(&slot->is_firing, false);
}

static bool claim(struct slot *slot, enum slot_state from)
{
    return cas_acq_rel(&slot->state, &from, SLOT_BUSY); /* PAIRS(sim_slot) */
}

static int arm_timers(void *arg)
{
    for (uintptr_t left = (uintptr_t)arg; left > 0;) {
        struct slot *slot = &timers.slot[sim_random_below(TIMERS)];

        if (!claim(slot, SLOT_FREE)) {
            sim_pause();
            continue;
        }
        uintptr_t state = hal_irq_save();

        slot->deadline_ns = clock_ns() + sim_random_below(3000);
        timer_init(&slot->timer, note_fire);
        timer_arm(&slot->timer, slot->deadline_ns);
        hal_irq_restore(state);
        (void)fetch_add_relaxed(&timers.armed, 1);
        store_release(&slot->state, SLOT_ARMED); /* PAIRS(sim_slot) */
        left--;
    }
    (void)fetch_sub_relaxed(&timers.armers, 1);
    return 0;
}

static void cancel(struct slot *slot)
{
    if (timer_cancel(&slot->timer))
        (void)fetch_add_relaxed(&timers.prevented, 1);
    CHECK(!load_relaxed(&slot->is_firing));
    (void)memset(&slot->timer, 0x5a, sizeof slot->timer); /* it is ours alone now */
    store_release(&slot->state, SLOT_FREE);               /* PAIRS(sim_slot) */
}

static int cancel_timers(void *arg)
{
    (void)arg;
    while (load_relaxed(&timers.armers) > 0) {
        struct slot *slot = &timers.slot[sim_random_below(TIMERS)];

        if (claim(slot, SLOT_ARMED)) {
            sim_delay();
            cancel(slot);
        } else {
            sim_pause();
        }
    }
    return 0;
}

/* Each timer fires or is prevented, and when the cancel has returned its callback has, too. */
static void timer_cancel_story(void)
{
    struct task *armer[2], *canceller[2];

    store_relaxed(&timers.armed, 0);
    store_relaxed(&timers.fired, 0);
    store_relaxed(&timers.prevented, 0);
    store_relaxed(&timers.armers, 2);
    for (unsigned i = 0; i < TIMERS; i++)
        store_relaxed(&timers.slot[i].state, SLOT_FREE);
    for (unsigned i = 0; i < 2; i++) {
        armer[i] = sim_spawn_nth("armer", arm_timers, (void *)(uintptr_t)(8 * sim_rounds()), i);
        canceller[i] = spawn("canceller", cancel_timers, NULL, PRIORITY_DEFAULT, NULL);
    }
    CHECK(sim_finish_all(armer, 2) == 0);
    CHECK(sim_finish_all(canceller, 2) == 0);
    for (unsigned i = 0; i < TIMERS; i++)
        if (claim(&timers.slot[i], SLOT_ARMED))
            cancel(&timers.slot[i]);
    CHECK(load_relaxed(&timers.armed) == 16 * sim_rounds());
    CHECK(load_relaxed(&timers.fired) + load_relaxed(&timers.prevented) == load_relaxed(&timers.armed));
}

static struct {
    struct timer timer;
    _Atomic(unsigned) fired;
    struct event armed, over;
} chain;

#define CHAIN_FIRES 40

static void fire_and_arm_again(struct timer *timer)
{
    if (fetch_add_relaxed(&chain.fired, 1) + 1 < CHAIN_FIRES)
        timer_arm(timer, clock_ns() + 300);
}

static int arm_chain(void *arg)
{
    (void)arg;
    for (unsigned round = sim_rounds(); round > 0; round--) {
        uintptr_t state = hal_irq_save();

        store_relaxed(&chain.fired, 0);
        timer_init(&chain.timer, fire_and_arm_again);
        timer_arm(&chain.timer, clock_ns() + 300);
        hal_irq_restore(state);
        event_signal(&chain.armed);
        CHECK(event_wait(&chain.over, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    }
    return 0;
}

/* A timer that arms itself again in its callback is cancelled from elsewhere: after that it is quiet. */
static void timer_chain(void)
{
    sim_stay_on(online_cpu(0));
    event_init(&chain.armed);
    event_init(&chain.over);
    struct task *armer = spawn_on("armer", arm_chain, NULL, PRIORITY_USER_HIGH, online_cpu(online_count() - 1));

    if (armer == NULL)
        return;
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(event_wait(&chain.armed, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        sim_nap(15 * NS_PER_US);
        sim_delay();
        bool prevented = timer_cancel(&chain.timer);
        unsigned fired = load_relaxed(&chain.fired);

        CHECK(prevented ? fired < CHAIN_FIRES : fired == CHAIN_FIRES);
        sim_nap(2 * NS_PER_US);
        CHECK(load_relaxed(&chain.fired) == fired);
        event_signal(&chain.over);
    }
    CHECK(finish(armer) == 0);
    sim_roam();
}

static struct {
    struct sim_line line;
    uint64_t deadline_ns;
    _Atomic(unsigned) awake;
} sleepers;

#define SLEEPERS 10

static int sleep_with_others(void *arg)
{
    uint64_t deadline = sleepers.deadline_ns + (uint64_t)(uintptr_t)arg;

    CHECK(task_sleep_until(deadline) == 0);
    CHECK(clock_ns() >= deadline);
    (void)fetch_add_relaxed(&sleepers.awake, 1);
    return 0;
}

/* Sleepers whose deadlines are equal, or one nanosecond apart: equal keys in one queue, one interrupt for all. */
static void sleep_equal(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *task[SLEEPERS];

        store_relaxed(&sleepers.awake, 0);
        sleepers.deadline_ns = clock_ns() + 30 * NS_PER_US;
        for (unsigned i = 0; i < SLEEPERS; i++)
            task[i] = sim_spawn_nth("sleeper", sleep_with_others, (void *)(uintptr_t)(i % 3 == 2), i / 2);
        CHECK(sim_finish_all(task, SLEEPERS) == 0);
        CHECK(load_relaxed(&sleepers.awake) == SLEEPERS);
    }
}

static struct task *dreamer[4];

static int sleep_long(void *arg)
{
    int kills = 0;

    (void)arg;
    for (unsigned i = 0; i < 6 && kills == 0; i++) {
        uint64_t deadline = clock_ns() + sim_random_below(4000);
        int result = task_sleep_until(deadline);

        CHECK(result == 0 ? clock_ns() >= deadline : result == -EINTR && task_is_killed());
        kills += result != 0;
    }
    return kills;
}

/* Sleepers are woken for nothing and killed at about the time of their deadlines: never early, except for a kill. */
static void sleep_kill(void)
{
    for (unsigned round = 2 * sim_rounds(); round > 0; round--) {
        for (unsigned i = 0; i < ARRAY_COUNT(dreamer); i++) {
            dreamer[i] = spawn("dreamer", sleep_long, NULL, PRIORITY_DEFAULT, NULL);
            if (dreamer[i] == NULL)
                return;
        }
        for (unsigned i = 0; i < 8; i++) {
            (void)task_wake(dreamer[sim_random_below(ARRAY_COUNT(dreamer))]);
            sim_nap(NS_PER_US);
        }
        unsigned killed = 0;

        for (unsigned i = 0; i < 2; i++)
            killed += task_kill(dreamer[i]) == 0;
        CHECK(sim_finish_all(dreamer, ARRAY_COUNT(dreamer)) <= killed);
    }
}

#define LATE_NS 200000

static struct event late_fired;

static void late_fire(struct timer *timer)
{
    (void)timer;
    event_signal(&late_fired);
}

static int late_arm(void *arg)
{
    uintptr_t state = hal_irq_save();

    timer_arm(arg, clock_ns() + LATE_NS);
    hal_irq_restore(state);
    return 0;
}

/* A timer goes to a CPU that sleeps and has none, and nobody has another reason to wake it. */
static void timer_handed_over(void)
{
    static struct timer timer;
    cpu_id_t others = load_relaxed(&cpu_started_count) - 1;

    event_init(&late_fired);
    timer_init(&timer, late_fire);
    for (unsigned round = 0; round < sim_rounds(); round++) {
        cpu_id_t cpu = 1 + (cpu_id_t)sim_random_below(others);

        CHECK(finish(spawn_on("armer", late_arm, &timer, PRIORITY_DEFAULT, cpu)) == 0);
        int result = -EBUSY;

        while ((result = cpu_offline(cpu)) == -EBUSY)
            sim_pause(); /* who has been waited for may still be on its way to its death */
        CHECK(result == 0);
        CHECK(event_wait(&late_fired, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        CHECK(cpu_online(cpu) == 0);
    }
    (void)timer_cancel(&timer);
}

const struct sim_scenario sim_scenarios_time[] = {
    { .name = "timer-cancel", .aim = "a timer fires although it was cancelled, or neither fires nor is cancelled",
      .cpus = 3, .cpus_min = 1, .rounds = 6, .run = timer_cancel_story },
    { .name = "timer-chain", .aim = "a timer that arms itself again survives its cancelling",
      .cpus = 2, .cpus_min = 1, .rounds = 12, .run = timer_chain },
    { .name = "sleep-equal", .aim = "of several sleepers with one deadline one sleeps on, or wakes early",
      .cpus = 4, .cpus_min = 1, .rounds = 9, .run = sleep_equal },
    { .name = "sleep-kill", .aim = "a sleeper is woken for nothing or killed at its deadline",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = sleep_kill },
    { .name = "timer-handed-over", .aim = "a CPU that gets a timer from one that goes off sleeps on",
      .cpus = 3, .cpus_min = 2, .rounds = 4, .run = timer_handed_over },
    { .name = NULL },
};
