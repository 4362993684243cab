/* SPDX-License-Identifier: MIT */
/* Priority inheritance: the inversion that it is for, and a long chain. */
#include <hal/cpu.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <sched/completion.h>
#include <sched/mutex.h>
#include <time/clock.h>

#include "check.h"
#include "story.h"

static struct {
    struct mutex mutex;
    struct completion locked;
    unsigned hogs, relaxes;
    _Atomic(bool) go, stop;
    _Atomic(unsigned) work[STORY_HOGS_MAX];
    unsigned before, after; /* of high, read after its end */
} inversion;

static unsigned all_work(void)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < inversion.hogs; i++)
        sum += load_relaxed(&inversion.work[i]);
    return sum;
}

static int be_low(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    mutex_lock(&inversion.mutex);
    completion_done(&inversion.locked);
    while (!load_relaxed(&inversion.go))
        hal_cpu_relax();
    for (unsigned i = 0; i < inversion.relaxes; i++)
        hal_cpu_relax();
    mutex_unlock(&inversion.mutex);
    return 0;
}

static int be_between(void *arg)
{
    while (!load_relaxed(&inversion.stop)) {
        (void)fetch_add_relaxed(&inversion.work[(uintptr_t)arg], 1);
        hal_cpu_relax();
    }
    return 0;
}

static int be_high(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    inversion.before = all_work();
    store_relaxed(&inversion.go, true);
    mutex_lock(&inversion.mutex);
    inversion.after = all_work();
    mutex_unlock(&inversion.mutex);
    store_relaxed(&inversion.stop, true);
    return 0;
}

static void inversion_init(unsigned hogs, unsigned relaxes)
{
    mutex_init(&inversion.mutex);
    completion_init(&inversion.locked);
    inversion.hogs = MIN(hogs, STORY_HOGS_MAX);
    inversion.relaxes = relaxes;
    store_relaxed(&inversion.go, false);
    store_relaxed(&inversion.stop, false);
    for (unsigned i = 0; i < inversion.hogs; i++)
        store_relaxed(&inversion.work[i], 0);
}

/* All on one CPU. While high waits for low, none of those between runs, not for a moment. */
void story_inversion(int low_priority, unsigned hogs, unsigned relaxes)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task *hog[STORY_HOGS_MAX];

    inversion_init(hogs, relaxes);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    struct task *low = spawn_on("low", be_low, NULL, low_priority, cpu);

    CHECK(completion_wait(&inversion.locked, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    for (uintptr_t i = 0; i < inversion.hogs; i++)
        hog[i] = spawn_on("between", be_between, (void *)i, PRIORITY_REALTIME_LOW, cpu);
    WAIT_FOR(all_work() > 0);
    struct task *high = spawn_on("high", be_high, NULL, PRIORITY_REALTIME_NORMAL, cpu);

    CHECK(finish(high) == 0);
    CHECK(inversion.after == inversion.before);
    CHECK(finish(low) == 0);
    for (unsigned i = 0; i < inversion.hogs; i++)
        CHECK(finish(hog[i]) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

#define LINKS 12

static struct {
    struct mutex mutex[LINKS];
    struct completion released;
    struct task *task[LINKS];
    uint64_t until_ns; /* of the pusher */
} chain;

static int hold_link(void *arg) NO_LOCK_ANALYSIS
{
    unsigned i = (unsigned)(uintptr_t)arg;

    mutex_lock(&chain.mutex[i]);
    if (i == 0) {
        CHECK(completion_wait(&chain.released, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    } else {
        mutex_lock(&chain.mutex[i - 1]);
        mutex_unlock(&chain.mutex[i - 1]);
    }
    mutex_unlock(&chain.mutex[i]);
    return 0;
}

static int push_end(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    int result = mutex_lock_until(&chain.mutex[LINKS - 1], chain.until_ns, WAIT_KILLABLE);

    if (result == 0)
        mutex_unlock(&chain.mutex[LINKS - 1]);
    return -result;
}

static void chain_is(int priority)
{
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(effective_priority(chain.task[i]) == priority);
}

static struct task *push(uint64_t until_ns)
{
    chain.until_ns = until_ns;
    return spawn("pusher", push_end, NULL, 10, NULL);
}

static void change_middle(void)
{
    struct task *middle = chain.task[LINKS / 2];

    CHECK(task_set_priority(middle, 5) == 0); /* from there on */
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(effective_priority(chain.task[i]) == (i <= LINKS / 2 ? 5 : 15));
    CHECK(task_set_priority(middle, PRIORITY_USER_NORMAL) == 0);
    chain_is(15);
}

static void change_pusher(struct task *pusher)
{
    chain_is(10);
    CHECK(task_set_priority(pusher, 3) == 0);
    chain_is(3);
    CHECK(task_set_priority(pusher, 15) == 0);
    chain_is(15);
}

void story_chain(void)
{
    completion_init(&chain.released);
    for (uintptr_t i = 0; i < LINKS; i++) {
        mutex_init(&chain.mutex[i]);
        chain.task[i] = spawn("link", hold_link, (void *)i, PRIORITY_USER_NORMAL, NULL);
        if (chain.task[i] == NULL)
            return;
        WAIT_FOR(is_blocked(chain.task[i]));
    }
    struct task *pusher = push(TIME_NEVER);

    WAIT_FOR(is_blocked(pusher));
    change_pusher(pusher);
    change_middle();
    CHECK(task_kill(pusher) == 0 && finish(pusher) == EINTR);
    chain_is(PRIORITY_USER_NORMAL);
    CHECK(finish(push(clock_ns() + NS_PER_MS)) == ETIMEDOUT);
    chain_is(PRIORITY_USER_NORMAL);
    pusher = push(TIME_NEVER);
    WAIT_FOR(is_blocked(pusher));
    completion_done(&chain.released);
    CHECK(finish(pusher) == 0);
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(finish(chain.task[i]) == 0);
}
