/* SPDX-License-Identifier: MIT */
/*
 * CPUs go off and come back while everything else goes on: tasks that run, sleep with and without a timeout, wake each
 * other, change their affinity, are made and end; calls, flushes of kernel mappings, grace periods; promises to
 * deadline tasks, mutexes between classes, and what stoppers are asked to do.
 */
#include "scenario.h"

#include <boot/hotplug.h>
#include <hal/cpu.h>
#include <mm/kstack.h>
#include <sched/params.h>
#include <sched/stop.h>
#include <smp/call.h>
#include <smp/preempt.h>

#define BUSY_MAX 24
#define SPREAD_MAX 256 /* more than CPUs: or one that is back may rightly idle */
#define CPUS_SEEN CPU_MAX
#define NAP_NS 30000

static struct {
    struct sim_line line;
    struct event ping, pong;
    _Atomic(bool) stop;
    _Atomic(unsigned) seen[CPUS_SEEN]; /* looks of busy tasks at where they are */
    _Atomic(unsigned) calls;
} plug;

static void plug_begin(void)
{
    sim_line_init(&plug.line);
    event_init(&plug.ping);
    event_init(&plug.pong);
    store_relaxed(&plug.stop, false);
    for (unsigned i = 0; i < load_relaxed(&cpu_started_count); i++)
        store_relaxed(&plug.seen[i], 0);
}

static void see(void)
{
    preempt_disable();
    (void)fetch_add_relaxed(&plug.seen[this_cpu_id()], 1);
    preempt_enable();
}

/* ---- What goes on meanwhile ---- */

static int busy(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        see();
        sim_delay();
        hal_cpu_relax(); /* a strategy with priorities lets others go on */
        sched_check();
        if (sim_chance(8))
            task_yield();
    }
    return 0;
}

static int napper(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        uint64_t until_ns = clock_ns() + sim_random_below(NAP_NS);

        CHECK(task_sleep_until(until_ns) == 0 && clock_ns() >= until_ns);
    }
    return 0;
}

/* Timeouts race with the signal, so timers are cancelled while their CPU goes off. */
static int waiter(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        if (event_wait(&plug.ping, clock_ns() + sim_random_below(NAP_NS), WAIT_UNINTERRUPTED) == 0)
            event_signal(&plug.pong);
    }
    return 0;
}

static int signaller(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        event_signal(&plug.ping);
        (void)event_wait(&plug.pong, clock_ns() + sim_random_below(NAP_NS), WAIT_UNINTERRUPTED);
    }
    return 0;
}

static int wanderer(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        struct cpumask mask;

        sim_some_cpus(&mask);
        int result = task_set_affinity(current_task(), &mask);

        CHECK(result == 0 || (result == -EINVAL && !cpumask_contains(&mask, 0)));
        CHECK(sched_is_well_placed());
        see();
        sim_nap(NAP_NS);
    }
    sim_roam();
    return 0;
}

static void count_call(void *arg)
{
    (void)fetch_add_relaxed((_Atomic(unsigned) *)arg, 1);
}

static int caller(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        _Atomic(unsigned) hits = 0;

        smp_call_all(count_call, &hits);
        CHECK(load_relaxed(&hits) >= 1 && load_relaxed(&hits) <= load_relaxed(&cpu_started_count));
        sim_nap(NAP_NS);
    }
    return 0;
}

/* New kernel mappings where others were: a CPU that missed a flush would still know those. */
static int mapper(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        struct kstack stack;

        if (kstack_alloc(PAGE_BYTES * (1 + sim_random_below(3)), &stack) != 0)
            continue;
        volatile uint64_t *top = (volatile uint64_t *)(stack.base + stack.bytes) - 1;

        *top = stack.base;
        sim_delay();
        CHECK(*top == stack.base);
        kstack_free(&stack);
        sim_nap(NAP_NS);
    }
    return 0;
}

static int maker(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        struct cpumask mask;
        struct task *child = NULL;

        sim_some_cpus(&mask);
        const struct task_spec spec = {
            .name = "child", .entry = sim_end_with, .stack_bytes = STACK_BYTES_DEFAULT,
            .priority = sim_some_priority(), .affinity = sim_chance(2) ? &mask : NULL,
        };
        tid_t tid = task_create(&spec, &child);

        CHECK(tid > 0 || (tid == -EINVAL && !cpumask_contains(&mask, 0)));
        if (tid > 0)
            CHECK(finish(child) == 0);
        sim_nap(NAP_NS);
    }
    return 0;
}

/* ---- Stories ---- */

static cpu_id_t some_other_cpu(void)
{
    return 1 + (cpu_id_t)sim_random_below(load_relaxed(&cpu_started_count) - 1);
}

static bool is_parked(cpu_id_t cpu)
{
    return load_acquire(&cpu_table[cpu]->state) == CPU_OFFLINE && !cpu_is_online(cpu); /* PAIRS(cpu_online) */
}

/* Off, a while, on. What was off has run nobody. */
static void off_and_on(cpu_id_t cpu, uint64_t off_ns)
{
    int result = cpu_offline(cpu);

    CHECK(result == 0 || result == -EBUSY);
    if (result != 0)
        return;
    unsigned seen = load_relaxed(&plug.seen[cpu]);

    CHECK(is_parked(cpu) && this_cpu_id() != cpu);
    CHECK(cpu_offline(cpu) == -ENODEV);
    sim_nap(off_ns);
    CHECK(load_acquire(&cpu_table[cpu]->state) == CPU_OFFLINE); /* PAIRS(cpu_online) */
    CHECK(load_relaxed(&plug.seen[cpu]) == seen);
    CHECK(cpu_online(cpu) == 0);
    CHECK(cpu_online(cpu) == -EBUSY && cpu_is_online(cpu));
}

static void stop_all(struct task *const *tasks, unsigned count)
{
    store_relaxed(&plug.stop, true);
    CHECK(sim_finish_all(tasks, count) == 0);
    CHECK(online_count() == load_relaxed(&cpu_started_count));
}

/* Everything at once. */
static void plug_storm(void)
{
    static int (*const kinds[])(void *) = { busy,     napper,  waiter, signaller, wanderer, busy,
                                            caller,   mapper,  maker,  napper,    waiter };
    static const char *const names[] = { "busy",   "napper", "waiter", "signaller", "wanderer", "busy",
                                         "caller", "mapper", "maker",  "napper",    "waiter" };
    struct task *tasks[ARRAY_COUNT(kinds)];

    plug_begin();
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++)
        tasks[i] = spawn(names[i], kinds[i], NULL, sim_some_fair_priority(), NULL);
    for (unsigned round = 0; round < sim_rounds(); round++)
        off_and_on(some_other_cpu(), NAP_NS);
    stop_all(tasks, ARRAY_COUNT(kinds));
}

/* Missing domains: after off and on, tasks that want to run spread over all CPUs again. */
static void plug_spread(void)
{
    struct task *tasks[SPREAD_MAX];
    unsigned count = MIN(2 * online_count(), (unsigned)SPREAD_MAX);

    plug_begin();
    for (unsigned i = 0; i < count; i++)
        tasks[i] = spawn("busy", busy, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned round = 0; round < sim_rounds(); round++) {
        cpu_id_t cpu = some_other_cpu();

        off_and_on(cpu, NAP_NS);
        unsigned seen = load_relaxed(&plug.seen[cpu]);

        WAIT_FOR(load_relaxed(&plug.seen[cpu]) > seen);
    }
    stop_all(tasks, count);
}

/* All CPUs but one, one after the other and in any order back; what sleeps wakes on what is left. */
static void plug_down_to_one(void)
{
    struct task *tasks[6];
    unsigned others = load_relaxed(&cpu_started_count) - 1;

    plug_begin();
    for (unsigned i = 0; i < ARRAY_COUNT(tasks); i++)
        tasks[i] = spawn(i % 3 == 0 ? "busy" : "napper", i % 3 == 0 ? busy : napper, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned round = 0; round < sim_rounds(); round++) {
        for (cpu_id_t id = 1; id <= others; id++)
            CHECK(cpu_offline(id) == 0);
        CHECK(online_count() == 1 && cpu_offline(0) == -EBUSY);
        sim_nap(NAP_NS);
        for (cpu_id_t id = 1; id <= others; id++)
            CHECK(cpu_online(id) == 0);
    }
    stop_all(tasks, ARRAY_COUNT(tasks));
}

static struct event release_pinned;

static int wait_pinned(void *arg)
{
    CHECK(event_wait(&release_pinned, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    CHECK(this_cpu_id() == (cpu_id_t)(uintptr_t)arg);
    return 0;
}

/* What may run nowhere else keeps its CPU, awake or asleep, and lets it go when it may, or ends. */
static void plug_refuse(void)
{
    for (unsigned round = 0; round < sim_rounds(); round++) {
        cpu_id_t cpu = some_other_cpu();
        struct cpumask wider;

        plug_begin();
        event_init(&release_pinned);
        struct task *pinned = spawn_on("pinned", wait_pinned, (void *)(uintptr_t)cpu, PRIORITY_DEFAULT, cpu);

        sim_delay();
        CHECK(cpu_offline(cpu) == -EBUSY);
        CHECK(cpu_is_online(cpu) && load_relaxed(&cpu_table[cpu]->state) == CPU_ONLINE);
        cpumask_set_single(&wider, cpu);
        cpumask_add(&wider, 0);
        CHECK(task_set_affinity(pinned, &wider) == 0);
        off_and_on(cpu, 0);
        cpumask_set_single(&wider, cpu);
        CHECK(task_set_affinity(pinned, &wider) == 0);
        CHECK(cpu_offline(cpu) == -EBUSY);
        event_signal(&release_pinned);
        CHECK(finish(pinned) == 0);
        int result = -EBUSY;

        while ((result = cpu_offline(cpu)) == -EBUSY)
            sim_pause(); /* it may still be on its way to its death */
        CHECK(result == 0);
        CHECK(task_set_affinity(current_task(), &wider) == -EINVAL);
        CHECK(cpu_online(cpu) == 0);
    }
    CHECK(cpu_offline(0) == -EBUSY && cpu_online(0) == -EBUSY);
    CHECK(cpu_offline(CPU_MAX) == -EINVAL && cpu_online(CPU_MAX) == -EINVAL);
    CHECK(cpu_offline(load_relaxed(&cpu_started_count)) == -EINVAL);
}

static _Atomic(unsigned) affinity_wins;

static int pin_itself(void *arg)
{
    struct cpumask mask;
    cpu_id_t cpu = (cpu_id_t)(uintptr_t)arg;

    sim_line_wait(&plug.line);
    cpumask_set_single(&mask, cpu);
    sim_delay();
    int result = task_set_affinity(current_task(), &mask);

    CHECK(result == 0 || result == -EINVAL);
    if (result == 0) {
        (void)fetch_add_relaxed(&affinity_wins, 1);
        CHECK(this_cpu_id() == cpu && cpu_is_online(cpu));
        sim_nap(NAP_NS);
        CHECK(this_cpu_id() == cpu && cpu_is_online(cpu));
        sim_roam();
    }
    return 0;
}

/* A task pins itself to a CPU that goes off: exactly one of them wins. */
static void plug_pin(void)
{
    for (unsigned round = 0; round < sim_rounds(); round++) {
        cpu_id_t cpu = some_other_cpu();
        struct task *task;

        plug_begin();
        store_relaxed(&affinity_wins, 0);
        task = spawn("pins itself", pin_itself, (void *)(uintptr_t)cpu, PRIORITY_DEFAULT, NULL);
        sim_line_open(&plug.line, 1);
        sim_delay();
        int result = cpu_offline(cpu);

        CHECK(result == 0 || result == -EBUSY);
        CHECK(finish(task) == 0);
        CHECK(result == 0 || load_relaxed(&affinity_wins) == 1);
        if (result == 0)
            CHECK(cpu_online(cpu) == 0);
    }
}

/* Two at once take turns. */
static int plug_often(void *arg)
{
    (void)arg;
    sim_line_wait(&plug.line);
    for (unsigned i = 0; i < sim_rounds(); i++) {
        cpu_id_t cpu = some_other_cpu();
        int result = sim_chance(2) ? cpu_offline(cpu) : cpu_online(cpu);

        CHECK(result == 0 || result == -ENODEV || result == -EBUSY);
    }
    return 0;
}

static void plug_duel(void)
{
    struct task *tasks[3];

    plug_begin();
    for (unsigned i = 0; i < ARRAY_COUNT(tasks); i++)
        tasks[i] = spawn("plugger", plug_often, NULL, PRIORITY_DEFAULT, NULL);
    sim_line_open(&plug.line, ARRAY_COUNT(tasks));
    CHECK(sim_finish_all(tasks, ARRAY_COUNT(tasks)) == 0);
    for (cpu_id_t id = 1; id < load_relaxed(&cpu_started_count); id++) {
        int result = cpu_online(id);

        CHECK(result == 0 || result == -EBUSY);
    }
    CHECK(online_count() == load_relaxed(&cpu_started_count));
}

/* ---- Classes ---- */

static struct mutex between; /* held by tasks of all classes in turn */

static int become(struct task *task, uint64_t runtime_ns, uint64_t deadline_ns)
{
    const struct sched_params params = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = runtime_ns,
                                         .deadline_ns = deadline_ns };

    return task_set_params(task, &params);
}

/* Wants more than it was promised, so it is throttled most of the time. */
static int promised(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        see();
        hal_cpu_relax();
    }
    return 0;
}

/* Of a class that changes: what it has under the mutex is lent to whoever holds it. */
static int sharer(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        mutex_lock(&between);
        see();
        sim_delay();
        mutex_unlock(&between);
        sim_nap(NAP_NS);
        if (sim_chance(4)) {
            int result = sim_chance(2) ? become(current_task(), 20 * NS_PER_US, 200 * NS_PER_US)
                                       : task_set_priority(current_task(), sim_some_priority());

            CHECK(result == 0 || result == -EBUSY);
        }
    }
    return 0;
}

static void note_where(void *arg)
{
    for (uint64_t i = sim_random_below(100); i > 0; i--)
        hal_cpu_relax(); /* it is at work when the CPU has been closed */
    *(cpu_id_t *)arg = this_cpu_id();
}

/* A stopper does what it was asked to, or says at once that it does not. It comes before what was promised to others,
 * so it is not asked more often than a CPU on which all promises are has time for. */
static int stopper_user(void *arg)
{
    (void)arg;
    while (!load_relaxed(&plug.stop)) {
        cpu_id_t cpu = (cpu_id_t)sim_random_below(load_relaxed(&cpu_started_count));
        cpu_id_t where = CPU_NONE;
        int result = stop_on_cpu(cpu, note_where, &where);

        CHECK((result == 0 && where == cpu) || (result == -EINVAL && where == CPU_NONE));
        (void)task_sleep_for(2 * NAP_NS + sim_random_below(2 * NAP_NS));
    }
    return 0;
}

static void plug_classes(void)
{
    struct task *tasks[11];
    unsigned count = 0;

    plug_begin();
    mutex_init(&between);
    for (unsigned i = 0; i < 2; i++) {
        tasks[count] = spawn("promised", promised, NULL, PRIORITY_DEFAULT, NULL);
        CHECK(become(tasks[count++], 40 * NS_PER_US, 200 * NS_PER_US) == 0);
    }
    for (unsigned i = 0; i < 3; i++)
        tasks[count++] = spawn("sharer", sharer, NULL, sim_some_priority(), NULL);
    for (unsigned i = 0; i < 3; i++)
        tasks[count++] = spawn("stopper user", stopper_user, NULL, PRIORITY_REALTIME_LOW, NULL);
    tasks[count++] = spawn("napper", napper, NULL, PRIORITY_REALTIME_HIGH, NULL);
    tasks[count++] = spawn("wanderer", wanderer, NULL, PRIORITY_DEFAULT, NULL);
    tasks[count++] = spawn("busy", busy, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned round = 0; round < sim_rounds(); round++)
        off_and_on(some_other_cpu(), 4 * NAP_NS);
    stop_all(tasks, count);
}

/* A CPU whose promises do not fit elsewhere stays; when they fit, it goes, and they are kept where they went. */
static void plug_promise(void)
{
    const uint64_t part_ns = 300 * NS_PER_US, period_ns = 500 * NS_PER_US; /* two do not fit on a CPU */
    unsigned count = MIN(online_count(), (unsigned)BUSY_MAX);
    cpu_id_t cpu = some_other_cpu();
    struct task *task[BUSY_MAX];
    struct cpumask mask, first;
    int result = -EBUSY;

    plug_begin();
    cpumask_clear(&first);
    for (cpu_id_t id = 0; id < count; id++)
        cpumask_add(&first, id);
    cpu = MIN(cpu, count - 1);
    for (unsigned i = 0; i < count; i++) {
        task[i] = spawn("promised", promised, NULL, PRIORITY_DEFAULT, &first);
        CHECK(become(task[i], part_ns, period_ns) == 0);
    }
    CHECK(cpu_offline(cpu) == -EBUSY && cpu_is_online(cpu));
    sim_nap(NAP_NS);
    CHECK(cpu_offline(cpu) == -EBUSY && cpu_is_online(cpu));
    CHECK(task_set_priority(task[0], PRIORITY_DEFAULT) == 0);
    while ((result = cpu_offline(cpu)) == -EBUSY)
        sim_pause(); /* what was given up is not free at once */
    CHECK(result == 0 && is_parked(cpu));
    CHECK(become(task[0], part_ns, period_ns) == -EBUSY);
    cpumask_set_single(&mask, cpu);
    CHECK(task_set_affinity(task[1], &mask) == -EINVAL);
    (void)task_sleep_for(2 * period_ns); /* the checker of deadlines looks whether they have their part */
    CHECK(cpu_online(cpu) == 0);
    CHECK(become(task[0], part_ns, period_ns) == 0);
    CHECK(cpu_offline(cpu) == -EBUSY);
    stop_all(task, count);
}

const struct sim_scenario sim_scenarios_hotplug[] = {
    { .name = "plug-storm", .aim = "a CPU goes off, and a task, a timer, a call or a flush is lost with it",
      .cpus = 4, .cpus_min = 2, .rounds = 2, .run = plug_storm },
    { .name = "plug-spread", .aim = "a CPU that has come back gets no work",
      .cpus = 4, .cpus_min = 2, .rounds = 1, .run = plug_spread },
    { .name = "plug-one", .aim = "with all CPUs but one off, something waits for one of them",
      .cpus = 4, .cpus_min = 2, .rounds = 1, .run = plug_down_to_one },
    { .name = "plug-refuse", .aim = "a CPU goes off though a task may run nowhere else",
      .cpus = 3, .cpus_min = 2, .rounds = 2, .run = plug_refuse },
    { .name = "plug-pin", .aim = "an affinity changes to a CPU that goes off at that moment",
      .cpus = 3, .cpus_min = 2, .rounds = 4, .run = plug_pin },
    { .name = "plug-duel", .aim = "CPUs go off and come back by several tasks at once",
      .cpus = 4, .cpus_min = 2, .rounds = 3, .run = plug_duel },
    { .name = "plug-classes", .aim = "a CPU goes off with a promise, an inherited urgency or a stopper's work",
      .cpus = 4, .cpus_min = 2, .rounds = 2, .run = plug_classes },
    { .name = "plug-promise", .aim = "a CPU goes off though its deadline tasks do not fit on the others",
      .cpus = 2, .cpus_min = 2, .rounds = 1, .run = plug_promise },
    { .name = NULL },
};
