/* SPDX-License-Identifier: MIT */
/* Tasks that end or are killed: against those who join them, create them, and kill each other. */
#include "scenario.h"

#include <proc/id.h>

#define TASKS 5

static struct {
    struct sim_line line;
    struct task *victim;
    struct task *member[TASKS];
    _Atomic(unsigned) joined;
    _Atomic(unsigned) timed_out;
    _Atomic(unsigned) killed;
} story;

static void story_begin(void)
{
    sim_line_init(&story.line);
    store_relaxed(&story.joined, 0);
    store_relaxed(&story.timed_out, 0);
    store_relaxed(&story.killed, 0);
}

static int end_after_line(void *code)
{
    sim_line_wait(&story.line);
    sim_delay();
    return (int)(intptr_t)code;
}

/* Joins with deadlines that may pass, until it has the code. */
static int join_patiently(void *arg)
{
    int code = -1;
    int result = -ETIMEDOUT;

    (void)arg;
    sim_line_wait(&story.line);
    sim_delay();
    while (result == -ETIMEDOUT) {
        result = task_join(story.victim, &code, sim_chance(2) ? TIME_NEVER : clock_ns() + sim_random_below(3000));
        (void)fetch_add_relaxed(result == 0 ? &story.joined : &story.timed_out, 1);
    }
    CHECK(result == 0);
    return code;
}

/* Hazards 2 and 5: joiners come before, while and after a task ends; all get its code, and it is freed after them. */
static void join_exit(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *joiner[TASKS];

        story_begin();
        story.victim = spawn("victim", end_after_line, (void *)7, PRIORITY_DEFAULT, NULL);
        for (unsigned i = 0; i < TASKS; i++)
            joiner[i] = sim_spawn_nth("joiner", join_patiently, NULL, i);
        sim_line_open(&story.line, TASKS + 1);
        CHECK(sim_finish_all(joiner, TASKS) == 7 * TASKS);
        CHECK(load_relaxed(&story.joined) == TASKS);
        CHECK(finish(story.victim) == 7); /* its reference was the joiners', too */
    }
}

static int join_unless_killed(void *arg)
{
    int code = 0;

    (void)arg;
    sim_line_wait(&story.line);
    sim_delay();
    int result = task_join(story.victim, &code, TIME_NEVER);

    if (CHECK(result == 0 || (result == -EINTR && task_is_killed())))
        (void)fetch_add_relaxed(result == 0 ? &story.joined : &story.killed, 1);
    return result == 0 ? code : 7;
}

/* The joined and its joiners are killed at once. */
static void join_kill(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *joiner[TASKS];

        story_begin();
        story.victim = spawn("victim", sim_sleep_until_killed, (void *)7, PRIORITY_DEFAULT, NULL);
        for (unsigned i = 0; i < TASKS; i++)
            joiner[i] = sim_spawn_nth("joiner", join_unless_killed, NULL, i);
        if (story.victim == NULL || joiner[0] == NULL || joiner[1] == NULL)
            return;
        sim_line_open(&story.line, TASKS);
        for (unsigned i = 0; i < 3; i++) {
            struct task *target = i == 1 ? story.victim : joiner[i / 2];
            int result = task_kill(target);

            CHECK(result == 0 || (result == -ESRCH && i == 2));
            sim_delay();
        }
        CHECK(sim_finish_all(joiner, TASKS) == 7 * TASKS);
        CHECK(load_relaxed(&story.joined) + load_relaxed(&story.killed) == TASKS);
        CHECK(load_relaxed(&story.killed) <= 2);
        CHECK(finish(story.victim) == 7);
    }
}

static int kill_next(void *arg)
{
    uintptr_t number = (uintptr_t)arg;

    sim_line_wait(&story.line);
    sim_delay();
    /* Nobody else kills it, and it does not end before. */
    CHECK(task_kill(story.member[(number + 1) % TASKS]) == 0);
    return sim_sleep_until_killed(arg);
}

/* A ring: each kills the next, and dies of the one before. */
static void kill_ring(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        story_begin();
        for (uintptr_t i = 0; i < TASKS; i++) {
            story.member[i] = sim_spawn_nth("ring", kill_next, (void *)i, (unsigned)i);
            if (story.member[i] == NULL)
                return;
        }
        sim_line_open(&story.line, TASKS);
        CHECK(sim_finish_all(story.member, TASKS) == TASKS * (TASKS - 1) / 2);
    }
}

static int kill_victim(void *arg)
{
    (void)arg;
    sim_line_wait(&story.line);
    sim_delay();
    int result = task_kill(story.victim);

    CHECK(result == 0 || result == -ESRCH);
    return result == 0;
}

/* Sleeps, waits and runs in turn, so that the kill finds it in any state. */
static int live_until_killed(void *code)
{
    struct event never;

    event_init(&never);
    sim_line_wait(&story.line);
    while (!task_is_killed()) {
        sim_delay();
        if (sim_chance(3))
            CHECK(event_wait(&never, clock_ns() + sim_random_below(2000), WAIT_UNINTERRUPTED) == -ETIMEDOUT);
        if (sim_chance(3))
            sim_nap(NS_PER_US);
        task_yield();
    }
    CHECK(event_wait(&never, TIME_NEVER, WAIT_KILLABLE) == -EINTR);
    return sim_sleep_until_killed(code);
}

/* Several kill one: at least the first kill counts, and it ends once. */
static void kill_kill(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *killer[TASKS];

        story_begin();
        story.victim = spawn("victim", live_until_killed, (void *)9, sim_some_fair_priority(), NULL);
        for (unsigned i = 0; i < TASKS; i++)
            killer[i] = sim_spawn_nth("killer", kill_victim, NULL, i);
        if (story.victim == NULL)
            return;
        sim_line_open(&story.line, TASKS + 1);
        CHECK(task_join(story.victim, NULL, TIME_NEVER) == 0);
        int64_t kills = sim_finish_all(killer, TASKS);

        CHECK(kills >= 1 && kills <= TASKS);
        CHECK(finish(story.victim) == 9);
    }
}

#define CREATED 4

static struct {
    _Atomic(tid_t) tid[2][CREATED];
    _Atomic(unsigned) open; /* creators at work */
} nursery;

static int publish_and_sleep(void *slot)
{
    store_relaxed((_Atomic(tid_t) *)slot, current_task()->tid);
    return sim_sleep_until_killed((void *)42);
}

static int create_and_kill(void *arg)
{
    uintptr_t self = (uintptr_t)arg;
    int sum = 0;

    for (unsigned i = 0; i < CREATED; i++) {
        struct task *task = spawn("newborn", publish_and_sleep, (void *)&nursery.tid[self][i],
                                  sim_some_fair_priority(), NULL);

        if (task == NULL)
            break;
        sim_delay();
        int result = task_kill(task);

        CHECK(result == 0 || result == -ESRCH); /* the prowler may have been first */
        sum += finish(task) == 42;
    }
    (void)fetch_sub_relaxed(&nursery.open, 1);
    return sum;
}

/* Kills whatever has said its number, found by that number. */
static int prowl(void *arg)
{
    (void)arg;
    while (load_relaxed(&nursery.open) > 0) {
        tid_t tid = load_relaxed(&nursery.tid[sim_random_below(2)][sim_random_below(CREATED)]);
        struct task *task = task_lookup(tid);

        if (task != NULL) {
            int result = task_kill(task);

            CHECK(task->tid == tid && (result == 0 || result == -ESRCH));
            task_put(task);
        }
        sim_pause();
    }
    return 0;
}

/* A task is killed before it has run, while it starts, while it goes to sleep. */
static void kill_create(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *task[3];

        for (unsigned i = 0; i < CREATED; i++) {
            store_relaxed(&nursery.tid[0][i], 0);
            store_relaxed(&nursery.tid[1][i], 0);
        }
        store_relaxed(&nursery.open, 2);
        task[0] = spawn("creator", create_and_kill, (void *)0, PRIORITY_DEFAULT, NULL);
        task[1] = spawn("creator", create_and_kill, (void *)1, PRIORITY_DEFAULT, NULL);
        task[2] = spawn("prowler", prowl, NULL, PRIORITY_DEFAULT, NULL);
        CHECK(sim_finish_all(task, ARRAY_COUNT(task)) == 2 * CREATED);
    }
}

const struct sim_scenario sim_scenarios_join[] = {
    { .name = "join-exit", .aim = "a joiner misses the end, gets another code, or finds the task freed",
      .cpus = 4, .cpus_min = 1, .rounds = 12, .run = join_exit },
    { .name = "join-kill", .aim = "a joiner that is killed while the joined ends is settled twice or never",
      .cpus = 4, .cpus_min = 1, .rounds = 12, .run = join_kill },
    { .name = "kill-ring", .aim = "tasks that kill each other wait for each other, or one escapes",
      .cpus = 4, .cpus_min = 1, .rounds = 12, .run = kill_ring },
    { .name = "kill-kill", .aim = "several kills of one task, in any state, end it twice or never",
      .cpus = 4, .cpus_min = 1, .rounds = 12, .run = kill_kill },
    { .name = "kill-create", .aim = "a kill comes while the task is created, starts, or first sleeps, and is lost",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = kill_create },
    { .name = NULL },
};
