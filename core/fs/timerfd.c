/* SPDX-License-Identifier: MIT */
/*
 * Timers as files: fs/timerfd.h has the states. Owns the list of those that go by the time of day. A timer's lock is
 * its own; what waits look at is atomic, and written before the wake.
 */
#include <fs/timerfd.h>

#include "fs_priv.h"

#include <k/errno.h>
#include <mm/kmalloc.h>
#include <sched/sched.h>
#include <time/clock.h>
#include <time/wall.h>

struct timerfd {
    bool is_wall;          /* immutable */
    struct list_node link; /* of is_wall; guarded by all.mutex */

    struct spinlock lock; /* LOCK_TIMERFD, interrupts off; guards: */
    uint64_t due_ns;      /* by its clock; 0: not armed */
    uint64_t period_ns;   /* 0: once */
    bool is_by_wall;      /* of is_wall: set to a time of day */
    bool is_cancelled_by_set;
    struct timer timer; /* armed while due_ns is not 0, and nothing is there to be read */

    /* Written with lock held. */
    _Atomic(uint64_t) expirations;
    _Atomic(bool) is_cancelled;

    struct poll_queue can_read;
};

static struct {
    struct mutex mutex;
    struct list_node by_wall;
} all = {.mutex = MUTEX_INIT(all.mutex), .by_wall = LIST_INIT(all.by_wall)};

static const struct file_ops timerfd_ops;

/* ---- Under the lock ---- */

static uint64_t now_of(const struct timerfd *timer)
{
    return timer->is_by_wall ? wall_ns() : clock_ns();
}

/* How often it was due until now. */
static void count(struct timerfd *timer)
{
    uint64_t now = now_of(timer), more = 0;

    if (timer->due_ns == 0 || timer->due_ns > now)
        return;
    if (timer->period_ns == 0) {
        timer->due_ns = 0;
    } else {
        more = (now - timer->due_ns) / timer->period_ns;
        timer->due_ns = clock_later(timer->due_ns + more * timer->period_ns, timer->period_ns);
    }
    store_relaxed(&timer->expirations, load_relaxed(&timer->expirations) + more + 1);
}

static void arm(struct timerfd *timer)
{
    (void)timer_try_cancel(&timer->timer); /* a callback that runs meanwhile waits for the lock, and looks then */
    if (timer->due_ns == 0 || load_relaxed(&timer->expirations) > 0)
        return;
    uint64_t now = now_of(timer);

    timer_arm(&timer->timer, clock_later(clock_ns(), timer->due_ns > now ? timer->due_ns - now : 0));
}

static bool is_readable(struct timerfd *timer)
{
    return load_relaxed(&timer->expirations) > 0 || load_relaxed(&timer->is_cancelled);
}

static struct timer_setting setting_of(const struct timerfd *timer)
{
    uint64_t now = now_of(timer);

    return (struct timer_setting){.value_ns = timer->due_ns > now ? timer->due_ns - now : 0,
                                  .period_ns = timer->period_ns};
}

static void set_locked(struct timerfd *timer, uint32_t flags, const struct timer_setting *setting)
{
    store_relaxed(&timer->expirations, 0);
    store_relaxed(&timer->is_cancelled, false);
    timer->is_by_wall = timer->is_wall && (flags & TIMERFD_ABSOLUTE) != 0;
    timer->is_cancelled_by_set = timer->is_by_wall && (flags & TIMERFD_CANCEL_ON_SET) != 0;
    timer->period_ns = setting->period_ns;
    timer->due_ns = setting->value_ns;
    if (setting->value_ns != 0 && (flags & TIMERFD_ABSOLUTE) == 0)
        timer->due_ns = clock_later(clock_ns(), setting->value_ns);
    arm(timer);
}

/* Its clock, or itself, may have come to where it is due. True: there is something to be read. */
static bool look(struct timerfd *timer)
{
    uintptr_t state = spin_lock_irqsave(&timer->lock);

    count(timer);
    arm(timer);
    bool result = is_readable(timer);

    spin_unlock_irqrestore(&timer->lock, state);
    return result;
}

static void fired(struct timer *hint)
{
    struct timerfd *timer = container_of(hint, struct timerfd, timer);

    if (look(timer))
        poll_wake(&timer->can_read);
}

/* ---- Files ---- */

/* What is there; 0: nothing. -ECANCELED. */
static int64_t take(struct timerfd *timer, uint64_t *out)
{
    uintptr_t state = spin_lock_irqsave(&timer->lock);
    bool is_cancelled = load_relaxed(&timer->is_cancelled);

    count(timer);
    *out = load_relaxed(&timer->expirations);
    store_relaxed(&timer->expirations, 0);
    store_relaxed(&timer->is_cancelled, false);
    arm(timer);
    spin_unlock_irqrestore(&timer->lock, state);
    return is_cancelled ? -ECANCELED : (int64_t)(*out > 0);
}

static int64_t timerfd_read(struct file *file, struct io_span *to, uint64_t *position)
{
    struct timerfd *timer = file->data;
    uint64_t expirations;
    int64_t result;

    (void)position;
    if (to->left < sizeof expirations)
        return -EINVAL;
    while ((result = take(timer, &expirations)) == 0) {
        if (file_never_waits(file))
            return -EAGAIN;
        int error = waitq_wait_until(&timer->can_read.wait, is_readable(timer), TIME_NEVER, FILE_WAIT);

        if (error != 0)
            return error;
    }
    if (result < 0)
        return result;
    /* As on Linux, what was taken is lost with a bad address. */
    return io_copy_to(to, &expirations, sizeof expirations) < sizeof expirations ? -EFAULT
                                                                                 : (int64_t)sizeof expirations;
}

static uint32_t timerfd_poll(struct file *file, struct poll_wait *wait)
{
    struct timerfd *timer = file->data;

    poll_enter(wait, &timer->can_read);
    return is_readable(timer) ? POLLIN : 0;
}

static void timerfd_release(struct file *file)
{
    struct timerfd *timer = file->data;

    if (timer->is_wall) {
        mutex_lock(&all.mutex);
        list_remove(&timer->link);
        mutex_unlock(&all.mutex);
    }
    /* Nobody arms it any more but its own callback, and that finds no time. */
    uintptr_t state = spin_lock_irqsave(&timer->lock);

    timer->due_ns = 0;
    spin_unlock_irqrestore(&timer->lock, state);
    (void)timer_cancel(&timer->timer);
    kfree(timer);
}

static const struct file_ops timerfd_ops = {.read = timerfd_read, .poll = timerfd_poll, .release = timerfd_release};

int timerfd_create(bool is_wall, uint32_t flags, struct file **out)
{
    struct timerfd *timer = kzalloc(sizeof *timer);

    if (timer == NULL)
        return -ENOMEM;
    timer->is_wall = is_wall;
    spin_init(&timer->lock, LOCK_TIMERFD);
    timer_init(&timer->timer, fired);
    poll_queue_init(&timer->can_read);
    int error = anon_file_create(&timerfd_ops, (flags & O_NONBLOCK) | O_RDWR, timer, out);

    if (error != 0) {
        kfree(timer);
        return error;
    }
    if (is_wall) {
        mutex_lock(&all.mutex);
        list_push_back(&all.by_wall, &timer->link);
        mutex_unlock(&all.mutex);
    }
    return 0;
}

int timerfd_set(struct file *file, uint32_t flags, const struct timer_setting *setting, struct timer_setting *out_old)
{
    struct timerfd *timer = file->data;

    if (file->ops != &timerfd_ops)
        return -EINVAL;
    uintptr_t state = spin_lock_irqsave(&timer->lock);

    count(timer);
    *out_old = setting_of(timer);
    set_locked(timer, flags, setting);
    spin_unlock_irqrestore(&timer->lock, state);
    return 0;
}

int timerfd_get(struct file *file, struct timer_setting *out)
{
    struct timerfd *timer = file->data;

    if (file->ops != &timerfd_ops)
        return -EINVAL;
    uintptr_t state = spin_lock_irqsave(&timer->lock);

    count(timer);
    *out = setting_of(timer);
    spin_unlock_irqrestore(&timer->lock, state);
    return 0;
}

void timerfd_wall_was_set(void)
{
    mutex_lock(&all.mutex);
    list_for_each(node, &all.by_wall) {
        struct timerfd *timer = list_entry(node, struct timerfd, link);
        uintptr_t state = spin_lock_irqsave(&timer->lock);

        if (timer->is_cancelled_by_set)
            store_relaxed(&timer->is_cancelled, true);
        spin_unlock_irqrestore(&timer->lock, state);
        if (look(timer))
            poll_wake(&timer->can_read);
    }
    mutex_unlock(&all.mutex);
}
