/* SPDX-License-Identifier: MIT */
/*
 * Inheritance: a task is as urgent as the most urgent of itself and those who wait, directly or through others, for a
 * mutex that it owns; no less and no more. What is compared is the naive closure over records and owner words, without
 * the trees that core keeps, with the rank of each task, and with the absolute deadline that it has of others.
 *
 * It holds whenever nobody is in the middle of a change: TRACE_PI_CHANGE says so, from before the first lock is taken
 * to after the last step of the walk. A waiter that timed out or was killed counts until it has left by itself.
 * Only tasks are looked at that have waited, owned what others waited for, or had their priority changed.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "table.h"
#include "watch.h"

#define TASKS_MAX 131072u

SIM_MAP(by_task, "tasks with mutexes", 18);

static struct {
    unsigned changes; /* that are under way */
    unsigned count;
    struct {
        const struct task *task;
        struct sched_urgency lent; /* by the closure */
    } known[TASKS_MAX];
} inherit;

static void inherit_reset(const struct host_config *config)
{
    (void)config;
    sim_map_clear(&by_task);
    inherit.changes = inherit.count = 0;
}

static void know(const struct task *task)
{
    uint64_t *at = sim_map_put(&by_task, task);

    if (*at != 0)
        return;
    if (inherit.count == TASKS_MAX)
        sim_broken(PROMISE_SANITY, "the watch has no room for more than %u tasks with mutexes", TASKS_MAX);
    inherit.known[inherit.count].task = task;
    *at = ++inherit.count;
}

static void forget(const struct task *task)
{
    uint64_t *at = sim_map_find(&by_task, task);

    if (at == NULL)
        return;
    unsigned hole = (unsigned)*at - 1;

    sim_map_remove(&by_task, task);
    inherit.known[hole] = inherit.known[--inherit.count];
    if (hole != inherit.count)
        *sim_map_put(&by_task, inherit.known[hole].task) = hole + 1;
}

static const struct task *waits_for(const struct task *task)
{
    const struct mutex_waiter *waiter = task->pi.blocked_on;

    return waiter == NULL ? NULL : (const struct task *)(sim_peek(&waiter->mutex->owner) & ~(uintptr_t)1);
}

static unsigned own_rank(const struct task *task)
{
    return sched_policy_class[task->params.policy]->rank + task->params.rt_level;
}

#define NOTHING_LENT ((struct sched_urgency){ .rank = UINT8_MAX })

/* What it lends, if it waits. */
static struct sched_urgency urgency_of(unsigned i)
{
    const struct task *task = inherit.known[i].task;
    struct sched_urgency own = { .rank = (uint8_t)own_rank(task) };

    if (own.rank == RANK_DEADLINE)
        own.deadline_ns = task->pi.due_ns;
    return urgency_is_before(inherit.known[i].lent, own) ? inherit.known[i].lent : own;
}

/* One round of lending; true: somebody became more urgent by it. */
static bool lend(void)
{
    bool changed = false;

    for (unsigned i = 0; i < inherit.count; i++) {
        const struct task *owner = waits_for(inherit.known[i].task);

        if (owner == NULL)
            continue;
        unsigned at = (unsigned)*sim_map_find(&by_task, owner) - 1;

        if (urgency_is_before(urgency_of(i), inherit.known[at].lent)) {
            inherit.known[at].lent = urgency_of(i);
            changed = true;
        }
    }
    return changed;
}

static void compare_one(const struct task *task, struct sched_urgency lent)
{
    unsigned rank = MIN(own_rank(task), (unsigned)lent.rank);
    bool has_deadline = lent.rank == RANK_DEADLINE;

    if (UNLIKELY(task->rank != rank))
        sim_broken(PROMISE_INHERIT, "'%s' has rank %u, its own is %u, and with those who wait for it %u", task->name,
                   task->rank, own_rank(task), rank);
    if (UNLIKELY(task->is_inherited != has_deadline))
        sim_broken(PROMISE_INHERIT, "'%s' has %s deadline of somebody else, and %s deadline task waits for it",
                   task->name, task->is_inherited ? "a" : "no", has_deadline ? "a" : "no");
    if (UNLIKELY(has_deadline && task->deadline.inherited_ns != lent.deadline_ns))
        sim_broken(PROMISE_INHERIT, "'%s' goes by the deadline %llu ns, and who waits for it lends %llu ns", task->name,
                   (unsigned long long)task->deadline.inherited_ns, (unsigned long long)lent.deadline_ns);
}

static void compare(void)
{
    for (unsigned i = 0; i < inherit.count; i++) /* it may grow on the way */
        if (waits_for(inherit.known[i].task) != NULL)
            know(waits_for(inherit.known[i].task));
    for (unsigned i = 0; i < inherit.count; i++)
        inherit.known[i].lent = NOTHING_LENT;
    while (lend())
        continue;
    for (unsigned i = 0; i < inherit.count; i++)
        compare_one(inherit.known[i].task, inherit.known[i].lent);
}

static void inherit_event(enum trace_event event, const void *object, uint64_t value)
{
    if (event == TRACE_TASK_EXIT || event == TRACE_TASK_FREE)
        forget(object);
    if (event != TRACE_PI_CHANGE)
        return;
    const struct task *task = object;

    know(task);
    if (waits_for(task) != NULL)
        know(waits_for(task));
    if (value != 0) {
        inherit.changes++;
        return;
    }
    if (UNLIKELY(inherit.changes == 0))
        sim_broken(PROMISE_SANITY, "a change of who waits for '%s' ends that has not begun", task->name);
    if (--inherit.changes == 0)
        compare();
}

static void inherit_quiet(void)
{
    if (inherit.changes == 0)
        compare();
    sim_cost(inherit.count);
}

const struct sim_checker checker_inherit = {
    .promise = PROMISE_INHERIT,
    .name = "inheritance",
    .reset = inherit_reset,
    .event = inherit_event,
    .quiet = inherit_quiet,
};
