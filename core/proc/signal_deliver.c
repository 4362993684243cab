/* SPDX-License-Identifier: MIT */
/*
 * Taking signals: the one place where they change what a thread does, on its way to user mode. A signal that is taken
 * belongs to its thread alone; nothing below needs a lock but for taking it, and for stopping.
 */
#include <proc/user.h>

#include <hal/context.h>
#include <hal/irq.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <k/log.h>
#include <lib/string.h>
#include <mm/user.h>
#include <proc/signo.h>
#include <sched/sched.h>

#include "proc_priv.h"

#define FRAME_ALIGN 64

/* ---- Ending and stopping ---- */

[[noreturn]] static void end_now(struct process *process, int status)
{
    (void)process; /* the running one */
    process_exit_all(status);
}

static void tell_parent(struct process *process)
{
    struct process_signals *signals = &process->signals;

    spin_lock(&proc_tree_lock);
    uintptr_t state = signals_lock(signals);
    int code = signals->untold;
    int status = code == CLD_STOPPED ? signals->stop_number : SIGCONT;

    signals->untold = 0;
    signals_unlock(signals, state);
    if (code != 0 && process->parent != NULL)
        signal_tell_parent_locked(process, code, status);
    spin_unlock(&proc_tree_lock);
}

/* The process is to stop: so does this thread, until SIGCONT or the end. The lock is held, and is not on return. */
static void stop_here(struct process *process, struct thread_signals *self, uintptr_t state) NO_LOCK_ANALYSIS
{
    struct process_signals *signals = &process->signals;
    bool is_last = false;

    self->is_stopped = true;
    signals->stopped_count++;
    if (signals->stop == SIGNAL_STOPPING && signals->stopped_count == signals->thread_count) {
        signals->stop = SIGNAL_STOPPED;
        signals->untold = CLD_STOPPED;
        is_last = true;
    }
    /* A thread can be killed alone, too: by one of its process that executes another program, and waits for its end. */
    while (signals->stop != SIGNAL_RUNNING && !signals->is_ending &&
           (is_last || (load_relaxed(&current_task()->notices) & TASK_NOTICE_KILL) == 0)) {
        spin_unlock_irqoff(&signals->lock);
        if (is_last) {
            sched_irq_restore(state);
            tell_parent(process);
            state = hal_irq_save();
        } else {
            sched_block(TASK_STOPPED, WAIT_KILLABLE); /* a wake since then is remembered */
        }
        is_last = false;
        spin_lock_irqoff(&signals->lock);
    }
    self->is_stopped = false;
    signals->stopped_count--;
    signals_unlock(signals, state);
}

/* All threads are to stop; a SIGCONT that comes later finds it so. */
static void begin_stop(struct process_signals *signals, unsigned number) REQUIRES(signals->lock)
{
    if (signals->is_ending || signals->stop != SIGNAL_RUNNING)
        return;
    signals->stop = SIGNAL_STOPPING;
    signals->stop_number = (int)number;
    signals->untold = 0;
    list_for_each(node, &signals->threads)
        (void)task_notify(list_entry(node, struct thread_signals, link)->task, TASK_NOTICE_SIGNAL);
}

/* ---- Calls that were interrupted ---- */

void signal_restart_note(int64_t kind, uintptr_t number, uintptr_t argument)
{
    struct thread *thread = thread_current();

    if (thread == NULL)
        return;
    struct signal_restart *restart = &thread->signals.restart;

    restart->kind = kind;
    restart->number = number;
    restart->argument = argument;
    (void)task_notify(current_task(), TASK_NOTICE_WORK); /* whether a signal is left or not */
}

struct signal_restart *signal_restart_current(void)
{
    return &thread_current()->signals.restart;
}

/* `action`: of the handler that is entered, or NULL: none. */
static void restart_call(struct hal_trap *trap, struct thread_signals *self, const struct signal_action *action)
{
    struct signal_restart *restart = &self->restart;
    int64_t kind = restart->kind;

    if (kind == 0)
        return;
    restart->kind = 0;
    if (action != NULL && (kind == -ERESTARTNOHAND || kind == -ERESTART_RESTARTBLOCK ||
                           (kind == -ERESTARTSYS && (action->flags & SA_RESTART) == 0)))
        return; /* -EINTR, which is there already */
    HAL_USER_NUMBER(trap) = restart->number; /* after the result, which may have lain here */
    HAL_USER_ARG(trap, 0) = restart->argument;
    HAL_TRAP_PC(trap) -= HAL_SYSCALL_BYTES;
}

/* ---- Handlers ---- */

/* Bring what the unit holds into the running task's area, and keep it there. */
static void *area_of_current(void)
{
    void *area = current_task()->fpu_area;
    uintptr_t state = hal_irq_save();

    if (area != NULL)
        hal_fpu_switch(area, area);
    hal_irq_restore(state);
    return area;
}

static bool fits_stack(const struct signal_stack *stack, vaddr_t frame)
{
    return (stack->flags & SS_ONSTACK) == 0 || (frame >= stack->base && frame - stack->base < stack->bytes);
}

/* False: no frame could be made, and nothing has changed. */
static NOINLINE bool push_frame(struct hal_trap *trap, struct thread *thread, const struct signal_info *info,
                                const struct signal_action *action)
{
    alignas(FRAME_ALIGN) uint8_t frame[HAL_SIGNAL_FRAME_BYTES];
    const struct hal_trap before = *trap;
    struct thread_signals *self = &thread->signals;
    struct signal_stack stack;
    vaddr_t va = 0, sp = HAL_USER_SP(trap) - HAL_USER_RED_ZONE;
    bool has_restorer = HAL_SIGNAL_HAS_RESTORER && (action->flags & SA_RESTORER) != 0;

    signal_stack_get(HAL_USER_SP(trap), &stack);
    struct hal_signal signal = {
        .number = (uint32_t)info->number,
        .has_info = (action->flags & SA_SIGINFO) != 0,
        .handler = action->handler,
        .restorer = has_restorer ? action->restorer : thread->process->signals.return_code,
        .mask = self->has_saved_mask ? self->saved_mask : self->mask,
        .stack = stack.base,
        .stack_flags = stack.flags,
        .stack_bytes = stack.bytes,
    };

    (void)memcpy(signal.info, info, sizeof *info);
    if ((action->flags & SA_ONSTACK) != 0 && (stack.flags & (SS_ONSTACK | SS_DISABLE)) == 0) {
        sp = stack.base + stack.bytes;
        stack.flags |= SS_ONSTACK; /* from here on it must not leave it */
    }
    void *area = area_of_current();
    size_t bytes = hal_signal_push(trap, area, &signal, sp, frame, &va);
    void *vector =
        HAL_VECTOR_BYTES != 0 && bytes == HAL_SIGNAL_VECTOR_AT && area != NULL ? HAL_FPU_VECTOR(area) : NULL;

    ASSERT(bytes <= sizeof frame);
    if (!fits_stack(&stack, va) || user_copy_out(va, frame, bytes) != 0 ||
        (vector != NULL && user_copy_out(va + bytes, vector, HAL_VECTOR_BYTES) != 0)) {
        *trap = before;
        return false;
    }
    if ((self->stack_flags & SS_AUTODISARM) != 0) {
        self->stack = 0;
        self->stack_bytes = 0;
        self->stack_flags = SS_DISABLE;
    }
    return true;
}

static void no_frame(struct hal_trap *trap, struct process_signals *signals, unsigned number)
{
    const struct signal_info info = { .number = SIGSEGV, .code = SI_KERNEL };
    const struct signal_action none = { 0 };

    (void)trap;
    if (number == SIGSEGV) { /* its handler cannot be entered: not again */
        uintptr_t state = signals_lock(signals);

        signals_set_action(signals, SIGSEGV, &none);
        signals_unlock(signals, state);
    }
    signal_force(&info);
}

static void enter_handler(struct hal_trap *trap, struct thread *thread, const struct signal_info *info,
                          const struct signal_action *action)
{
    struct thread_signals *self = &thread->signals;
    unsigned number = (unsigned)info->number;

    restart_call(trap, self, action);
    if (!push_frame(trap, thread, info, action)) {
        no_frame(trap, &thread->process->signals, number);
        return;
    }
    self->has_saved_mask = false; /* the frame has it */
    signal_mask_set(self->mask | action->mask | ((action->flags & SA_NODEFER) != 0 ? 0 : signal_bit(number)));
}

/* ---- Taking ---- */

static void log_end(const struct hal_trap *trap, const struct signal_info *info)
{
    const struct task *self = current_task();
    bool has_address = info->code > 0 && info->code != SI_KERNEL;

    log_warn("%s[%d]: signal %d, code %d, pc %#lx, address %#lx", self->name, self->tid, info->number, info->code,
             (unsigned long)HAL_TRAP_PC(trap), has_address ? (unsigned long)info->address : 0ul);
}

/* What a thread found to do. */
enum found { FOUND_NOTHING, FOUND_SIGNAL, FOUND_STOP, FOUND_OTHER };

/* One of its own first. The record, if any, is in *chain. */
static bool take_locked(struct process_signals *signals, struct thread_signals *self, struct signal_info *info,
                        struct signal_record **chain) REQUIRES(signals->lock)
{
    struct signal_pending *pending = &self->own;
    unsigned number = signal_pending_first(pending, ~self->mask);

    if (number == 0) {
        pending = &signals->shared;
        number = signal_pending_first(pending, ~self->mask);
    }
    if (number == 0)
        return false;
    signals_take(signals, pending, number, info, chain);
    return true;
}

/* The process is to stop for a signal that the caller has taken, unless it is one of the terminal's and nobody could
 * continue it: that takes the tree lock, which comes first. */
static void stop_for(struct process *process, unsigned number)
{
    struct process_signals *signals = &process->signals;

    spin_lock(&proc_tree_lock);
    bool may = number == SIGSTOP || process->group == NULL || !group_is_orphaned_locked(process->group);
    uintptr_t state = signals_lock(signals);

    if (may && signals->has_taken_stop)
        begin_stop(signals, number);
    signals->has_taken_stop = false;
    signals_unlock(signals, state);
    spin_unlock(&proc_tree_lock);
}

/* A signal with a handler, one that ends the process, or one that stops it, goes to the caller; all else is done
 * here. */
static enum found find(struct thread *thread, struct signal_info *info, struct signal_action *action) NO_LOCK_ANALYSIS
{
    struct process *process = thread->process;
    struct process_signals *signals = &process->signals;
    struct thread_signals *self = &thread->signals;
    struct signal_record *chain = NULL;
    enum found found = FOUND_OTHER;
    uintptr_t state = signals_lock(signals);

    if (signals->is_ending) {
        int status = signals->end_status;

        signals_unlock(signals, state);
        end_now(process, status);
    }
    if (signals->untold != 0) {
        signals_unlock(signals, state);
        tell_parent(process);
        return FOUND_OTHER;
    }
    if (signals->stop != SIGNAL_RUNNING) {
        stop_here(process, self, state);
        return FOUND_OTHER;
    }
    if (!take_locked(signals, self, info, &chain)) {
        found = FOUND_NOTHING;
    } else {
        unsigned number = (unsigned)info->number;

        *action = signals_action(signals, number);
        if (action->handler > SIG_IGN) {
            struct signal_action once = *action;

            found = FOUND_SIGNAL;
            once.handler = SIG_DFL;
            if ((action->flags & SA_RESETHAND) != 0)
                signals_set_action(signals, number, &once);
        } else if (!signal_is_ignored(action, number) && !signals->is_protected) {
            if ((SIGNALS_STOPPING & signal_bit(number)) != 0)
                found = FOUND_STOP;
            else
                found = FOUND_SIGNAL;
            signals->has_taken_stop = found == FOUND_STOP;
        }
    }
    signals_update_notice(signals, self);
    signals_unlock(signals, state);
    signal_records_free(chain);
    return found;
}

void signal_attend(struct hal_trap *trap)
{
    struct thread *thread = thread_current();
    struct signal_info info;
    struct signal_action action;
    enum found found;

    if (thread == NULL)
        return;
    while ((found = find(thread, &info, &action)) != FOUND_NOTHING) {
        if (found == FOUND_STOP)
            stop_for(thread->process, (unsigned)info.number);
        if (found != FOUND_SIGNAL)
            continue;
        if (action.handler == SIG_DFL) {
            if ((SIGNALS_DUMPING & signal_bit((unsigned)info.number)) != 0)
                log_end(trap, &info);
            end_now(thread->process, WAIT_STATUS_SIGNALED(info.number));
        }
        enter_handler(trap, thread, &info, &action);
    }
    restart_call(trap, &thread->signals, NULL);
    signal_mask_restore();
}

/* With its process, or alone: it is in the way of an exec then, and its end is nobody's status. */
[[noreturn]] static void end_killed(void)
{
    struct process_signals *signals = &process_current()->signals;
    uintptr_t state = signals_lock(signals);
    bool is_ending = signals->is_ending;
    int status = signals->end_status;

    signals_unlock(signals, state);
    if (is_ending)
        process_exit_all(status);
    task_exit(current_task()->exit_code);
}

void proc_user_attend(struct hal_trap *trap, uint32_t notices)
{
    if ((notices & TASK_NOTICE_KILL) != 0)
        end_killed();
    task_notice_clear(notices & TASK_NOTICE_WORK);
    timers_look(process_current());
    signal_attend(trap);
}

/* ---- The way back ---- */

static void bad_frame(const struct hal_trap *trap)
{
    const struct task *self = current_task();
    const struct signal_info info = { .number = SIGSEGV, .code = SI_KERNEL };

    log_warn("%s[%d]: no signal frame at %#lx, pc %#lx", self->name, self->tid, (unsigned long)HAL_SIGNAL_AT(trap),
             (unsigned long)HAL_TRAP_PC(trap));
    signal_force(&info);
}

/* The frame's end may lie where no memory is: what is there counts. */
static size_t read_frame(vaddr_t va, uint8_t *frame, size_t bytes)
{
    size_t in_page = PAGE_BYTES - va % PAGE_BYTES;
    size_t first = MIN(bytes, in_page);

    if (user_copy_in(frame, va, first) != 0)
        return 0;
    if (first < bytes && user_copy_in(frame + first, va + first, bytes - first) != 0)
        return first;
    return bytes;
}

void signal_return(struct hal_trap *trap)
{
    alignas(FRAME_ALIGN) uint8_t frame[HAL_SIGNAL_FRAME_BYTES];
    void *area = current_task()->fpu_area;
    struct hal_signal signal;
    size_t bytes = read_frame(HAL_SIGNAL_AT(trap), frame, sizeof frame);

    if (vector_read_frame(frame, bytes, HAL_SIGNAL_AT(trap)) != 0) {
        bad_frame(trap);
        return;
    }
    uintptr_t state = hal_irq_save(); /* a switch would store what the unit holds over what comes into the area */

    if (area != NULL)
        hal_fpu_switch(area, area);
    bool is_frame = bytes > 0 && hal_signal_pop(trap, area, frame, bytes, &signal);

    if (is_frame && area != NULL)
        hal_fpu_switch(NULL, area);
    hal_irq_restore(state);
    if (!is_frame) {
        bad_frame(trap);
        return;
    }
    const struct signal_stack stack = {
        .base = signal.stack, .flags = signal.stack_flags, .bytes = signal.stack_bytes,
    };

    signal_mask_set(signal.mask);
    (void)signal_stack_set(&stack, HAL_USER_SP(trap)); /* as Linux: what it refuses stays as it is */
}
