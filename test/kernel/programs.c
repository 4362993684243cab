/* SPDX-License-Identifier: MIT */
/* The programs that init= can name. */
#include <boot/program.h>
#include <k/compiler.h>
#include <hal/irq.h>
#include <sched/sched.h>

#include "check.h"

static int none_main(const char *argument)
{
    (void)argument;
    log_info("init: none: idle until the machine is switched off");
    while (task_sleep_until(TIME_NEVER - 1) == 0)
        continue;
    return 0;
}

/* For the test of the hang detector: a CPU that never answers again. */
static int hang_main(const char *argument)
{
    (void)argument;
    log_info("hang: spinning with interrupts disabled");
    (void)hal_irq_save();
    for (;;)
        hal_cpu_relax();
}

const struct boot_program boot_programs[] = {
    { "showcase", "live the whole life of a task, and check it", showcase_main },
    { "selftest", "self-checks; selftest:WORD runs those whose name contains WORD", selftest_main },
    { "bench", "instruction counts under -icount shift=0: the scheduler", bench_main },
    { "bench-mm", "the same: memory", bench_mm_main },
    { "bench-time", "bench-time:WORD, deadline or latency: what is kept, in virtual time", bench_time_main },
    { "soak", "soak:SECONDS uses memory on all CPUs, and counts what is left of it", soak_main },
    { "hotplug", "hotplug:SECONDS takes CPUs off and on under load", hotplug_main },
    { "crash", "crash:KIND breaks something on purpose", crash_main },
    { "trace", "the scheduling events of a fixed workload, the same on every machine", trace_main },
    { "schedlab", "schedlab:NAME[:DURATION] runs a workload of docs/SCHEDLAB.md and measures it", schedlab_main },
    { "none", "idle", none_main },
    { "hang", "spin for ever", hang_main },
    { NULL, NULL, NULL },
};
