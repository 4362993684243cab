/* SPDX-License-Identifier: MIT */
/* Threads of a process that run kernel functions on its space, with a page of words. */
#pragma once

#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <hal/user.h>
#include <mm/user.h>
#include <proc/futex.h>
#include <proc/process.h>
#include <proc/task.h>
#include <sched/sched.h>
#include <time/clock.h>
#include <vm/object.h>
#include <vm/space.h>

#define WORLD_WORDS ((vaddr_t)0x10000000) /* mapped private, a page, in every world */

static inline struct process *world_create(void)
{
    struct process *process = NULL;
    vaddr_t at = 0;
    struct space_request request = {
        .at = WORLD_WORDS, .bytes = PAGE_BYTES, .rights = VM_READ | VM_WRITE, .flags = SPACE_PRIVATE | SPACE_FIXED,
    };

    CHECK(process_create(&process_kernel, "world", &process) == 0);
    CHECK(space_map(process->space, &request, &at) == 0);
    return process;
}

/* A thread, started; the task is the caller's to join. */
static inline struct task *world_start(struct process *process, int (*entry)(void *), void *arg, int number)
{
    const struct thread_spec spec = {
        .name = "thread", .entry = entry, .arg = arg, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = number,
    };
    struct thread *thread = NULL;
    struct task *task = NULL;

    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(task_create_from_thread(process->pid, thread->tid, thread, &task) == 0);
    CHECK(task_start(task) == 0);
    thread_put(thread);
    return task;
}

#define WORLD_NORMAL 65 /* priority_from_thread_number(): fair */
#define WORLD_URGENT 5  /* real-time, the highest */
#define WORLD_RT_LOW 25

/* All threads have ended. */
static inline void world_bury(struct process *process)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    process_put(process);
}

/* Run one thread in a world of its own. */
static inline void world_run(int (*entry)(void *))
{
    struct process *process = world_create();

    CHECK(finish(world_start(process, entry, process, WORLD_NORMAL)) == 0);
    world_bury(process);
}

static inline struct futex_word word_at(unsigned index)
{
    return (struct futex_word){ .at = WORLD_WORDS + index * sizeof(uint32_t), .is_private = true };
}

static inline void word_set(unsigned index, uint32_t value)
{
    CHECK(user_copy_out(word_at(index).at, &value, sizeof value) == 0);
}

static inline uint32_t word_get(unsigned index)
{
    uint32_t value = 0;

    CHECK(user_read32(word_at(index).at, &value) == 0);
    return value;
}
