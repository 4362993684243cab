/* SPDX-License-Identifier: MIT */
/* core/boot/kmain.c: from nothing to init on machines of many shapes, and a plain sentence where that is impossible. */
#include "booted.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include <boot/options.h>
#include <boot/program.h>
#include <hal/boot.h>
#include <hal/upcall.h>
#include <host/machine.h>
#include <k/limits.h>
#include <mm/kspace.h>
#include <proc/process.h>
#include <time/clock.h>

/* Inside. */

static void first_look(void)
{
    const struct boot_report *report = &boot_report;

    CHECK(report->cpus_online == online_count() && report->cpus_failed == 0);
    CHECK(report->cpus_online == report->info->cpu_count);
    CHECK(report->entry_ticks <= report->online_ticks && report->online_ticks <= report->ready_ticks);
    CHECK(report->ready_ticks <= hal_clock_ticks() && report->ram_bytes > 0);
    CHECK(clock_scale.hz == report->info->clock_hz);
    CHECK(strcmp(current_task()->name, "init") == 0 && current_task()->priority == PRIORITY_DEFAULT);
    CHECK(process_current() == &process_kernel && hal_irq_is_enabled());
    for (unsigned n = 0; n < online_count(); n++) {
        const struct cpu *cpu = cpu_table[online_cpu(n)];
        char name[TASK_NAME_BYTES];

        (void)snprintf(name, sizeof name, "idle/%u", cpu->id);
        CHECK(load_relaxed(&((struct cpu *)(uintptr_t)cpu)->state) == CPU_ONLINE);
        CHECK(cpu->hw_id == report->info->cpu_hw_id[cpu->id]);
        CHECK(strcmp(cpu->idle_task->name, name) == 0 && cpu->idle_task->priority == PRIORITY_IDLE);
    }
    CHECK(kspace_check() > 0);
}

static void argument(void)
{
    CHECK(boot_report.options->cpus_max == 2 && online_count() == 2);
}

static void end_with_code(void)
{
    hal_machine_exit(42);
}

const struct kernel_test booted_tests[] = {
    { "first-look", first_look }, { "argument", argument }, { "end", end_with_code }, { NULL, NULL },
};

/* Outside. */

static struct host_result result;

static int boot(const struct host_config *config)
{
    return host_machine_run_forked(config, &result);
}

static void machines_of_all_sizes_come_up(void **state)
{
    static const unsigned cpus[] = { 1, 2, 3, 8, 31, 64, 65, 128 };
    static const uint64_t clocks[] = { 1000000, 62500000, 100000000, 1000000000, UINT64_C(100000000000) };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(cpus); i++) {
        struct host_config config = {
            .cpus = cpus[i], .seed = i, .clock_hz = clocks[i % ARRAY_COUNT(clocks)],
            .memory_bytes = (uint64_t)(8 + cpus[i]) << 20, .cmdline = "init=test:first-look",
        };

        if (boot(&config) != 0) {
            host_result_print(&config, &result);
            fail_msg("%u CPUs, clock of %llu Hz", cpus[i], (unsigned long long)config.clock_hz);
        }
    }
}

static void the_first_look_is_right_for_many_seeds(void **state)
{
    (void)state;
    booted_run("first-look", 100);
}

static void cpus_limits_the_cpus(void **state)
{
    (void)state;
    booted_run_on(8, "argument", "cpus=2", 10);
}

static void the_code_of_init_is_the_code_of_the_machine(void **state)
{
    struct host_config config = { .cpus = 2, .seed = 1, .cmdline = "init=test:end" };

    (void)state;
    assert_int_equal(boot(&config), 42);
    config.cmdline = "init=test:no-such-test";
    assert_int_equal(boot(&config), 2);
}

static void an_unknown_init_is_answered_with_the_list(void **state)
{
    struct host_config config = { .cpus = 2, .seed = 1, .cmdline = "init=nobody" };

    (void)state;
    assert_int_equal(boot(&config), 2);
    assert_int_equal(result.end, HOST_END_EXIT);
    assert_non_null(strstr(result.console, "there is no program 'nobody'"));
    assert_non_null(strstr(result.console, "one of booted_tests"));
}

static void a_command_line_that_was_cut_is_warned_about(void **state)
{
    static char cmdline[CMDLINE_BYTES + 100] = "init=test:end ";
    struct host_config config = { .cpus = 1, .seed = 1, .cmdline = cmdline };

    (void)state;
    memset(cmdline + strlen(cmdline), ' ', sizeof cmdline - 1 - strlen(cmdline));
    assert_int_equal(boot(&config), 42);
    assert_non_null(strstr(result.console, "longer than 1024 bytes and was cut"));
}

/* Facts that no kernel could use. The firmware's table is changed before kmain() sees it. */

static void (*spoil)(struct boot_info *boot);

static void no_cpu(struct boot_info *boot)
{
    boot->cpu_count = 0;
}

static void no_clock(struct boot_info *boot)
{
    boot->clock_hz = 0;
}

static void no_memory(struct boot_info *boot)
{
    boot->memory_count = 0;
}

static void enter_spoilt(struct boot_info *boot)
{
    spoil(boot);
    kmain(boot);
}

static void useless_machines_are_refused_with_a_sentence(void **state)
{
    static const struct {
        void (*spoil)(struct boot_info *boot);
        const char *words;
    } cases[] = {
        { no_cpu, "describes no CPU" },
        { no_clock, "describes no clock" },
        { no_memory, "memory" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct host_config config = { .cpus = 2, .seed = 1, .entry = enter_spoilt };

        spoil = cases[i].spoil;
        assert_int_equal(boot(&config), 1);
        assert_int_equal(result.end, HOST_END_EXIT);
        assert_non_null(strstr(result.console, "panic: CPU 0"));
        assert_non_null(strstr(result.console, cases[i].words));
    }
}

static void too_little_memory_is_said_so_at_every_size(void **state)
{
    unsigned booted = 0;

    (void)state;
    for (uint64_t kib = 128; kib <= 4096; kib += kib < 1024 ? 64 : 256) {
        struct host_config config = {
            .cpus = 4, .seed = kib, .memory_bytes = kib << 10, .cmdline = "init=test:first-look",
        };
        int code = boot(&config);

        booted += code == 0;
        if (code != 0 && (code != 1 || result.end != HOST_END_EXIT || strstr(result.console, "memory") == NULL)) {
            host_result_print(&config, &result);
            fail_msg("%llu KiB: code %d without a word about memory", (unsigned long long)kib, code);
        }
    }
    assert_true(booted > 0); /* and 4 MiB are enough */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_of_all_sizes_come_up),
        cmocka_unit_test(the_first_look_is_right_for_many_seeds),
        cmocka_unit_test(cpus_limits_the_cpus),
        cmocka_unit_test(the_code_of_init_is_the_code_of_the_machine),
        cmocka_unit_test(an_unknown_init_is_answered_with_the_list),
        cmocka_unit_test(a_command_line_that_was_cut_is_warned_about),
        cmocka_unit_test(useless_machines_are_refused_with_a_sentence),
        cmocka_unit_test(too_little_memory_is_said_so_at_every_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
