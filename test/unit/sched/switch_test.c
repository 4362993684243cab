/* SPDX-License-Identifier: MIT */
/* core/sched/switch.c: what a task finds again after a switch, when it is switched at all, and how it ends. */
#include "booted.h"
#include "unit.h"

#include <host/machine.h>
#include <sched/mutex.h>
#include <time/clock.h>

#define TASKS 8

/* Everything at once: tasks of all classes that yield, sleep, migrate and make tasks of their own. */

static int child(void *arg)
{
    if ((uintptr_t)arg % 2 == 0)
        task_yield();
    return (int)(uintptr_t)arg;
}

/* Locals that a wrong stack or register would change. */
static bool keeps_its_mind(uint64_t *random)
{
    uint64_t a = random_next(random);
    volatile uint64_t b = a * 3;
    uint64_t c = a ^ 0x5555;
    struct task *self = current_task();

    switch (random_next(random) % 3) {
    case 0:
        task_yield();
        break;
    case 1:
        (void)task_sleep_for(random_next(random) % 5000);
        break;
    default: {
        struct cpumask mask;

        cpumask_set_single(&mask, online_cpu((unsigned)random_next(random)));
        CHECK(task_set_affinity(self, &mask) == 0);
        break;
    }
    }
    return b == a * 3 && c == (a ^ 0x5555) && self == current_task() && hal_irq_is_enabled() &&
           self->base.preempt_count == 0 && self->base.lock_depth == 0;
}

static int churn(void *arg)
{
    uint64_t random = booted_seed() * 41 + (uintptr_t)arg;

    for (unsigned i = 0; i < 12; i++) {
        CHECK(keeps_its_mind(&random));
        if (random_next(&random) % 4 == 0) {
            uintptr_t code = random_next(&random) % 100;

            CHECK(finish(spawn("child", child, (void *)code, (int)(random_next(&random) % 100), NULL)) == (int)code);
        }
    }
    return 0;
}

static void everything(void)
{
    struct task *task[TASKS];

    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("churn", churn, (void *)i, i == 0 ? 5 : i == 1 ? 99 : 40 + (int)i, NULL);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
}

/* Preemption disabled: nobody else runs here, however urgent, and the pending switch happens at the end. */

static _Atomic(unsigned) urgent_runs;

static int be_urgent(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 5; i++) {
        (void)fetch_add_relaxed(&urgent_runs, 1);
        (void)task_sleep_for(10000);
    }
    return 0;
}

static void no_preemption(void)
{
    struct cpumask here;

    cpumask_set_single(&here, online_cpu(0));
    CHECK(task_set_affinity(current_task(), &here) == 0);
    struct task *urgent = spawn("urgent", be_urgent, NULL, 0, &here);

    for (unsigned i = 0; i < 5; i++) {
        preempt_disable();
        unsigned before = load_relaxed(&urgent_runs);
        uint64_t end = clock_ns() + 30000;
        struct task_stats stats = current_task()->stats;

        while (clock_ns() < end)
            hal_cpu_relax();
        CHECK(load_relaxed(&urgent_runs) == before);
        CHECK(current_task()->stats.involuntary == stats.involuntary);
        preempt_enable();
        CHECK(before == 5 || load_relaxed(&urgent_runs) == before + 1);
    }
    CHECK(finish(urgent) == 0);
    cpumask_set_all(&here);
    CHECK(task_set_affinity(current_task(), &here) == 0);
}

/* Round robin among equals of the real-time class; a FIFO task keeps the CPU until it gives it up. */

static _Atomic(unsigned) switches_seen;
static _Atomic(uintptr_t) last_seen;
static _Atomic(bool) stop;

static int note_switches(void *arg)
{
    uint64_t end = clock_ns() + 50 * NS_PER_MS;

    while (!load_relaxed(&stop) && clock_ns() < end) {
        if (xchg_relaxed(&last_seen, (uintptr_t)arg) != (uintptr_t)arg)
            (void)fetch_add_relaxed(&switches_seen, 1);
        for (unsigned i = 0; i < 1000; i++)
            hal_cpu_relax();
    }
    return 0;
}

static void run_two(enum sched_policy policy, unsigned least, unsigned most)
{
    struct task *task[2];
    cpu_id_t cpu = online_cpu(1);

    store_relaxed(&switches_seen, 0);
    store_relaxed(&last_seen, 0);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    struct cpumask here;

    cpumask_set_single(&here, cpu);
    CHECK(task_set_affinity(current_task(), &here) == 0); /* on their CPU, so that both are set up before they run */
    for (uintptr_t i = 0; i < 2; i++) {
        task[i] = spawn_on("peer", note_switches, (void *)(i + 1), PRIORITY_REALTIME_NORMAL, cpu);
        CHECK(task_set_policy(task[i], policy) == 0);
    }
    for (unsigned i = 0; i < 2; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&switches_seen) >= least && load_relaxed(&switches_seen) <= most);
    cpumask_set_all(&here);
    CHECK(task_set_affinity(current_task(), &here) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

static void round_robin(void)
{
    run_two(SCHED_POLICY_RR, 4, 12); /* 50 ms each of 10 ms slices */
}

static void fifo(void)
{
    run_two(SCHED_POLICY_FIFO, 2, 2);
}

/* Floating-point state follows the task that owns it. */

static int own_fpu(void *arg)
{
    for (unsigned word = 0; word < HOST_FPU_WORDS; word++)
        CHECK(host_fpu_peek(word) == 0);
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned word = 0; word < HOST_FPU_WORDS; word++)
            host_fpu_use(word, (uintptr_t)arg * 100 + word + i);
        if (i % 2 == 0)
            task_yield();
        else
            (void)task_sleep_for(1000);
        for (unsigned word = 0; word < HOST_FPU_WORDS; word++)
            CHECK(host_fpu_peek(word) == (uintptr_t)arg * 100 + word + i);
    }
    return 0;
}

static void fpu(void)
{
    struct task *task[4];

    for (uintptr_t i = 0; i < ARRAY_COUNT(task); i++) {
        const struct task_spec spec = {
            .name = "fpu", .entry = own_fpu, .arg = (void *)i, .stack_bytes = STACK_BYTES_DEFAULT, .priority = 60,
            .uses_fpu = true,
        };

        CHECK(task_create(&spec, &task[i]) > 0);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
}

/* What must not be. */

static void sleep_with_spinlock(void) NO_LOCK_ANALYSIS
{
    static struct spinlock lock = SPINLOCK_INIT(LOCK_SLAB);

    spin_lock(&lock);
    (void)task_sleep_for(1000);
}

static void yield_without_preemption(void)
{
    preempt_disable();
    task_yield();
}

static void exit_without_preemption(void)
{
    current_task()->base.preempt_count++;
    (void)hal_irq_save();
    sched_exit();
}

const struct kernel_test booted_tests[] = {
    { "everything", everything },
    { "no-preemption", no_preemption },
    { "round-robin", round_robin },
    { "fifo", fifo },
    { "fpu", fpu },
    { "sleep-with-spinlock", sleep_with_spinlock },
    { "yield-without-preemption", yield_without_preemption },
    { "exit-without-preemption", exit_without_preemption },
    { NULL, NULL },
};

static void a_task_finds_its_own_stack_and_state_again(void **state)
{
    (void)state;
    booted_run("everything", 240);
}

static void disabled_preemption_keeps_the_cpu_and_its_end_gives_it_up(void **state)
{
    (void)state;
    booted_run("no-preemption", 60);
}

static void round_robin_tasks_take_turns(void **state)
{
    (void)state;
    booted_run_on(2, "round-robin", "", 4);
}

static void a_fifo_task_runs_to_its_end(void **state)
{
    (void)state;
    booted_run_on(2, "fifo", "", 4);
}

static void floating_point_state_follows_its_task(void **state)
{
    (void)state;
    booted_run("fpu", 60);
}

static void switching_away_inside_a_critical_section_panics(void **state)
{
    (void)state;
    booted_panics(2, "sleep-with-spinlock", "assertion failed", 3);
    booted_panics(2, "yield-without-preemption", "assertion failed", 3);
    booted_panics(2, "exit-without-preemption", "preempt_count == 0", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_finds_its_own_stack_and_state_again),
        cmocka_unit_test(disabled_preemption_keeps_the_cpu_and_its_end_gives_it_up),
        cmocka_unit_test(round_robin_tasks_take_turns),
        cmocka_unit_test(a_fifo_task_runs_to_its_end),
        cmocka_unit_test(floating_point_state_follows_its_task),
        cmocka_unit_test(switching_away_inside_a_critical_section_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
