/* SPDX-License-Identifier: MIT */
/* The checkers of grace periods, memory, affinity and order, inheritance, and time. */
#include "check_test.h"

/* ---- Grace periods ---- */

/* All but CPU 1 idle; CPU 1 runs a, which reads. */
static void story_grace(bool is_wrong)
{
    int head = 0;

    sched_test_run(&sched_test.rq[1], a);
    a->base.preempt_count = 1;
    on(1);
    step(&checker_grace, true);
    on(0);
    say(&checker_grace, TRACE_QUIESCE_CALL, &head, 0);
    on(1);
    step(&checker_grace, true);
    a->base.preempt_count = is_wrong;
    step(&checker_grace, true);
    on(0);
    say(&checker_grace, TRACE_QUIESCE_FREE, &head, 0);
}

/* A switch on CPU 1 ends what it read, but only one after the call. */
static void story_grace_switch(bool is_wrong)
{
    int head = 0;

    sched_test_run(&sched_test.rq[1], a);
    a->base.preempt_count = 0;
    on(1);
    say(&checker_grace, TRACE_TASK_RUN, a, 0);
    step(&checker_grace, false);
    if (is_wrong)
        say(&checker_grace, TRACE_TASK_LATCH, b, 0); /* it does something else already */
    on(0);
    say(&checker_grace, TRACE_QUIESCE_CALL, &head, 0);
    on(1);
    step(&checker_grace, false);
    on(0);
    say(&checker_grace, TRACE_QUIESCE_FREE, &head, 0);
}

static void story_grace_twice(bool is_wrong)
{
    int head = 0;

    on(0);
    say(&checker_grace, TRACE_QUIESCE_CALL, &head, 0);
    say(&checker_grace, TRACE_QUIESCE_FREE, &head, 0);
    if (is_wrong)
        say(&checker_grace, TRACE_QUIESCE_FREE, &head, 0);
}

static void every_cpu_passes_before_a_free(void **state)
{
    (void)state;
    both(story_grace, PROMISE_GRACE);
    both(story_grace_switch, PROMISE_GRACE);
    both(story_grace_twice, PROMISE_GRACE);
}

/* ---- Memory ---- */

static paddr_t some_block(void)
{
    return ROUND_UP(host_boot_info()->memory[0].base + (1 << 20), (uint64_t)16 << PAGE_SHIFT);
}

static void story_page_twice(bool is_wrong)
{
    say(&checker_memory, TRACE_PAGES_ALLOC, NULL, some_block() | 2);
    say(&checker_memory, TRACE_PAGES_FREE, NULL, some_block() | 2);
    say(&checker_memory, TRACE_PAGES_FREED, NULL, some_block() | 2);
    if (is_wrong)
        say(&checker_memory, TRACE_PAGES_FREE, NULL, some_block() | 0);
    say(&checker_memory, TRACE_PAGES_ALLOC, NULL, some_block() | 0);
}

static void story_page_overlap(bool is_wrong)
{
    say(&checker_memory, TRACE_PAGES_ALLOC, NULL, (some_block() + (is_wrong ? 3 : 4) * PAGE_BYTES) | 0);
    say(&checker_memory, TRACE_PAGES_ALLOC, NULL, some_block() | 2);
}

static void story_object_twice(bool is_wrong)
{
    char *object = (char *)(HAL_DIRECT_MAP_BASE + some_block() + 64);

    say(&checker_memory, TRACE_PAGES_ALLOC, NULL, some_block() | 0);
    say(&checker_memory, TRACE_OBJECT_ALLOC, object, 96);
    say(&checker_memory, TRACE_OBJECT_ALLOC, object + 96, 96);
    say(&checker_memory, TRACE_OBJECT_FREE, object, 96);
    if (is_wrong)
        say(&checker_memory, TRACE_OBJECT_FREE, object, 96);
}

static void story_object_overlap(bool is_wrong)
{
    char *object = (char *)(HAL_DIRECT_MAP_BASE + some_block());

    say(&checker_memory, TRACE_PAGES_ALLOC, NULL, some_block() | 0);
    say(&checker_memory, TRACE_OBJECT_ALLOC, object, 96);
    say(&checker_memory, TRACE_OBJECT_ALLOC, object + (is_wrong ? 88 : 96), 96);
}

static void story_object_in_free_page(bool is_wrong)
{
    char *object = (char *)(HAL_DIRECT_MAP_BASE + some_block());

    say(&checker_memory, TRACE_PAGES_ALLOC, NULL, some_block() | 0);
    say(&checker_memory, TRACE_OBJECT_ALLOC, object, 96);
    if (!is_wrong)
        say(&checker_memory, TRACE_OBJECT_FREE, object, 96);
    say(&checker_memory, TRACE_PAGES_FREE, NULL, some_block() | 0);
}

static void memory_is_freed_once(void **state)
{
    (void)state;
    both(story_page_twice, PROMISE_MEMORY);
    both(story_page_overlap, PROMISE_MEMORY);
    both(story_object_twice, PROMISE_MEMORY);
    both(story_object_overlap, PROMISE_MEMORY);
    both(story_object_in_free_page, PROMISE_MEMORY);
}

/* ---- Affinity and order ---- */

static void story_place(bool is_wrong)
{
    if (is_wrong)
        cpumask_remove(&a->affinity, 1);
    on(1);
    say(&checker_place, TRACE_TASK_RUN, a, 0);
}

/* The mask changes under a running task: the poke takes 2 us at most, then it goes at its first open steps. */
static void story_leave(bool is_wrong)
{
    sched_test_run(&sched_test.rq[1], a);
    a->is_leaving = true;
    cpumask_remove(&a->affinity, 1);
    on(1);
    for (unsigned i = 0; i < 200; i++)
        step(&checker_place, i < 95); /* deaf when it comes */
    for (unsigned i = 0; i < (is_wrong ? 20 : 4); i++)
        step(&checker_place, true);
}

static void story_pinned(bool is_wrong)
{
    a->is_pinned = is_wrong;
    on(1);
    say(&checker_place, TRACE_TASK_RUN, a, 0);
}

static void a_task_runs_where_it_may(void **state)
{
    (void)state;
    both(story_place, PROMISE_AFFINITY);
    both(story_leave, PROMISE_AFFINITY);
    both(story_pinned, PROMISE_AFFINITY);
}

static void story_urgent(bool is_wrong)
{
    struct runq *rq = &sched_test.rq[1];

    sched_test_run(rq, a);
    sched_test_apply(b, is_wrong ? PRIORITY_REALTIME_LOW : PRIORITY_USER_HIGH);
    b->state = TASK_READY;
    store_relaxed(&b->base.cpu, &rq->cpu);
    runq_enqueue(rq, b, ENQUEUE_WOKEN);
    on(1);
    for (unsigned i = 0; i < 200; i++)
        step(&checker_order, true);
}

static void story_urgent_in_section(bool is_wrong)
{
    a->base.preempt_count = !is_wrong; /* it waits until preemption is enabled, however long that takes */
    story_urgent(true);
}

static void the_most_urgent_runs(void **state)
{
    (void)state;
    both(story_urgent, PROMISE_ORDER);
    both(story_urgent_in_section, PROMISE_ORDER);
}

/* b, more urgent or less, waits for a mutex that a owns. */
static void wait_for_a(struct mutex *mutex, struct mutex_waiter *waiter, int priority, unsigned rank_of_a)
{
    mutex_init(mutex);
    store_relaxed(&mutex->owner, (uintptr_t)a | 1);
    waiter->mutex = mutex;
    sched_test_apply(b, priority);
    on(1);
    say(&checker_inherit, TRACE_PI_CHANGE, b, 1);
    b->pi.blocked_on = waiter;
    a->rank = (uint8_t)rank_of_a;
    say(&checker_inherit, TRACE_PI_CHANGE, b, 0);
}

static void story_boost(bool is_wrong)
{
    static struct mutex mutex;
    static struct mutex_waiter waiter;

    wait_for_a(&mutex, &waiter, PRIORITY_REALTIME_HIGH, is_wrong ? RANK_FAIR : RANK_RT);
}

static void story_boost_of_less_urgent(bool is_wrong)
{
    static struct mutex mutex;
    static struct mutex_waiter waiter;

    wait_for_a(&mutex, &waiter, PRIORITY_IDLE, is_wrong ? RANK_IDLE_CLASS : RANK_FAIR);
}

static void story_boost_ends(bool is_wrong)
{
    story_boost(false);
    say(&checker_inherit, TRACE_PI_CHANGE, b, 1);
    b->pi.blocked_on = NULL;
    a->rank = is_wrong ? RANK_RT : RANK_FAIR;
    say(&checker_inherit, TRACE_PI_CHANGE, b, 0);
}

static void urgency_is_inherited(void **state)
{
    (void)state;
    both(story_boost, PROMISE_INHERIT);
    both(story_boost_of_less_urgent, PROMISE_INHERIT);
    both(story_boost_ends, PROMISE_INHERIT);
}

/* ---- Timers ---- */

static uint64_t ticks_in(uint64_t ns)
{
    return (sim_now.ns + ns) * (host_boot_info()->clock_hz / 1000000) / 1000;
}

static void story_early(bool is_wrong)
{
    int timer = 0;

    on(1);
    say(&checker_time, TRACE_TIMER_ARM, &timer, ticks_in(1000));
    sim_now.ns += is_wrong ? 900 : 1000;
    say(&checker_time, TRACE_TIMER_FIRE, &timer, 0);
}

static void story_late(bool is_wrong)
{
    int timer = 0;

    on(1);
    say(&checker_time, TRACE_TIMER_ARM, &timer, ticks_in(1000));
    sim_now.ns += 1500;
    for (unsigned i = 0; i < 100; i++)
        step(&checker_time, is_wrong); /* a CPU that is deaf may be late */
    say(&checker_time, TRACE_TIMER_FIRE, &timer, 0);
}

static void story_fires_twice(bool is_wrong)
{
    int timer = 0;

    on(1);
    say(&checker_time, TRACE_TIMER_ARM, &timer, ticks_in(0));
    say(&checker_time, TRACE_TIMER_FIRE, &timer, 0);
    say(&checker_time, is_wrong ? TRACE_TIMER_FIRE : TRACE_TIMER_CANCEL, &timer, 0);
}

static void story_fires_after_cancel(bool is_wrong)
{
    int timer = 0;

    on(1);
    say(&checker_time, TRACE_TIMER_ARM, &timer, ticks_in(0));
    on(2);
    say(&checker_time, TRACE_TIMER_CANCEL, &timer, 1);
    on(1);
    if (is_wrong)
        say(&checker_time, TRACE_TIMER_FIRE, &timer, 0);
}

static void a_timer_fires_once_in_time(void **state)
{
    (void)state;
    both(story_early, PROMISE_TIME);
    both(story_late, PROMISE_TIME);
    both(story_fires_twice, PROMISE_TIME);
    both(story_fires_after_cancel, PROMISE_TIME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        story_test(every_cpu_passes_before_a_free),
        story_test(memory_is_freed_once),
        story_test(a_task_runs_where_it_may),
        story_test(the_most_urgent_runs),
        story_test(urgency_is_inherited),
        story_test(a_timer_fires_once_in_time),
    };

    sim_outcome_now = host_shared_alloc(sizeof *sim_outcome_now);
    return sim_outcome_now == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
