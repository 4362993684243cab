/* SPDX-License-Identifier: MIT */
/*
 * The armed failure: one at a time, bound to the task that armed it. Only that task ever touches the rest, so
 * none of it needs a lock; all others see in one load that they are not meant.
 */
#include "mm_priv.h"

#include <mm/fail.h>

_Atomic(struct task *) mm_fail_task;

static struct {
    /* Owned by mm_fail_task. */
    uint32_t left;
    uint32_t seen;
    bool fired;
} fail;

void mm_fail_at(uint32_t nth)
{
    struct task *self = hal_current();
    struct task *armed = NULL;

    if (nth == 0) {
        if (mm_fail_is_armed())
            store_relaxed(&mm_fail_task, NULL);
        return;
    }
    /* Two tasks that force failures at once would make each other's counts meaningless. */
    if (!cas_relaxed(&mm_fail_task, &armed, self))
        ASSERT(armed == self);
    fail.left = nth;
    fail.seen = 0;
    fail.fired = false;
}

bool mm_fail_fired(void)
{
    if (!mm_fail_is_armed())
        return false;

    bool fired = fail.fired;

    store_relaxed(&mm_fail_task, NULL);
    return fired;
}

uint32_t mm_fail_count(void)
{
    return mm_fail_is_armed() ? fail.seen : 0;
}

bool mm_should_fail(void)
{
    if (LIKELY(!mm_fail_is_armed()))
        return false;
    fail.seen++;
    if (fail.left == 0 || --fail.left > 0)
        return false;
    fail.fired = true;
    return true;
}
