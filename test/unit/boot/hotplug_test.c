/* SPDX-License-Identifier: MIT */
/* core/boot/hotplug.c: a CPU's life beyond boot, seen from outside. What goes on meanwhile is in test/sim. */
#include "booted.h"
#include "unit.h"

#include <string.h>

#include <boot/hotplug.h>
#include <hal/cpu.h>
#include <k/errno.h>
#include <mm/kspace.h>
#include <sched/waitq.h>
#include <smp/cpu.h>
#include <time/clock.h>

#include "boot_priv.h"

static enum cpu_state state_of(cpu_id_t id)
{
    return load_acquire(&cpu_table[id]->state); /* PAIRS(cpu_online) */
}

static bool is_in_all_sets(cpu_id_t id)
{
    return cpu_is_online(id) && cpu_is_in(&cpu_live_mask, id) && cpu_is_in(&cpu_started_mask, id);
}

static void off_and_on(void)
{
    unsigned started = load_relaxed(&cpu_started_count);

    for (cpu_id_t id = 1; id < started; id++) {
        for (unsigned round = 0; round < 2; round++) {
            CHECK(cpu_offline(id) == 0);
            CHECK(state_of(id) == CPU_OFFLINE);
            CHECK(!cpu_is_online(id) && !cpu_is_in(&cpu_live_mask, id) && cpu_is_in(&cpu_started_mask, id));
            CHECK(online_count() == started - 1 && load_relaxed(&cpu_started_count) == started);
            CHECK(cpu_offline(id) == -ENODEV);
            CHECK(check_census());
            CHECK(cpu_online(id) == 0);
            CHECK(state_of(id) == CPU_ONLINE && is_in_all_sets(id));
            CHECK(cpu_online(id) == -EBUSY);
        }
    }
    CHECK(online_count() == started);
}

static void refusals(void)
{
    unsigned started = load_relaxed(&cpu_started_count);

    CHECK(cpu_offline(0) == -EBUSY && cpu_online(0) == -EBUSY && is_in_all_sets(0));
    CHECK(cpu_offline(started) == -EINVAL && cpu_online(started) == -EINVAL);
    CHECK(cpu_offline(CPU_MAX) == -EINVAL && cpu_online(CPU_NONE) == -EINVAL);
}

static int say_cpu(void *arg)
{
    (void)arg;
    return (int)this_cpu_id();
}

/* Tasks may be sent to a CPU that has come back, and to it alone. */
static void back_to_work(void)
{
    for_each_started_cpu(id) {
        if (id == 0)
            continue;
        CHECK(cpu_offline(id) == 0 && cpu_online(id) == 0);
        CHECK((cpu_id_t)finish(spawn_on("there", say_cpu, NULL, 60, id)) == id);
    }
}

/* A CPU that comes back when it has been given up parks, and nobody waits for it: to take another one off needs a grace
 * period. */
static void too_late(void)
{
    struct cpu *cpu = cpu_table[1];
    struct task *idle = cpu->idle_task;

    CHECK(cpu_offline(1) == 0);
    store_relaxed(&cpu->state, CPU_FAILED);
    hal_context_init(&idle->base.context, idle->stack_base + idle->stack_bytes, idle->stack_bytes,
                     bringup_secondary_main, cpu);
    CHECK(hal_cpu_start(1, kspace_root(), idle) == 0);
    while (hal_cpu_start(1, kspace_root(), NULL) != 0) /* until it has parked */
        (void)task_sleep_for(NS_PER_US);
    CHECK(state_of(1) == CPU_FAILED && !cpu_is_in(&cpu_live_mask, 1));
    CHECK(cpu_offline(2) == 0 && cpu_online(2) == 0);
    CHECK(cpu_online(1) == -ENODEV && cpu_offline(1) == -ENODEV);
}

static void panic_with_one_off(void)
{
    CHECK(cpu_offline(1) == 0);
    panic("with one CPU off");
}

const struct kernel_test booted_tests[] = {
    { "off-and-on", off_and_on }, { "refusals", refusals }, { "back-to-work", back_to_work },
    { "too-late", too_late }, { "panic-with-one-off", panic_with_one_off }, { NULL, NULL }
};

static void a_cpu_goes_off_and_comes_back(void **state)
{
    (void)state;
    booted_run("off-and-on", 16);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    booted_run("refusals", 8);
}

static void a_cpu_that_is_back_runs_tasks(void **state)
{
    (void)state;
    booted_run("back-to-work", 16);
}

static void a_cpu_that_comes_too_late_parks(void **state)
{
    (void)state;
    booted_run_on(4, "too-late", "", 16);
}

/* Who panics waits for the others to report, and not for one that is off. */
static void a_panic_does_not_ask_who_is_off(void **state)
{
    (void)state;
    for (unsigned cpus = 2; cpus <= 4; cpus++) {
        booted_panics(cpus, "panic-with-one-off", "with one CPU off", 8);
        assert_null(strstr(booted_console(), "did not answer"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cpu_goes_off_and_comes_back),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_cpu_that_is_back_runs_tasks),
        cmocka_unit_test(a_cpu_that_comes_too_late_parks),
        cmocka_unit_test(a_panic_does_not_ask_who_is_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
