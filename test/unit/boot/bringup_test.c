/* SPDX-License-Identifier: MIT */
/* core/boot/bringup.c: CPUs that answer, CPUs that never do, and the rest of the machine in spite of them. */
#include "booted.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include <boot/program.h>
#include <hal/boot.h>
#include <host/machine.h>

static unsigned wanted_failures(void)
{
    return (unsigned)(booted_seed() % 4);
}

static int say_where(void *arg)
{
    (void)arg;
    return (int)this_cpu_id();
}

/* CPUs 1 .. seed % 4 are silent. */
static void without_some(void)
{
    unsigned failed = wanted_failures();

    CHECK(boot_report.cpus_failed == failed);
    CHECK(online_count() == boot_report.info->cpu_count - failed);
    CHECK(boot_report.cpus_online == online_count() && cpumask_count(&cpu_online_mask) == online_count());
    for (cpu_id_t id = 0; id < boot_report.info->cpu_count; id++) {
        bool is_silent = id >= 1 && id <= failed;
        struct cpumask mask;

        CHECK(load_relaxed(&cpu_table[id]->state) == (is_silent ? CPU_FAILED : CPU_ONLINE));
        CHECK(cpumask_contains(&cpu_online_mask, id) == !is_silent);
        cpumask_set_single(&mask, id);
        if (is_silent) {
            const struct task_spec spec = {
                .name = "x", .entry = say_where, .stack_bytes = STACK_BYTES_DEFAULT, .priority = 60, .affinity = &mask,
            };

            CHECK(task_create(&spec, NULL) == -22); /* -EINVAL: nobody would run it */
        } else {
            CHECK(finish(spawn_on("where", say_where, NULL, 60, id)) == (int)id);
        }
    }
    for (unsigned i = 0; i < 8; i++) /* and those without affinity do not go there either */
        CHECK(cpumask_contains(&cpu_online_mask, (cpu_id_t)finish(spawn("any", say_where, NULL, 60, NULL))));
}

const struct kernel_test booted_tests[] = { { "without-some", without_some }, { NULL, NULL } };

static void silent_cpus_are_named_and_left_out(void **state)
{
    static struct host_result result;

    (void)state;
    for (unsigned seed = 0; seed < 24; seed++) {
        struct cpumask silent;
        char cmdline[64];
        struct host_config config = { .cpus = 6, .seed = seed, .cmdline = cmdline, .silent_cpus = &silent };

        cpumask_clear(&silent);
        for (cpu_id_t id = 1; id <= seed % 4; id++)
            cpumask_add(&silent, id);
        (void)snprintf(cmdline, sizeof cmdline, "init=test:without-some seed=%u", seed);
        if (host_machine_run_forked(&config, &result) != 0) {
            host_result_print(&config, &result);
            fail_msg("seed %u", seed);
        }
        for (cpu_id_t id = 1; id < 6; id++) {
            char line[80];

            (void)snprintf(line, sizeof line, "CPU %u (hardware id %#x): no answer within", id, 0x100 + 2 * id);
            assert_int_equal(strstr(result.console, line) != NULL, id <= seed % 4);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_cpus_are_named_and_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
