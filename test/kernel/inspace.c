/* SPDX-License-Identifier: MIT */
/* Processes whose threads use their space: inspace.h. */
#include "inspace.h"

#include <mm/user.h>

#include "check.h"

bool load_word(vaddr_t va, uint64_t *out)
{
    return user_copy_in(out, va, sizeof *out) == 0;
}

bool store_word(vaddr_t va, uint64_t value)
{
    return user_copy_out(va, &value, sizeof value) == 0;
}

int map_at(struct space *space, vaddr_t va, size_t pages, unsigned rights, unsigned flags)
{
    const struct space_request request = {
        .at = va, .bytes = pages * PAGE_BYTES, .rights = rights, .flags = flags | SPACE_FIXED,
    };
    vaddr_t at = 0;

    return space_map(space, &request, &at);
}

struct thread *start_in(struct space *space, int (*entry)(void *), void *arg, struct process **out)
{
    const struct thread_spec spec = {
        .name = "space", .entry = entry, .arg = arg, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
    struct thread *thread = NULL;

    if (!CHECK(process_create(&process_kernel, "space", out) == 0))
        return NULL;
    if (space != NULL) {
        space_put((*out)->space);
        (*out)->space = space;
    }
    if (!CHECK(thread_create(*out, &spec, &thread) == 0))
        return NULL;
    CHECK(thread_schedule((*out)->pid, thread->tid, thread) == 0);
    return thread;
}

void finish_process(struct thread *thread, struct process *process)
{
    int status = -1;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    CHECK(status == WAIT_STATUS_EXITED(0));
    if (thread != NULL)
        thread_put(thread);
    process_put(process);
}

void run_in(struct space *space, int (*entry)(void *), void *arg)
{
    struct process *process = NULL;
    struct thread *thread = start_in(space, entry, arg, &process);

    if (process != NULL)
        finish_process(thread, process);
}
