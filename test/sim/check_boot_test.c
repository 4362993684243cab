/* SPDX-License-Identifier: MIT */
/*
 * The watch as a whole, on a kernel that is sabotaged from inside while it runs: each program does one thing that core
 * would never do, and the run must end with the promise that it breaks. An innocent one must come to its end.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <boot/program.h>
#include <smp/quiesce.h>
#include <time/clock.h>

#include "sched_priv.h"
#include "watch.h"

#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#pragma clang diagnostic ignored "-Wthread-safety-precise"

struct sim_outcome *sim_outcome_now;

static struct host_result result;
static unsigned taps[TRACE_EVENT_COUNT];

/* ---- Inside the kernel ---- */

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int sleep_a_while(void *arg)
{
    (void)arg;
    return task_sleep_for(200 * NS_PER_US);
}

static void spin(unsigned points)
{
    while (points-- > 0)
        hal_point(NULL);
}

/* CPU 1 has nothing to do, and waits for a poke. The caller stays on CPU 0 from now on: beside it there is no sleep. */
static void leave_other_asleep(void)
{
    struct cpumask here = { 0 };

    cpumask_add(&here, 0);
    CHECK(task_set_affinity(current_task(), &here) == 0);
    (void)task_sleep_for(NS_PER_MS); /* what boot has left to do may wake it yet */
    while (!host_cpu_is_idle(1))
        (void)task_sleep_for(5 * NS_PER_US);
}

static int innocent_main(const char *argument)
{
    (void)argument;
    for (unsigned i = 0; i < 20; i++)
        CHECK(finish(spawn("worker", i % 2 == 0 ? return_at_once : sleep_a_while, NULL, PRIORITY_DEFAULT, NULL)) == 0);
    return check_failures() == 0 ? 0 : 1;
}

/* Whoever queues a task there believes that a poke is on its way. Time goes on, by this task's own sleep: else the run
 * would end as a deadlock where nobody else has anything to do. */
static int lost_poke_main(const char *argument)
{
    struct task *worker;

    (void)argument;
    leave_other_asleep();
    uintptr_t state = hal_irq_save();

    atomic_store(&cpu_table[1]->need_resched, 1);
    hal_irq_restore(state);
    worker = spawn_on("worker", return_at_once, NULL, PRIORITY_DEFAULT, 1);
    (void)task_sleep_for(200 * NS_PER_US);
    return finish(worker);
}

/* A task that any CPU may take waits here, while the other CPU sleeps, and no offer was made. */
static int lost_offer_main(const char *argument)
{
    struct task *task;
    uintptr_t state;

    (void)argument;
    leave_other_asleep();
    atomic_store(&cpu_table[1]->need_resched, 1); /* so it is not thought to be free */
    task = spawn_on("worker", sleep_a_while, NULL, PRIORITY_USER_LOW, this_cpu_id());
    state = hal_irq_save();
    struct runq *rq = this_runq();

    spin_lock_irqoff(&rq->lock);
    if (task->state == TASK_READY) {
        runq_dequeue(rq, task);
        cpumask_set_all(&task->affinity);
        task->is_pinned = false;
        runq_enqueue(rq, task, ENQUEUE_MOVED);
    }
    spin_unlock_irqoff(&rq->lock);
    hal_irq_restore(state);
    preempt_disable();
    spin(100000);
    preempt_enable();
    return finish(task);
}

static int lost_task_main(const char *argument)
{
    struct task *task = spawn_on("worker", return_at_once, NULL, PRIORITY_IDLE, this_cpu_id());
    uintptr_t state = hal_irq_save();
    struct runq *rq = this_runq();

    (void)argument;
    spin_lock_irqoff(&rq->lock);
    if (task->state == TASK_READY)
        runq_dequeue(rq, task);
    spin_unlock_irqoff(&rq->lock);
    hal_irq_restore(state);
    spin(10000);
    return 0;
}

static int lost_count_main(const char *argument)
{
    (void)argument;
    atomic_fetch_add(&this_runq()->movable_count, 1);
    spin(10000);
    return 0;
}

static int state_main(const char *argument)
{
    struct task *task = spawn_on("worker", sleep_a_while, NULL, PRIORITY_DEFAULT, this_cpu_id());

    (void)argument;
    (void)task_sleep_for(50 * NS_PER_US);
    task->state = TASK_STOPPED;
    spin(100000);
    return finish(task);
}

static int order_main(const char *argument)
{
    struct task *task = spawn_on("urgent", sleep_a_while, NULL, PRIORITY_REALTIME_HIGH, this_cpu_id());
    uintptr_t state = hal_irq_save();

    (void)argument;
    (void)task_wake(task);
    store_relaxed(&this_cpu()->need_resched, 0);
    hal_irq_restore(state);
    spin(10000);
    return finish(task);
}

static int affinity_main(const char *argument)
{
    (void)argument;
    cpumask_remove(&current_task()->affinity, this_cpu_id());
    spin(1000);
    return 0;
}

static void fire(struct timer *timer)
{
    (void)timer;
}

static int timer_main(const char *argument)
{
    struct timer timer;
    uintptr_t state = hal_irq_save();

    (void)argument;
    timer_init(&timer, fire);
    timer_arm(&timer, clock_ns() + 10 * NS_PER_US);
    hal_timer_arm(hal_clock_ticks() + 1000000); /* the hardware does not know */
    hal_irq_restore(state);
    spin(10000);
    return 0;
}

static int sleeping_timer_main(const char *argument)
{
    uintptr_t state;

    (void)argument;
    (void)spawn_on("worker", sleep_a_while, NULL, PRIORITY_DEFAULT, 0);
    (void)task_sleep_for(50 * NS_PER_US); /* now it sleeps */
    state = hal_irq_save();
    hal_timer_arm(hal_clock_ticks() + 1000000);
    hal_irq_restore(state);
    (void)task_sleep_for(NS_PER_MS);
    return 0;
}

static int block_main(const char *argument)
{
    struct task *self = current_task();

    (void)argument;
    (void)hal_irq_save();
    (void)task_wake(self); /* a wake is kept */
    self->wake_pending = false; /* and forgotten */
    sched_block(TASK_BLOCKED, WAIT_UNINTERRUPTED);
    return 0;
}

static int grace_main(const char *argument)
{
    static struct quiesce_head head;
    uintptr_t state = hal_irq_save();

    (void)argument;
    trace(TRACE_QUIESCE_CALL, &head, 0);
    spin(10);
    trace(TRACE_QUIESCE_FREE, &head, 0);
    hal_irq_restore(state);
    return 0;
}

static int panic_main(const char *argument)
{
    (void)argument;
    panic("lock order: none at all");
}

const struct boot_program boot_programs[] = {
    { "innocent", "", innocent_main },
    { "lost-poke", "", lost_poke_main },
    { "lost-offer", "", lost_offer_main },
    { "lost-task", "", lost_task_main },
    { "lost-count", "", lost_count_main },
    { "state", "", state_main },
    { "order", "", order_main },
    { "affinity", "", affinity_main },
    { "timer", "", timer_main },
    { "sleeping-timer", "", sleeping_timer_main },
    { "block", "", block_main },
    { "grace", "", grace_main },
    { "panic", "", panic_main },
    { NULL, NULL, NULL },
};

/* ---- Outside ---- */

static int boot(const char *program, unsigned cpus, uint64_t seed)
{
    char cmdline[64];
    struct host_config config = { .cpus = cpus, .seed = seed, .memory_bytes = 16 << 20, .cmdline = cmdline };

    (void)snprintf(cmdline, sizeof cmdline, "init=%s loglevel=1", program);
    sim_outcome_now->broken = PROMISE_NONE;
    sim_watch(&config);
    return host_machine_run_forked(&config, &result);
}

/* One CPU: the program has it for itself. Two: the other one sleeps. */
static void breaks(const char *program, unsigned cpus, enum sim_promise promise)
{
    for (uint64_t seed = 0; seed < 5; seed++) {
        int code = boot(program, cpus, seed);

        if (sim_outcome_now->broken != promise)
            fail_msg("%s, seed %u: not %s but %s is broken: %s, code %d\n%s%s", program, (unsigned)seed,
                     sim_promise_name(promise), sim_promise_name(sim_outcome_now->broken), sim_outcome_now->what, code,
                     result.report, result.console);
    }
}

static void an_innocent_run_comes_to_its_end(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 8; cpus++) {
        int code = boot("innocent", cpus, cpus);

        if (code != 0 || sim_outcome_now->broken != PROMISE_NONE)
            fail_msg("%u CPUs: %s: %s, code %d\n%s%s", cpus, sim_promise_name(sim_outcome_now->broken),
                     sim_outcome_now->what, code, result.report, result.console);
    }
}

static void work_that_a_sleeper_is_not_told_of_is_found(void **state)
{
    (void)state;
    breaks("lost-poke", 2, PROMISE_CONSERVATION);
    breaks("lost-offer", 2, PROMISE_CONSERVATION);
}

static void a_task_that_is_in_no_list_is_found(void **state)
{
    (void)state;
    breaks("lost-task", 1, PROMISE_CENSUS);
}

static void a_wrong_count_is_found(void **state)
{
    (void)state;
    breaks("lost-count", 1, PROMISE_COUNTS);
}

static void a_state_that_nobody_set_is_found(void **state)
{
    (void)state;
    breaks("state", 1, PROMISE_EDGES);
}

static void an_urgent_task_that_waits_is_found(void **state)
{
    (void)state;
    breaks("order", 1, PROMISE_ORDER);
}

static void a_task_that_stays_where_it_may_not_be_is_found(void **state)
{
    (void)state;
    breaks("affinity", 2, PROMISE_AFFINITY);
}

static void a_late_timer_is_found(void **state)
{
    (void)state;
    breaks("timer", 1, PROMISE_TIME);
    breaks("sleeping-timer", 1, PROMISE_TIME);
}

static void a_forgotten_wake_is_found(void **state)
{
    (void)state;
    breaks("block", 1, PROMISE_WAKE_ONCE);
}

static void a_free_without_a_grace_period_is_found(void **state)
{
    (void)state;
    breaks("grace", 2, PROMISE_GRACE);
}

static void after_a_panic_the_watch_is_silent(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        (void)boot("panic", 4, seed);
        assert_int_equal(sim_outcome_now->broken, PROMISE_NONE);
        assert_int_equal(sim_promise_of_console(result.console), PROMISE_LOCKS);
    }
}

static void tap(uint64_t step, uint64_t ns, cpu_id_t cpu, enum trace_event event, const void *object, uint64_t value,
                const char *task_name)
{
    (void)step, (void)ns, (void)cpu, (void)object, (void)value, (void)task_name;
    taps[event]++;
    if (event == TRACE_TASK_EXIT && taps[TRACE_TASK_INIT] > 0 && taps[TRACE_TASK_RUN] > 0)
        hal_machine_exit(77);
}

static void the_events_can_be_had_and_are_kept(void **state)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    (void)state;
    assert_non_null(out);
    sim_watch_tap(tap);
    assert_int_equal(boot("innocent", 2, 1), 77);
    sim_watch_tap(NULL);
    sim_events_print(out);
    (void)fclose(out);
    assert_non_null(strstr(text, "CPU 0, its last events"));
    assert_non_null(strstr(text, "ends 'worker' ("));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_innocent_run_comes_to_its_end),
        cmocka_unit_test(work_that_a_sleeper_is_not_told_of_is_found),
        cmocka_unit_test(a_task_that_is_in_no_list_is_found),
        cmocka_unit_test(a_wrong_count_is_found),
        cmocka_unit_test(a_state_that_nobody_set_is_found),
        cmocka_unit_test(an_urgent_task_that_waits_is_found),
        cmocka_unit_test(a_task_that_stays_where_it_may_not_be_is_found),
        cmocka_unit_test(a_late_timer_is_found),
        cmocka_unit_test(a_forgotten_wake_is_found),
        cmocka_unit_test(a_free_without_a_grace_period_is_found),
        cmocka_unit_test(after_a_panic_the_watch_is_silent),
        cmocka_unit_test(the_events_can_be_had_and_are_kept),
    };

    sim_outcome_now = host_shared_alloc(sizeof *sim_outcome_now);
    return sim_outcome_now == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
