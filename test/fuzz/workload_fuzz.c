/* SPDX-License-Identifier: MIT */
/* Damaged workloads: test/lab/workload.c stays within its bytes, names a place in them, and accepts only what the
 * launcher can run: every index, count and length is in its range. */
#include "fuzz.h"

#include <string.h>

#include "workload.h"

#include <k/errno.h>

static const char *const bases[] = {
    "duration 2s\ncpus 4\ngroup a count 3\n policy rr 40 slice 5ms\n every 5ms deadline 4ms\n"
    " run uniform 200us 400us\n",
    "group a\n repeat 3\n run 1ms\ngroup b count 9\n after a\n affinity 0-3,9\n arrive 5ms every 1ms\n"
    " join a\n hold m 1us\n",
    "group x\n policy fair nice -5 slice 3ms\n sleep exponential 4ms\n signal go 5\n broadcast all\n"
    "group y\n wait go\n yield\n",
    "# deadlines\ngroup d\n policy deadline runtime 1ms deadline 5ms period 9ms\n run 900us\r\n"
    "group i\n policy idle\n run 1s\n",
};

static size_t make(struct fuzz_random *random, uint8_t *to)
{
    const char *text = bases[fuzz_random_below(random, sizeof bases / sizeof bases[0])];

    memcpy(to, text, strlen(text));
    return strlen(text);
}

/* Damage is mostly a byte that is refused at once: make some of them printable, so that words and numbers are met. */
static size_t repair(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    if (fuzz_random_below(random, 4) != 0)
        for (size_t i = 0; i < bytes; i++)
            if ((data[i] < ' ' || data[i] > '~') && data[i] != '\n' && data[i] != '\t')
                data[i] = (uint8_t)("0159 -,ams\n"[data[i] % 11]);
    return bytes;
}

static void check_time(const struct workload_time *time)
{
    FUZZ_CHECK(time->ns > 0 && time->ns <= WORKLOAD_NS_MAX);
    FUZZ_CHECK(time->spread == WORKLOAD_UNIFORM ? time->ns_max >= time->ns && time->ns_max <= WORKLOAD_NS_MAX
                                                : time->ns_max == 0);
}

static void check_action(const struct workload *workload, unsigned group, const struct workload_action *action)
{
    switch (action->kind) {
    case WORKLOAD_RUN:
    case WORKLOAD_SLEEP:
        check_time(&action->time);
        break;
    case WORKLOAD_SIGNAL:
    case WORKLOAD_BROADCAST:
    case WORKLOAD_WAIT:
        FUZZ_CHECK(action->object < workload->events && action->count >= 1 && action->count <= WORKLOAD_TASKS_MAX);
        break;
    case WORKLOAD_HOLD:
        FUZZ_CHECK(action->object < workload->mutexes);
        check_time(&action->time);
        break;
    case WORKLOAD_JOIN:
        FUZZ_CHECK(action->object < group && workload->group[action->object].repeat > 0);
        break;
    case WORKLOAD_STOP:
        check_time(&action->time);
        [[fallthrough]];
    case WORKLOAD_MOVE:
        FUZZ_CHECK(action->object < CPU_MAX);
        break;
    case WORKLOAD_YIELD:
        break;
    }
}

static void check_group(const struct workload *workload, unsigned index)
{
    const struct workload_group *group = &workload->group[index];

    FUZZ_CHECK(memchr(group->name, '\0', sizeof group->name) != NULL && group->name[0] != '\0');
    FUZZ_CHECK(group->nice >= NICE_MIN && group->nice <= NICE_MAX && group->priority <= WORKLOAD_RT_MAX);
    FUZZ_CHECK((group->policy != WORKLOAD_FIFO && group->policy != WORKLOAD_RR) || group->priority >= 1);
    FUZZ_CHECK(group->slice_ns == 0 || group->slice_ns >= SCHED_SLICE_NS_MIN);
    FUZZ_CHECK(group->slice_ns <= SCHED_SLICE_NS_MAX);
    FUZZ_CHECK(group->dl_runtime_ns <= group->dl_deadline_ns && group->dl_deadline_ns <= group->dl_period_ns);
    FUZZ_CHECK(group->after == WORKLOAD_NONE || (group->after < index && workload->group[group->after].repeat > 0));
    FUZZ_CHECK(!group->has_affinity || cpumask_next(&group->affinity, 0) != CPU_NONE);
    FUZZ_CHECK(group->count >= 1 && group->actions >= 1 && group->first + group->actions <= workload->actions);
    for (unsigned i = 0; i < group->actions; i++)
        check_action(workload, index, &workload->action[group->first + i]);
}

static bool run(const uint8_t *data, size_t bytes)
{
    static struct workload workload;
    static struct workload_error error;
    const char *text = (const char *)data;
    uint32_t tasks = 0;

    memset(&workload, 0xff, sizeof workload);
    memset(&error, 0xff, sizeof error);
    if (workload_parse(text, bytes, &workload, &error) != 0) {
        unsigned lines = 1;

        for (size_t i = 0; i < bytes; i++)
            lines += text[i] == '\n';
        FUZZ_CHECK(error.line >= 1 && error.line <= lines + 1 && error.column >= 1 && error.column <= bytes + 1);
        FUZZ_CHECK(memchr(error.text, '\0', sizeof error.text) != NULL && error.text[0] != '\0');
        for (const char *c = error.text; *c != '\0'; c++)
            FUZZ_CHECK(*c >= ' ' && *c <= '~');
        return false;
    }
    FUZZ_CHECK(workload.groups >= 1 && workload.groups <= WORKLOAD_GROUPS_MAX && workload.cpus <= CPU_MAX);
    FUZZ_CHECK(workload.duration_ns > 0 && workload.duration_ns <= WORKLOAD_NS_MAX);
    FUZZ_CHECK(workload.actions <= WORKLOAD_ACTIONS_MAX && workload.tasks <= WORKLOAD_TASKS_MAX);
    for (unsigned i = 0; i < workload.groups; i++) {
        check_group(&workload, i);
        tasks += workload.group[i].count;
    }
    FUZZ_CHECK(tasks == workload.tasks);
    return true;
}

int main(int argc, char **argv)
{
    static const struct fuzz_target target = {.name = "workload", .make = make, .repair = repair, .run = run};

    return fuzz_main(&target, argc, argv);
}
