/* SPDX-License-Identifier: MIT */
/*
 * The launcher: reads a workload, refuses what this machine or kernel cannot do, creates each task when it is to
 * arrive, and ends the run. It is the most urgent real-time task, so that what it measures cannot keep it from ending.
 */
#include "lab.h"

#include <boot/options.h>
#include <boot/program.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <time/clock.h>

#include "check.h"

#define SHARDS_MAX 16u

struct lab *lab;
struct lab_text lab_given;

/* ---- Before the start ---- */

static const struct lab_text *find_text(const char *name, size_t bytes)
{
    const struct lab_text *text = lab_shipped;

    if (lab_given.name != NULL)
        return &lab_given;
    while (text->name != NULL && (strlen(text->name) != bytes || memcmp(text->name, name, bytes) != 0))
        text++;
    return text->name != NULL ? text : NULL;
}

static int refuse_name(const char *name, size_t bytes)
{
    log_error("schedlab: %.*s: this image has no such workload; it has:", (int)MIN(bytes, (size_t)64), name);
    for (const struct lab_text *text = lab_shipped; text->name != NULL; text++)
        log_error("  %s", text->name);
    return 2;
}

/* What the kernel makes of a policy. */
static void params_of(const struct workload_group *is, struct sched_params *out)
{
    *out = (struct sched_params){ .policy = SCHED_POLICY_FAIR, .slice_ns = is->slice_ns };
    switch (is->policy) {
    case WORKLOAD_FAIR:
        out->nice = is->nice;
        break;
    case WORKLOAD_FIFO:
    case WORKLOAD_RR:
        out->policy = is->policy == WORKLOAD_FIFO ? SCHED_POLICY_FIFO : SCHED_POLICY_RR;
        out->rt_level = (uint8_t)(RT_LEVELS - 1 - is->priority);
        break;
    case WORKLOAD_OTHER:
        out->policy = is->other;
        out->nice = is->nice;
        break;
    case WORKLOAD_IDLE:
        out->policy = SCHED_POLICY_IDLE;
        break;
    case WORKLOAD_DEADLINE:
        *out = (struct sched_params){ .policy = SCHED_POLICY_DEADLINE,
                                      .runtime_ns = is->dl_runtime_ns,
                                      .deadline_ns = is->dl_deadline_ns,
                                      .period_ns = is->dl_period_ns };
        break;
    }
}

static bool group_prepare(struct lab_group *group, const struct workload_group *is)
{
    group->is = is;
    lab_event_init(&group->end);
    params_of(is, &group->params);
    if (is->has_affinity && !cpumask_intersects(&is->affinity, &cpu_online_mask)) {
        log_error("schedlab: group %s: no CPU of its affinity is online", is->name);
        return false;
    }
    for (unsigned i = 0; i < is->actions; i++) {
        const struct workload_action *action = &lab->workload.action[is->first + i];

        if ((action->kind == WORKLOAD_MOVE || action->kind == WORKLOAD_STOP) &&
            !cpumask_contains(&cpu_online_mask, action->object)) {
            log_error("schedlab: group %s: CPU %u is not online", is->name, action->object);
            return false;
        }
    }
    group->shard = kzalloc(lab->shards * sizeof *group->shard);
    if (group->shard == NULL) {
        log_error("schedlab: group %s: out of memory", is->name);
        return false;
    }
    for (unsigned i = 0; i < lab->shards; i++)
        spin_init(&group->shard[i].lock, LOCK_OBJECT);
    return true;
}

static bool prepare(void)
{
    lab->shards = MIN(cpumask_count(&cpu_online_mask), SHARDS_MAX);
    lab->seed = boot_report.options->seed;
    event_init(&lab->launcher);
    for (unsigned i = 0; i < lab->workload.events; i++)
        lab_event_init(&lab->event[i]);
    for (unsigned i = 0; i < lab->workload.mutexes; i++)
        mutex_init(&lab->mutex[i]);
    for (unsigned i = 0; i < lab->workload.groups; i++)
        if (!group_prepare(&lab->group[i], &lab->workload.group[i]))
            return false;
    return true;
}

/* ---- Arrivals ---- */

/* 0, or -errno: said in the log. */
static int launch(struct lab_group *group, uint64_t arrived_ns)
{
    const struct workload_group *is = group->is;
    struct lab_task *made = kzalloc(sizeof *made);
    char name[TASK_NAME_BYTES];
    struct task_spec spec = {
        .name = name,
        .entry = lab_task_main,
        .arg = made,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = sched_params_priority(&group->params),
        .affinity = is->has_affinity ? &is->affinity : NULL,
    };
    tid_t tid = -ENOMEM;

    if (made != NULL) {
        made->group = (uint16_t)(group - lab->group);
        made->index = group->launched;
        made->arrived_ns = arrived_ns;
        made->random = lab->seed + ((uint64_t)made->group << 32 | made->index);
        made->random = lab_random(&made->random);
        event_init(&made->wake);
        (void)fmt_print(name, sizeof name, "%s/%u", is->name, made->index);
        tid = task_create(&spec, &made->task);
    }
    if (tid < 0) {
        log_error("schedlab: group %s: task %u cannot be created: error %d", is->name, group->launched, -tid);
        return tid;
    }
    made->base_ns = arrived_ns;
    made->next = group->tasks;
    group->tasks = made;
    group->launched++;
    return 0;
}

/* When the group's next task arrives; TIME_NEVER: not yet known, or none is left. */
static uint64_t next_arrival(struct lab_group *group, const uint64_t *ended_ns)
{
    const struct workload_group *is = group->is;
    uint64_t from = is->after == WORKLOAD_NONE ? lab->start_ns : ended_ns[is->after];

    if (group->launched == is->count || from == TIME_NEVER)
        return TIME_NEVER;
    return from + is->arrive_ns + is->stagger_ns * group->launched;
}

static bool has_ended(const struct lab_group *group)
{
    return load_acquire(&group->ended) == group->is->count; /* PAIRS(lab_group_end) */
}

/* Which groups have ended, and when this was first seen. True: there were some with an end, and all have. */
static bool note_ends(uint64_t *ended_ns)
{
    unsigned finite = 0, left = 0;

    for (unsigned i = 0; i < lab->workload.groups; i++) {
        bool ended = has_ended(&lab->group[i]);

        if (ended && ended_ns[i] == TIME_NEVER)
            ended_ns[i] = clock_ns();
        finite += lab->workload.group[i].repeat != 0;
        left += lab->workload.group[i].repeat != 0 && !ended;
    }
    return finite > 0 && left == 0;
}

static int launch_all(void)
{
    uint64_t ended_ns[WORKLOAD_GROUPS_MAX];

    for (unsigned i = 0; i < lab->workload.groups; i++)
        ended_ns[i] = TIME_NEVER;
    while (!note_ends(ended_ns) && clock_ns() < lab->end_ns) {
        struct lab_group *first = NULL;
        uint64_t at = TIME_NEVER;

        for (unsigned i = 0; i < lab->workload.groups; i++) {
            uint64_t next = next_arrival(&lab->group[i], ended_ns);

            if (next < at) {
                first = &lab->group[i];
                at = next;
            }
        }
        if (first != NULL && at <= clock_ns()) {
            int result = launch(first, at);

            if (result != 0)
                return result;
            continue;
        }
        if (lab->measured_ns == 0)
            lab_measure_from_now();
        (void)event_wait(&lab->launcher, MIN(at, lab->end_ns), WAIT_KILLABLE);
    }
    return 0;
}

static int run(const char *name)
{
    const struct sched_params urgent = { .policy = SCHED_POLICY_FIFO };

    if (!prepare())
        return 2;
    CHECK(task_set_params(current_task(), &urgent) == 0);
    lab_sum_cpus(&lab->before);
    lab->start_ns = clock_ns();
    lab->end_ns = lab->start_ns + lab->workload.duration_ns;
    if (launch_all() != 0)
        return 1;
    store_relaxed(&lab->is_over, true);
    lab->end_ns = clock_ns();
    lab_report(name);
    return check_failures() == 0 ? 0 : 1;
}

int schedlab_main(const char *argument)
{
    const char *colon = strchr(argument, ':');
    size_t bytes = colon != NULL ? (size_t)(colon - argument) : strlen(argument);
    const struct lab_text *text = find_text(argument, bytes);
    struct workload_error error;

    if (text == NULL)
        return refuse_name(argument, bytes);
    lab = kzalloc(sizeof *lab);
    if (lab == NULL) {
        log_error("schedlab: out of memory");
        return 1;
    }
    if (workload_parse(text->text, text->bytes, &lab->workload, &error) != 0) {
        log_error("schedlab: %s:%u:%u: %s", text->name, error.line, error.column, error.text);
        return 2;
    }
    if (colon != NULL && (workload_parse_time(colon + 1, strlen(colon + 1), &lab->workload.duration_ns) != 0 ||
                          lab->workload.duration_ns == 0)) {
        log_error("schedlab: '%s': no time such as 200ms", colon + 1);
        return 2;
    }
    return run(text->name);
}
