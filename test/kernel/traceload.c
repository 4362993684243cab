/* SPDX-License-Identifier: MIT */
/*
 * The workload of the program `trace`: small stories about tasks on one CPU, each with one possible order.
 *
 * What keeps time out. The first task, "init", is more urgent than all others and acts only while they are where it
 * wants them: it waits for one of them, for a "rest" task of the idle class (it runs when everybody else is blocked),
 * for a pass of the reaper, or for a timer while nobody else is ready. Real-time tasks are FIFO, except where the end
 * of a round-robin slice is the story. Fair tasks that are ready together differ in weight, or were started together,
 * or are two that yield to each other: their order follows from whole slices, which do not end. No timer is due while
 * tasks run, unless the running one does nothing but wait for it. Nothing is decided by a clock's value.
 */
#include "tracecheck.h"

#include <hal/irq.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <mm/fail.h>
#include <proc/id.h>
#include <sched/event.h>
#include <sched/mutex.h>
#include <smp/cpu.h>
#include <time/clock.h>
#include <time/timer.h>

#include "check.h"

#define URGENT 5
#define MIDDLE PRIORITY_REALTIME_NORMAL
#define LAZY 15

/* init creates it: it does not run before init blocks. Real-time tasks become FIFO ones. */
static struct task *make(const char *name, int (*entry)(void *), void *arg, int priority)
{
    struct task *task = spawn(name, entry, arg, priority, NULL);

    if (task != NULL && priority <= PRIORITY_REALTIME_LOW)
        CHECK(task_set_policy(task, SCHED_POLICY_FIFO) == 0);
    return task;
}

static void finish_all(struct task *const *tasks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        trace_result(finish(tasks[i]));
}

static int return_number(void *arg)
{
    return (int)(intptr_t)arg;
}

void trace_let_others_run(void)
{
    (void)finish(make("rest", return_number, NULL, PRIORITY_IDLE));
}

static int wait_on(struct waitq *queue, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&queue->lock);
    int result = waitq_wait_locked(queue, deadline_ns, mode);

    sched_irq_restore(state);
    return result;
}

/* ---- Lives: every class and many levels, and what the reaper frees ---- */

static void lives(void)
{
    static const int priorities[] = { 15, 99, 40, 5, 70, 10, 60, 20, 50, 1, 98, 30 };
    struct task *tasks[ARRAY_COUNT(priorities)];

    for (unsigned i = 0; i < ARRAY_COUNT(priorities); i++) {
        char name[TASK_NAME_BYTES];

        (void)fmt_print(name, sizeof name, "life-%d", priorities[i]);
        tasks[i] = make(name, return_number, (void *)(intptr_t)priorities[i], priorities[i]);
    }
    finish_all(tasks, ARRAY_COUNT(tasks));
    reaper_wait_pass();
}

/* Nobody asks for them: the sixteenth wakes the reaper. */
static void unattended_lives(void)
{
    for (unsigned i = 0; i < 20; i++) {
        struct task *task = make("unattended", return_number, NULL, i % 2 == 0 ? MIDDLE : PRIORITY_USER_NORMAL);

        if (task != NULL)
            task_put(task);
    }
    trace_let_others_run();
    reaper_wait_pass();
}

/* A dead task stays as long as somebody holds it. */
static void held_lives(void)
{
    struct task *task = make("held", return_number, (void *)3, LAZY);
    int code = 0;

    if (task == NULL)
        return;
    trace_result(task_join(task, &code, TIME_NEVER));
    reaper_wait_pass();
    trace_result(task_join(task, &code, TIME_NEVER)); /* once more */
    trace_result(code);
    trace_result(task_set_priority(task, URGENT)); /* too late */
    task_put(task);
    reaper_wait_pass();
}

/* ---- Yields ---- */

static int yield_often(void *arg)
{
    for (intptr_t i = 0; i < (intptr_t)arg; i++)
        task_yield();
    return (int)(intptr_t)arg;
}

static void yields(void)
{
    struct task *tasks[] = {
        make("rt-a", yield_often, (void *)3, MIDDLE),
        make("rt-b", yield_often, (void *)5, MIDDLE),
        make("rt-c", yield_often, (void *)4, MIDDLE),
        make("alone", yield_often, (void *)4, LAZY),
        make("fair-a", yield_often, (void *)6, PRIORITY_USER_NORMAL),
        make("fair-b", yield_often, (void *)6, PRIORITY_USER_NORMAL),
        make("last", yield_often, (void *)2, PRIORITY_IDLE),
    };

    finish_all(tasks, ARRAY_COUNT(tasks));
}

/* ---- Herds ---- */

static struct waitq gate = WAITQ_INIT(gate);

static int wait_at_gate(void *arg)
{
    for (intptr_t i = 0; i < (intptr_t)arg; i++)
        CHECK(wait_on(&gate, TIME_NEVER, WAIT_KILLABLE) == 0);
    return 0;
}

static void gate_timeout(struct timer *timer)
{
    (void)timer;
    (void)waitq_wake_all(&gate);
}

/* An interrupt wakes all of them, this task too, out of an idle CPU. */
static void wait_for_interrupt(void)
{
    uintptr_t state = hal_irq_save(); /* until this task sleeps */
    struct timer timer;

    timer_init(&timer, gate_timeout);
    timer_arm(&timer, clock_ns() + NS_PER_MS);
    trace_result(wait_on(&gate, TIME_NEVER, WAIT_UNINTERRUPTED));
    sched_irq_restore(state);
    (void)timer_cancel(&timer);
}

static void herds(void)
{
    static const int priorities[] = { MIDDLE, LAZY, URGENT, PRIORITY_USER_NORMAL, MIDDLE, PRIORITY_IDLE - 1, LAZY };
    struct task *tasks[ARRAY_COUNT(priorities)];

    for (unsigned i = 0; i < ARRAY_COUNT(tasks); i++) {
        char name[TASK_NAME_BYTES];

        (void)fmt_print(name, sizeof name, "herd-%u", i);
        tasks[i] = make(name, wait_at_gate, (void *)4, priorities[i]);
    }
    trace_let_others_run();
    trace_result((int32_t)waitq_wake_one(&gate));
    trace_let_others_run();
    trace_result((int32_t)waitq_wake(&gate, 3));
    trace_let_others_run();
    trace_result((int32_t)waitq_wake_all(&gate));
    trace_let_others_run();
    wait_for_interrupt();
    for (unsigned i = 0; i < 4; i++) {
        trace_let_others_run();
        trace_result((int32_t)waitq_wake_all(&gate));
    }
    finish_all(tasks, ARRAY_COUNT(tasks));
    reaper_wait_pass();
}

/* ---- Events ---- */

struct ball {
    struct event turn[2];
    unsigned rounds;
};

static int pass_ball(struct ball *ball, unsigned self)
{
    for (unsigned i = 0; i < ball->rounds; i++) {
        CHECK(event_wait(&ball->turn[self], TIME_NEVER, WAIT_KILLABLE) == 0);
        event_signal(&ball->turn[1 - self]);
    }
    return 0;
}

static int ping(void *arg)
{
    return pass_ball(arg, 0);
}

static int pong(void *arg)
{
    return pass_ball(arg, 1);
}

static void ping_pong(int first, int second)
{
    struct ball ball = { .rounds = 4 };

    event_init(&ball.turn[0]);
    event_init(&ball.turn[1]);
    struct task *tasks[] = { make("ping", ping, &ball, first), make("pong", pong, &ball, second) };

    event_signal(&ball.turn[0]);
    finish_all(tasks, ARRAY_COUNT(tasks));
}

static void events(void)
{
    struct event event = EVENT_INIT(event);

    ping_pong(MIDDLE, MIDDLE);
    ping_pong(URGENT, LAZY);
    ping_pong(LAZY, URGENT);
    ping_pong(PRIORITY_USER_NORMAL, PRIORITY_USER_NORMAL);
    ping_pong(PRIORITY_SYSTEM_NORMAL, PRIORITY_USER_LOW);
    ping_pong(PRIORITY_IDLE, PRIORITY_USER_NORMAL);
    event_signal(&event); /* kept */
    event_signal(&event); /* and no more than one */
    trace_result(event_wait(&event, TIME_NEVER, WAIT_KILLABLE));
    trace_result(event_wait(&event, clock_ns() + NS_PER_MS, WAIT_KILLABLE));
    trace_result(event_wait(&event, 1, WAIT_UNINTERRUPTED)); /* long past */
    reaper_wait_pass();
}

/* ---- Mutexes ---- */

struct contest {
    struct mutex mutex;
    struct event go;
    unsigned inside;
};

static int hold_until_go(void *arg)
{
    struct contest *contest = arg;

    mutex_lock(&contest->mutex);
    CHECK(event_wait(&contest->go, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    mutex_unlock(&contest->mutex);
    return 1;
}

static int contend(void *arg)
{
    struct contest *contest = arg;
    int tried = 0;

    for (unsigned i = 0; i < 3; i++) {
        if (mutex_try_lock(&contest->mutex))
            tried++;
        else
            mutex_lock(&contest->mutex);
        CHECK(contest->inside++ == 0);
        task_yield(); /* others run into it */
        contest->inside--;
        mutex_unlock(&contest->mutex);
    }
    return tried;
}

static void mutexes(void)
{
    struct contest contest = { .mutex = MUTEX_INIT(contest.mutex), .go = EVENT_INIT(contest.go) };
    struct task *holder = make("holder", hold_until_go, &contest, LAZY);

    trace_let_others_run();
    struct task *tasks[] = {
        make("mutex-a", contend, &contest, MIDDLE), make("mutex-b", contend, &contest, MIDDLE),
        make("mutex-c", contend, &contest, URGENT), make("mutex-d", contend, &contest, PRIORITY_USER_NORMAL),
        make("mutex-e", contend, &contest, LAZY),
    };

    trace_let_others_run();
    event_signal(&contest.go);
    finish_all(tasks, ARRAY_COUNT(tasks));
    finish_all(&holder, 1);
    reaper_wait_pass();
}

/* ---- Kills ---- */

static struct event never = EVENT_INIT(never);

static int wait_for_ever(void *arg)
{
    (void)arg;
    return event_wait(&never, TIME_NEVER, WAIT_KILLABLE);
}

static int sleep_for_hours(void *arg)
{
    (void)arg;
    return task_sleep_for(3600 * NS_PER_SEC);
}

static int wait_deaf(void *arg)
{
    int result = event_wait(arg, TIME_NEVER, WAIT_UNINTERRUPTED);

    return result == 0 && task_is_killed() ? wait_for_ever(NULL) : 77;
}

static int kill_self(void *arg)
{
    (void)arg;
    CHECK(task_kill(current_task()) == 0);
    return task_sleep_until(TIME_NEVER - 1) + wait_for_ever(NULL);
}

static int join_for_ever(void *arg)
{
    return task_join(arg, NULL, TIME_NEVER);
}

static void kills(void)
{
    struct event deaf_event = EVENT_INIT(deaf_event);
    struct task *waiter = make("waiter", wait_for_ever, NULL, MIDDLE);
    struct task *sleeper = make("sleeper", sleep_for_hours, NULL, PRIORITY_USER_NORMAL);
    struct task *deaf = make("deaf", wait_deaf, &deaf_event, LAZY);
    struct task *joiner = make("joiner", join_for_ever, deaf, URGENT);
    struct task *suicide = make("suicide", kill_self, NULL, MIDDLE);

    trace_let_others_run();
    struct task *unborn = make("unborn", sleep_for_hours, NULL, MIDDLE);

    if (waiter == NULL || sleeper == NULL || deaf == NULL || joiner == NULL || unborn == NULL)
        return;
    trace_result(task_kill(unborn)); /* has not run */
    trace_result(task_kill(sleeper));
    trace_result(task_kill(waiter));
    trace_result(task_kill(joiner));
    trace_result(task_kill(deaf));
    trace_result(task_kill(deaf));
    trace_let_others_run();
    event_signal(&deaf_event);
    trace_result(task_join(waiter, NULL, TIME_NEVER));
    trace_result(task_kill(waiter)); /* it is dead */
    struct task *tasks[] = { waiter, sleeper, deaf, joiner, suicide, unborn };

    finish_all(tasks, ARRAY_COUNT(tasks));
    reaper_wait_pass();
}

/* ---- Priorities and policies ---- */

static int step_back(void *arg)
{
    CHECK(task_set_priority(current_task(), (int)(intptr_t)arg) == 0);
    task_yield();
    CHECK(task_set_priority(current_task(), URGENT) == 0);
    return 0;
}

static void priorities(void)
{
    struct cpumask here, nowhere;
    struct task *tasks[] = {
        make("prio-a", yield_often, (void *)2, MIDDLE), make("prio-b", yield_often, (void *)2, MIDDLE),
        make("prio-c", yield_often, (void *)2, MIDDLE), make("prio-d", wait_at_gate, (void *)1, LAZY),
        make("prio-e", step_back, (void *)PRIORITY_REALTIME_LOW, URGENT),
        make("prio-f", step_back, (void *)PRIORITY_USER_LOW, URGENT),
        make("prio-g", yield_often, (void *)2, PRIORITY_USER_NORMAL),
    };

    cpumask_set_single(&here, this_cpu_id());
    cpumask_clear(&nowhere);
    for (unsigned i = 0; i < ARRAY_COUNT(tasks); i++)
        if (tasks[i] == NULL)
            return;
    trace_result(task_set_priority(tasks[0], LAZY));
    trace_result(task_set_priority(tasks[2], URGENT));
    trace_result(task_set_priority(tasks[1], MIDDLE)); /* behind its peers, if it had any */
    trace_result(task_set_affinity(tasks[4], &here));  /* queued anew: behind f */
    trace_result(task_set_affinity(tasks[4], &nowhere));
    trace_result(task_set_priority(tasks[3], PRIORITY_IDLE + 1));
    trace_result(task_set_policy(tasks[6], SCHED_POLICY_FIFO)); /* it is a fair task */
    trace_result(task_set_policy(tasks[0], SCHED_POLICY_RR));
    trace_let_others_run();
    trace_result(task_set_priority(tasks[3], PRIORITY_SYSTEM_HIGH)); /* blocked */
    trace_result((int32_t)waitq_wake_all(&gate));
    finish_all(tasks, ARRAY_COUNT(tasks));
    reaper_wait_pass();
}

/* ---- Slices and timers: a running task that waits for an interrupt and does nothing else ---- */

static _Atomic(bool) flag;

static int spin_until_flag(void *arg)
{
    (void)arg;
    while (!load_relaxed(&flag))
        hal_cpu_relax();
    return 1;
}

static int set_flag(void *arg)
{
    (void)arg;
    store_relaxed(&flag, true);
    return 2;
}

static int sleep_and_set_flag(void *arg)
{
    CHECK(task_sleep_for((uint64_t)(uintptr_t)arg) == 0);
    return set_flag(NULL);
}

/* Round robin against FIFO at one level: only the first has a slice, which ends once. */
static void slice_ends(void)
{
    store_relaxed(&flag, false);
    struct task *spinner = spawn("spinner", spin_until_flag, NULL, MIDDLE, NULL);
    struct task *tasks[] = { make("fifo", set_flag, NULL, MIDDLE), spinner };

    finish_all(tasks, ARRAY_COUNT(tasks));
}

static void timer_preempts(int priority)
{
    store_relaxed(&flag, false);
    struct task *tasks[] = {
        make("sleeper", sleep_and_set_flag, (void *)(uintptr_t)NS_PER_MS, URGENT),
        make("spinner", spin_until_flag, NULL, priority),
    };

    finish_all(tasks, ARRAY_COUNT(tasks));
}

static void timers(void)
{
    for (unsigned i = 0; i < 3; i++)
        slice_ends();
    timer_preempts(LAZY);
    timer_preempts(PRIORITY_USER_NORMAL);
    timer_preempts(PRIORITY_IDLE);
    for (unsigned i = 0; i < 5; i++)
        trace_result(task_sleep_for(i * i * 100 * NS_PER_US)); /* the CPU idles */
    trace_result(task_sleep_until(0));
    trace_result(wait_on(&gate, clock_ns() + NS_PER_MS, WAIT_KILLABLE));
    reaper_wait_pass();
}

/* ---- Wakes without a queue ---- */

static int block_often(void *arg)
{
    static const enum task_state states[] = { TASK_BLOCKED, TASK_SLEEPING, TASK_STOPPED, TASK_BLOCKED };
    uintptr_t state = hal_irq_save();

    (void)arg;
    for (unsigned i = 0; i < ARRAY_COUNT(states); i++)
        sched_block(states[i], i % 2 == 0 ? WAIT_UNINTERRUPTED : WAIT_KILLABLE);
    sched_irq_restore(state);
    return 4;
}

static void wakes(void)
{
    struct task *task = make("blocker", block_often, NULL, MIDDLE);

    if (task == NULL)
        return;
    trace_result(task_wake(task)); /* ready: latched */
    trace_result(task_wake(task)); /* once */
    trace_let_others_run();              /* one block returned at once */
    trace_result(task_wake(task));
    trace_result(task_wake(task)); /* ready again: latched */
    trace_let_others_run();
    trace_result(task_wake(task));
    finish_all(&task, 1);
    trace_result(task_wake(current_task())); /* this task runs: its next block returns */
    trace_result(task_sleep_for(NS_PER_MS)); /* and is begun again by the sleep */
}

/* ---- Look-ups ---- */

static void lookups(void)
{
    struct task *task = make("findable", wait_for_ever, NULL, MIDDLE);

    if (task == NULL)
        return;
    tid_t tid = task->tid;

    for (unsigned i = 0; i < 3; i++) {
        struct task *found = task_lookup(tid);

        trace_result(found == task);
        if (found != NULL)
            task_put(found);
        if (i == 0)
            trace_let_others_run();
        if (i == 1) {
            trace_result(task_kill(task));
            trace_result(task_join(task, NULL, TIME_NEVER));
        }
    }
    trace_result(task_lookup(TID_MAX) == NULL && task_lookup(0) == NULL && task_lookup(-1) == NULL);
    task_put(task);
    reaper_wait_pass();
}

/* ---- Out of memory: the first allocations of a create fail, whatever they are on this machine ---- */

static void failures(void)
{
    const struct task_spec spec = {
        .name = "lucky", .entry = return_number, .stack_bytes = STACK_BYTES_DEFAULT, .priority = PRIORITY_USER_NORMAL,
        .uses_fpu = true,
    };

    for (uint32_t nth = 1; nth <= 3; nth++) {
        struct task *task = NULL;

        mm_fail_at(nth);
        trace_result(task_try_create(&spec, &task) > 0);
        trace_result(mm_fail_fired());
        mm_fail_at(nth);
        trace_result(task_create(&spec, &task) > 0); /* the second try succeeds, after a pass of the reaper */
        trace_result(mm_fail_fired());
        if (task != NULL)
            trace_result(finish(task));
    }
    reaper_wait_pass();
}

void trace_workload(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } phases[] = {
        { "lives", lives },           { "unattended lives", unattended_lives },
        { "held lives", held_lives }, { "yields", yields },
        { "herds", herds },           { "events", events },
        { "mutexes", mutexes },       { "kills", kills },
        { "priorities", priorities }, { "timers", timers },
        { "wakes", wakes },           { "lookups", lookups },
        { "failures", failures },     { "processes", trace_processes },
        { "mixture", trace_mixture },
    };

    for (unsigned i = 0; i < ARRAY_COUNT(phases); i++) {
        trace_phase(phases[i].name);
        phases[i].run();
        reaper_wait_pass();
    }
}
