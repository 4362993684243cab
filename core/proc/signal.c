/* SPDX-License-Identifier: MIT */
/*
 * The state that signals go by: handlers, masks, alternate stacks, and what a thread waits for. Sends nothing and
 * enters no handler. Locks: proc/signal.h.
 */
#include <hal/usermode.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/signo.h>
#include <sched/sched.h>

#include "proc_priv.h"

#define QUEUED_MAX 1024       /* RLIMIT_SIGPENDING, until somebody sets it */

static struct slab_cache handler_tables;
static struct slab_cache records;

static struct process_signals *current_signals(void)
{
    return &process_current()->signals;
}

static struct thread_signals *current_thread_signals(void)
{
    return &thread_current()->signals;
}

uintptr_t signals_lock(struct process_signals *signals) NO_LOCK_ANALYSIS
{
    return spin_lock_irqsave(&signals->lock);
}

void signals_unlock(struct process_signals *signals, uintptr_t state) NO_LOCK_ANALYSIS
{
    spin_unlock_irqoff(&signals->lock);
    sched_irq_restore(state);
}

bool signal_is_ignored(const struct signal_action *action, unsigned number)
{
    return action->handler == SIG_IGN || (action->handler == SIG_DFL && (SIGNALS_IGNORED & signal_bit(number)) != 0);
}

/* ---- Records ---- */

struct signal_record *signal_record_alloc(void)
{
    struct signal_record *record = slab_alloc(&records);

    if (record != NULL)
        record->is_timers = false;
    return record;
}

void signal_records_free(struct signal_record *chain)
{
    while (chain != NULL) {
        struct signal_record *next = chain->next;

        slab_free(&records, chain);
        chain = next;
    }
}

uint64_t signal_record_count(void)
{
    return slab_used(&records);
}

void signals_drop(struct process_signals *signals, struct signal_pending *pending, uint64_t set,
                  struct signal_record **chain)
{
    struct signal_record *dropped = signal_pending_flush(pending, set);

    while (dropped != NULL) {
        struct signal_record *next = dropped->next;

        if (dropped->is_timers) {
            timers_dropped(dropped);
        } else {
            ASSERT(signals->queued_count > 0);
            signals->queued_count--;
            dropped->next = *chain;
            *chain = dropped;
        }
        dropped = next;
    }
}

void signals_take(struct process_signals *signals, struct signal_pending *pending, unsigned number,
                  struct signal_info *out, struct signal_record **chain)
{
    struct signal_record *record = signal_pending_take(pending, number, out);

    if (record == NULL)
        return;
    if (record->is_timers) {
        timers_taken(record, out);
        return;
    }
    signals->queued_count--;
    record->next = *chain;
    *chain = record;
}

/* ---- Handlers ---- */

struct signal_action signals_action(struct process_signals *signals, unsigned number)
{
    struct signal_handlers *handlers = signals->handlers;

    spin_lock_irqoff(&handlers->lock);
    struct signal_action action = handlers->action[number - 1];

    spin_unlock_irqoff(&handlers->lock);
    return action;
}

void signals_set_action(struct process_signals *signals, unsigned number, const struct signal_action *action)
{
    struct signal_handlers *handlers = signals->handlers;

    spin_lock_irqoff(&handlers->lock);
    handlers->action[number - 1] = *action;
    spin_unlock_irqoff(&handlers->lock);
}

/* A copy, or all default. */
static struct signal_handlers *handlers_create(struct signal_handlers *from)
{
    struct signal_handlers *handlers = slab_alloc(&handler_tables);

    if (handlers == NULL)
        return NULL;
    store_relaxed(&handlers->refs, 1);
    spin_init(&handlers->lock, LOCK_HANDLERS);
    if (from == NULL) {
        (void)memset(handlers->action, 0, sizeof handlers->action);
        return handlers;
    }
    uintptr_t state = spin_lock_irqsave(&from->lock);

    (void)memcpy(handlers->action, from->action, sizeof handlers->action);
    spin_unlock_irqrestore(&from->lock, state);
    return handlers;
}

static void handlers_put(struct signal_handlers *handlers)
{
    if (fetch_sub_acq_rel(&handlers->refs, 1) == 1) /* PAIRS(handlers_ref) */
        slab_free(&handler_tables, handlers);
}

int signal_action_set(unsigned number, const struct signal_action *action, struct signal_action *old)
{
    struct process_signals *signals = current_signals();
    struct signal_record *chain = NULL;

    if (number < 1 || number > SIGNAL_MAX || (action != NULL && (SIGNALS_UNBLOCKABLE & signal_bit(number)) != 0))
        return -EINVAL;
    uintptr_t state = signals_lock(signals);

    if (old != NULL)
        *old = signals_action(signals, number);
    if (action != NULL) {
        struct signal_action new_action = *action;

        new_action.mask &= ~SIGNALS_UNBLOCKABLE;
        signals_set_action(signals, number, &new_action);
        if (signal_is_ignored(&new_action, number)) { /* POSIX: what is pending is discarded, blocked or not */
            signals_drop(signals, &signals->shared, signal_bit(number), &chain);
            list_for_each(node, &signals->threads)
                signals_drop(signals, &list_entry(node, struct thread_signals, link)->own, signal_bit(number), &chain);
        }
    }
    signals_unlock(signals, state);
    signal_records_free(chain);
    return 0;
}

/* ---- Beginning and end ---- */

void signal_init(void)
{
    slab_cache_init(&handler_tables, "handlers", sizeof(struct signal_handlers), alignof(struct signal_handlers));
    slab_cache_init(&records, "signal", sizeof(struct signal_record), alignof(struct signal_record));
    timers_cache_init();
    limits_start();
    spin_init(&process_kernel.signals.lock, LOCK_SIGNAL);
    list_init(&process_kernel.signals.threads);
    timers_init(&process_kernel.signals);
}

int process_signals_init(struct process *process, struct process *from, bool shares_handlers)
{
    struct process_signals *signals = &process->signals;
    struct signal_handlers *handlers = from == NULL ? NULL : from->signals.handlers;

    (void)memset(signals, 0, sizeof *signals);
    spin_init(&signals->lock, LOCK_SIGNAL);
    list_init(&signals->threads);
    signal_timer_init(signals);
    timers_init(signals);
    signals->queued_max = from == NULL ? QUEUED_MAX : from->signals.queued_max;
    signals->return_code = from == NULL ? 0 : from->signals.return_code;
    if (shares_handlers && handlers != NULL) {
        (void)fetch_add_relaxed(&handlers->refs, 1);
        signals->handlers = handlers;
        return 0;
    }
    signals->handlers = handlers_create(handlers);
    return signals->handlers == NULL ? -ENOMEM : 0;
}

void process_signals_fini(struct process *process)
{
    struct process_signals *signals = &process->signals;
    struct signal_record *chain = NULL;

    signal_timer_fini(signals);
    timers_end(process, false);
    cpu_limit_fini(signals);
    uintptr_t state = signals_lock(signals);

    ASSERT(list_is_empty(&signals->threads));
    signals_drop(signals, &signals->shared, UINT64_MAX, &chain);
    ASSERT(signals->queued_count == 0);
    signals_unlock(signals, state);
    signal_records_free(chain);
    handlers_put(signals->handlers);
    signals->handlers = NULL;
}

void thread_signals_init(struct thread *thread, const struct thread *from, bool keeps_stack)
{
    struct thread_signals *signals = &thread->signals;

    (void)memset(signals, 0, sizeof *signals);
    if (from == NULL)
        return;
    signals->mask = from->signals.mask;
    if (keeps_stack) {
        signals->stack = from->signals.stack;
        signals->stack_bytes = from->signals.stack_bytes;
        signals->stack_flags = from->signals.stack_flags;
    }
}

void signal_attach_locked(struct thread *thread, struct task *task)
{
    struct process_signals *signals = &thread->process->signals;
    struct thread_signals *self = &thread->signals;
    uintptr_t state = signals_lock(signals);

    self->task = task;
    list_push_back(&signals->threads, &self->link);
    signals->thread_count++;
    if (signals->is_ending)
        (void)task_notify(task, TASK_NOTICE_KILL);
    if (signals_are_due(signals, self))
        (void)task_notify(task, TASK_NOTICE_SIGNAL);
    if (UNLIKELY(signals->timers.is_counting)) /* what is left is used up faster from here on */
        cpu_look_ask_locked(signals);
    signals_unlock(signals, state);
}

void signal_detach_locked(struct thread *thread) NO_LOCK_ANALYSIS
{
    struct process_signals *signals = &thread->process->signals;
    struct thread_signals *self = &thread->signals;
    struct signal_record *chain = NULL;
    int number = 0;
    uintptr_t state = signals_lock(signals);

    ASSERT(self->task != NULL && !self->is_stopped);
    self->task = NULL;
    list_remove(&self->link);
    signals->thread_count--;
    timers_thread_ended(signals, self);
    signals_drop(signals, &self->own, UINT64_MAX, &chain);
    signals_retarget(signals, self, signals->shared.set);
    if (signals->stop == SIGNAL_STOPPING && signals->thread_count > 0 &&
        signals->stopped_count == signals->thread_count) {
        signals->stop = SIGNAL_STOPPED;
        number = signals->stop_number;
    }
    signals_unlock(signals, state);
    signal_records_free(chain);
    if (number != 0)
        signal_tell_parent_locked(thread->process, CLD_STOPPED, number);
}

int signal_exec_prepare(struct process *process, struct signal_handlers **out)
{
    *out = handlers_create(process->signals.handlers);
    return *out == NULL ? -ENOMEM : 0;
}

void signal_exec_cancel(struct signal_handlers *handlers)
{
    handlers_put(handlers);
}

/* What is ignored stays ignored. Nobody else knows the table, or it is locked. */
static void handlers_reset(struct signal_handlers *handlers) NO_LOCK_ANALYSIS
{
    for (unsigned i = 0; i < SIGNAL_MAX; i++) {
        uint64_t handler = handlers->action[i].handler == SIG_IGN ? SIG_IGN : SIG_DFL;

        handlers->action[i] = (struct signal_action){ .handler = handler };
    }
}

/* Of a process that is there to be sent signals. */
void signal_handlers_reset(struct process *process)
{
    struct signal_handlers *handlers = process->signals.handlers;
    uintptr_t state = spin_lock_irqsave(&handlers->lock);

    handlers_reset(handlers);
    spin_unlock_irqrestore(&handlers->lock, state);
}

void signal_exec_commit(struct thread *thread, struct signal_handlers *handlers) NO_LOCK_ANALYSIS
{
    struct process_signals *signals = &thread->process->signals;
    struct thread_signals *self = &thread->signals;

    handlers_reset(handlers);
    uintptr_t state = signals_lock(signals);
    struct signal_handlers *old = signals->handlers;

    signals->handlers = handlers;
    signals_unlock(signals, state);
    handlers_put(old);
    timers_end(thread->process, true);
    signals->return_code = 0;
    self->stack_bytes = 0;
    self->stack = 0;
    self->stack_flags = 0;
    self->restart = (struct signal_restart){ 0 };
}

/* ---- Masks ---- */

bool signals_are_due(const struct process_signals *signals, const struct thread_signals *thread)
{
    uint64_t pending = signals->shared.set | thread->own.set;

    return (pending & thread_wanted_signals(thread)) != 0 || signals->stop != SIGNAL_RUNNING || signals->untold != 0;
}

void signals_update_notice(struct process_signals *signals, struct thread_signals *self)
{
    if (!signals_are_due(signals, self))
        task_notice_clear(TASK_NOTICE_SIGNAL);
    else if ((load_relaxed(&self->task->notices) & TASK_NOTICE_SIGNAL) == 0)
        (void)task_notify(self->task, TASK_NOTICE_SIGNAL);
}

void signals_retarget(struct process_signals *signals, const struct thread_signals *but, uint64_t set)
{
    list_for_each(node, &signals->threads) {
        struct thread_signals *thread = list_entry(node, struct thread_signals, link);

        if (thread != but && (set & signals->shared.set & thread_wanted_signals(thread)) != 0)
            (void)task_notify(thread->task, TASK_NOTICE_SIGNAL);
    }
}

uint64_t signal_mask_get(void)
{
    return current_thread_signals()->mask;
}

void signal_mask_set(uint64_t mask)
{
    struct process_signals *signals = current_signals();
    struct thread_signals *self = current_thread_signals();
    uintptr_t state = signals_lock(signals);
    uint64_t newly_blocked;

    mask &= ~SIGNALS_UNBLOCKABLE;
    newly_blocked = mask & ~self->mask;
    self->mask = mask;
    if ((newly_blocked & signals->shared.set) != 0) /* it may have been the one that was told of them */
        signals_retarget(signals, self, newly_blocked);
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
}

uint64_t signal_pending_get(void)
{
    struct process_signals *signals = current_signals();
    struct thread_signals *self = current_thread_signals();
    uintptr_t state = signals_lock(signals);
    uint64_t set = (signals->shared.set | self->own.set) & self->mask;

    signals_unlock(signals, state);
    return set;
}

void signal_mask_borrow(uint64_t mask)
{
    struct thread_signals *self = current_thread_signals();

    self->saved_mask = self->mask;
    self->has_saved_mask = true;
    signal_mask_set(mask);
}

void signal_mask_restore(void)
{
    struct thread_signals *self = current_thread_signals();

    if (!self->has_saved_mask)
        return;
    self->has_saved_mask = false;
    signal_mask_set(self->saved_mask);
}

/* ---- Waiting ---- */

/* Until a notice, or the time. */
static int sleep_interruptibly(uint64_t deadline_ns)
{
    struct waitq queue = WAITQ_INIT(queue);

    return waitq_wait_until(&queue, false, deadline_ns, WAIT_INTERRUPTIBLE);
}

int64_t signal_pause(void)
{
    (void)sleep_interruptibly(TIME_NEVER);
    return -ERESTARTNOHAND;
}

/* 0: none of `set` is there; *out_is_due says whether something else is, for which the wait has to end. */
static unsigned take_awaited(struct process_signals *signals, struct thread_signals *self, uint64_t set,
                             struct signal_info *out, bool *out_is_due)
{
    struct signal_pending *pending = &self->own;
    struct signal_record *chain = NULL;
    uintptr_t state = signals_lock(signals);
    unsigned number = signal_pending_first(pending, set);

    if (number == 0) {
        pending = &signals->shared;
        number = signal_pending_first(pending, set);
    }
    if (number != 0)
        signals_take(signals, pending, number, out, &chain);
    self->awaited = number == 0 ? set : 0;
    *out_is_due = signals_are_due(signals, self);
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
    signal_records_free(chain);
    return number;
}

static void await_nothing(struct process_signals *signals, struct thread_signals *self)
{
    uintptr_t state = signals_lock(signals);
    uint64_t awaited = self->awaited;

    self->awaited = 0;
    signals_retarget(signals, self, awaited & self->mask);
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
}

int signal_wait(uint64_t set, uint64_t deadline_ns, struct signal_info *out)
{
    struct process_signals *signals = current_signals();
    struct thread_signals *self = current_thread_signals();
    int result = 0;

    set &= ~SIGNALS_UNBLOCKABLE;
    for (;;) {
        bool is_due;
        unsigned number = take_awaited(signals, self, set, out, &is_due);

        if (number != 0)
            return (int)number;
        /* Else it was told of a signal that another thread has taken meanwhile: nothing to say to the user. */
        if (result == -ETIMEDOUT || is_due || task_is_killed())
            break;
        result = sleep_interruptibly(deadline_ns);
    }
    await_nothing(signals, self);
    return result == -ETIMEDOUT ? -EAGAIN : -EINTR;
}

/* ---- Alternate stacks ---- */

static bool is_on_stack(const struct thread_signals *self, vaddr_t sp)
{
    return (self->stack_flags & SS_AUTODISARM) == 0 && sp > self->stack && sp - self->stack <= self->stack_bytes;
}

void signal_stack_get(vaddr_t sp, struct signal_stack *out)
{
    const struct thread_signals *self = current_thread_signals();
    uint32_t state = self->stack_bytes == 0 ? SS_DISABLE : is_on_stack(self, sp) ? SS_ONSTACK : 0;

    *out = (struct signal_stack){
        .base = self->stack, .flags = state | (self->stack_flags & SS_AUTODISARM), .bytes = self->stack_bytes,
    };
}

int signal_stack_set(const struct signal_stack *stack, vaddr_t sp)
{
    struct thread_signals *self = current_thread_signals();
    uint32_t mode = stack->flags & ~SS_AUTODISARM;

    if (is_on_stack(self, sp))
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        self->stack = 0;
        self->stack_bytes = 0;
    } else {
        if (stack->bytes < HAL_SIGNAL_STACK_BYTES_MIN)
            return -ENOMEM;
        self->stack = stack->base;
        self->stack_bytes = stack->bytes;
    }
    self->stack_flags = stack->flags;
    return 0;
}
