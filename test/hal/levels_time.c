/* SPDX-License-Identifier: MIT */
/* Levels about time and interrupts: clock, timer, idle, and a task that interrupts take off its CPU. CPU 0. */
#include "levels.h"

#include "roam.h"

#define CLOCK_READS 100000u
#define CLOCK_STEPS_MAX 100000000u /* of spinning until the clock moves: only a clock that stands needs so many */
#define EARLY_PARTS 16u            /* of its distance a timer may be early: rates are measured, core re-arms */
#define ARMS_MAX 2u /* of one deadline */
#define RATE_NS_MIN (10 * NS_PER_MS)
#define RATE_NS_MAX (3 * NS_PER_SEC)
#define IDLE_ROUNDS 500u
#define IDLE_RETURNS_MAX 1000u     /* without an interrupt, in 20 ms: more is a spin */
#define PREEMPT_ROUNDS 200u

void kit_wait_ns(uint64_t ns)
{
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(ns);

    while (hal_clock_ticks() < end)
        hal_cpu_relax();
}

const char *level_clock(void)
{
    uint64_t last = hal_clock_ticks();

    for (unsigned i = 0; i < CLOCK_READS; i++) {
        uint64_t now = hal_clock_ticks();

        CHECK(now >= last, "the clock went back from %llu to %llu", (unsigned long long)last, (unsigned long long)now);
        last = now;
        if (i % 16 == 0)
            hal_cpu_relax();
    }
    for (unsigned round = 0; round < 10; round++) {
        unsigned steps = 0;

        while (hal_clock_ticks() == last && steps++ < CLOCK_STEPS_MAX)
            hal_cpu_relax();
        CHECK(hal_clock_ticks() > last, "the clock stands still");
        last = hal_clock_ticks();
        kit_wait_ns(NS_PER_MS);
    }
    return NULL;
}

/* ---- timer ---- */

/* With interrupts enabled: until the timer has fired. */
static void wait_fired(unsigned before)
{
    struct kit_cpu *self = kit_self();
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

    while (self->timers == before) {
        CHECK_BEFORE(end, "CPU %u: the timer does not fire", self->id);
        hal_cpu_relax();
    }
}

static bool is_early(uint64_t deadline, uint64_t distance)
{
    return kit_self()->timer_ticks + distance / EARLY_PARTS < deadline;
}

/* The interrupt of a deadline that was replaced may be on its way already, and comes early: as core does, look at the
 * clock and arm again. That one has nothing to replace. */
uint64_t kit_timer_once(uint64_t ns)
{
    struct kit_cpu *self = kit_self();
    uintptr_t state = hal_irq_save();
    uint64_t distance = kit_ticks_of_ns(ns);
    uint64_t deadline = hal_clock_ticks() + distance;

    for (unsigned arms = 1; arms == 1 || is_early(deadline, distance); arms++) {
        unsigned before = self->timers;

        CHECK(arms <= ARMS_MAX, "the timer fires %llu ticks early, of %llu, and did so before",
              (unsigned long long)(deadline - self->timer_ticks), (unsigned long long)distance);
        hal_timer_arm(deadline);
        hal_irq_enable();
        wait_fired(before);
        hal_irq_disable();
    }
    hal_irq_restore(state);
    return self->timer_ticks > deadline ? self->timer_ticks - deadline : 0;
}

/* Nothing fires for so long, with interrupts enabled. */
static void check_silent(uint64_t ns, const char *when)
{
    struct kit_cpu *self = kit_self();
    unsigned before = self->timers;

    hal_irq_enable();
    kit_wait_ns(ns);
    hal_irq_disable();
    CHECK(self->timers == before, "the timer fires %s", when);
}

static void check_past(uint64_t deadline, const char *what)
{
    unsigned before = kit_self()->timers;

    hal_timer_arm(deadline);
    hal_irq_enable();
    wait_fired(before);
    hal_irq_disable();
    CHECK(kit_self()->timers > before, "%s does not fire", what);
    check_silent(NS_PER_MS, "again after it has fired");
}

/* A deadline `ns` away that is replaced in time. Whoever is too late (a busy host) tries again. */
static void check_replaced(uint64_t ns, uint64_t far_ticks, const char *when)
{
    for (;;) {
        uint64_t deadline = hal_clock_ticks() + kit_ticks_of_ns(ns);

        hal_timer_arm(deadline);
        hal_timer_arm(far_ticks == TIME_NEVER ? TIME_NEVER : hal_clock_ticks() + far_ticks);
        if (hal_clock_ticks() < deadline)
            break;
        hal_irq_enable();
        kit_wait_ns(ns);
        hal_irq_disable();
    }
    check_silent(2 * ns, when);
}

/* Armed and due while interrupts are disabled: it waits for them. */
static void check_kept(void)
{
    struct kit_cpu *self = kit_self();
    unsigned before = self->timers;

    hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(NS_PER_MS));
    kit_wait_ns(3 * NS_PER_MS);
    CHECK(self->timers == before, "trap_timer() is called while interrupts are disabled");
    hal_irq_enable();
    wait_fired(before);
    hal_irq_disable();
}

/* A timer of a wrong rate is late in proportion; what a busy host adds does not grow, so a longer distance passes. */
static void check_rate(void)
{
    uint64_t late = 0;

    for (uint64_t ns = RATE_NS_MIN; ns <= RATE_NS_MAX; ns *= 2) {
        late = kit_timer_once(ns);
        if (late < kit_ticks_of_ns(ns / 2))
            return;
    }
    CHECK(false, "the timer is late by half and more of any distance, in the end by %llu ticks",
          (unsigned long long)late);
}

const char *level_timer(void)
{
    static const uint64_t far_ns[] = { 3600 * NS_PER_SEC, UINT64_C(365) * 86400 * NS_PER_SEC };
    unsigned exits = kit_self()->exits;
    unsigned timers = kit_self()->timers;

    check_silent(5 * NS_PER_MS, "before anybody armed it");
    check_rate();
    check_silent(15 * NS_PER_MS, "again after it has fired");
    check_past(hal_clock_ticks() - 1, "a deadline that has just passed");
    check_past(hal_clock_ticks(), "a deadline of this moment");
    check_past(0, "a deadline at the beginning of time");
    check_replaced(20 * NS_PER_MS, TIME_NEVER, "although it was disarmed");
    for (unsigned i = 0; i < ARRAY_COUNT(far_ns); i++) {
        check_replaced(20 * NS_PER_MS, kit_ticks_of_ns(far_ns[i]), "at a deadline that was replaced by a far one");
        (void)kit_timer_once(NS_PER_MS); /* and the far one by a near one */
    }
    check_kept();
    CHECK(kit_self()->exits - exits == kit_self()->timers - timers, "%u timer interrupts, and %u calls of trap_exit()",
          kit_self()->timers - timers, kit_self()->exits - exits);
    hal_timer_arm(TIME_NEVER);
    return NULL;
}

/* ---- idle ---- */

/* Idle until the timer has fired; how often hal_cpu_idle() returned before that. */
static unsigned idle_until_fired(unsigned before)
{
    struct kit_cpu *self = kit_self();
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);
    unsigned returns = 0;

    while (self->timers == before) {
        CHECK_BEFORE(end, "idle: the timer does not fire");
        hal_cpu_idle();
        CHECK(!hal_irq_is_enabled(), "hal_cpu_idle() returned with interrupts enabled");
        returns++;
    }
    return returns;
}

const char *level_idle(void)
{
    struct kit_cpu *self = kit_self();
    unsigned before = self->timers;

    /* Due before the wait begins: it must not be missed. */
    hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(NS_PER_MS));
    kit_wait_ns(3 * NS_PER_MS);
    (void)idle_until_fired(before);
    before = self->timers;
    hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(20 * NS_PER_MS));
    unsigned returns = idle_until_fired(before);

    CHECK(returns <= IDLE_RETURNS_MAX, "hal_cpu_idle() does not wait: %u returns in 20 ms", returns);
    /* At any moment around the beginning of the wait. One that is missed hangs here, or is late by far. */
    for (unsigned i = 0; i < IDLE_ROUNDS; i++) {
        before = self->timers;
        hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(kit_random() % (20 * NS_PER_US)));
        (void)idle_until_fired(before);
    }
    hal_timer_arm(TIME_NEVER);
    return NULL;
}

/* ---- preempt ---- */

const char *level_preempt(void)
{
    roam_init();
    for (unsigned i = 0; i < PREEMPT_ROUNDS; i++)
        roam_on(kit_self(), NULL);
    CHECK(roam_rounds() > 0, "the interrupted task never got on");
    return NULL;
}
