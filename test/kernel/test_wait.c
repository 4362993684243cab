/* SPDX-License-Identifier: MIT */
/* Block and wake, timeouts, timers, mutexes: no wake lost, none delivered twice. */
#include <k/atomic.h>
#include <k/errno.h>
#include <mm/phys.h>
#include <sched/mutex.h>
#include <sched/waitq.h>
#include <smp/call.h>
#include <time/clock.h>
#include <time/timer.h>

#include "check.h"

/* A ball that two tasks pass: whoever finds its own number has the turn. */
struct table {
    struct waitq queue;
    unsigned turn;
    unsigned rounds;
};

struct player {
    struct table *table;
    unsigned number;
};

static int play(void *arg)
{
    struct player *self = arg;
    struct table *table = self->table;

    for (unsigned i = 0; i < table->rounds; i++) {
        CHECK(waitq_wait_until(&table->queue, table->turn == self->number, TIME_NEVER, WAIT_KILLABLE) == 0);
        uintptr_t state = spin_lock_irqsave(&table->queue.lock);

        table->turn = 1 - self->number;
        (void)waitq_wake_locked(&table->queue, 1);
        spin_unlock_irqrestore(&table->queue.lock, state);
        sched_check();
    }
    return 0;
}

static void ping_pong(cpu_id_t first, cpu_id_t second, unsigned rounds)
{
    struct table table = { .turn = 0, .rounds = rounds };
    struct player players[2] = { { &table, 0 }, { &table, 1 } };

    waitq_init(&table.queue);
    struct task *a = spawn_on("ping", play, &players[0], PRIORITY_DEFAULT, first);
    struct task *b = spawn_on("pong", play, &players[1], PRIORITY_DEFAULT, second);

    CHECK(finish(a) == 0);
    CHECK(finish(b) == 0);
}

static void a_ball_passes_on_one_cpu_and_across(void)
{
    ping_pong(online_cpu(0), online_cpu(0), 500);
    ping_pong(online_cpu(0), online_cpu(1), 500);
    if (online_count() > 2)
        ping_pong(online_cpu(1), online_cpu(2), 500);
}

static struct waitq gate = WAITQ_INIT(gate);
static unsigned tokens; /* guarded by gate.lock */

static _Atomic(unsigned) result_woken, result_timed_out, result_killed;

/* Take one token, or give up at a random time. */
static int take_token(void *arg) NO_LOCK_ANALYSIS
{
    uint64_t seed = (uint64_t)(uintptr_t)arg * 7919 + 3;
    uint64_t deadline = clock_ns() + random_next(&seed) % (3 * NS_PER_MS);
    int result = 0;
    uintptr_t state = spin_lock_irqsave(&gate.lock);

    while (tokens == 0 && result == 0) {
        result = waitq_wait_locked(&gate, deadline, WAIT_KILLABLE);
        spin_lock_irqoff(&gate.lock);
    }
    if (result == 0)
        tokens--;
    spin_unlock_irqoff(&gate.lock);
    sched_irq_restore(state);
    (void)fetch_add_relaxed(result == 0 ? &result_woken : result == -ETIMEDOUT ? &result_timed_out : &result_killed, 1);
    return result;
}

/* Hazards 7 and 8: timeouts, kills and wakes race for the same waiters; each waiter is settled once, no
 * token is lost. */
static void timeout_kill_and_wake_settle_each_waiter_once(void)
{
    struct task *task[40];
    unsigned given = 0;
    uint64_t seed = 99;

    tokens = 0;
    store_relaxed(&result_woken, 0);
    store_relaxed(&result_timed_out, 0);
    store_relaxed(&result_killed, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("taker", take_token, (void *)(uintptr_t)i, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < 20; i++) {
        uintptr_t state = spin_lock_irqsave(&gate.lock);

        tokens++;
        given++;
        (void)waitq_wake_locked(&gate, 1);
        spin_unlock_irqrestore(&gate.lock, state);
        struct task *victim = task[random_next(&seed) % ARRAY_COUNT(task)];

        if (victim != NULL)
            (void)task_kill(victim);
        (void)task_sleep_for(random_next(&seed) % (200 * NS_PER_US));
    }
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        (void)finish(task[i]);
    CHECK(load_relaxed(&result_woken) + load_relaxed(&result_timed_out) + load_relaxed(&result_killed) ==
          ARRAY_COUNT(task));
    CHECK(load_relaxed(&result_woken) + tokens == given);
    CHECK(list_is_empty(&gate.waiters));
}

static _Atomic(unsigned) awake;

static int sleep_at_gate(void *arg)
{
    (void)arg;
    CHECK(waitq_wait_until(&gate, tokens != 0, TIME_NEVER, WAIT_KILLABLE) == 0);
    (void)fetch_add_relaxed(&awake, 1);
    return 0;
}

static unsigned waiting_at_gate(void)
{
    unsigned count = 0;
    uintptr_t state = spin_lock_irqsave(&gate.lock);

    list_for_each(node, &gate.waiters)
        count++;
    spin_unlock_irqrestore(&gate.lock, state);
    return count;
}

#define HERD_MAX 100u

/* Of tasks that exist at once: stacks take half of a small machine's memory at most. */
static unsigned herd_size(void)
{
    struct phys_stats stats;

    phys_stats_get(&stats);
    return (unsigned)MIN(stats.free_pages / 2 / (STACK_BYTES_DEFAULT / PAGE_BYTES), (uint64_t)HERD_MAX);
}

static void a_herd_wakes_whole(void)
{
    struct task *task[HERD_MAX];
    const unsigned count = herd_size();

    tokens = 0;
    store_relaxed(&awake, 0);
    for (unsigned i = 0; i < count; i++)
        task[i] = spawn("herd", sleep_at_gate, NULL, PRIORITY_DEFAULT, NULL);
    WAIT_FOR(waiting_at_gate() == count);
    uintptr_t state = spin_lock_irqsave(&gate.lock);

    tokens = 1;
    spin_unlock_irqrestore(&gate.lock, state);
    CHECK(waitq_wake_all(&gate) == count);
    for (unsigned i = 0; i < count; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&awake) == count);
    tokens = 0;
}

struct ordered_timer {
    struct timer timer;
    unsigned number;
};

static unsigned fire_order[8];
static _Atomic(unsigned) fire_count;

static void note_order(struct timer *timer)
{
    unsigned place = fetch_add_relaxed(&fire_count, 1);

    fire_order[place] = container_of(timer, struct ordered_timer, timer)->number;
}

/* Armed in reverse with interrupts disabled: whenever the CPU gets to them, due or overdue, they fire by deadline. */
static void timers_fire_in_the_order_of_their_deadlines(void)
{
    struct ordered_timer timers[ARRAY_COUNT(fire_order)];

    store_relaxed(&fire_count, 0);
    uintptr_t state = hal_irq_save();
    uint64_t now = clock_ns();

    for (unsigned i = ARRAY_COUNT(timers); i-- > 0;) {
        timers[i].number = i;
        timer_init(&timers[i].timer, note_order);
        timer_arm(&timers[i].timer, now + i * 100 * NS_PER_US);
    }
    hal_irq_restore(state);
    WAIT_FOR(load_relaxed(&fire_count) == ARRAY_COUNT(timers));
    for (unsigned i = 0; i < ARRAY_COUNT(timers); i++) {
        CHECK(fire_order[i] == i);
        CHECK(!timer_cancel(&timers[i].timer)); /* and its callback has ended */
    }
}

static int sleep_for_arg(void *arg)
{
    uint64_t start = clock_ns();
    uint64_t ns = (uint64_t)(uintptr_t)arg * NS_PER_MS;

    CHECK(task_sleep_for(ns) == 0);
    CHECK(clock_ns() >= start + ns);
    return 0;
}

static void no_sleeper_wakes_early(void)
{
    struct task *task[10];

    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("sleeper", sleep_for_arg, (void *)(uintptr_t)i, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
}

static void a_deadline_in_the_past_ends_a_sleep_at_once(void)
{
    CHECK(task_sleep_until(0) == 0);
    CHECK(task_sleep_until(1) == 0);
    CHECK(task_sleep_for(0) == 0);
}

static _Atomic(unsigned) fired;

static void count_fire(struct timer *timer)
{
    (void)timer;
    (void)fetch_add_relaxed(&fired, 1);
}

static void a_cancelled_timer_does_not_fire(void)
{
    struct timer timers[32];
    unsigned prevented = 0;

    store_relaxed(&fired, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(timers); i++) {
        uintptr_t state = hal_irq_save();

        timer_init(&timers[i], count_fire);
        timer_arm(&timers[i], clock_ns() + i * 50 * NS_PER_US);
        hal_irq_restore(state);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(timers); i++)
        prevented += timer_cancel(&timers[i]);
    unsigned after = load_relaxed(&fired);

    CHECK(after + prevented == ARRAY_COUNT(timers));
    (void)task_sleep_for(3 * NS_PER_MS);
    CHECK(load_relaxed(&fired) == after);
}

static struct mutex mutex = MUTEX_INIT(mutex);
static uint64_t guarded;

static int add_under_mutex(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 200; i++) {
        mutex_lock(&mutex);
        uint64_t seen = guarded;

        if (i % 8 == 0)
            task_yield(); /* sleeping and switching with a mutex held is legal */
        guarded = seen + 1;
        mutex_unlock(&mutex);
        if (i % 32 == 0)
            (void)task_sleep_for(10 * NS_PER_US);
    }
    return 0;
}

static void a_mutex_excludes(void) NO_LOCK_ANALYSIS
{
    struct task *task[8];

    guarded = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("adder", add_under_mutex, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
    CHECK(guarded == 200 * ARRAY_COUNT(task));
    CHECK(mutex_try_lock(&mutex));
    CHECK(mutex_is_held(&mutex));
    mutex_unlock(&mutex);
    CHECK(!mutex_is_held(&mutex));
}

static _Atomic(uint64_t) called_on;
static _Atomic(unsigned) calls;

static void note_call(void *arg)
{
    (void)arg;
    (void)fetch_or_relaxed(&called_on, UINT64_C(1) << (this_cpu_id() % 64));
    (void)fetch_add_relaxed(&calls, 1);
}

static int call_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 30; i++)
        smp_call_all(note_call, NULL);
    return 0;
}

/* Two CPUs that call each other at the same time must both go on answering (hazard 14). */
static void cross_cpu_calls_reach_everybody(void)
{
    store_relaxed(&called_on, 0);
    store_relaxed(&calls, 0);
    struct task *a = spawn("caller", call_all, NULL, PRIORITY_DEFAULT, NULL);
    struct task *b = spawn("caller", call_all, NULL, PRIORITY_DEFAULT, NULL);

    (void)finish(a);
    (void)finish(b);
    CHECK(load_relaxed(&calls) == 60 * online_count());
    CHECK((unsigned)__builtin_popcountll(load_relaxed(&called_on)) == MIN(online_count(), 64u));
}

const struct kernel_test tests_wait[] = {
    { "wait: a ball passes on one CPU and across", a_ball_passes_on_one_cpu_and_across },
    { "wait: timeout, kill and wake settle each waiter once", timeout_kill_and_wake_settle_each_waiter_once },
    { "wait: a herd wakes whole", a_herd_wakes_whole },
    { "wait: timers fire in the order of their deadlines", timers_fire_in_the_order_of_their_deadlines },
    { "wait: no sleeper wakes early", no_sleeper_wakes_early },
    { "wait: a deadline in the past ends a sleep at once", a_deadline_in_the_past_ends_a_sleep_at_once },
    { "wait: a cancelled timer does not fire", a_cancelled_timer_does_not_fire },
    { "wait: a mutex excludes", a_mutex_excludes },
    { "wait: cross-CPU calls reach everybody", cross_cpu_calls_reach_everybody },
    { NULL, NULL },
};
