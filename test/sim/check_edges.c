/* SPDX-License-Identifier: MIT */
/*
 * States of tasks. Each task has a shadow that follows its events, and an event that is not one of the edges of
 * sched/task.h from where the shadow stands is an error at once. So is one that the wrong CPU speaks of (only the CPU
 * that runs a task takes it off itself), or without the run-queue lock that guards it, or a run on a stack that another
 * CPU has not left. At looks, shadows are compared with what the tasks themselves say. Owns the shadows and their sums.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "table.h"
#include "watch.h"

#define SHADOWS_MAX 262144u
#define COMPARED_AT_A_TIME 16u

SIM_MAP(by_task, "tasks", 19);

static struct sim_shadow shadows[SHADOWS_MAX];

struct sim_sums sim_sums;

static struct {
    size_t end;       /* shadows from here on were never used */
    uint32_t free;    /* 1 + the first of those that are free again, linked by `wait_number`; 0: none */
    size_t compared;  /* where the next look begins */
    const struct task *runs[CPU_MAX]; /* NULL: the idle task */
} edges;

struct sim_shadow *sim_shadow_of(const struct task *task)
{
    uint64_t *at = sim_map_find(&by_task, task);

    return at != NULL ? &shadows[*at] : NULL;
}

const struct task *sim_runs(cpu_id_t cpu)
{
    return edges.runs[cpu];
}

static void edges_reset(const struct host_config *config)
{
    (void)config;
    sim_map_clear(&by_task);
    edges.end = edges.compared = 0;
    edges.free = 0;
    for (cpu_id_t id = 0; id < CPU_MAX; id++)
        edges.runs[id] = NULL;
    sim_sums = (struct sim_sums){ 0 };
}

/* A shadow enters or leaves what is summed up. */
static void sum(const struct sim_shadow *shadow, int by)
{
    if (shadow->is_idle_task)
        return;
    if (shadow->state == TASK_READY)
        sim_sums.ready += (uint64_t)by;
    else if (shadow->state == TASK_RUNNING)
        sim_sums.running += (uint64_t)by;
    else if (task_state_is_blocked(shadow->state))
        sim_sums.blocked += (uint64_t)by;
}

static void go(struct sim_shadow *shadow, unsigned state)
{
    sum(shadow, -1);
    shadow->state = (uint8_t)state;
    shadow->wait_mark = 0;
    sum(shadow, 1);
}

static void require_lock(const struct sim_shadow *shadow, cpu_id_t cpu, const char *what)
{
    if (UNLIKELY(!sim_runq_is_locked_here(cpu)))
        sim_broken(PROMISE_EDGES, "CPU %u %s '%s' without the run-queue lock of CPU %u", sim_now.cpu, what,
                   shadow->task->name, cpu);
}

[[noreturn]] static void bad_edge(const struct sim_shadow *shadow, const char *what)
{
    sim_broken(PROMISE_EDGES, "CPU %u %s '%s', which is %s on CPU %u", sim_now.cpu, what, shadow->task->name,
               task_state_name(shadow->state), shadow->cpu);
}

static struct sim_shadow *known(const struct task *task, const char *what)
{
    struct sim_shadow *shadow = sim_shadow_of(task);

    if (UNLIKELY(shadow == NULL))
        sim_broken(PROMISE_EDGES, "CPU %u %s a task at %p that was freed, or never made", sim_now.cpu, what,
                   (const void *)task);
    return shadow;
}

static void task_made(const struct task *task)
{
    uint64_t *at = sim_map_put(&by_task, task);
    struct cpu *cpu = sim_peek(&task->base.cpu);

    if (UNLIKELY(shadows[*at].task == task))
        sim_broken(PROMISE_EDGES, "CPU %u makes task '%s' in the memory of a task that was not freed", sim_now.cpu,
                   task->name);
    if (edges.free != 0) {
        *at = edges.free - 1;
        edges.free = (uint32_t)shadows[*at].wait_number;
    } else {
        if (edges.end == SHADOWS_MAX)
            sim_broken(PROMISE_SANITY, "the watch has no room for more than %u tasks", SHADOWS_MAX);
        *at = edges.end++;
    }
    shadows[*at] = (struct sim_shadow){ .task = task, .state = TASK_NEW, .cpu = cpu != NULL ? cpu->id : 0 };
}

static void task_started(struct sim_shadow *shadow, cpu_id_t cpu)
{
    if (UNLIKELY(shadow->state != TASK_NEW))
        bad_edge(shadow, "starts");
    require_lock(shadow, cpu, "starts");
    shadow->cpu = cpu;
    sim_sums.started++;
    go(shadow, TASK_READY);
}

static void task_woken(struct sim_shadow *shadow, cpu_id_t cpu)
{
    if (UNLIKELY(shadow->state == TASK_READY || shadow->state == TASK_RUNNING))
        sim_broken(PROMISE_WAKE_ONCE, "CPU %u wakes '%s' again, which is %s on CPU %u", sim_now.cpu, shadow->task->name,
                   task_state_name(shadow->state), shadow->cpu);
    if (UNLIKELY(!task_state_is_blocked(shadow->state)))
        bad_edge(shadow, "wakes");
    require_lock(shadow, shadow->cpu, "wakes");
    require_lock(shadow, cpu, "wakes");
    shadow->cpu = cpu;
    go(shadow, TASK_READY);
}

static void require_stack_left(const struct sim_shadow *shadow)
{
    uint32_t on = shadow->task->base.context.running_on;

    if (UNLIKELY(on != 0 && on != sim_now.cpu + 1))
        sim_broken(PROMISE_ONE_CPU, "CPU %u runs '%s' while CPU %u stands on its stack", sim_now.cpu,
                   shadow->task->name, on - 1);
}

/* What the CPU ran must be somewhere else by now. */
static void require_left(cpu_id_t cpu, const struct task *next)
{
    const struct task *last = edges.runs[cpu];

    if (last == NULL || last == next)
        return;
    const struct sim_shadow *shadow = sim_shadow_of(last);

    if (UNLIKELY(shadow != NULL && shadow->state == TASK_RUNNING && shadow->cpu == cpu))
        sim_broken(PROMISE_EDGES, "CPU %u switches from '%s', which neither blocked nor ended nor was queued", cpu,
                   last->name);
}

static void task_ran(struct sim_shadow *shadow, bool is_idle_task)
{
    cpu_id_t cpu = sim_now.cpu;
    struct runq *rq = sim_runq(cpu);

    require_left(cpu, shadow->task);
    require_lock(shadow, cpu, "runs");
    if (is_idle_task) {
        if (UNLIKELY(rq == NULL || rq->cpu.idle_task != shadow->task))
            sim_broken(PROMISE_ONE_CPU, "CPU %u runs '%s', the idle task of another CPU", cpu, shadow->task->name);
        edges.runs[cpu] = NULL;
        return;
    }
    if (UNLIKELY(shadow->state == TASK_RUNNING && shadow->cpu != cpu))
        sim_broken(PROMISE_ONE_CPU, "CPU %u runs '%s', which CPU %u runs", cpu, shadow->task->name, shadow->cpu);
    if (UNLIKELY(shadow->state != TASK_READY || shadow->cpu != cpu))
        bad_edge(shadow, "runs");
    require_stack_left(shadow);
    edges.runs[cpu] = shadow->task;
    go(shadow, TASK_RUNNING);
}

/* Off the CPU that speaks. */
static void task_left(struct sim_shadow *shadow, unsigned state, const char *what)
{
    if (UNLIKELY(shadow->state != TASK_RUNNING))
        bad_edge(shadow, what);
    if (UNLIKELY(shadow->cpu != sim_now.cpu || edges.runs[sim_now.cpu] != shadow->task))
        sim_broken(PROMISE_EDGES, "CPU %u %s '%s', which CPU %u runs", sim_now.cpu, what, shadow->task->name,
                   shadow->cpu);
    require_lock(shadow, shadow->cpu, what);
    go(shadow, state);
}

static void task_blocked(struct sim_shadow *shadow, unsigned state)
{
    if (UNLIKELY(!task_state_is_blocked(state)))
        sim_broken(PROMISE_EDGES, "'%s' blocks into state %u", shadow->task->name, state);
    if (UNLIKELY(shadow->is_latched))
        sim_broken(PROMISE_WAKE_ONCE, "'%s' blocks although a wake was kept for it", shadow->task->name);
    task_left(shadow, state, "blocks");
}

static void task_latched(struct sim_shadow *shadow)
{
    if (UNLIKELY(shadow->state != TASK_READY && shadow->state != TASK_RUNNING))
        bad_edge(shadow, "keeps a wake for");
    require_lock(shadow, shadow->cpu, "keeps a wake for");
    shadow->is_latched = true;
}

static void task_unlatched(struct sim_shadow *shadow, bool was_latched)
{
    if (UNLIKELY(was_latched && !shadow->is_latched))
        sim_broken(PROMISE_WAKE_ONCE, "'%s' does not block for a wake that nobody kept for it", shadow->task->name);
    shadow->is_latched = false;
}

static void task_moved(struct sim_shadow *shadow, cpu_id_t cpu)
{
    if (UNLIKELY(shadow->state != TASK_READY))
        bad_edge(shadow, "moves");
    require_lock(shadow, shadow->cpu, "moves");
    require_lock(shadow, cpu, "moves");
    shadow->cpu = cpu;
}

static void task_freed(struct sim_shadow *shadow)
{
    if (UNLIKELY(shadow->state != TASK_DEAD && shadow->state != TASK_NEW))
        bad_edge(shadow, "frees");
    if (UNLIKELY(shadow->task->base.context.running_on != 0))
        sim_broken(PROMISE_ONE_CPU, "'%s' is freed while CPU %u stands on its stack", shadow->task->name,
                   shadow->task->base.context.running_on - 1);
    sim_map_remove(&by_task, shadow->task);
    shadow->task = NULL;
    shadow->wait_number = edges.free;
    edges.free = (uint32_t)(shadow - shadows) + 1;
}

static void edges_event(enum trace_event event, const void *object, uint64_t value)
{
    switch (event) {
    case TRACE_TASK_INIT:
        task_made(object);
        break;
    case TRACE_TASK_START:
        task_started(known(object, "starts"), (cpu_id_t)value);
        break;
    case TRACE_TASK_RUN:
        task_ran(known(object, "runs"), value != 0);
        break;
    case TRACE_TASK_REQUEUE:
        task_left(known(object, "queues"), TASK_READY, "queues");
        break;
    case TRACE_TASK_BLOCK:
        task_blocked(known(object, "blocks"), (unsigned)value);
        break;
    case TRACE_TASK_WAKE:
        task_woken(known(object, "wakes"), (cpu_id_t)value);
        break;
    case TRACE_TASK_LATCH:
        task_latched(known(object, "keeps a wake for"));
        break;
    case TRACE_TASK_UNLATCH:
        task_unlatched(known(object, "does not block"), value != 0);
        break;
    case TRACE_TASK_MIGRATE:
        task_moved(known(object, "moves"), (cpu_id_t)value);
        break;
    case TRACE_TASK_EXIT:
        task_left(known(object, "ends"), TASK_DEAD, "ends");
        sim_sums.died++;
        break;
    case TRACE_TASK_FREE:
        task_freed(known(object, "frees"));
        break;
    default:
        break;
    }
}

/* sched_cpu_init() makes such a task the one that runs, without an event. */
static bool is_idle_of_its_cpu(const struct task *task)
{
    const struct cpu *cpu = sim_peek(&task->base.cpu);

    return cpu != NULL && cpu->idle_task == task;
}

/* Nobody holds a run-queue lock: every task is in the state that its events say. */
static void edges_quiet(void)
{
    for (size_t n = MIN(edges.end, (size_t)COMPARED_AT_A_TIME); n > 0; n--) {
        struct sim_shadow *shadow = &shadows[edges.compared];

        edges.compared = edges.compared + 1 < edges.end ? edges.compared + 1 : 0;
        if (shadow->task == NULL)
            continue;
        if (shadow->state == TASK_NEW && shadow->task->state == TASK_RUNNING)
            shadow->is_idle_task = is_idle_of_its_cpu(shadow->task);
        if (UNLIKELY(shadow->task->state != (enum task_state)shadow->state && !shadow->is_idle_task))
            sim_broken(PROMISE_EDGES, "'%s' is %s, but by what was done with it, %s", shadow->task->name,
                       task_state_name(shadow->task->state), task_state_name(shadow->state));
    }
    sim_cost(COMPARED_AT_A_TIME);
}

const struct sim_checker checker_edges = {
    .promise = PROMISE_EDGES,
    .name = "edges",
    .reset = edges_reset,
    .event = edges_event,
    .quiet = edges_quiet,
};
