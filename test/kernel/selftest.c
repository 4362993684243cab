/* SPDX-License-Identifier: MIT */
/* Runs the self-checks one by one; after each, every count must be what it was before. */
#include <lib/string.h>
#include <time/clock.h>

#include "check.h"

static const struct kernel_test *const groups[] = { tests_create,  tests_exit,     tests_sched, tests_crowd,
                                                    tests_policy,  tests_deadline, tests_wait,  tests_sync,
                                                    tests_process, tests_user,     tests_space, tests_objects,
                                                    tests_torture, tests_latency,  tests_nodes, tests_hotplug };

static bool run_one(const struct kernel_test *test)
{
    struct check_counts before, after;
    unsigned failed_before = check_failures();

    check_counts_get(&before);
    test->run();
    check_counts_get(&after);
    CHECK(check_counts_compare(&before, &after) == 0);
    CHECK(check_census());
    bool passed = check_failures() == failed_before;

    log_info("selftest: %s %s", passed ? "ok    " : "FAILED", test->name);
    return passed;
}

int selftest_main(const char *argument)
{
    unsigned passed = 0;
    unsigned failed = 0;

    for (size_t i = 0; i < ARRAY_COUNT(groups); i++)
        for (const struct kernel_test *test = groups[i]; test->name != NULL; test++) {
            if (argument[0] != '\0' && strstr(test->name, argument) == NULL)
                continue;
            if (run_one(test))
                passed++;
            else
                failed++;
        }
    log_info("selftest: %u passed, %u failed on %u CPUs", passed, failed, online_count());
    return failed == 0 && passed > 0 ? 0 : 1;
}
