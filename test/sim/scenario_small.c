/* SPDX-License-Identifier: MIT */
/*
 * Stories for exhaustive search: two tasks on two CPUs do one thing each. The window opens when both stand at the line,
 * one spinning, and closes when both things are done.
 */
#include "scenario.h"

#include <hal/cpu.h>
#include <mm/slab.h>

static struct {
    void (*other_part)(void); /* on the second CPU */
    struct task *other;
    _Atomic(bool) at_line;
    _Atomic(bool) go; /* PAIRS(sim_go) */
    _Atomic(unsigned) done;
    struct event event;
    struct mutex mutex;
    unsigned guarded; /* by mutex */
    uint64_t deadline_ns;
    int result;
} small;

static void part_done(void)
{
    if (fetch_add_relaxed(&small.done, 1) == 1)
        host_window(false);
}

static int be_other(void *arg)
{
    (void)arg;
    store_relaxed(&small.at_line, true);
    while (!load_acquire(&small.go)) /* PAIRS(sim_go) */
        hal_cpu_relax();
    small.other_part();
    part_done();
    return 11;
}

/* `mine` on the first CPU, `other` on the second. The second task is joined after the window, and by some in it. */
static bool tell(void (*mine)(void), void (*other)(void))
{
    if (online_count() < 2)
        return false; /* nobody to spin beside */
    sim_stay_on(online_cpu(0));
    store_relaxed(&small.at_line, false);
    store_relaxed(&small.go, false);
    store_relaxed(&small.done, 0);
    event_init(&small.event);
    mutex_init(&small.mutex);
    small.guarded = 0;
    small.result = 0;
    small.other_part = other;
    small.other = sim_spawn_nth("other", be_other, NULL, 1);
    if (small.other == NULL)
        return false;
    while (!load_relaxed(&small.at_line))
        (void)task_sleep_for(NS_PER_US);
    small.deadline_ns = clock_ns() + 600;
    host_window(true);
    store_release(&small.go, true); /* PAIRS(sim_go) */
    mine();
    part_done();
    CHECK(finish(small.other) == 11);
    sim_roam();
    return true;
}

static void signal_event(void)
{
    event_signal(&small.event);
}

static void wait_for_event(void)
{
    small.result = event_wait(&small.event, TIME_NEVER, WAIT_KILLABLE);
}

static void small_wake(void)
{
    if (!tell(signal_event, wait_for_event))
        return;
    CHECK(small.result == 0 && !small.event.is_set);
}

static void wait_until_deadline(void)
{
    small.result = event_wait(&small.event, small.deadline_ns, WAIT_KILLABLE);
    CHECK(small.result == 0 || clock_ns() >= small.deadline_ns);
}

static void small_timeout(void)
{
    if (!tell(signal_event, wait_until_deadline))
        return;
    CHECK(small.result == 0 || small.result == -ETIMEDOUT);
    CHECK(small.event.is_set == (small.result != 0)); /* the signal was his, or is still there */
}

static void kill_other(void)
{
    CHECK(task_kill(small.other) == 0);
}

static void small_kill(void)
{
    if (!tell(kill_other, wait_for_event))
        return;
    CHECK(small.result == -EINTR && !small.event.is_set);
}

static void join_other(void)
{
    int code = 0;

    CHECK(task_join(small.other, &code, TIME_NEVER) == 0 && code == 11);
    part_done(); /* the other one's part ended before */
}

static void nothing(void)
{
}

static void small_join(void)
{
    (void)tell(join_other, nothing);
}

static void move_other(void)
{
    struct cpumask here;

    cpumask_set_single(&here, online_cpu(0));
    CHECK(task_set_affinity(small.other, &here) == 0);
    event_signal(&small.event);
}

static void wait_and_look(void)
{
    wait_for_event();
    CHECK(this_cpu_id() == online_cpu(0)); /* the signal came after the move */
}

static void small_affinity(void)
{
    if (!tell(move_other, wait_and_look))
        return;
    CHECK(small.result == 0);
}

static void lock_and_add(void)
{
    mutex_lock(&small.mutex);
    unsigned seen = small.guarded;

    hal_point(NULL);
    small.guarded = seen + 1;
    mutex_unlock(&small.mutex);
}

static void small_mutex(void)
{
    if (!tell(lock_and_add, lock_and_add))
        return;
    CHECK(small.guarded == 2 && load_relaxed(&small.mutex.owner) == 0);
}

static struct slab_cache small_cache;
static void *small_object;

static void swap_objects(void)
{
    void *object = slab_alloc(&small_cache);

    slab_free(&small_cache, small_object);
    small_object = object;
}

static void small_magazine(void)
{
    if (small_cache.name == NULL)
        slab_cache_init(&small_cache, "small", 64, 8);
    small_object = slab_alloc(&small_cache);
    if (tell(slab_reclaim_all, swap_objects))
        CHECK(slab_used(&small_cache) == 1);
    slab_free(&small_cache, small_object);
    slab_reclaim_all();
    CHECK(slab_used(&small_cache) == 0);
}

#define SMALL .cpus = 2, .cpus_min = 2, .rounds = 1, .is_small = true

const struct sim_scenario sim_scenarios_small[] = {
    { .name = "small-wake", .aim = "a wake-up that comes on the way to sleep is lost", SMALL, .run = small_wake },
    { .name = "small-timeout", .aim = "deadline and wake-up both settle a wait, or neither", SMALL,
      .run = small_timeout },
    { .name = "small-kill", .aim = "a kill that comes on the way to sleep is lost", SMALL, .run = small_kill },
    { .name = "small-join", .aim = "a joiner misses the end that comes as it begins to wait", SMALL,
      .run = small_join },
    { .name = "small-affinity", .aim = "a task blocks while it is asked to leave its CPU", SMALL,
      .run = small_affinity },
    { .name = "small-magazine", .aim = "a magazine is emptied while its CPU takes an object out or puts one in", SMALL,
      .run = small_magazine },
    { .name = "small-mutex", .aim = "an unlock misses the locker that begins to wait", SMALL, .run = small_mutex },
    { .name = NULL },
};
