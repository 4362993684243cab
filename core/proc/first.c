/* SPDX-License-Identifier: MIT */
/* The first process. It begins as a thread of the kernel's, with an empty space, and executes the first program. */
#include <proc/first.h>

#include <fs/context.h>
#include <fs/cred.h>
#include <fs/fd.h>
#include <k/errno.h>
#include <k/log.h>
#include <k/panic.h>
#include <proc/group.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <proc/show.h>
#include <sched/sched.h>

#include "proc_priv.h"

static const struct first_spec *first; /* written once, before the process is there */

void init_ended(int wait_status)
{
    first->ended(wait_status);
}

/* Descriptors 0, 1 and 2, if the machine has a console. */
static void open_console(struct thread *self)
{
    const struct path_place place = { .context = self->user.paths, .cred = self->user.cred };
    struct file *file;
    int result = path_open(&place, "/dev/console", O_RDWR, 0, &file);

    if (result == 0) {
        result = fd_add(self->user.files, file, 0, FD_INLINE, false);
        if (result < 0)
            file_put(file);
    }
    for (unsigned fd = 1; result >= 0 && fd <= 2; fd++)
        result = fd_dup(self->user.files, 0, fd, FD_INLINE, false);
    if (result < 0)
        log_info("init: no /dev/console, error %d: the first program has no files", result);
}

static int try_program(struct thread *self, const char *path)
{
    static const char *const environment[] = { "HOME=/", "TERM=linux", "PATH=/sbin:/usr/sbin:/bin:/usr/bin", NULL };
    const char *argv[FIRST_ARGUMENTS_MAX + 2] = { path };

    for (unsigned i = 0; i < FIRST_ARGUMENTS_MAX && first->arguments[i] != NULL; i++)
        argv[i + 1] = first->arguments[i];
    const struct exec_request request = {
        .place = { .context = self->user.paths, .cred = self->user.cred },
        .path = path,
        .flags = PATH_FOLLOW,
        .shown = path,
        .kernel_argv = argv,
        .kernel_envp = environment,
    };

    return process_exec(task_user_trap(current_task()), &request);
}

static int first_main(void *arg)
{
    static const char *const usual[] = { FIRST_PROGRAMS };
    struct thread *self = thread_current();
    int result = -ENOENT;

    (void)arg;
    open_console(self);
    if (first->path != NULL) {
        result = try_program(self, first->path);
        if (result != 0)
            log_error("init: %s: error %d", first->path, result);
    }
    for (unsigned i = 0; first->path == NULL && result != 0 && i < ARRAY_COUNT(usual); i++) {
        result = try_program(self, usual[i]);
        if (result != 0 && result != -ENOENT)
            log_error("init: %s: error %d", usual[i], result);
    }
    if (result != 0) {
        log_error("init: no program to start");
        first->ended(-1);
    }
    return thread_user_main(NULL);
}

static int give_user(struct thread *thread)
{
    int result = fd_table_create(&thread->user.files);

    if (result == 0)
        result = fs_context_create(&thread->user.paths);
    if (result == 0)
        result = user_count_join(0, UINT64_MAX, &thread->process->counted);
    cred_get(&cred_root);
    thread->user.cred = &cred_root;
    return result;
}

int first_start(const struct first_spec *spec)
{
    const struct thread_spec thread_spec = {
        .name = "init", .entry = first_main, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
        .uses_fpu = HAL_FPU_BYTES != 0, .is_user = true,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;
    struct space *space = NULL;
    int result = space_create(&space);

    if (result != 0)
        return result;
    result = process_create_user(PROCESS_SIGCHLD, false, "init", space, PID_INIT, &process);
    if (result != 0) {
        space_put(space);
        return result;
    }
    first = spec;
    show_load_begin();
    result = process_group_begin(process);
    if (result == 0)
        result = thread_create(process, &thread_spec, &thread);
    if (result != 0) {
        (void)process_discard(process);
    } else {
        process_init = process;
        result = give_user(thread);
        if (result == 0)
            result = thread_schedule(process->pid, thread->tid, thread);
        if (result == 0)
            thread_put(thread);
        else
            thread_unmake(thread, true);
    }
    if (result != 0)
        process_init = NULL;
    process_put(process);
    return result;
}
