/* SPDX-License-Identifier: MIT */
/*
 * Switches and interrupts under register patterns. Victims hold patterns, disturbers cause interrupts and preempt them;
 * a test ends when enough has happened to every victim, counted by the scheduler, not after a time.
 */
#include <k/atomic.h>
#include <k/errno.h>
#include <smp/preempt.h>
#include <time/clock.h>
#include <time/timer.h>

#include "check.h"
#include "torture.h"

#define CPUS_MAX 8            /* of a larger machine the first CPUs are tortured */
#define VICTIMS_PER_CPU 4
#define BURST_ROUNDS 16       /* between two looks at `stop` */
#define SLEEP_NS_MIN (50 * NS_PER_US)
#define SLEEP_NS_SPREAD (150 * NS_PER_US)

struct victim {
    struct task *task;
    uint64_t (*run)(uint64_t seed, uint64_t rounds);
    uint64_t seed;
    uint64_t bursts; /* until it stops: 0 means until `stop` */
};

static struct {
    struct victim victim[CPUS_MAX * VICTIMS_PER_CPU];
    unsigned victims;
    struct task *disturber[CPUS_MAX];
    unsigned disturbers;
    _Atomic(bool) go;
    _Atomic(bool) stop;
    _Atomic(uint64_t) quiet_interrupts;
} torture;

static bool state_is_right(void)
{
    return hal_irq_is_enabled() && current_base()->preempt_count == 0;
}

static unsigned cpu_count(void)
{
    return MIN(online_count(), (unsigned)CPUS_MAX);
}

/* 0: all was right; else what the pattern function said, or -1 for a wrong interrupt or preemption state. */
static int be_victim(void *arg)
{
    struct victim *self = arg;

    if (!state_is_right())
        return -1;
    while (!load_relaxed(&torture.go))
        task_yield();
    for (uint64_t burst = 1; !load_relaxed(&torture.stop); burst++) {
        uint64_t wrong = self->run(self->seed + burst, BURST_ROUNDS);

        if (wrong != 0)
            return (int)wrong;
        if (!state_is_right())
            return -1;
        if (burst == self->bursts)
            break;
    }
    return 0;
}

static void count_interrupt(struct timer *timer)
{
    (void)timer;
    (void)fetch_add_relaxed(&torture.quiet_interrupts, 1);
}

/* Sleeps for short, varying times: each end is an interrupt and, as it is real-time, a preemption. Half-way, a timer
 * causes an interrupt that wakes nobody, so that the interrupted task goes on at once. */
static int be_disturber(void *arg)
{
    uint64_t seed = (uintptr_t)arg + 1;
    struct timer quiet;

    timer_init(&quiet, count_interrupt);
    while (!load_relaxed(&torture.stop)) {
        uint64_t half_ns = (SLEEP_NS_MIN + random_next(&seed) % SLEEP_NS_SPREAD) / 2;
        uint64_t start = clock_ns();
        uintptr_t state = hal_irq_save();

        timer_arm(&quiet, start + half_ns);
        hal_irq_restore(state);
        int result = task_sleep_until(start + 2 * half_ns);

        (void)timer_cancel(&quiet);
        if (result != 0 || !state_is_right())
            return 1;
    }
    return 0;
}

static struct task *create(int (*entry)(void *), void *arg, int priority, bool uses_fpu, const struct cpumask *where)
{
    struct task *task = NULL;
    const struct task_spec spec = {
        .name = uses_fpu ? "fpu victim" : "victim",
        .entry = entry,
        .arg = arg,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = priority,
        .affinity = where,
        .uses_fpu = uses_fpu,
    };

    return CHECK(task_create(&spec, &task) > 0) ? task : NULL;
}

static bool uses_fpu(uint64_t (*run)(uint64_t, uint64_t))
{
    return run == torture_fpu || run == torture_fpu_yielding;
}

/* On CPU n, or anywhere if that is CPU_NONE. */
static void add_victim(uint64_t (*run)(uint64_t, uint64_t), int priority, unsigned n, uint64_t bursts)
{
    struct cpumask where;

    if (uses_fpu(run) && HAL_FPU_BYTES == 0)
        return; /* this machine has no such registers */
    ASSERT(torture.victims < ARRAY_COUNT(torture.victim));
    struct victim *self = &torture.victim[torture.victims++];

    if (n == CPU_NONE)
        cpumask_set_all(&where);
    else
        cpumask_set_single(&where, online_cpu(n));
    self->run = run;
    self->seed = torture.victims * UINT64_C(0x9e3779b97f4a7c15);
    self->bursts = bursts;
    self->task = create(be_victim, self, priority, uses_fpu(run), &where);
}

/* From here to end() the test itself is more urgent than its victims: it must get to run among real-time ones, too. */
static void begin(void)
{
    torture.victims = 0;
    torture.disturbers = 0;
    store_relaxed(&torture.go, false);
    store_relaxed(&torture.stop, false);
    store_relaxed(&torture.quiet_interrupts, 0);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
}

static void disturb(void)
{
    for (unsigned n = 0; n < cpu_count(); n++)
        torture.disturber[torture.disturbers++] =
            spawn_on("disturber", be_disturber, (void *)(uintptr_t)n, PRIORITY_REALTIME_NORMAL, online_cpu(n));
    store_relaxed(&torture.go, true);
}

static void end(void)
{
    store_relaxed(&torture.go, true);
    store_relaxed(&torture.stop, true);
    for (unsigned i = 0; i < torture.victims; i++)
        CHECK(finish(torture.victim[i].task) == 0);
    for (unsigned i = 0; i < torture.disturbers; i++)
        CHECK(finish(torture.disturber[i]) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

/* Every victim has been preempted at least this often (or its creation, or its check, has failed already), and about as
 * many interrupts have passed without a switch. */
static bool all_preempted(uint64_t times)
{
    if (load_relaxed(&torture.quiet_interrupts) < times)
        return false;
    for (unsigned i = 0; i < torture.victims; i++) {
        struct task_snapshot snapshot;

        if (torture.victim[i].task == NULL)
            continue;
        task_get_snapshot(torture.victim[i].task, &snapshot);
        if (snapshot.state != TASK_DEAD && snapshot.stats.involuntary < times)
            return false;
    }
    return true;
}

/* Fair tasks on all CPUs but the last, which gets a pair of real-time ones that also take turns by their slices. */
static int priority_on(unsigned n)
{
    return n > 0 && n == cpu_count() - 1 ? PRIORITY_REALTIME_LOW : PRIORITY_DEFAULT;
}

static void general_registers_survive_preemption(void)
{
    begin();
    for (unsigned n = 0; n < cpu_count(); n++)
        for (unsigned i = 0; i < 2; i++)
            add_victim(torture_general, priority_on(n), n, 0);
    disturb();
    WAIT_FOR(all_preempted(100));
    end();
}

static void fpu_registers_survive_preemption(void)
{
    begin();
    for (unsigned n = 0; n < cpu_count(); n++) {
        add_victim(torture_fpu, priority_on(n), n, 0);
        add_victim(torture_general, priority_on(n), n, 0);
        add_victim(torture_fpu, priority_on(n), n, 0);
    }
    disturb();
    WAIT_FOR(all_preempted(60));
    end();
}

/* A yield switches while somebody else is ready: at least until the first of a CPU's four has finished. */
static void registers_survive_yielding(void)
{
    const uint64_t bursts = 12;
    uint64_t dispatched[CPUS_MAX] = { 0 };

    begin();
    for (unsigned n = 0; n < cpu_count(); n++) {
        add_victim(torture_general_yielding, PRIORITY_DEFAULT, n, bursts);
        add_victim(torture_fpu_yielding, PRIORITY_DEFAULT, n, bursts);
        add_victim(torture_general_yielding, PRIORITY_DEFAULT, n, bursts);
        add_victim(torture_fpu_yielding, PRIORITY_DEFAULT, n, bursts);
    }
    store_relaxed(&torture.go, true);
    for (unsigned i = 0; i < torture.victims; i++) {
        struct victim *victim = &torture.victim[i];
        struct task_snapshot snapshot;

        if (victim->task == NULL)
            continue;
        CHECK(task_join(victim->task, NULL, TIME_NEVER) == 0);
        task_get_snapshot(victim->task, &snapshot); /* it may still be on its way off the CPU */
        dispatched[i / (torture.victims / cpu_count())] += snapshot.stats.voluntary + snapshot.stats.involuntary;
    }
    for (unsigned n = 0; n < cpu_count(); n++)
        CHECK(dispatched[n] >= bursts * BURST_ROUNDS);
    end();
}

/* Everybody has come to another CPU, and was dispatched, often enough. */
static bool all_migrated(uint64_t times)
{
    for (unsigned i = 0; i < torture.victims; i++) {
        struct task_snapshot snapshot;

        if (torture.victim[i].task == NULL)
            continue;
        task_get_snapshot(torture.victim[i].task, &snapshot);
        if (snapshot.state != TASK_DEAD &&
            (snapshot.run_count < 2 * times || (online_count() > 1 && snapshot.stats.migrations < times)))
            return false;
    }
    return true;
}

static void registers_survive_migration(void)
{
    static uint64_t (*const kinds[])(uint64_t, uint64_t) = {
        torture_general, torture_fpu, torture_general_yielding, torture_fpu, torture_general, torture_fpu_yielding,
    };
    uint64_t seed = 99;
    struct cpumask where;

    begin();
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (cpu_count() * VICTIMS_PER_CPU <= torture.victims)
            break;
        add_victim(kinds[i], PRIORITY_DEFAULT, CPU_NONE, 0);
    }
    disturb();
    for (unsigned pass = 0; pass < 20000 && !all_migrated(40); pass++) {
        for (unsigned i = 0; i < torture.victims; i++) {
            if (torture.victim[i].task == NULL)
                continue;
            cpumask_set_single(&where, online_cpu(pass + i));
            int result = task_set_affinity(torture.victim[i].task, &where);

            CHECK(result == 0 || result == -ESRCH); /* dead: its check failed, and end() reports that */
        }
        CHECK(task_sleep_for(random_next(&seed) % SLEEP_NS_SPREAD) == 0);
    }
    CHECK(all_migrated(40));
    end();
}

static int be_newcomer(void *arg)
{
    if (!state_is_right() || torture_fpu_is_clean() != 1)
        return 1;
    if (torture_fpu((uintptr_t)arg, 2) != 0 || task_sleep_for(SLEEP_NS_MIN) != 0)
        return 2;
    return torture_fpu_yielding((uintptr_t)arg, 2) == 0 ? 0 : 3;
}

/* Others leave patterns in the registers all the time, and newcomers get the areas of those before them. */
static void new_tasks_see_clean_fpu_registers(void)
{
    if (HAL_FPU_BYTES == 0) {
        log_info("torture: this machine has no floating-point registers");
        return;
    }
    begin();
    for (unsigned n = 0; n < cpu_count(); n++)
        add_victim(torture_fpu, PRIORITY_DEFAULT, n, 0);
    disturb();
    for (uintptr_t pass = 1; pass <= 6; pass++) {
        struct task *newcomer[CPUS_MAX];
        struct cpumask where;

        for (unsigned n = 0; n < cpu_count(); n++) {
            cpumask_set_single(&where, online_cpu(n));
            newcomer[n] = create(be_newcomer, (void *)(pass * CPUS_MAX + n), PRIORITY_REALTIME_LOW, true, &where);
        }
        for (unsigned n = 0; n < cpu_count(); n++)
            CHECK(finish(newcomer[n]) == 0);
        reaper_wait_pass();
    }
    end();
}

/* No patterns: look at the state after each kind of way back onto the CPU. */
static uint64_t watch_state(uint64_t seed, uint64_t rounds)
{
    uint64_t state = seed | 1;

    for (; rounds > 0; rounds--) {
        for (unsigned i = 0; i < 2000; i++) {
            if (!state_is_right())
                return 1;
            hal_point(NULL);
        }
        if (random_next(&state) % 2 == 0)
            task_yield();
        else if (random_next(&state) % 8 == 0 && task_sleep_for(random_next(&state) % SLEEP_NS_MIN) != 0)
            return 1;
    }
    return 0;
}

static int be_short_lived(void *arg)
{
    (void)arg;
    return state_is_right() ? 0 : 1;
}

static void state_is_right_after_every_switch(void)
{
    begin();
    for (unsigned n = 0; n < cpu_count(); n++)
        for (unsigned i = 0; i < 2; i++)
            add_victim(watch_state, priority_on(n), n, 0);
    disturb();
    for (unsigned i = 0; i < 10 * cpu_count(); i++)
        CHECK(finish(spawn_on("short", be_short_lived, NULL, PRIORITY_REALTIME_LOW, online_cpu(i))) == 0);
    WAIT_FOR(all_preempted(30));
    end();
}

const struct kernel_test tests_torture[] = {
    { "torture: general registers survive preemption", general_registers_survive_preemption },
    { "torture: floating-point registers survive preemption", fpu_registers_survive_preemption },
    { "torture: registers survive yielding", registers_survive_yielding },
    { "torture: registers survive migration", registers_survive_migration },
    { "torture: new tasks see clean floating-point registers", new_tasks_see_clean_fpu_registers },
    { "torture: interrupt and preemption state are right after every switch", state_is_right_after_every_switch },
    { NULL, NULL },
};
