/* SPDX-License-Identifier: MIT */
/*
 * User programs of the simulated machine for the tests of signals: functions of the host's, with a stack and a page of
 * data in user memory, that make system calls by the machine's numbers.
 */
#pragma once

#include "booted.h"

#include <entry/user.h>
#include <hal/irq.h>
#include <hal/upcall.h>
#include <hal/usermode.h>
#include <host/machine.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/process.h>
#include <proc/signal.h>
#include <proc/signo.h>
#include <proc/task.h>
#include <sched/sched.h>
#include <time/clock.h>
#include <vm/space.h>

enum {
    SYS_getitimer = 102, SYS_setitimer, SYS_sched_yield = 124, SYS_restart_syscall = 128, SYS_kill, SYS_tkill,
    SYS_tgkill, SYS_sigaltstack, SYS_rt_sigsuspend, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigpending,
    SYS_rt_sigtimedwait, SYS_rt_sigqueueinfo, SYS_rt_sigreturn,
};

/* Each thread has an area: data first, its stack grows down from the end. Its first argument is where that begins. */
#define AREA_BYTES ((size_t)32 << 10)
#define AREA_VA(n) ((vaddr_t)0x1000000 + (n) * 0x100000)

static inline intptr_t sys(uintptr_t number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
    const uintptr_t arg[6] = { a, b, c, d, 0, 0 };

    return (intptr_t)host_user_call(number, arg);
}

static inline void put(vaddr_t to, const void *from, size_t bytes)
{
    CHECK(user_copy_out(to, from, bytes) == 0);
}

static inline void get(void *to, vaddr_t from, size_t bytes)
{
    CHECK(user_copy_in(to, from, bytes) == 0);
}

typedef void test_handler(uintptr_t number, uintptr_t info, uintptr_t frame);

/* sigaction(2), with a place in the area for its argument. */
static inline intptr_t handle(vaddr_t area, unsigned number, uintptr_t handler, uint64_t flags, uint64_t mask)
{
    const uint64_t action[4] = { handler, flags, 0, mask };

    put(area, action, sizeof action);
    return sys(SYS_rt_sigaction, number, area, 0, 8);
}

enum { BLOCK, UNBLOCK, SETMASK };
static inline uint64_t mask_change(vaddr_t area, int how, uint64_t set)
{
    uint64_t old = 0;

    put(area, &set, sizeof set);
    CHECK(sys(SYS_rt_sigprocmask, (uintptr_t)how, area, area + 8, 8) == 0);
    get(&old, area + 8, sizeof old);
    return old;
}

static inline intptr_t suspend(vaddr_t area, uint64_t mask)
{
    put(area, &mask, sizeof mask);
    return sys(SYS_rt_sigsuspend, area, 8, 0, 0);
}

/* An end like exit_group(2)'s, by a signal of its own. */
static inline void die(pid_t pid, unsigned number)
{
    for (;;)
        (void)sys(SYS_kill, (uintptr_t)pid, number, 0, 0);
}

struct begun {
    host_user_program *program;
    vaddr_t area;
};

static inline int program_begin(void *arg)
{
    struct task *self = current_task();
    struct hal_trap *trap = (struct hal_trap *)(self->stack_base + self->stack_bytes) - 1;
    const struct begun begun = *(struct begun *)arg;

    hal_user_init(trap, (uintptr_t)begun.program, begun.area + AREA_BYTES);
    HAL_USER_ARG(trap, 0) = begun.area;
    user_begin(trap);
}

/* One more thread of the process: number n. `begun` lives as long as the thread. */
static inline struct task *program_thread(struct process *process, host_user_program *program, unsigned n,
                                          struct begun *begun, struct thread **out_thread)
{
    const struct thread_spec spec = {
        .name = "program", .entry = program_begin, .arg = begun, .stack_bytes = 2 * STACK_BYTES_DEFAULT,
        .priority_number = 65, .uses_fpu = true,
    };
    const struct space_request request = {
        .at = AREA_VA(n), .bytes = AREA_BYTES, .rights = VM_READ | VM_WRITE, .flags = SPACE_PRIVATE | SPACE_FIXED,
    };
    struct task *task = NULL;
    struct thread *thread = NULL;
    vaddr_t va = 0;

    *begun = (struct begun){ program, AREA_VA(n) };
    CHECK(space_map(process->space, &request, &va) == 0);
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(task_create_from_thread(process->pid, thread->tid, thread, &task) == 0);
    CHECK(task_start(task) == 0);
    if (out_thread != NULL)
        *out_thread = thread;
    else
        thread_put(thread);
    return task;
}

/* Wait for the process, and for its task to be through with everything. */
static inline int program_bury(struct process *process, struct task *task)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    process_put(process);
    CHECK(task_join(task, NULL, TIME_NEVER) == 0);
    task_put(task);
    return status;
}

/* A look at the program's signals from outside. */
struct signals_look {
    uint64_t shared_set;
    enum signal_stop stop;
    unsigned queued_count;
    bool is_ending;
};
static inline struct signals_look signals_of(struct process *process)
{
    struct process_signals *signals = &process->signals;
    uintptr_t state = spin_lock_irqsave(&signals->lock);
    struct signals_look look = {
        .shared_set = signals->shared.set, .stop = signals->stop, .queued_count = signals->queued_count,
        .is_ending = signals->is_ending,
    };

    spin_unlock_irqrestore(&signals->lock, state);
    return look;
}

static inline enum task_state state_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.state;
}

static inline struct signal_info queued(unsigned number, uint64_t value)
{
    return (struct signal_info){ .number = (int32_t)number, .code = SI_QUEUE, .sent = { .value = value } };
}

static inline int post(struct process *process, unsigned number)
{
    const struct signal_info info = { .number = (int32_t)number, .code = SI_USER };

    return signal_send_process(process, &info);
}
