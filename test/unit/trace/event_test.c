/* SPDX-License-Identifier: MIT */
/* core/trace/event.c: tracepoints reach the listener, and listening adds no step to what the machine does. */
#include "booted.h"

#include "unit.h"

#include <string.h>

#include <host/machine.h>
#include <k/trace.h>

static unsigned heard[TRACE_EVENT_COUNT];
static unsigned heard_in_all;

static void listen(enum trace_event event, const void *object, uint64_t value)
{
    (void)object;
    (void)value;
    heard[event]++;
    heard_in_all++;
}

static int one(void *arg)
{
    (void)arg;
    (void)task_sleep_for(10 * NS_PER_US);
    return 0;
}

static void a_short_life(void)
{
    atomic_store(&trace_listener, listen);
    CHECK(finish(spawn("one", one, NULL, PRIORITY_DEFAULT, NULL)) == 0);
    atomic_store(&trace_listener, NULL);
    unsigned so_far = heard_in_all;

    CHECK(finish(spawn("another", one, NULL, PRIORITY_DEFAULT, NULL)) == 0);
    CHECK(heard_in_all == so_far);
    CHECK(heard[TRACE_TASK_INIT] == 1 && heard[TRACE_TASK_START] == 1 && heard[TRACE_TASK_EXIT] == 1);
    CHECK(heard[TRACE_TASK_BLOCK] >= 2 && heard[TRACE_TASK_RUN] >= 2); /* its sleep, and our join */
    CHECK(heard[TRACE_WAIT_BEGIN] >= 1 && heard[TRACE_WAIT_SETTLE] >= 1);
}

const struct kernel_test booted_tests[] = {
    { "life", a_short_life },
    { NULL, NULL },
};

static void a_life_is_heard_once_and_only_while_somebody_listens(void **state)
{
    (void)state;
    booted_run_on(1, "life", "", 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_is_heard_once_and_only_while_somebody_listens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
