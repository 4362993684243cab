/* SPDX-License-Identifier: MIT */
/*
 * Deadline tasks on the machine as it is: who is admitted, who is throttled, what is left for others. An emulated
 * machine may stand still at any time, so nothing here is late or early: only counts are looked at.
 */
#include <k/atomic.h>
#include <k/errno.h>
#include <sched/params.h>
#include <time/clock.h>

#include "check.h"
#include "story.h"

#define MS NS_PER_MS

static _Atomic(bool) stop;

static int want_all(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

static int sleep_until_killed(void *arg)
{
    (void)arg;
    while (task_sleep_for(3600 * NS_PER_SEC) == 0)
        continue;
    return 0;
}

static struct sched_params promise(uint64_t runtime_ns, uint64_t deadline_ns)
{
    return (struct sched_params){ .policy = SCHED_POLICY_DEADLINE, .runtime_ns = runtime_ns,
                                  .deadline_ns = deadline_ns };
}

/*
 * Make the task a deadline task. What a task before it gave back is not free before that one's share has caught up with
 * what it ran, even if it is dead; and it is charged the time that the machine stood still while it ran. So there may
 * be no room at first.
 */
static void admit(struct task *task, const struct sched_params *params)
{
    WAIT_FOR(task_set_params(task, params) == 0);
}

/* Two thirds for one task on each CPU, and then a third: after that there is no room for anything. */
static void cpus_are_promised_as_a_whole_and_not_more(void)
{
    struct sched_params most = promise(20 * MS, 30 * MS);
    struct sched_params rest = promise(30 * MS, 90 * MS);
    struct sched_params more = promise(NS_PER_MS / 100, 10 * NS_PER_SEC);
    static struct task *task[2 * CPU_MAX];
    unsigned count = 0;
    struct sched_params is;

    for (unsigned i = 0; i < 2 * online_count(); i++) {
        task[count] = spawn("promised", sleep_until_killed, NULL, PRIORITY_DEFAULT, NULL);
        if (task[count] == NULL)
            break;
        admit(task[count], i % 2 == 0 ? &most : &rest);
        count++;
    }
    struct task *late = spawn("late", sleep_until_killed, NULL, PRIORITY_DEFAULT, NULL);

    if (late != NULL) {
        CHECK(task_set_params(late, &more) == -EBUSY);
        task_get_params(late, &is);
        CHECK(is.policy == SCHED_POLICY_FAIR && is.runtime_ns == 0);
        CHECK(task_set_priority(task[0], PRIORITY_DEFAULT) == 0);
        /* What it may have used already is another's when its deadline has passed. */
        WAIT_FOR(task_set_params(late, &more) == 0);
        CHECK(task_set_priority(late, PRIORITY_DEFAULT) == 0); /* with 10 us in 10 s it would not end today */
        CHECK(task_kill(late) == 0 && finish(late) == 0);
    }
    while (count-- > 0)
        CHECK(task_kill(task[count]) == 0 && finish(task[count]) == 0);
}

static void whoever_wants_more_is_throttled_and_others_run(void)
{
    struct sched_params params = promise(4 * MS, 20 * MS);
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task_snapshot snapshot;

    store_relaxed(&stop, false);
    struct task *hog = spawn_on("hog", want_all, NULL, PRIORITY_DEFAULT, cpu);
    struct task *fair = spawn_on("fair", want_all, NULL, PRIORITY_DEFAULT, cpu);

    if (hog == NULL || fair == NULL)
        return;
    admit(hog, &params);
    WAIT_FOR((task_get_snapshot(hog, &snapshot), snapshot.stats.deadline_overruns >= 5));
    task_get_snapshot(fair, &snapshot);
    uint64_t runs = snapshot.run_count;

    /* A throttled task that never gave way would keep it from running for ever. */
    WAIT_FOR((task_get_snapshot(fair, &snapshot), snapshot.run_count >= runs + 5));
    task_get_snapshot(hog, &snapshot);
    CHECK(snapshot.policy == SCHED_POLICY_DEADLINE && snapshot.cpu == cpu);
    CHECK(check_census());
    store_relaxed(&stop, true);
    CHECK(finish(hog) == 0 && finish(fair) == 0);
}

static void a_yield_ends_the_period(void)
{
    (void)story_yields(10 * MS, 5);
}

static void a_deadline_task_moves_with_its_promise(void)
{
    struct sched_params params = promise(6 * MS, 10 * MS);
    struct task_snapshot snapshot;
    struct cpumask mask;

    store_relaxed(&stop, false);
    struct task *task = spawn("mover", want_all, NULL, PRIORITY_DEFAULT, NULL);

    if (task == NULL)
        return;
    admit(task, &params);
    for (unsigned i = 0; i < 2 * online_count() && i < 16; i++) {
        cpumask_set_single(&mask, online_cpu(i));
        /* On its way round it comes back to CPUs where what it left is not free yet. */
        WAIT_FOR(task_set_affinity(task, &mask) == 0);
        task_get_snapshot(task, &snapshot);
        CHECK(snapshot.cpu == online_cpu(i));
    }
    CHECK(task_set_priority(task, PRIORITY_DEFAULT) == 0);
    store_relaxed(&stop, true);
    CHECK(finish(task) == 0);
}

const struct kernel_test tests_deadline[] = {
    { "deadline: CPUs are promised as a whole and not more", cpus_are_promised_as_a_whole_and_not_more },
    { "deadline: whoever wants more is throttled and others run", whoever_wants_more_is_throttled_and_others_run },
    { "deadline: a yield ends the period", a_yield_ends_the_period },
    { "deadline: a deadline task moves with its promise", a_deadline_task_moves_with_its_promise },
    { NULL, NULL },
};
