/* SPDX-License-Identifier: MIT */
/*
 * POSIX timers, and interval timers by CPU time. Their state is under the process's signal lock; the machine's timer of
 * one of them is only a hint to look at it, which may come too often and is never missed: it is always set for what
 * due_ns says. Objects leave the list under the lock and are freed when no callback can be running.
 */
#include <proc/timers.h>

#include <k/errno.h>
#include <proc/clock.h>
#include <proc/signo.h>
#include <sched/sched.h>
#include <time/clock.h>
#include <time/wall.h>

#include "proc_priv.h"

#define IGNORED_NS (NS_PER_SEC / 1000) /* a timer whose signal is ignored comes no more often than that */

enum kind { KIND_MONOTONIC, KIND_WALL, KIND_CPU };

struct process_timer {
    /* Immutable once it is listed. */
    struct process *process;
    int32_t id;                    /* negative: an interval timer's, -which */
    int32_t clock;
    enum kind kind;                /* KIND_WALL: only while it is set to a time of day */
    int notify;

    /* Guarded by the process's signal lock. */
    struct list_node link;
    struct thread_signals *target; /* of SIGEV_THREAD_ID; NULL: it has ended, or all threads are meant */
    uint64_t due_ns;               /* by its clock; 0: not armed */
    uint64_t period_ns;
    bool is_by_wall;               /* of KIND_WALL: set to a time of day */
    bool is_pending;
    uint64_t overrun, last_overrun;
    struct signal_record record;
    struct timer timer;
};

static struct slab_cache timers_cache;

void timers_cache_init(void)
{
    slab_cache_init(&timers_cache, "timer", sizeof(struct process_timer), alignof(struct process_timer));
}

uint64_t timers_count(void)
{
    return slab_used(&timers_cache);
}

static struct process_timer *timer_at(struct list_node *node)
{
    return list_entry(node, struct process_timer, link);
}

static struct process_timer *find(struct process_signals *signals, int32_t id)
{
    list_for_each(node, &signals->timers.list)
        if (timer_at(node)->id == id)
            return timer_at(node);
    return NULL;
}

/* ---- Arming, under the lock ---- */

/* By the clocks that cost nothing to read; not for KIND_CPU. */
static uint64_t now_of(const struct process_timer *timer)
{
    return timer->is_by_wall ? wall_ns() : clock_ns();
}

static void hint_at(struct process_timer *timer, uint64_t deadline_ns)
{
    (void)timer_try_cancel(&timer->timer); /* a callback that runs meanwhile waits for the lock, and looks then */
    if (deadline_ns < TIME_NEVER)
        timer_arm(&timer->timer, deadline_ns);
}

/* `now_ns` is its clock's. */
static void hint(struct process_timer *timer, uint64_t now_ns, uint64_t at_least_ns) NO_LOCK_ANALYSIS
{
    uint64_t left = timer->due_ns > now_ns ? timer->due_ns - now_ns : 0;

    if (timer->due_ns == 0 || timer->notify == TIMER_EVENT_NONE) {
        hint_at(timer, TIME_NEVER);
        return;
    }
    if (timer->kind == KIND_CPU)
        left = cpu_look_pause_ns(&timer->process->signals, left);
    left = MAX(left, at_least_ns);
    uint64_t now = clock_ns();

    hint_at(timer, left < TIME_NEVER - now ? now + left : TIME_NEVER);
}

/* It was due: the next time, or none. Returns how many times more than once it was due. */
static uint64_t advance(struct process_timer *timer, uint64_t now_ns)
{
    uint64_t more = 0;

    if (timer->period_ns == 0) {
        timer->due_ns = 0;
    } else if (now_ns >= timer->due_ns) {
        more = (now_ns - timer->due_ns) / timer->period_ns;
        timer->due_ns += (more + 1) * timer->period_ns;
    }
    return more;
}

/* Its signal is no longer pending. What is periodic by a clock goes on from here. */
static void go_on(struct process_timer *timer, uint64_t at_least_ns)
{
    timer->is_pending = false;
    if (timer->kind == KIND_CPU || timer->due_ns == 0)
        return;
    uint64_t now = now_of(timer);

    timer->overrun += advance(timer, now);
    if (timer->process->signals.thread_count > 0)
        hint(timer, now, at_least_ns);
}

void timers_taken(struct signal_record *record, struct signal_info *info)
{
    struct process_timer *timer = container_of(record, struct process_timer, record);

    go_on(timer, 0);
    timer->last_overrun = MIN(timer->overrun, (uint64_t)INT32_MAX);
    timer->overrun = 0;
    if (info->code == SI_TIMER)
        info->timer.overrun = (uint32_t)timer->last_overrun;
}

void timers_dropped(struct signal_record *record)
{
    struct process_timer *timer = container_of(record, struct process_timer, record);

    go_on(timer, IGNORED_NS);
}

static void unqueue(struct process_timer *timer)
{
    struct process_signals *signals = &timer->process->signals;

    if (timer->is_pending)
        signal_pending_remove(timer->target != NULL ? &timer->target->own : &signals->shared, &timer->record);
    timer->is_pending = false;
}

/* ---- Being due ---- */

/* True: the signal is pending now. */
static bool send(struct process_timer *timer) NO_LOCK_ANALYSIS
{
    struct process_signals *signals = &timer->process->signals;

    if (timer->notify == TIMER_EVENT_NONE || (timer->notify == TIMER_EVENT_THREAD_ID && timer->target == NULL))
        return false;
    timer->is_pending = signals_send_record(signals, timer->target, &timer->record);
    return timer->is_pending;
}

/* It may be due at now_ns, which is its clock's. */
static void look(struct process_timer *timer, uint64_t now_ns)
{
    uint64_t at_least_ns = 0;

    if (timer->due_ns == 0 || (timer->is_pending && timer->kind != KIND_CPU))
        return;
    if (timer->due_ns > now_ns) {
        hint(timer, now_ns, 0);
        return;
    }
    if (timer->kind == KIND_CPU) {
        uint64_t more = advance(timer, now_ns);

        timer->overrun += timer->is_pending ? more + 1 : more;
        if (!timer->is_pending && !send(timer))
            timer->overrun = 0;
    } else if (send(timer)) {
        timer->due_ns = timer->period_ns == 0 ? 0 : timer->due_ns;
        return; /* go_on() when it is taken */
    } else {
        (void)advance(timer, now_ns);
        at_least_ns = IGNORED_NS;
    }
    hint(timer, now_ns, at_least_ns);
}

static void fired(struct timer *hinted)
{
    struct process_timer *timer = container_of(hinted, struct process_timer, timer);
    struct process_signals *signals = &timer->process->signals;
    uintptr_t state = signals_lock(signals);

    if (timer->kind == KIND_CPU)
        cpu_look_ask_locked(signals);
    else if (signals->thread_count > 0)
        look(timer, now_of(timer));
    signals_unlock(signals, state);
}

/* The clock of the armed timer by CPU time with the next id; false: there is none. */
static bool next_cpu(struct process_signals *signals, int32_t *id, int32_t *out_clock)
{
    const struct process_timer *next = NULL;
    uintptr_t state = signals_lock(signals);

    list_for_each(node, &signals->timers.list) {
        const struct process_timer *timer = timer_at(node);

        if (timer->id > *id && timer->kind == KIND_CPU && timer->due_ns != 0 && (next == NULL || timer->id < next->id))
            next = timer;
    }
    if (next != NULL) {
        *id = next->id;
        *out_clock = next->clock;
    }
    signals_unlock(signals, state);
    return next != NULL;
}

void timers_look(struct process *process)
{
    struct process_signals *signals = &process->signals;
    int32_t id = INT32_MIN, clock = 0;

    if (!load_relaxed(&signals->timers.is_cpu_due))
        return;
    store_relaxed(&signals->timers.is_cpu_due, false); /* a hint that comes from here on is looked at again */
    if (load_relaxed(&signals->timers.is_limited))
        cpu_limit_look(process);
    while (next_cpu(signals, &id, &clock)) {
        uint64_t now;

        if (clock_get(clock, &now) != 0)
            continue; /* that thread has ended: its time goes on no more */
        uintptr_t state = signals_lock(signals);
        struct process_timer *timer = find(signals, id);

        if (timer != NULL)
            look(timer, now);
        signals_unlock(signals, state);
    }
}

static void look_at_wall(struct process_signals *signals)
{
    uintptr_t state = signals_lock(signals);

    if (signals->thread_count > 0)
        list_for_each(node, &signals->timers.list)
            if (timer_at(node)->is_by_wall)
                look(timer_at(node), wall_ns());
    signals_unlock(signals, state);
}

void timers_wall_was_set(void)
{
    spin_lock(&proc_tree_lock);
    for (struct process *process = &process_kernel; process != NULL; process = process_next_locked(process))
        look_at_wall(&process->signals);
    spin_unlock(&proc_tree_lock);
}

/* ---- Making and ending ---- */

static void free_timer(struct process_timer *timer)
{
    (void)timer_cancel(&timer->timer); /* a callback that has begun finds it without a time */
    slab_free(&timers_cache, timer);
}

/* Out of the list: free_timer() without the lock ends it. */
static void unlink_timer(struct process_signals *signals, struct process_timer *timer)
{
    unqueue(timer);
    timer->due_ns = 0;
    (void)timer_try_cancel(&timer->timer);
    list_remove(&timer->link);
    if (timer->id > 0)
        signals->queued_count--;
}

void timers_init(struct process_signals *signals)
{
    list_init(&signals->timers.list);
}

void timers_end(struct process *process, bool keeps_interval)
{
    struct process_signals *signals = &process->signals;
    struct list_node gone = LIST_INIT(gone);
    uintptr_t state = signals_lock(signals);

    list_for_each_safe(node, &signals->timers.list) {
        struct process_timer *timer = timer_at(node);

        if (keeps_interval && timer->id < 0)
            continue;
        unlink_timer(signals, timer);
        list_push_back(&gone, &timer->link);
    }
    signals_unlock(signals, state);
    for (struct list_node *node = list_pop_front(&gone); node != NULL; node = list_pop_front(&gone))
        free_timer(timer_at(node));
}

void timers_thread_ended(struct process_signals *signals, const struct thread_signals *thread)
{
    if (signals->thread_count == 0)
        cpu_limit_stop_locked(signals);
    list_for_each(node, &signals->timers.list) {
        struct process_timer *timer = timer_at(node);

        if (timer->target == thread || signals->thread_count == 0) {
            unqueue(timer);
            timer->target = NULL;
            timer->due_ns = 0;
            (void)timer_try_cancel(&timer->timer);
        }
    }
}

/* Which clock a timer is to go by: KIND_, with *clock that means the same in any thread of the process. */
static int kind_of(int32_t *clock)
{
    uint64_t now;

    switch (*clock) {
    case CLOCK_REALTIME:
    case CLOCK_TAI:
        return KIND_WALL;
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
        return KIND_MONOTONIC;
    case CLOCK_THREAD_CPUTIME_ID:
        *clock = clock_of_thread(current_task()->tid);
        return KIND_CPU;
    case CLOCK_PROCESS_CPUTIME_ID:
        return KIND_CPU;
    default:
        if (clock_get(*clock, &now) != 0)
            return -EINVAL;
        return *clock < 0 && clock_is_own(*clock) ? KIND_CPU : -EOPNOTSUPP;
    }
}

static int check_event(const struct timer_event *event)
{
    if (event->notify == TIMER_EVENT_NONE)
        return 0;
    if (event->notify != TIMER_EVENT_SIGNAL && event->notify != TIMER_EVENT_THREAD &&
        event->notify != TIMER_EVENT_THREAD_ID)
        return -EINVAL;
    return event->number < 1 || event->number > SIGNAL_MAX ? -EINVAL : 0;
}

static struct process_timer *alloc_timer(struct process *process, int32_t clock, enum kind kind, int notify)
{
    struct process_timer *timer = slab_alloc(&timers_cache);

    if (timer == NULL)
        return NULL;
    *timer = (struct process_timer){ .process = process, .clock = clock, .kind = kind, .notify = notify };
    timer->record.is_timers = true;
    timer_init(&timer->timer, fired);
    return timer;
}

/* The lock is held. Ids go up; INT32_MAX of them are more than a process makes in its life. */
static int add_locked(struct process_signals *signals, struct process_timer *timer)
{
    if (signals->queued_count >= signals->queued_max || signals->timers.last_id == INT32_MAX)
        return -EAGAIN;
    timer->id = ++signals->timers.last_id;
    list_push_back(&signals->timers.list, &timer->link);
    signals->queued_count++;
    return 0;
}

static struct thread_signals *thread_of(struct process_signals *signals, tid_t tid)
{
    list_for_each(node, &signals->threads) {
        struct thread_signals *thread = list_entry(node, struct thread_signals, link);

        if (thread->task->tid == tid)
            return thread;
    }
    return NULL;
}

int process_timer_create(int32_t clock, const struct timer_event *event, int32_t *out_id)
{
    struct process *process = process_current();
    struct process_signals *signals = &process->signals;
    struct timer_event usual = { .number = SIGALRM, .notify = TIMER_EVENT_SIGNAL };
    int kind = kind_of(&clock);
    int result = kind < 0 ? kind : check_event(event != NULL ? event : &usual);

    if (result != 0)
        return result;
    if (event != NULL)
        usual = *event;
    struct process_timer *timer = alloc_timer(process, clock, (enum kind)kind, usual.notify);

    if (timer == NULL)
        return -ENOMEM;
    uintptr_t state = signals_lock(signals);

    if (timer->notify == TIMER_EVENT_THREAD_ID) {
        timer->target = thread_of(signals, usual.tid);
        result = timer->target == NULL ? -EINVAL : 0;
    }
    if (result == 0)
        result = add_locked(signals, timer);
    if (result == 0) {
        *out_id = timer->id - 1;
        timer->record.info = (struct signal_info){
            .number = usual.number,
            .code = SI_TIMER,
            .timer = { .id = (uint32_t)*out_id, .value = event != NULL ? usual.value : (uint64_t)*out_id },
        };
    }
    signals_unlock(signals, state);
    if (result != 0)
        slab_free(&timers_cache, timer);
    return result;
}

/* ---- Setting and reading ---- */

/* What is left at now_ns of its clock; armed is never 0. A signal that is on its way does not count. */
static struct timer_setting setting_of(const struct process_timer *timer, uint64_t now_ns)
{
    struct timer_setting setting = { .value_ns = 0, .period_ns = timer->period_ns };

    if (timer->due_ns == 0)
        return setting;
    if (timer->due_ns > now_ns)
        setting.value_ns = timer->due_ns - now_ns;
    else if (timer->period_ns != 0)
        setting.value_ns = timer->period_ns - (now_ns - timer->due_ns) % timer->period_ns;
    else
        setting.value_ns = timer->notify == TIMER_EVENT_NONE ? 0 : 1;
    return setting;
}

static void set_locked(struct process_timer *timer, bool is_absolute, const struct timer_setting *setting,
                       uint64_t cpu_ns)
{
    unqueue(timer);
    timer->overrun = timer->last_overrun = 0;
    timer->is_by_wall = timer->kind == KIND_WALL && is_absolute;
    timer->period_ns = setting->value_ns != 0 ? setting->period_ns : 0;
    timer->due_ns = 0;
    uint64_t now = timer->kind == KIND_CPU ? cpu_ns : now_of(timer);

    if (setting->value_ns != 0 && is_absolute)
        timer->due_ns = setting->value_ns;
    else if (setting->value_ns != 0)
        timer->due_ns = clock_later(now, setting->value_ns);
    hint(timer, now, 0);
}

/* CPU time is read without the lock; so the timer is looked up twice. */
static int cpu_now(struct process_signals *signals, int32_t id, uint64_t *out_ns)
{
    uintptr_t state = signals_lock(signals);
    const struct process_timer *timer = find(signals, id);
    bool is_cpu = timer != NULL && timer->kind == KIND_CPU;
    int32_t clock = is_cpu ? timer->clock : CLOCK_MONOTONIC;

    signals_unlock(signals, state);
    *out_ns = 0;
    if (timer == NULL)
        return -EINVAL;
    /* The time of a thread that has ended goes on no more, and its timer is never due. */
    if (is_cpu && clock_get(clock, out_ns) != 0)
        *out_ns = 0;
    return 0;
}

static int change(int32_t id, bool is_absolute, const struct timer_setting *setting, struct timer_setting *out_old)
{
    struct process_signals *signals = &process_current()->signals;
    uint64_t cpu_ns;
    int result = cpu_now(signals, id, &cpu_ns);

    if (result != 0)
        return result;
    uintptr_t state = signals_lock(signals);
    struct process_timer *timer = find(signals, id);

    if (timer != NULL && out_old != NULL)
        *out_old = setting_of(timer, timer->kind == KIND_CPU ? cpu_ns : now_of(timer));
    if (timer != NULL && setting != NULL)
        set_locked(timer, is_absolute, setting, cpu_ns);
    signals_unlock(signals, state);
    return timer == NULL ? -EINVAL : 0;
}

int process_timer_set(int32_t id, bool is_absolute, const struct timer_setting *setting, struct timer_setting *out_old)
{
    return id < 0 || id == INT32_MAX ? -EINVAL : change(id + 1, is_absolute, setting, out_old);
}

int process_timer_get(int32_t id, struct timer_setting *out)
{
    return id < 0 || id == INT32_MAX ? -EINVAL : change(id + 1, false, NULL, out);
}

int64_t process_timer_overrun(int32_t id)
{
    struct process_signals *signals = &process_current()->signals;
    uintptr_t state = signals_lock(signals);
    const struct process_timer *timer = id < 0 || id == INT32_MAX ? NULL : find(signals, id + 1);
    int64_t result = timer == NULL ? -EINVAL : (int64_t)timer->last_overrun;

    signals_unlock(signals, state);
    return result;
}

int process_timer_delete(int32_t id)
{
    struct process_signals *signals = &process_current()->signals;
    uintptr_t state = signals_lock(signals);
    struct process_timer *timer = id < 0 || id == INT32_MAX ? NULL : find(signals, id + 1);

    if (timer != NULL)
        unlink_timer(signals, timer);
    signals_unlock(signals, state);
    if (timer == NULL)
        return -EINVAL;
    free_timer(timer);
    return 0;
}

/* ---- Interval timers: made when they are set first ---- */

static int make_interval(struct process *process, int which)
{
    struct process_signals *signals = &process->signals;
    int32_t clock = which == PROCESS_ITIMER_VIRTUAL ? clock_of_user_time() : CLOCK_PROCESS_CPUTIME_ID;
    struct process_timer *timer = alloc_timer(process, clock, KIND_CPU, TIMER_EVENT_SIGNAL);

    if (timer == NULL)
        return -ENOMEM;
    timer->id = -which;
    timer->record.info = (struct signal_info){
        .number = which == PROCESS_ITIMER_VIRTUAL ? SIGVTALRM : SIGPROF, .code = SI_KERNEL,
    };
    uintptr_t state = signals_lock(signals);
    bool is_there = find(signals, -which) != NULL; /* another thread was first */

    if (!is_there)
        list_push_back(&signals->timers.list, &timer->link);
    signals_unlock(signals, state);
    if (is_there)
        slab_free(&timers_cache, timer);
    return 0;
}

int process_itimer_set(int which, const struct timer_setting *setting, struct timer_setting *out_old)
{
    struct process *process = process_current();
    int result = change(-which, false, setting, out_old);

    if (result == 0)
        return 0;
    if (out_old != NULL)
        *out_old = (struct timer_setting){ .value_ns = 0 };
    if (setting->value_ns == 0)
        return 0;
    result = make_interval(process, which);
    return result != 0 ? result : change(-which, false, setting, out_old);
}

void process_itimer_get(int which, struct timer_setting *out)
{
    if (change(-which, false, NULL, out) != 0)
        *out = (struct timer_setting){ .value_ns = 0 };
}
