/* SPDX-License-Identifier: MIT */
/*
 * Everything at once: drivers do random things to a set of workers, which do random things themselves, and to shared
 * objects. Nobody knows what will happen; the accounts must be exact all the same.
 */
#include "scenario.h"

#include <hal/cpu.h>
#include <proc/id.h>
#include <smp/call.h>

#define WORKERS 8
#define DRIVERS 4
#define WORKER_CODE 21

static struct {
    struct mutex slots_mutex;
    struct task *worker[WORKERS]; /* guarded by slots_mutex: a reference each */
    _Atomic(tid_t) tid[WORKERS];

    struct mutex mutex;
    unsigned added; /* guarded by mutex */
    struct sim_semaphore tokens;
    struct event baton;
    _Atomic(bool) baton_is_held;

    /* The accounts. */
    _Atomic(unsigned) created, ended, reaped;
    _Atomic(unsigned) adds;
    _Atomic(unsigned) given, taken;
    _Atomic(unsigned) processes, waited;
    _Atomic(unsigned) calls_made, calls_seen;
} all;

static void count(_Atomic(unsigned) *account)
{
    (void)fetch_add_relaxed(account, 1);
}

/* What workers and drivers do to the shared objects. None of it leaves anything behind but an entry in an account. */

static void do_nothing_for_a_while(void)
{
    switch (sim_random_below(3)) {
    case 0:
        task_yield();
        break;
    case 1:
        sim_nap(3 * NS_PER_US);
        break;
    default:
        sim_delay();
        break;
    }
}

static void do_add(void)
{
    mutex_lock(&all.mutex);
    unsigned seen = all.added;

    do_nothing_for_a_while();
    all.added = seen + 1;
    mutex_unlock(&all.mutex);
    count(&all.adds);
}

static void do_give(void)
{
    count(&all.given);
    sim_up(&all.tokens);
}

static void do_take(void)
{
    int result = sim_down(&all.tokens, clock_ns() + sim_random_below(3000),
                          sim_chance(2) ? WAIT_KILLABLE : WAIT_UNINTERRUPTED);

    if (CHECK(result == 0 || result == -ETIMEDOUT || (result == -EINTR && task_is_killed())) && result == 0)
        count(&all.taken);
}

static void do_run_with_baton(void)
{
    int result = event_wait(&all.baton, clock_ns() + sim_random_below(3000), WAIT_KILLABLE);

    if (result != 0)
        return;
    CHECK(!xchg_relaxed(&all.baton_is_held, true));
    do_nothing_for_a_while();
    CHECK(xchg_relaxed(&all.baton_is_held, false));
    event_signal(&all.baton);
}

static void note_call(void *arg)
{
    (void)arg;
    count(&all.calls_seen);
}

static void do_call(void)
{
    struct cpumask mask;

    sim_some_cpus(&mask);
    (void)fetch_add_relaxed(&all.calls_made, cpumask_count(&mask));
    smp_call(&mask, note_call, NULL);
}

static void do_move_oneself(void)
{
    struct cpumask mask;

    sim_some_cpus(&mask);
    CHECK(task_set_affinity(current_task(), &mask) == 0);
    CHECK(sched_is_well_placed());
}

static void (*const common[])(void) = {
    do_nothing_for_a_while, do_nothing_for_a_while, do_add, do_give, do_take, do_run_with_baton, do_call,
    do_move_oneself,
};

static int be_worker(void *arg)
{
    unsigned left = (unsigned)(uintptr_t)arg;

    for (; left > 0 && !task_is_killed(); left--)
        common[sim_random_below(ARRAY_COUNT(common))]();
    count(&all.ended);
    return WORKER_CODE;
}

/* What drivers do to workers. */

static void do_create(void)
{
    unsigned slot = (unsigned)sim_random_below(WORKERS);

    mutex_lock(&all.slots_mutex);
    if (all.worker[slot] == NULL) {
        struct cpumask mask;

        sim_some_cpus(&mask);
        all.worker[slot] = spawn("worker", be_worker, (void *)(uintptr_t)sim_random_below(12), sim_some_priority(),
                                 sim_chance(2) ? &mask : NULL);
        if (all.worker[slot] != NULL) {
            store_relaxed(&all.tid[slot], all.worker[slot]->tid);
            count(&all.created);
        }
    }
    mutex_unlock(&all.slots_mutex);
}

/* A worker with a reference of its own, or NULL. */
static struct task *some_worker(void)
{
    unsigned slot = (unsigned)sim_random_below(WORKERS);
    struct task *task;

    if (sim_chance(2))
        return task_lookup(load_relaxed(&all.tid[slot])); /* it may be dead already, and so not be found */
    mutex_lock(&all.slots_mutex);
    task = all.worker[slot];
    if (task != NULL)
        task_get(task);
    mutex_unlock(&all.slots_mutex);
    return task;
}

static void take_down(struct task *task)
{
    int code = 0;

    CHECK(task_join(task, &code, TIME_NEVER) == 0 && code == WORKER_CODE);
    task_put(task);
    count(&all.reaped);
}

static void do_reap(void)
{
    unsigned slot = (unsigned)sim_random_below(WORKERS);

    mutex_lock(&all.slots_mutex);
    struct task *task = all.worker[slot];

    all.worker[slot] = NULL;
    mutex_unlock(&all.slots_mutex);
    if (task != NULL)
        take_down(task);
}

static void do_child(void)
{
    CHECK(sim_child(&process_kernel, be_worker, (void *)(uintptr_t)sim_random_below(6)) > 0);
    count(&all.processes);
}

static void wait_for_children(unsigned options)
{
    int status = 0;

    while (process_wait(&process_kernel, -1, options, &status) > 0) {
        CHECK(status == WAIT_STATUS_EXITED(WORKER_CODE));
        count(&all.waited);
    }
}

static void join_for_a_while(struct task *task)
{
    int code = 0;
    int result = task_join(task, &code, clock_ns() + sim_random_below(3000));

    CHECK((result == 0 && code == WORKER_CODE) || result == -ETIMEDOUT);
}

static void move(struct task *task)
{
    struct cpumask mask;

    sim_some_cpus(&mask);
    int result = task_set_affinity(task, &mask);

    CHECK(result == 0 || result == -ESRCH);
}

static void reorder(struct task *task)
{
    int result = sim_chance(3) ? task_set_policy(task, sim_chance(2) ? SCHED_POLICY_FIFO : SCHED_POLICY_RR)
                               : task_set_priority(task, sim_some_priority());

    CHECK(result == 0 || result == -ESRCH || result == -EINVAL);
}

static void end(struct task *task)
{
    int result = task_kill(task);

    CHECK(result == 0 || result == -ESRCH);
}

static void look_at(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    CHECK(snapshot.state <= TASK_DEAD && snapshot.cpu < CPU_MAX);
    (void)task_wake(task);
}

static void (*const to_worker[])(struct task *task) = { join_for_a_while, move, move, reorder, end, look_at };

static void drive_once(void)
{
    unsigned choice = (unsigned)sim_random_below(16);

    if (choice < 3)
        do_create();
    else if (choice == 3)
        do_reap();
    else if (choice == 4)
        do_child();
    else if (choice == 5)
        wait_for_children(WNOHANG);
    else if (choice < 8)
        common[sim_random_below(ARRAY_COUNT(common))]();
    else if (choice == 8 && sim_chance(4))
        reaper_wait_pass();
    else {
        struct task *task = some_worker();

        if (task == NULL)
            return;
        to_worker[sim_random_below(ARRAY_COUNT(to_worker))](task);
        task_put(task);
    }
}

static int drive(void *arg)
{
    for (uintptr_t left = (uintptr_t)arg; left > 0; left--)
        drive_once();
    return 0;
}

static void begin(void)
{
    mutex_init(&all.slots_mutex);
    mutex_init(&all.mutex);
    sim_semaphore_init(&all.tokens, 0);
    event_init(&all.baton);
    event_signal(&all.baton);
    for (unsigned i = 0; i < WORKERS; i++) {
        all.worker[i] = NULL;
        store_relaxed(&all.tid[i], 0);
    }
}

static void check_accounts(void)
{
    CHECK(load_relaxed(&all.created) == load_relaxed(&all.reaped));
    CHECK(load_relaxed(&all.ended) == load_relaxed(&all.created) + load_relaxed(&all.processes));
    CHECK(load_relaxed(&all.processes) == load_relaxed(&all.waited));
    CHECK(load_relaxed(&all.adds) == all.added && load_relaxed(&all.mutex.owner) == 0);
    CHECK(load_relaxed(&all.given) == load_relaxed(&all.taken) + all.tokens.count);
    CHECK(all.baton.is_set && !load_relaxed(&all.baton_is_held));
    CHECK(load_relaxed(&all.calls_made) == load_relaxed(&all.calls_seen));
}

static void mix_everything(void)
{
    struct task *driver[DRIVERS];
    uint64_t tasks = count_tasks();

    begin();
    for (unsigned i = 0; i < DRIVERS; i++)
        driver[i] = spawn("driver", drive, (void *)(uintptr_t)(12 * sim_rounds()), sim_some_fair_priority(), NULL);
    CHECK(sim_finish_all(driver, DRIVERS) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        if (all.worker[i] == NULL)
            continue;
        end(all.worker[i]);
        take_down(all.worker[i]);
    }
    wait_for_children(0);
    wait_for_tasks(tasks);
    check_accounts();
}

const struct sim_scenario sim_scenarios_random[] = {
    { .name = "random", .aim = "anything against anything: whatever the short stories did not think of",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = mix_everything },
    { .name = NULL },
};
