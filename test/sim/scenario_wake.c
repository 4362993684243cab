/* SPDX-License-Identifier: MIT */
/* Wake-ups: against the block, the switch, a migration, an idle CPU, a deadline, a kill, and each other. */
#include "scenario.h"

/* Partners that block and wake each other, without a queue in between: only the latch keeps a wake-up. */
struct partner {
    struct task *task;
    _Atomic(unsigned) wakes; /* given to this one, ever */
    struct partner *other;
    unsigned rounds;
    bool begins;
};

static struct {
    struct sim_line line;
    struct partner partner[4];
} pairs;

static void wake_partner(struct partner *partner)
{
    (void)fetch_add_acq_rel(&partner->wakes, 1); /* PAIRS(sim_count) */
    (void)task_wake(partner->task);
}

static int take_turns(void *arg)
{
    struct partner *self = arg;

    sim_line_wait(&pairs.line);
    for (unsigned i = 1; i <= self->rounds; i++) {
        if (self->begins)
            wake_partner(self->other);
        sim_block_until(&self->wakes, i);
        if (!self->begins)
            wake_partner(self->other);
    }
    return 0;
}

static void run_pairs(unsigned count, unsigned rounds, unsigned stride)
{
    struct task *task[ARRAY_COUNT(pairs.partner)];

    sim_line_init(&pairs.line);
    for (unsigned i = 0; i < count; i++) {
        struct partner *self = &pairs.partner[i];

        store_relaxed(&self->wakes, 0);
        self->other = &pairs.partner[i ^ 1];
        self->rounds = rounds;
        self->begins = (i ^ i >> 1) & 1;
    }
    for (unsigned i = 0; i < count; i++)
        pairs.partner[i].task = task[i] = sim_spawn_nth("partner", take_turns, &pairs.partner[i], i % 2 * stride);
    sim_line_open(&pairs.line, count);
    CHECK(sim_finish_all(task, count) == 0);
}

/* Hazard 1: the wake-up comes while the other one is on its way to sleep. */
static void wake_block(void)
{
    run_pairs(2, 8 * sim_rounds(), 1);
    run_pairs(2, 2 * sim_rounds(), 0);
}

/* Hazards 3 and 4: two pairs across the same two CPUs, so that each CPU switches between two while both are woken from
 * the other one, whose own switch may not be finished. */
static void wake_switch(void)
{
    run_pairs(4, 6 * sim_rounds(), 1);
}

/* Several wake one that counts: none of their wake-ups is lost, however they fall together. */
static struct {
    struct sim_line line;
    struct task *sleeper;
    _Atomic(unsigned) wakes;
    unsigned rounds;
} crowd;

#define WAKERS 3

static int wake_often(void *arg)
{
    (void)arg;
    sim_line_wait(&crowd.line);
    for (unsigned i = 0; i < crowd.rounds; i++) {
        (void)fetch_add_acq_rel(&crowd.wakes, 1); /* PAIRS(sim_count) */
        (void)task_wake(crowd.sleeper);
        sim_delay();
    }
    return 0;
}

static int sleep_until_woken_by_all(void *arg)
{
    unsigned total = (unsigned)(uintptr_t)arg;

    sim_line_wait(&crowd.line);
    for (unsigned seen = 0; seen < total; seen = load_relaxed(&crowd.wakes))
        sim_block_until(&crowd.wakes, seen + 1);
    return 0;
}

static void wake_wake(void)
{
    struct task *waker[WAKERS];

    sim_line_init(&crowd.line);
    store_relaxed(&crowd.wakes, 0);
    crowd.rounds = 6 * sim_rounds();
    crowd.sleeper = spawn("sleeper", sleep_until_woken_by_all, (void *)(uintptr_t)(WAKERS * crowd.rounds),
                          PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < WAKERS; i++)
        waker[i] = sim_spawn_nth("waker", wake_often, NULL, i);
    sim_line_open(&crowd.line, WAKERS + 1);
    CHECK(sim_finish_all(waker, WAKERS) == 0);
    CHECK(finish(crowd.sleeper) == 0);
}

/* One that blocks, one that wakes it, one that sends it elsewhere meanwhile. */
static struct {
    struct event ball, back;
    struct task *sleeper;
    unsigned rounds;
    _Atomic(bool) is_over;
} moving;

static int sleep_in_turns(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < moving.rounds; i++) {
        CHECK(event_wait(&moving.ball, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        CHECK(sched_is_well_placed());
        event_signal(&moving.back);
    }
    store_relaxed(&moving.is_over, true);
    return 0;
}

static int wake_in_turns(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < moving.rounds; i++) {
        event_signal(&moving.ball);
        sim_delay();
        CHECK(event_wait(&moving.back, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    }
    return 0;
}

static int move_often(void *arg)
{
    struct cpumask mask;

    (void)arg;
    while (!load_relaxed(&moving.is_over)) {
        sim_some_cpus(&mask);
        int result = task_set_affinity(moving.sleeper, &mask);

        CHECK(result == 0 || result == -ESRCH);
        sim_pause();
    }
    return 0;
}

static void wake_migrate(void)
{
    struct task *task[2];

    event_init(&moving.ball);
    event_init(&moving.back);
    moving.rounds = 12 * sim_rounds();
    store_relaxed(&moving.is_over, false);
    moving.sleeper = spawn("sleeper", sleep_in_turns, NULL, PRIORITY_DEFAULT, NULL);
    if (moving.sleeper == NULL)
        return;
    task[0] = spawn("waker", wake_in_turns, NULL, PRIORITY_DEFAULT, NULL);
    task[1] = spawn("mover", move_often, NULL, PRIORITY_DEFAULT, NULL);
    CHECK(sim_finish_all(task, 2) == 0);
    CHECK(finish(moving.sleeper) == 0);
}

#define HERD 12

static struct {
    struct waitq queue;
    uint64_t deadline_ns;
    _Atomic(unsigned) awake;
    _Atomic(unsigned) claimed; /* sum of what the wakers were told */
    _Atomic(unsigned) timed_out;
    _Atomic(unsigned) killed;
} herd;

static void herd_begin(void)
{
    waitq_init(&herd.queue);
    herd.deadline_ns = TIME_NEVER;
    store_relaxed(&herd.awake, 0);
    store_relaxed(&herd.claimed, 0);
    store_relaxed(&herd.timed_out, 0);
    store_relaxed(&herd.killed, 0);
}

/* One wait, without a condition: whatever settles it is the story. */
static int wait_once(void *arg) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&herd.queue.lock);
    int result = waitq_wait_locked(&herd.queue, herd.deadline_ns, WAIT_KILLABLE);

    (void)arg;
    sched_irq_restore(state);
    CHECK(result == 0 || result == -ETIMEDOUT || result == -EINTR);
    CHECK(result != -ETIMEDOUT || clock_ns() >= herd.deadline_ns);
    CHECK(result != -EINTR || task_is_killed());
    (void)fetch_add_relaxed(result == 0            ? &herd.awake
                            : result == -ETIMEDOUT ? &herd.timed_out
                                                   : &herd.killed, 1);
    return 0;
}

static unsigned settled(void)
{
    return load_relaxed(&herd.claimed) + load_relaxed(&herd.timed_out) + load_relaxed(&herd.killed);
}

static int wake_some(void *arg)
{
    (void)arg;
    while (settled() < HERD) {
        unsigned woken = waitq_wake(&herd.queue, sim_chance(4) ? UINT32_MAX : 1 + (unsigned)sim_random_below(4));

        (void)fetch_add_relaxed(&herd.claimed, woken);
        if (woken == 0)
            sim_pause();
    }
    return 0;
}

/* Several wakers share a crowd of sleepers, all of whom are woken, once. */
static void wake_herd(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *member[HERD], *waker[3];

        herd_begin();
        for (unsigned i = 0; i < HERD; i++)
            member[i] = spawn("herd", wait_once, NULL, sim_some_priority(), NULL);
        for (unsigned i = 0; i < ARRAY_COUNT(waker); i++)
            waker[i] = sim_spawn_nth("waker", wake_some, NULL, i);
        CHECK(sim_finish_all(member, HERD) == 0);
        CHECK(sim_finish_all(waker, ARRAY_COUNT(waker)) == 0);
        CHECK(load_relaxed(&herd.awake) == HERD && load_relaxed(&herd.claimed) == HERD);
        CHECK(list_is_empty(&herd.queue.waiters));
    }
}

static int wake_at_deadline(void *arg)
{
    uint64_t early_ns = (uint64_t)(uintptr_t)arg;

    CHECK(task_sleep_until(herd.deadline_ns - early_ns) == 0);
    while (settled() < HERD) {
        (void)fetch_add_relaxed(&herd.claimed, waitq_wake(&herd.queue, 2));
        sim_delay();
        if (clock_ns() > herd.deadline_ns)
            sim_pause();
    }
    return 0;
}

static int kill_at_deadline(void *arg)
{
    struct task *const *member = arg;

    CHECK(task_sleep_until(herd.deadline_ns) == 0);
    for (unsigned i = 0; i < 3; i++) {
        int result = task_kill(member[sim_random_below(HERD)]);

        CHECK(result == 0 || result == -ESRCH);
        sim_delay();
    }
    return 0;
}

/* Hazards 7 and 8: the deadline, the wake-up and a kill fall into one instant; each waiter is settled once. */
static void tell_timeout(bool with_kills)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        static struct task *member[HERD];
        struct task *other[3];

        herd_begin();
        herd.deadline_ns = clock_ns() + 100 * NS_PER_US;
        for (unsigned i = 0; i < HERD; i++) {
            member[i] = sim_spawn_nth("waiter", wait_once, NULL, i);
            if (member[i] == NULL)
                return;
        }
        other[0] = sim_spawn_nth("waker", wake_at_deadline, (void *)0, 0);
        other[1] = sim_spawn_nth("waker", wake_at_deadline, (void *)(uintptr_t)sim_random_below(500), 1);
        other[2] = with_kills ? sim_spawn_nth("killer", kill_at_deadline, (void *)member, 2) : NULL;
        CHECK(sim_finish_all(other, with_kills ? 3 : 2) == 0);
        CHECK(sim_finish_all(member, HERD) == 0);
        CHECK(load_relaxed(&herd.awake) == load_relaxed(&herd.claimed));
        CHECK(load_relaxed(&herd.awake) + load_relaxed(&herd.timed_out) + load_relaxed(&herd.killed) == HERD);
        CHECK(with_kills || load_relaxed(&herd.killed) == 0);
        CHECK(list_is_empty(&herd.queue.waiters));
    }
}

static void wake_timeout(void)
{
    tell_timeout(false);
}

static void wake_timeout_kill(void)
{
    tell_timeout(true);
}

/* One ball, one task on each CPU, everybody else asleep: a poke that is lost, or comes while a CPU goes idle and is
 * forgotten, stops the machine. */
#define RING 8

static struct {
    struct event ball[RING];
    unsigned members, laps;
} ring;

static int pass_on(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < ring.laps; i++) {
        CHECK(event_wait(&ring.ball[self], TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        event_signal(&ring.ball[(self + 1) % ring.members]);
    }
    return 0;
}

static void wake_idle(void)
{
    struct task *member[RING];

    ring.members = MIN(online_count(), (unsigned)RING);
    ring.laps = 4 * sim_rounds();
    for (unsigned i = 0; i < RING; i++)
        event_init(&ring.ball[i]);
    for (unsigned i = 0; i < ring.members; i++)
        member[i] = sim_spawn_nth("ring", pass_on, (void *)(uintptr_t)i, i);
    event_signal(&ring.ball[0]);
    CHECK(sim_finish_all(member, ring.members) == 0);
    CHECK(ring.ball[0].is_set); /* it has come back, and nobody wanted it any more */
}

static _Atomic(unsigned) first_runs;

static int run_once(void *arg)
{
    (void)arg;
    (void)fetch_add_relaxed(&first_runs, 1);
    return 0;
}

/* Work for every CPU as early as there can be some, from one CPU: most have never run a task. */
static void wake_first(void)
{
    struct task *task[3 * RING];
    unsigned count = MIN(online_count(), (unsigned)RING);

    store_relaxed(&first_runs, 0);
    for (unsigned round = 0; round < sim_rounds(); round++) {
        for (unsigned i = 0; i < 3 * count; i++)
            task[i] = i % 3 == 0 ? spawn("first", run_once, NULL, PRIORITY_DEFAULT, NULL)
                                 : sim_spawn_nth("first", run_once, NULL, i / 3);
        CHECK(sim_finish_all(task, 3 * count) == 0);
    }
    CHECK(load_relaxed(&first_runs) == 3 * count * sim_rounds());
}

const struct sim_scenario sim_scenarios_wake[] = {
    { .name = "wake-block", .aim = "a wake-up that comes on the way to sleep is lost",
      .cpus = 2, .cpus_min = 1, .rounds = 20, .run = wake_block },
    { .name = "wake-switch", .aim = "a task is woken before its CPU has left its stack, or two CPUs wait for that",
      .cpus = 2, .cpus_min = 1, .rounds = 20, .run = wake_switch },
    { .name = "wake-wake", .aim = "wake-ups that fall together are lost together",
      .cpus = 4, .cpus_min = 1, .rounds = 20, .run = wake_wake },
    { .name = "wake-migrate", .aim = "a task is woken on one CPU while its affinity sends it to another",
      .cpus = 4, .cpus_min = 1, .rounds = 12, .run = wake_migrate },
    { .name = "wake-herd", .aim = "several wakers wake a sleeper twice, or leave one out",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = wake_herd },
    { .name = "wake-timeout", .aim = "the deadline and the wake-up come in one instant, and both or neither count",
      .cpus = 4, .cpus_min = 1, .rounds = 8, .run = wake_timeout },
    { .name = "wake-timeout-kill", .aim = "deadline, wake-up and kill in one instant settle a waiter twice or never",
      .cpus = 4, .cpus_min = 1, .rounds = 8, .run = wake_timeout_kill },
    { .name = "wake-idle", .aim = "a CPU goes idle over a poke that it has just been sent",
      .cpus = 4, .cpus_min = 1, .rounds = 10, .run = wake_idle },
    { .name = "wake-polling", .aim = "a CPU that looks for work stops looking, and whoever wakes it does not poke it",
      .cpus = 4, .cpus_min = 1, .rounds = 10, .options = "idle=poll", .run = wake_idle },
    { .name = "wake-herd-polling", .aim = "CPUs that look for work miss some of it, or are given the same twice",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .options = "idle=poll", .run = wake_herd },
    { .name = "wake-first", .aim = "the first task that a CPU is given waits for ever, or runs elsewhere",
      .cpus = 8, .cpus_min = 1, .rounds = 6, .run = wake_first },
    { .name = NULL },
};
