/* SPDX-License-Identifier: MIT */
/*
 * Waits. Each record is settled exactly once between the begin and the end of its wait, and the wait ends with what was
 * settled. Whoever settles a record wakes its task before it lets interrupts in again: from then on, a task that is
 * blocked in a settled wait, or blocks in one, has lost its wake-up. That needs no bound in time: the settler keeps its
 * interrupts disabled from the settling to the wake, so the first step at which they are enabled is the last moment.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "table.h"
#include "watch.h"

#define DEBTS_MAX 262144u /* one wake of all is one stretch with interrupts disabled */

SIM_MAP(by_waiter, "waits", 19);

/* `cpu` has settled a wait and not been seen with interrupts enabled since. */
struct debt {
    const struct task *task;
    uint64_t wait_number;
    uint32_t next; /* 1 + index */
};

static struct {
    uint64_t waits;
    struct debt debt[DEBTS_MAX];
    unsigned debts_used;
    uint32_t debts_free;       /* 1 + index */
    uint32_t owed_by[CPU_MAX]; /* 1 + index of the newest, 0: none */
} wait;

static void wait_reset(const struct host_config *config)
{
    (void)config;
    sim_map_clear(&by_waiter);
    wait.waits = 0;
    wait.debts_used = 0;
    wait.debts_free = 0;
    for (cpu_id_t id = 0; id < CPU_MAX; id++)
        wait.owed_by[id] = 0;
}

[[noreturn]] static void lost(const struct sim_shadow *shadow)
{
    sim_broken(PROMISE_WAKE_ONCE, "'%s' is blocked in a wait that is settled, and nobody will wake it",
               shadow->task->name);
}

/* The settler is through with it. */
static void pay(const struct debt *debt)
{
    struct sim_shadow *shadow = sim_shadow_of(debt->task);

    if (shadow == NULL || shadow->waiter == NULL || shadow->wait_number != debt->wait_number)
        return; /* the wait is over: the task was awake, or found it settled */
    shadow->is_owed = false;
    if (UNLIKELY(task_state_is_blocked(shadow->state)))
        lost(shadow);
}

static void pay_all(cpu_id_t cpu)
{
    while (wait.owed_by[cpu] != 0) {
        uint32_t number = wait.owed_by[cpu];
        struct debt *debt = &wait.debt[number - 1];

        pay(debt);
        wait.owed_by[cpu] = debt->next;
        debt->next = wait.debts_free;
        wait.debts_free = number;
    }
}

static void owe(const struct sim_shadow *shadow)
{
    uint32_t number = wait.debts_free;

    if (number != 0)
        wait.debts_free = wait.debt[number - 1].next;
    else if (wait.debts_used < DEBTS_MAX)
        number = ++wait.debts_used;
    else
        sim_broken(PROMISE_SANITY, "the watch has no room for more than %u wake-ups on their way", DEBTS_MAX);
    wait.debt[number - 1] = (struct debt){ .task = shadow->task,
                                           .wait_number = shadow->wait_number,
                                           .next = wait.owed_by[sim_now.cpu] };
    wait.owed_by[sim_now.cpu] = number;
}

static void wait_begin(const void *waiter, const struct task *task)
{
    struct sim_shadow *shadow = sim_shadow_of(task);
    uint64_t *at = sim_map_put(&by_waiter, waiter);

    if (shadow == NULL || shadow->task != sim_now.task)
        sim_broken(PROMISE_EDGES, "CPU %u joins a queue for another task than it runs", sim_now.cpu);
    if (UNLIKELY(shadow->waiter != NULL || *at != 0))
        sim_broken(PROMISE_WAKE_ONCE, "'%s' begins a wait inside of another", task->name);
    *at = (uintptr_t)task;
    shadow->waiter = waiter;
    shadow->wait_number = ++wait.waits;
    shadow->is_settled = shadow->is_owed = false;
}

static void wait_settle(const void *waiter, uint64_t status)
{
    uint64_t *at = sim_map_find(&by_waiter, waiter);
    struct sim_shadow *shadow = at != NULL ? sim_shadow_of((const struct task *)(uintptr_t)*at) : NULL;

    if (UNLIKELY(shadow == NULL))
        sim_broken(PROMISE_WAKE_ONCE, "CPU %u settles record %p, whose wait is over", sim_now.cpu, waiter);
    if (UNLIKELY(shadow->is_settled))
        sim_broken(PROMISE_WAKE_ONCE, "CPU %u settles the wait of '%s', which was settled already", sim_now.cpu,
                   shadow->task->name);
    if (UNLIKELY(status < WAITER_WOKEN || status > WAITER_REFUSED))
        sim_broken(PROMISE_WAKE_ONCE, "the wait of '%s' is settled with status %llu", shadow->task->name,
                   (unsigned long long)status);
    shadow->is_settled = true;
    shadow->wait_status = (uint8_t)status;
    if (status != WAITER_WOKEN && shadow->task == sim_now.task)
        return; /* by itself, awake; or by an interrupt, and then it does not block before it has seen that */
    shadow->is_owed = true;
    owe(shadow);
}

static void wait_end(const void *waiter, uint64_t status)
{
    uint64_t *at = sim_map_find(&by_waiter, waiter);
    struct sim_shadow *shadow = at != NULL ? sim_shadow_of((const struct task *)(uintptr_t)*at) : NULL;

    if (UNLIKELY(shadow == NULL || shadow->task != sim_now.task))
        sim_broken(PROMISE_WAKE_ONCE, "CPU %u ends a wait with record %p, which the task it runs has not begun",
                   sim_now.cpu, waiter);
    if (UNLIKELY(!shadow->is_settled))
        sim_broken(PROMISE_WAKE_ONCE, "the wait of '%s' ends before anybody has settled it", shadow->task->name);
    if (UNLIKELY(shadow->wait_status != status))
        sim_broken(PROMISE_WAKE_ONCE, "the wait of '%s' ends with status %llu, but was settled with %u",
                   shadow->task->name, (unsigned long long)status, shadow->wait_status);
    shadow->waiter = NULL;
    sim_map_remove(&by_waiter, waiter);
}

/* The task is off its CPU: is anybody left who must wake it? */
static void task_blocks(const struct task *task)
{
    const struct sim_shadow *shadow = sim_shadow_of(task);

    if (UNLIKELY(shadow != NULL && shadow->waiter != NULL && shadow->is_settled && !shadow->is_owed))
        lost(shadow);
}

static void task_ends(const struct task *task)
{
    const struct sim_shadow *shadow = sim_shadow_of(task);

    if (UNLIKELY(shadow != NULL && shadow->waiter != NULL))
        sim_broken(PROMISE_WAKE_ONCE, "'%s' ends inside of a wait", task->name);
}

static void wait_event(enum trace_event event, const void *object, uint64_t value)
{
    switch (event) {
    case TRACE_WAIT_BEGIN:
        wait_begin(object, (const struct task *)(uintptr_t)value);
        break;
    case TRACE_WAIT_SETTLE:
        wait_settle(object, value);
        break;
    case TRACE_WAIT_END:
        wait_end(object, value);
        break;
    case TRACE_TASK_BLOCK:
        task_blocks(object);
        break;
    case TRACE_TASK_EXIT:
        task_ends(object);
        break;
    default:
        break;
    }
}

static void wait_step(void)
{
    if (sim_now.is_irq_on && UNLIKELY(wait.owed_by[sim_now.cpu] != 0))
        pay_all(sim_now.cpu);
}

const struct sim_checker checker_wait = {
    .promise = PROMISE_WAKE_ONCE,
    .name = "waits",
    .reset = wait_reset,
    .event = wait_event,
    .step = wait_step,
};
