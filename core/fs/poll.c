/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several files at once. A poller's entries lie in memory of the call; they are at the files' queues from
 * the first look to the end of the call, and a queue's lock guards all that is done with those at it. So whoever tells
 * a poller finds its task alive.
 */
#include <fs/poll.h>

#include <fs/file.h>
#include <k/errno.h>
#include <mm/kmalloc.h>
#include <sched/sched.h>
#include <sched/task.h>
#include <time/timer.h>

#define INLINE_ENTRIES 12u /* of polls of a few files: no allocation */

void poll_queue_init(struct poll_queue *queue)
{
    waitq_init(&queue->wait);
    list_init(&queue->pollers);
}

static NOINLINE void tell_pollers_locked(struct poll_queue *queue)
{
    list_for_each(node, &queue->pollers) {
        struct poll_wait *wait = list_entry(node, struct poll_entry, link)->wait;

        if (wait->told != NULL) {
            wait->told(wait);
            continue;
        }
        /* PAIRS(poll_told): an exchange, so that who reads the last of several sees what all of them changed. */
        (void)xchg_acq_rel(&wait->is_told, true);
        (void)task_wake(wait->task);
    }
}

void poll_wake_locked(struct poll_queue *queue) NO_LOCK_ANALYSIS
{
    (void)waitq_wake_locked(&queue->wait, UINT32_MAX);
    if (UNLIKELY(!list_is_empty(&queue->pollers)))
        tell_pollers_locked(queue);
}

void poll_wake(struct poll_queue *queue) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&queue->wait.lock);

    poll_wake_locked(queue);
    spin_unlock_irqoff(&queue->wait.lock);
    sched_irq_restore(state);
}

void poll_enter(struct poll_wait *wait, struct poll_queue *queue)
{
    if (wait == NULL || !wait->enters)
        return;
    ASSERT(wait->used < wait->room);
    struct poll_entry *entry = &wait->entries[wait->used++];

    entry->queue = queue;
    entry->wait = wait;
    uintptr_t state = spin_lock_irqsave(&queue->wait.lock);

    list_push_back(&queue->pollers, &entry->link);
    spin_unlock_irqrestore(&queue->wait.lock, state);
}

void poll_leave(struct poll_wait *wait)
{
    for (unsigned i = 0; i < wait->used; i++) {
        struct poll_entry *entry = &wait->entries[i];
        uintptr_t state = spin_lock_irqsave(&entry->queue->wait.lock);

        list_remove(&entry->link);
        spin_unlock_irqrestore(&entry->queue->wait.lock, state);
    }
    wait->used = 0;
}

/* How many items have something to report. Once there is one, nobody needs to be entered any more. */
static int look(struct poll_item *items, unsigned count, struct poll_wait *wait)
{
    int ready = 0;

    for (unsigned i = 0; i < count; i++) {
        if (items[i].file != NULL)
            items[i].got = file_poll(items[i].file, wait) & (items[i].wanted | POLLERR | POLLHUP);
        if (items[i].got != 0) {
            ready++;
            wait->enters = false;
        }
    }
    return ready;
}

struct poll_timer {
    struct timer timer;
    struct task *task;
    _Atomic(bool) is_over;
};

static void time_is_over(struct timer *timer)
{
    struct poll_timer *poll = container_of(timer, struct poll_timer, timer);

    store_relaxed(&poll->is_over, true); /* the task itself reads it, after timer_cancel() or its wake */
    (void)task_wake(poll->task);
}

/* Sleep until somebody has told. False: the time is over, or it was killed. */
static bool sleep(struct poll_wait *wait, struct poll_timer *timer)
{
    uintptr_t state = hal_irq_save();
    bool is_told;

    for (;;) {
        /* PAIRS(poll_told): the next look sees what was changed before we were told, and later changes tell again. */
        is_told = xchg_acquire(&wait->is_told, false);
        if (is_told || load_relaxed(&timer->is_over) || file_wait_is_interrupted())
            break;
        sched_block(TASK_BLOCKED, FILE_WAIT);
    }
    sched_irq_restore(state);
    return is_told;
}

static int wait_and_look(struct poll_item *items, unsigned count, struct poll_wait *wait, uint64_t deadline_ns)
{
    struct poll_timer timer = {.task = wait->task};
    int ready = look(items, count, wait);

    if (ready > 0)
        return ready;
    wait->enters = false;
    timer_init(&timer.timer, time_is_over);
    if (deadline_ns != TIME_NEVER) {
        uintptr_t state = hal_irq_save();

        timer_arm(&timer.timer, deadline_ns);
        hal_irq_restore(state);
    }
    while (ready == 0 && sleep(wait, &timer)) {
        ready = look(items, count, wait);
        /* Also if it is told all the time, of what it does not want. */
        if (load_relaxed(&timer.is_over) || file_wait_is_interrupted())
            break;
    }
    if (deadline_ns != TIME_NEVER)
        (void)timer_cancel(&timer.timer);
    if (ready == 0 && !load_relaxed(&timer.is_over))
        return -EINTR;
    return ready;
}

int poll_wait_for(struct poll_item *items, unsigned count, uint64_t deadline_ns)
{
    struct poll_entry few[INLINE_ENTRIES];
    struct poll_wait wait = {.task = current_task(), .entries = few, .room = INLINE_ENTRIES};
    unsigned needed = count * POLL_QUEUES_MAX;
    int result;

    if (deadline_ns == 0)
        return look(items, count, &wait);
    if (needed > INLINE_ENTRIES) {
        wait.entries = kmalloc_array(count, POLL_QUEUES_MAX * sizeof *wait.entries);
        if (wait.entries == NULL)
            return -ENOMEM;
        wait.room = needed;
    }
    wait.enters = true;
    result = wait_and_look(items, count, &wait, deadline_ns);
    poll_leave(&wait);
    if (wait.entries != few)
        kfree(wait.entries);
    return result;
}
