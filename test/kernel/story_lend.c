/* SPDX-License-Identifier: MIT */
/* A deadline that is lent along two mutexes. */
#include <k/atomic.h>
#include <k/errno.h>
#include <sched/completion.h>
#include <sched/mutex.h>
#include <time/clock.h>

#include "check.h"
#include "story.h"

static struct {
    struct mutex first, second;
    struct completion go, begin;
    struct task *owner, *middle, *lender;
    uint64_t until_ns;
    _Atomic(bool) is_near; /* the lender is about to lock */
} lend;

static int own_first(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    mutex_lock(&lend.first);
    CHECK(completion_wait(&lend.go, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    mutex_unlock(&lend.first);
    return 0;
}

static int own_second(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    mutex_lock(&lend.second);
    mutex_lock(&lend.first);
    mutex_unlock(&lend.first);
    mutex_unlock(&lend.second);
    return 0;
}

static int want_second(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    CHECK(completion_wait(&lend.begin, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    store_relaxed(&lend.is_near, true);
    int result = mutex_lock_until(&lend.second, lend.until_ns, WAIT_KILLABLE);

    if (result == 0)
        mutex_unlock(&lend.second);
    return -result;
}

static struct sched_params promise(uint64_t runtime_ns, uint64_t deadline_ns)
{
    return (struct sched_params){ .policy = SCHED_POLICY_DEADLINE, .runtime_ns = runtime_ns,
                                  .deadline_ns = deadline_ns };
}

static void become(struct task *task, uint64_t runtime_ns, uint64_t deadline_ns)
{
    struct sched_params params = promise(runtime_ns, deadline_ns);

    CHECK(task_set_params(task, &params) == 0);
}

static void send_lender(uint64_t until_ns)
{
    lend.until_ns = until_ns;
    store_relaxed(&lend.is_near, false);
    lend.lender = spawn("lender", want_second, NULL, PRIORITY_USER_NORMAL, NULL);
    if (lend.lender == NULL)
        return;
    become(lend.lender, NS_PER_MS / 5, 20 * NS_PER_MS);
    completion_done(&lend.begin);
}

/* What the fields of a task say that waits, read after a look under the lock that guards them. */
static bool is_lent(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    CHECK(snapshot.is_boosted || !task->is_inherited);
    return task->is_inherited;
}

static uint64_t due_ns(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return task->deadline.due_ns;
}

static void expect_lent(void)
{
    CHECK(is_lent(lend.middle) && lend.middle->deadline.inherited_ns == due_ns(lend.lender));
    CHECK(is_lent(lend.owner) && lend.owner->deadline.inherited_ns == due_ns(lend.lender));
}

static void expect_not_lent(void)
{
    CHECK(!is_lent(lend.middle) && !is_lent(lend.owner));
}

/* While the lender waits, it and the owner change. */
static void change_both(void)
{
    int priority = lend.owner->priority;

    become(lend.lender, NS_PER_MS / 10, 5 * NS_PER_MS);
    expect_lent();
    become(lend.lender, NS_PER_MS / 10, 50 * NS_PER_MS);
    expect_lent();
    CHECK(task_set_priority(lend.lender, PRIORITY_USER_NORMAL) == 0);
    expect_not_lent();
    become(lend.lender, NS_PER_MS / 10, 30 * NS_PER_MS);
    expect_lent();
    become(lend.owner, NS_PER_MS / 10, 10 * NS_PER_MS);
    expect_lent();
    CHECK(task_set_priority(lend.owner, priority) == 0);
    expect_lent();
}

void story_lend(int owner_priority)
{
    mutex_init(&lend.first);
    mutex_init(&lend.second);
    completion_init(&lend.go);
    completion_init(&lend.begin);
    lend.owner = spawn("owner", own_first, NULL, owner_priority, NULL);
    if (lend.owner == NULL)
        return;
    WAIT_FOR(is_blocked(lend.owner));
    lend.middle = spawn("middle", own_second, NULL, PRIORITY_USER_LOW, NULL);
    if (lend.middle == NULL)
        return;
    WAIT_FOR(is_blocked(lend.middle));
    send_lender(TIME_NEVER);
    WAIT_FOR(load_relaxed(&lend.is_near) && is_blocked(lend.lender));
    expect_lent();
    change_both();
    CHECK(task_kill(lend.lender) == 0 && finish(lend.lender) == EINTR);
    expect_not_lent();
    send_lender(clock_ns() + 2 * NS_PER_MS);
    CHECK(finish(lend.lender) == ETIMEDOUT);
    expect_not_lent();
    send_lender(TIME_NEVER);
    WAIT_FOR(load_relaxed(&lend.is_near) && is_blocked(lend.lender));
    expect_lent();
    completion_done(&lend.go);
    CHECK(finish(lend.lender) == 0);
    CHECK(finish(lend.middle) == 0);
    CHECK(finish(lend.owner) == 0);
}
