/* SPDX-License-Identifier: MIT */
/* Tests of test/lab/workload.c. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "workload.h"

#include <k/errno.h>

static struct workload workload;
static struct workload_error error;

static void accept(const char *text)
{
    int result = workload_parse(text, strlen(text), &workload, &error);

    if (result != 0)
        print_error("%u:%u: %s\n", error.line, error.column, error.text);
    assert_int_equal(result, 0);
}

static void refuse(const char *text, unsigned line, unsigned column, const char *what)
{
    assert_int_equal(workload_parse(text, strlen(text), &workload, &error), -EINVAL);
    if (strstr(error.text, what) == NULL)
        print_error("%u:%u: %s\n", error.line, error.column, error.text);
    assert_non_null(strstr(error.text, what));
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
}

static void a_group_is_a_nice_0_task_that_never_ends(void **state)
{
    const struct workload_group *group = &workload.group[0];

    (void)state;
    accept("group a\nrun 5ms");
    assert_int_equal(workload.groups, 1);
    assert_int_equal(workload.tasks, 1);
    assert_int_equal(workload.cpus, 0);
    assert_int_equal(workload.duration_ns, WORKLOAD_DURATION_NS);
    assert_string_equal(group->name, "a");
    assert_int_equal(group->count, 1);
    assert_int_equal(group->policy, WORKLOAD_FAIR);
    assert_int_equal(group->nice, 0);
    assert_int_equal(group->repeat, 0);
    assert_int_equal(group->after, WORKLOAD_NONE);
    assert_false(group->has_affinity);
    assert_int_equal(group->actions, 1);
    assert_int_equal(workload.action[0].kind, WORKLOAD_RUN);
    assert_int_equal(workload.action[0].time.ns, 5000000);
}

static void every_line_is_understood(void **state)
{
    (void)state;
    accept("# a comment\n\n  duration 2s\t# and another\ncpus 8\r\n"
           "group first count 3\n repeat 7\n policy fair nice -20 slice 100us\n run uniform 1us 2us\n"
           "group second\n policy rr 98 slice 100ms\n arrive 5ms every 1ns\n after first\n affinity 0-2,1023\n"
           " every 10ms deadline 4ms\n wait go\n signal go 3\n broadcast stop\n hold m exponential 7us\n"
           " join first\n yield\n sleep 3600s\n move 1023\n stop 7 2us\n"
           "group third\n policy deadline runtime 1ms deadline 2ms period 3ms\n run 1ns\n"
           "group fourth\n policy idle\n every 2ms\n run 1ms\n group fifth\n policy fifo 1\n hold m 1us");
    assert_int_equal(workload.duration_ns, 2000000000);
    assert_int_equal(workload.cpus, 8);
    assert_int_equal(workload.tasks, 7);

    const struct workload_group *first = &workload.group[0], *second = &workload.group[1], *third = &workload.group[2];

    assert_int_equal(first->nice, -20);
    assert_int_equal(first->slice_ns, 100000);
    assert_int_equal(first->repeat, 7);
    assert_int_equal(workload.action[0].time.spread, WORKLOAD_UNIFORM);
    assert_int_equal(workload.action[0].time.ns, 1000);
    assert_int_equal(workload.action[0].time.ns_max, 2000);
    assert_int_equal(second->policy, WORKLOAD_RR);
    assert_int_equal(second->priority, 98);
    assert_int_equal(second->slice_ns, 100000000);
    assert_int_equal(second->arrive_ns, 5000000);
    assert_int_equal(second->stagger_ns, 1);
    assert_int_equal(second->after, 0);
    assert_true(second->has_affinity);
    for (cpu_id_t cpu = 0; cpu < CPU_MAX; cpu++)
        assert_int_equal(cpumask_contains(&second->affinity, cpu), cpu <= 2 || cpu == 1023);
    assert_int_equal(second->every_ns, 10000000);
    assert_int_equal(second->deadline_ns, 4000000);
    assert_int_equal(second->first, 1);
    assert_int_equal(second->actions, 9);

    static const enum workload_kind kinds[] = { WORKLOAD_WAIT, WORKLOAD_SIGNAL, WORKLOAD_BROADCAST, WORKLOAD_HOLD,
                                                WORKLOAD_JOIN, WORKLOAD_YIELD,  WORKLOAD_SLEEP,
                                                WORKLOAD_MOVE, WORKLOAD_STOP };

    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++)
        assert_int_equal(workload.action[1 + i].kind, kinds[i]);
    assert_int_equal(workload.action[1].object, workload.action[2].object);
    assert_int_not_equal(workload.action[1].object, workload.action[3].object);
    assert_int_equal(workload.action[2].count, 3);
    assert_int_equal(workload.action[4].time.spread, WORKLOAD_EXPONENTIAL);
    assert_int_equal(workload.action[8].object, 1023);
    assert_int_equal(workload.action[9].object, 7);
    assert_int_equal(workload.action[9].time.ns, 2000);
    assert_int_equal(third->policy, WORKLOAD_DEADLINE);
    assert_int_equal(third->dl_runtime_ns, 1000000);
    assert_int_equal(third->dl_deadline_ns, 2000000);
    assert_int_equal(third->dl_period_ns, 3000000);
    assert_int_equal(workload.group[3].deadline_ns, 2000000); /* a period is its deadline */
    assert_int_equal(workload.group[4].priority, 1);
    assert_int_equal(workload.events, 2);
    assert_int_equal(workload.mutexes, 1);
}

static void mistakes_are_named_where_they_are(void **state)
{
    (void)state;
    refuse("", 1, 1, "no group");
    refuse("bogus", 1, 1, "no such word: 'bogus'");
    refuse("run 1ms", 1, 1, "before the first 'group'");
    refuse("group", 1, 6, "a name is missing");
    refuse("group Abc", 1, 7, "a-z");
    refuse("group a23456789", 1, 7, "more than 8");
    refuse("group a number 3", 1, 9, "count N");
    refuse("group a count 0", 1, 15, "out of range: '0'");
    refuse("group a count 120001", 1, 15, "out of range");
    refuse("group a\nrun 1ms\ngroup a", 3, 7, "another group");
    refuse("group a\nyield\ngroup b\nrun 1ms", 3, 1, "the group before needs");
    refuse("group a\nyield\n", 3, 1, "the group before needs");
    refuse("group a\n  run", 2, 6, "a time is missing");
    refuse("group a\nrun 5", 2, 5, "no time such as");
    refuse("group a\nrun 5m", 2, 5, "no time such as");
    refuse("group a\nmove", 2, 5, "missing");
    refuse("group a\nmove 0 1", 2, 8, "nothing may follow");
    refuse("group a\nstop 0", 2, 7, "a time is missing");
    refuse("group a\nmove 1024", 2, 6, "out of range: '1024'");
    refuse("group a\nrun 0ms", 2, 5, "longer than 0");
    refuse("group a\nrun 3601s", 2, 5, "no time such as");
    refuse("group a\nrun 99999999999999999999s", 2, 5, "no time such as");
    refuse("group a\nrun 1ms 2ms", 2, 9, "nothing may follow");
    refuse("group a\nrun uniform 3ms 2ms", 2, 17, "less than the least");
    refuse("group a\npolicy", 2, 7, "policies are");
    refuse("group a\npolicy best", 2, 8, "policies are");
#if KERNEL_EXAMPLE_CLASS
    refuse("group a\npolicy stride nice 20", 2, 20, "-20 to 19"); /* another class of this build */
#endif
    refuse("group a\npolicy below", 2, 8, "policies are");        /* a class that no task is of */
    refuse("group a\npolicy fair nice 20", 2, 18, "-20 to 19");
    refuse("group a\npolicy fair nice -21", 2, 18, "-20 to 19");
    refuse("group a\npolicy fair nice -", 2, 18, "-20 to 19");
    refuse("group a\npolicy fair slice 99us", 2, 19, "100us to 100ms");
    refuse("group a\npolicy fifo 99", 2, 13, "out of range");
    refuse("group a\npolicy fifo 5 slice 1ms", 2, 15, "nothing may follow");
    refuse("group a\npolicy idle 5", 2, 13, "nothing may follow");
    refuse("group a\npolicy deadline runtime 3ms deadline 2ms period 9ms", 2, 38, "shorter than the runtime");
    refuse("group a\npolicy deadline runtime 3ms", 2, 28, "expected: policy deadline");
    refuse("group a\naffinity 3-1", 2, 10, "list of CPUs");
    refuse("group a\naffinity 1024", 2, 10, "list of CPUs");
    refuse("group a\naffinity 1,", 2, 10, "list of CPUs");
    refuse("group a\nafter b", 2, 7, "no group above");
    refuse("group a\nafter a", 2, 7, "wait for itself");
    refuse("group a\nrun 1ms\ngroup b\njoin a", 4, 6, "never ends");
    refuse("group a\nrepeat 4294967296", 2, 8, "out of range");
    refuse("group a\nrun 1ms \x80", 2, 9, "printable");
    refuse("a a a a a a a a a a a a a", 1, 25, "too many words");
    refuse("cpus 1025", 1, 6, "out of range");
    refuse("duration 0s", 1, 10, "longer than 0");
}

static void bounds_are_those_of_the_header(void **state)
{
    static char text[WORKLOAD_BYTES_MAX + 2];
    size_t used = 0;

    (void)state;
    for (unsigned i = 0; i < WORKLOAD_GROUPS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "group g%u\nrun 1us\n", i);
    accept(text);
    assert_int_equal(workload.groups, WORKLOAD_GROUPS_MAX);
    (void)snprintf(text + used, sizeof text - used, "group more\nrun 1us\n");
    refuse(text, 2 * WORKLOAD_GROUPS_MAX + 1, 1, "too many groups");

    used = (size_t)snprintf(text, sizeof text, "group a\n");
    for (unsigned i = 0; i < WORKLOAD_ACTIONS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "run 1us\n");
    accept(text);
    (void)snprintf(text + used, sizeof text - used, "run 1us\n");
    refuse(text, WORKLOAD_ACTIONS_MAX + 2, 1, "too many actions");

    used = (size_t)snprintf(text, sizeof text, "group a\n");
    for (unsigned i = 0; i < WORKLOAD_EVENTS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "wait e%u\n", i);
    accept(text);
    (void)snprintf(text + used, sizeof text - used, "wait more\n");
    refuse(text, WORKLOAD_EVENTS_MAX + 2, 6, "too many names");

    accept("group a count 120000\nrun 1us");
    refuse("group a count 120000\nrun 1us\ngroup b count 1\nrun 1us", 3, 15, "too many tasks");

    memset(text, '\n', sizeof text);
    memcpy(text, "group a\nrun 1us", 15);
    assert_int_equal(workload_parse(text, WORKLOAD_BYTES_MAX, &workload, &error), 0);
    assert_int_equal(workload_parse(text, WORKLOAD_BYTES_MAX + 1, &workload, &error), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_a_nice_0_task_that_never_ends),
        cmocka_unit_test(every_line_is_understood),
        cmocka_unit_test(mistakes_are_named_where_they_are),
        cmocka_unit_test(bounds_are_those_of_the_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
