/* SPDX-License-Identifier: MIT */
/* A thread with a user's belongings, in a process with two pages of memory, that makes calls by their handlers. */
#pragma once

#include "booted.h"
#include "unit.h"

#include <fs/cred.h>
#include <fs/fd.h>
#include <hal/user.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/limits.h>
#include <proc/process.h>
#include <proc/task.h>
#include <sched/sched.h>
#include <syscall/table.h>
#include <time/clock.h>
#include <vm/space.h>

#define PAGE0 ((vaddr_t)0x10000000)  /* mapped, two pages, in every world */
#define NOWHERE ((vaddr_t)0x20000000) /* not mapped */

/* A call with up to six arguments: the handler's result. */
#define CALL(name, ...)                                                           \
    ({                                                                            \
        extern syscall_handler sys_##name;                                        \
        const struct syscall_args args_ = { .arg = { __VA_ARGS__ } };             \
        sys_##name(&args_, NULL);                                                 \
    })
#define U(value) ((uint64_t)(int64_t)(value))

static struct process *world_process;

static int world_main(void *arg)
{
    struct thread *self = thread_current();
    int (*story)(void) = (int (*)(void))arg;

    cred_get(&cred_root);
    self->user.cred = &cred_root; /* there was none */
    if (self->user.files == NULL)
        CHECK(fd_table_create(&self->user.files) == 0);
    return story();
}

/* A thread of the running one's process, started; the task is the caller's to finish(). */
static inline struct task *world_thread(int (*story)(void))
{
    const struct thread_spec spec = {
        .name = "thread", .entry = world_main, .arg = (void *)story, .stack_bytes = STACK_BYTES_DEFAULT,
        .priority_number = 65,
    };
    struct thread *thread = NULL;
    struct task *task = NULL;

    CHECK(thread_create(world_process, &spec, &thread) == 0);
    CHECK(task_create_from_thread(world_process->pid, thread->tid, thread, &task) == 0);
    CHECK(task_start(task) == 0);
    thread_put(thread);
    return task;
}

static inline void world_run(int (*story)(void))
{
    const struct space_request request = {
        .at = PAGE0, .bytes = 2 * PAGE_BYTES, .rights = VM_READ | VM_WRITE, .flags = SPACE_PRIVATE | SPACE_FIXED,
    };
    static const unsigned unlimited[] = { LIMIT_AS, LIMIT_DATA, LIMIT_MEMLOCK };
    const struct process_limit none = { .soft = LIMIT_NONE, .hard = LIMIT_NONE };
    vaddr_t at = 0;
    int status = 0;

    CHECK(process_create(&process_kernel, "world", &world_process) == 0);
    CHECK(space_map(world_process->space, &request, &at) == 0);
    /* A process that nobody forked has limits of 0. */
    for (unsigned which = 0; which < ARRAY_COUNT(unlimited); which++)
        CHECK(process_limit_change(world_process, unlimited[which], &none, true, NULL) == 0);
    CHECK(finish(world_thread(story)) == 0);
    CHECK(process_wait(&process_kernel, world_process->pid, 0, &status) == world_process->pid);
    process_put(world_process);
}

/* The running thread becomes that user, without capabilities. */
static inline void world_become(uint32_t user)
{
    struct cred *cred = NULL;

    CHECK(cred_copy(thread_current()->user.cred, &cred) == 0);
    CHECK(cred_set_all_users(cred, thread_current()->user.cred, user, user, user) == 0);
    CHECK(thread_set_cred(cred) == 0);
}

static inline void put64(vaddr_t at, uint64_t value)
{
    CHECK(user_copy_out(at, &value, sizeof value) == 0);
}

static inline uint64_t get64(vaddr_t at)
{
    uint64_t value = 0;

    CHECK(user_copy_in(&value, at, sizeof value) == 0);
    return value;
}

static inline void put32(vaddr_t at, uint32_t value)
{
    CHECK(user_copy_out(at, &value, sizeof value) == 0);
}

static inline uint32_t get32(vaddr_t at)
{
    uint32_t value = 0;

    CHECK(user_read32(at, &value) == 0);
    return value;
}

static inline void put_time(vaddr_t at, int64_t seconds, int64_t part)
{
    put64(at, (uint64_t)seconds);
    put64(at + 8, (uint64_t)part);
}
