/* SPDX-License-Identifier: MIT */
/* Tasks that change their CPU: by affinity, by stealing, while they run, end, and own floating-point state. */
#include "scenario.h"

#include <hal/irq.h>
#include <smp/preempt.h>

#define TASKS 6
#define NARROW_TASKS 4

/* Where a task must be while `cpu` says so: stored after a change of affinity has returned, gone before the next. */
struct placed {
    struct task *task;
    _Atomic(cpu_id_t) cpu; /* PAIRS(sim_placed); CPU_NONE: nothing is promised */
};

static struct {
    struct sim_line line;
    struct placed placed[TASKS];
    _Atomic(bool) stop;
    _Atomic(unsigned) moves;
    _Atomic(unsigned) setters; /* at work */
} story;

static void story_begin(void)
{
    sim_line_init(&story.line);
    store_relaxed(&story.stop, false);
    store_relaxed(&story.moves, 0);
    for (unsigned i = 0; i < TASKS; i++) {
        story.placed[i].task = NULL;
        store_relaxed(&story.placed[i].cpu, CPU_NONE);
    }
}

/* While preemption is disabled this task stays: a promise that stands at the first look must hold at the second. */
static void look_where_we_are(struct placed *placed)
{
    preempt_disable();
    cpu_id_t promised = load_acquire(&placed->cpu); /* PAIRS(sim_placed) */
    cpu_id_t here = this_cpu_id();

    preempt_enable();
    CHECK(promised == CPU_NONE || promised == here);
    CHECK(sched_is_well_placed());
}

static int work_and_look(void *arg)
{
    struct placed *placed = arg;

    while (!load_relaxed(&story.stop)) {
        look_where_we_are(placed);
        sim_delay();
        switch (sim_random_below(4)) {
        case 0:
            task_yield();
            break;
        case 1:
            sim_nap(2 * NS_PER_US);
            break;
        default:
            break;
        }
    }
    return 0;
}

static void send_to(struct placed *placed, cpu_id_t cpu)
{
    struct cpumask mask;

    cpumask_set_single(&mask, cpu);
    store_relaxed(&placed->cpu, CPU_NONE);
    CHECK(task_set_affinity(placed->task, &mask) == 0);
    store_release(&placed->cpu, cpu); /* PAIRS(sim_placed) */
    (void)fetch_add_relaxed(&story.moves, 1);
}

static void let_roam(struct placed *placed)
{
    struct cpumask mask;

    store_relaxed(&placed->cpu, CPU_NONE);
    sim_some_cpus(&mask);
    CHECK(task_set_affinity(placed->task, &mask) == 0);
    (void)fetch_add_relaxed(&story.moves, 1);
}

/* Each setter has its own half of the tasks, so that its promises are its own. */
static int move_around(void *arg)
{
    unsigned half = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < 5 * sim_rounds(); i++) {
        struct placed *placed = &story.placed[2 * sim_random_below(TASKS / 2) + half];

        if (sim_chance(2))
            send_to(placed, sim_some_cpu());
        else
            let_roam(placed);
        if (sim_chance(2))
            sim_nap(NS_PER_US);
        else
            sim_delay();
    }
    return 0;
}

static bool spawn_placed(int (*entry)(void *), int priority)
{
    for (unsigned i = 0; i < TASKS; i++) {
        story.placed[i].task = spawn("placed", entry, &story.placed[i], priority, NULL);
        if (story.placed[i].task == NULL)
            return false;
    }
    return true;
}

static void finish_placed(void)
{
    store_relaxed(&story.stop, true);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(story.placed[i].task) == 0);
}

/* Hazard 8 of the design rules: an affinity is in force when the call returns, whatever idle CPUs steal meanwhile. */
static void affinity_steal(void)
{
    struct task *setter[2];

    story_begin();
    if (!spawn_placed(work_and_look, PRIORITY_USER_LOW))
        return;
    for (uintptr_t i = 0; i < 2; i++)
        setter[i] = spawn("setter", move_around, (void *)i, PRIORITY_USER_HIGH, NULL);
    CHECK(sim_finish_all(setter, 2) == 0);
    finish_placed();
    CHECK(load_relaxed(&story.moves) == 10 * sim_rounds());
}

/* Of three CPUs in a row from here on: a crowded one, one that idles, and the setter's. */
static cpu_id_t in_row(cpu_id_t crowded, unsigned place)
{
    return online_cpu((crowded + place) % online_count());
}

static void allow_two(struct placed *placed, cpu_id_t one, cpu_id_t other)
{
    struct cpumask mask;

    cpumask_set_single(&mask, one);
    cpumask_add(&mask, other);
    CHECK(task_set_affinity(placed->task, &mask) == 0);
}

static int work_in_turns(void *arg)
{
    (void)arg;
    while (!load_relaxed(&story.stop)) {
        CHECK(sched_is_well_placed());
        sim_delay();
        task_yield();
    }
    return 0;
}

/* A waiting task may go to the idle CPU, which hears of it, and may not any more while that is on its way to take it;
 * it may stay where it waits all the time. */
static void affinity_narrow(void)
{
    cpu_id_t crowded = (cpu_id_t)sim_random_below(online_count());

    story_begin();
    for (unsigned i = 0; i < NARROW_TASKS; i++) {
        struct cpumask mask;

        cpumask_set_single(&mask, in_row(crowded, 0));
        story.placed[i].task = spawn("placed", work_in_turns, NULL, sim_some_fair_priority(), &mask);
    }
    sim_stay_on(in_row(crowded, 2));
    for (unsigned i = 0; i < 6 * sim_rounds(); i++) {
        for (unsigned task = 0; task < NARROW_TASKS; task++)
            allow_two(&story.placed[task], in_row(crowded, 0), in_row(crowded, 1));
        sim_delay();
        for (unsigned task = 0; task < NARROW_TASKS; task++)
            allow_two(&story.placed[task], in_row(crowded, 0), in_row(crowded, 2));
    }
    sim_roam();
    store_relaxed(&story.stop, true);
    for (unsigned i = 0; i < NARROW_TASKS; i++)
        CHECK(finish(story.placed[i].task) == 0);
}

static int set_one(void *arg)
{
    struct placed *placed = &story.placed[0];
    unsigned count = (unsigned)(uintptr_t)arg;

    sim_line_wait(&story.line);
    for (; count > 0; count--) {
        let_roam(placed);
        sim_delay();
    }
    return 0;
}

/* Several setters, one task: all calls return, and the task obeys the last one. */
static void affinity_affinity(void)
{
    struct task *setter[3];
    struct placed *placed = &story.placed[0];

    story_begin();
    placed->task = spawn("moved", work_and_look, placed, PRIORITY_DEFAULT, NULL);
    if (placed->task == NULL)
        return;
    for (unsigned i = 0; i < ARRAY_COUNT(setter); i++)
        setter[i] = spawn("setter", set_one, (void *)(uintptr_t)(5 * sim_rounds()), PRIORITY_DEFAULT, NULL);
    sim_line_open(&story.line, ARRAY_COUNT(setter));
    CHECK(sim_finish_all(setter, ARRAY_COUNT(setter)) == 0);
    send_to(placed, online_cpu(online_count() - 1));
    sim_nap(5 * NS_PER_US);
    store_relaxed(&story.stop, true);
    CHECK(task_join(placed->task, NULL, TIME_NEVER) == 0);
    CHECK(load_relaxed(&placed->task->base.cpu)->id == online_cpu(online_count() - 1));
    CHECK(finish(placed->task) == 0);
}

static int end_after_line(void *arg)
{
    (void)arg;
    sim_line_wait(&story.line);
    sim_delay();
    return 0;
}

static int move_all(void *arg)
{
    struct cpumask mask;
    int dead = 0;

    (void)arg;
    sim_line_wait(&story.line);
    for (unsigned i = 0; i < TASKS; i++) {
        sim_some_cpus(&mask);
        int result = task_set_affinity(story.placed[i].task, &mask);

        CHECK(result == 0 || result == -ESRCH);
        dead += result != 0;
    }
    return dead;
}

/* A running task is asked to leave its CPU, and ends instead: whoever waits for the move must hear of that. */
static void affinity_exit(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *setter[2];

        story_begin();
        if (!spawn_placed(end_after_line, PRIORITY_DEFAULT))
            return;
        for (unsigned i = 0; i < 2; i++)
            setter[i] = spawn("setter", move_all, NULL, PRIORITY_DEFAULT, NULL);
        sim_line_open(&story.line, TASKS + 2);
        int64_t dead = sim_finish_all(setter, 2);

        CHECK(dead >= 0 && dead <= 2 * TASKS);
        finish_placed();
    }
}

static int move_oneself(void *arg)
{
    struct placed *placed = arg;

    placed->task = current_task();
    for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
        cpu_id_t cpu = sim_some_cpu();

        sim_stay_on(cpu);
        CHECK(this_cpu_id() == cpu); /* pinned: the answer cannot be stale */
        sim_delay();
        CHECK(this_cpu_id() == cpu);
        if (sim_chance(3))
            sim_roam();
    }
    return 0;
}

/* All tasks send themselves from CPU to CPU. */
static void affinity_self(void)
{
    struct task *mover[TASKS];

    story_begin();
    for (unsigned i = 0; i < TASKS; i++)
        mover[i] = spawn("mover", move_oneself, &story.placed[i], sim_some_priority(), NULL);
    CHECK(sim_finish_all(mover, TASKS) == 0);
}

static struct {
    _Atomic(unsigned) done;
    _Atomic(uint64_t) seen_on;
} storm;

static int short_bursts(void *arg)
{
    cpu_id_t home = (cpu_id_t)(uintptr_t)arg;

    for (unsigned i = 0; i < 3; i++) {
        preempt_disable();
        cpu_id_t here = this_cpu_id();

        preempt_enable();
        CHECK(home == CPU_NONE || here == home);
        (void)fetch_or_relaxed(&storm.seen_on, UINT64_C(1) << here % 64);
        sim_delay();
        if (sim_chance(2))
            task_yield();
        else
            sim_nap(NS_PER_US);
    }
    (void)fetch_add_relaxed(&storm.done, 1);
    return 0;
}

/* More tasks than CPUs, half of them pinned to one CPU: the idle ones help themselves, and leave the pinned. */
static void steal_storm(void)
{
    struct task *task[16];

    for (unsigned round = sim_rounds(); round > 0; round--) {
        cpu_id_t crowded = sim_some_cpu();

        store_relaxed(&storm.done, 0);
        store_relaxed(&storm.seen_on, 0);
        for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
            task[i] = i % 2 == 0 ? spawn_on("pinned", short_bursts, (void *)(uintptr_t)crowded, PRIORITY_USER_LOW,
                                            crowded)
                                 : spawn("free", short_bursts, (void *)(uintptr_t)CPU_NONE, PRIORITY_USER_LOW, NULL);
        CHECK(sim_finish_all(task, ARRAY_COUNT(task)) == 0);
        CHECK(load_relaxed(&storm.done) == ARRAY_COUNT(task));
        CHECK(load_relaxed(&storm.seen_on) >> crowded % 64 & 1);
    }
}

static int keep_pattern(void *arg)
{
    uint64_t pattern = (uint64_t)(uintptr_t)arg << 32;
    int wrong = 0;

    for (unsigned word = 0; word < HOST_FPU_WORDS; word++)
        wrong += host_fpu_peek(word) != 0; /* those of a task before us must not show */
    for (unsigned i = 0; i < 6 * sim_rounds(); i++) {
        for (unsigned word = 0; word < HOST_FPU_WORDS; word++)
            host_fpu_use(word, pattern + i + word);
        if (sim_chance(3))
            sim_stay_on(sim_some_cpu());
        else if (sim_chance(2))
            sim_nap(NS_PER_US);
        else
            task_yield();
        for (unsigned word = 0; word < HOST_FPU_WORDS; word++)
            wrong += host_fpu_peek(word) != pattern + i + word;
    }
    return wrong;
}

static struct task *spawn_owner(uintptr_t number)
{
    struct task *task = NULL;
    const struct task_spec spec = {
        .name = "owner",
        .entry = keep_pattern,
        .arg = (void *)number,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = sim_some_fair_priority(),
        .uses_fpu = true,
    };

    return CHECK(task_create(&spec, &task) > 0) ? task : NULL;
}

/* Hazard 20: owners of floating-point state move between CPUs, and meet there. */
static void fpu_migrate(void)
{
    struct task *owner[TASKS];

    for (uintptr_t i = 0; i < TASKS; i++)
        owner[i] = spawn_owner(i + 1);
    CHECK(sim_finish_all(owner, TASKS) == 0);
    CHECK(finish(spawn_owner(TASKS + 1)) == 0);
}

const struct sim_scenario sim_scenarios_move[] = {
    { .name = "affinity-steal", .aim = "an idle CPU takes a task that was just forbidden to run there",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = affinity_steal },
    { .name = "affinity-narrow", .aim = "an idle CPU has found a task, and takes it though it may not come any more",
      .cpus = 3, .cpus_min = 3, .rounds = 4, .run = affinity_narrow },
    { .name = "affinity-affinity", .aim = "two changes of one affinity wait for each other, or the task obeys neither",
      .cpus = 4, .cpus_min = 2, .rounds = 10, .run = affinity_affinity },
    { .name = "affinity-exit", .aim = "a task ends while somebody waits for it to leave its CPU",
      .cpus = 4, .cpus_min = 2, .rounds = 6, .run = affinity_exit },
    { .name = "affinity-self", .aim = "a task that sends itself away goes on where it was",
      .cpus = 4, .cpus_min = 2, .rounds = 9, .run = affinity_self },
    { .name = "steal-storm", .aim = "a pinned task is stolen, or one is lost on the way",
      .cpus = 4, .cpus_min = 2, .rounds = 4, .run = steal_storm },
    { .name = "fpu-migrate", .aim = "floating-point state stays behind on another CPU, or leaks to the next task",
      .cpus = 4, .cpus_min = 1, .rounds = 8, .run = fpu_migrate },
    { .name = NULL },
};
