/* SPDX-License-Identifier: MIT */
/*
 * exec: find the file, make the new program beside the old one, end the other threads, change over. The change is in
 * commit(), which cannot fail. What an exec needs until then is one struct; no lock but the tree lock, in short
 * sections.
 */
#include <proc/exec.h>

#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/inode.h>
#include <hal/context.h>
#include <hal/irq.h>
#include <hal/user.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <k/log.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <parse/elf.h>
#include <parse/script.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <proc/vdso.h>
#include <sched/sched.h>
#include <smp/tlb.h>

#include "proc_priv.h"

struct exec {
    const struct exec_request *request;
    struct thread *self;
    struct process *process;
    struct exec_args args;
    struct script scripts[EXEC_SCRIPTS_MAX];
    struct file *file, *interpreter_file; /* counted, or NULL */
    struct elf_file elf, interpreter;
    struct space *space;     /* the new one, counted, or NULL */
    struct fd_table *files;  /* one of one's own, if the old one is shared; or NULL */
    struct cred *cred;       /* counted, or NULL */
    bool is_secure;
    struct image image;
    char name[TASK_NAME_BYTES];
    struct signal_handlers *handlers; /* or NULL */
    struct program *program; /* counted, or NULL */
};

/* ---- Files ---- */

/* What is opened to be executed is not written to, until it is closed again: by close_program(). */
static int open_program(const struct path_place *place, const char *path, unsigned flags, struct file **out)
{
    struct name *name;
    int result = path_lookup(place, path, flags, &name);

    if (result != 0)
        return result;
    if (inode_is(name->inode, S_IFLNK))
        result = -ELOOP;
    else if (!inode_is(name->inode, S_IFREG) || name->inode->object == NULL ||
             (filesystem_flags(name->inode->fs) & MS_NOEXEC) != 0)
        result = -EACCES;
    else
        result = inode_permission(name->inode, place->cred, MAY_EXEC);
    if (result == 0) /* only to be executed: it need not be readable */
        result = name_open(name, place->cred, O_PATH, out);
    if (result == 0 && inode_execution_begin(name->inode) != 0) {
        file_put(*out);
        *out = NULL;
        result = -ETXTBSY;
    }
    name_put(name);
    return result;
}

static void close_program(struct file *file)
{
    if (file == NULL)
        return;
    inode_execution_end(file->inode);
    file_put(file);
}

/* What scripts and programs name: from the working directory. */
static int open_named(const struct exec *exec, const char *path, struct file **out)
{
    struct path_place place = exec->request->place;

    place.at = NULL;
    return open_program(&place, path, PATH_FOLLOW, out);
}

/* As many bytes as there are. It need not be open for reading. */
static size_t read_some(struct file *file, uint64_t offset, void *to, size_t bytes)
{
    uint64_t end = load_acquire(&file->inode->bytes); /* PAIRS(inode_bytes) */

    return offset >= end ? 0 : vm_object_read(file->inode->object, offset, to, MIN(bytes, end - offset));
}

static int read_file(void *arg, uint64_t offset, void *to, size_t bytes)
{
    return read_some(arg, offset, to, bytes) == bytes ? 0 : -ENOEXEC; /* less: it has become shorter */
}

static int read_elf(struct file *file, const char *path, struct elf_file *out)
{
    const struct elf_source source = { .read = read_file, .arg = file, .bytes = load_relaxed(&file->inode->bytes) };
    const struct elf_limits limits = {
        .machine = HAL_ELF_MACHINE,
        .user_start = SPACE_ADDRESS_MIN,
        .user_end = ROUND_DOWN(HAL_USER_END, PAGE_BYTES),
    };
    const char *reason = NULL;
    int result = elf_read(&source, &limits, out, &reason);

    if (result == -ENOEXEC)
        log_info("%s[%d]: %s: %s", current_task()->name, current_task()->tid, path, reason);
    return result;
}

/* The file that is loaded: the one that was named, or at the end of a chain of scripts their interpreter. */
static int find_program(struct exec *exec)
{
    const struct exec_request *request = exec->request;
    const char *path = request->shown;
    int result = open_program(&request->place, request->path, request->flags, &exec->file);

    for (unsigned depth = 0; result == 0; depth++) {
        uint8_t first[SCRIPT_FIRST_BYTES];
        size_t bytes = read_some(exec->file, 0, first, sizeof first);

        if (!script_is(first, bytes))
            return read_elf(exec->file, path, &exec->elf);
        if (depth == EXEC_SCRIPTS_MAX)
            return -ELOOP;
        if (request->is_unreachable)
            return -ENOENT;
        result = script_read(first, bytes, &exec->scripts[depth]);
        if (result == 0)
            result = args_add_script(&exec->args, &exec->scripts[depth], request->shown);
        if (result != 0)
            return result;
        path = exec->scripts[depth].interpreter;
        close_program(exec->file);
        exec->file = NULL;
        result = open_named(exec, path, &exec->file);
    }
    return result;
}

static int find_interpreter(struct exec *exec)
{
    if (!exec->elf.has_interpreter)
        return 0;
    int result = open_named(exec, exec->elf.interpreter, &exec->interpreter_file);

    if (result == 0)
        result = read_elf(exec->interpreter_file, exec->elf.interpreter, &exec->interpreter);
    if (result == 0 && exec->interpreter.has_interpreter)
        result = -ENOEXEC;
    return result == -ENOEXEC ? -ELIBBAD : result;
}

/* The ids that the program runs with. AT_SECURE: they are more than its caller's. */
static int find_cred(struct exec *exec)
{
    struct cred *old = exec->self->user.cred;
    struct inode_stat stat;

    inode_stat_get(exec->file->inode, &stat);
    /* Set-group-id without the right to execute is something else: a mark for locks. */
    bool may_set = (filesystem_flags(exec->file->inode->fs) & MS_NOSUID) == 0 &&
                   !load_relaxed(&exec->self->user.gains_nothing);
    bool sets_user = may_set && (stat.mode & S_ISUID) != 0;
    bool sets_group = may_set && (stat.mode & (S_ISGID | 010)) == (S_ISGID | 010);

    if (!sets_user && !sets_group && old->user.saved == old->user.effective && old->user.fs == old->user.effective &&
        old->group.saved == old->group.effective && old->group.fs == old->group.effective) {
        cred_get(old);
        exec->cred = old;
    } else {
        int result = cred_copy(old, &exec->cred);

        if (result != 0)
            return result;
        cred_exec(exec->cred, sets_user, stat.user, sets_group, stat.group);
    }
    exec->is_secure = exec->cred->user.effective != exec->cred->user.real ||
                      exec->cred->group.effective != exec->cred->group.real;
    return 0;
}

/* ---- Memory ---- */

/* The running task works on that space's memory from here on. It holds a reference some other way. */
static void use_space(struct space *space)
{
    struct task *self = current_task();
    uintptr_t state = hal_irq_save();

    self->space = &space->tlb;
    tlb_switch(self->space);
    hal_irq_restore(state);
}

static int build(struct exec *exec)
{
    int result = space_create(&exec->space);

    if (result != 0)
        return result;
    exec->image = (struct image){
        .space = exec->space,
        .elf = &exec->elf,
        .interpreter = exec->interpreter_file != NULL ? &exec->interpreter : NULL,
        .object = exec->file->inode->object,
        .interpreter_object = exec->interpreter_file != NULL ? exec->interpreter_file->inode->object : NULL,
        .args = &exec->args,
        .cred = exec->cred,
        .shown = exec->request->shown,
        .stack_limit = process_limit_get(exec->process, LIMIT_STACK),
        .is_secure = exec->is_secure,
    };
    use_space(exec->space);
    result = image_build(&exec->image);
    use_space(object_of(current_task())->space);
    return result;
}

static void take_name(struct exec *exec)
{
    const char *name = exec->request->shown;

    for (const char *at = name; *at != '\0'; at++)
        if (*at == '/' && at[1] != '\0')
            name = at + 1;
    (void)str_copy(exec->name, name, sizeof exec->name);
}

/* execve(2), EAGAIN: it has become a user with too many tasks, and there are still. */
static int check_count(struct thread *self)
{
    if (!self->user.is_over_limit)
        return 0;
    uint64_t max = user_count_limit(self);

    spin_lock(&proc_tree_lock);
    const struct user_count *count = *user_count_of_locked(self);

    self->user.is_over_limit = count != NULL && count->tasks > max;
    spin_unlock(&proc_tree_lock);
    return self->user.is_over_limit ? -EAGAIN : 0;
}

/* All that can fail but for the other threads. */
static int prepare(struct exec *exec)
{
    int result = args_begin(&exec->args, process_limit_get(exec->process, LIMIT_STACK));

    if (result == 0)
        result = args_add_all(&exec->args, exec->request);
    if (result == 0)
        result = find_program(exec);
    if (result == 0)
        result = find_interpreter(exec);
    if (result == 0)
        result = find_cred(exec);
    /* Shared with other threads: they end, but what they close until then must not be closed here. */
    if (result == 0 && load_acquire(&exec->self->user.files->users) != 1) /* PAIRS(fd_users) */
        result = fd_table_copy(exec->self->user.files, &exec->files);
    if (result == 0)
        result = build(exec);
    if (result == 0)
        result = signal_exec_prepare(exec->process, &exec->handlers);
    if (result == 0) {
        exec->program = program_create(exec->file->name, &exec->args, &exec->image);
        result = exec->program == NULL ? -ENOMEM : 0;
    }
    take_name(exec);
    return result;
}

/* ---- The change ---- */

/* End the process's other threads and wait until they have ended. From 0 on nobody but the running thread can change
 * the process, and it gets no threads. -EINTR: it is to end itself. */
static int be_alone(struct exec *exec)
{
    struct process *process = exec->process;
    int result = 0;

    spin_lock(&proc_tree_lock);
    if (process->is_exiting || process->executing != NULL) {
        result = -EINTR;
    } else {
        process->executing = exec->self;
        store_relaxed(&process->is_alone, process->threads_alive == 1);
        process_kill_threads_locked(process, exec->self);
    }
    spin_unlock(&proc_tree_lock);
    if (result != 0)
        return result;
    result = waitq_wait_until(&process->alone_wait, load_relaxed(&process->is_alone), TIME_NEVER, WAIT_KILLABLE);
    if (result != 0) {
        spin_lock(&proc_tree_lock);
        process->executing = NULL;
        spin_unlock(&proc_tree_lock);
    }
    return result;
}

/* A thread that is not the first takes the first one's place: the pid is its tid from here on. The first has left the
 * table of ids: it is no longer alive. */
static void take_pid_locked(struct exec *exec) REQUIRES(proc_tree_lock)
{
    struct task *task = current_task();
    pid_t pid = exec->process->pid;
    tid_t old = task->tid;

    if (old == pid)
        return;
    user_count_leave_locked(&exec->process->counted); /* of the first thread, whose place it takes */
    exec->process->counted = exec->self->user.counted;
    exec->self->user.counted = NULL;
    id_unpublish_task(old);
    id_hold(pid); /* one for the thread, one for its task: as when they were made */
    id_hold(pid);
    task->tid = pid;
    exec->self->tid = pid;
    id_publish_task(pid, task);
    id_release(old);
    id_release(old);
}

/* The process is its new program's. The old space, which is returned, has lost its two references' owners. */
static struct space *change_over(struct exec *exec)
{
    struct process *process = exec->process;
    struct task *task = current_task();

    spin_lock(&proc_tree_lock);
    struct space *old = process->space;

    usage_add_space_locked(process, old);
    process->space = exec->space;
    struct program *old_program = process->program;

    program_leave_locked(process);
    process->program = exec->program;
    program_enter_locked(process);
    exec->program = old_program; /* given back with the rest */
    process->has_executed = true;
    process->executing = NULL;
    take_pid_locked(exec);
    (void)str_copy(process->name, exec->name, sizeof process->name);
    (void)str_copy(exec->self->name, exec->name, sizeof exec->self->name);
    (void)str_copy(task->name, exec->name, sizeof task->name);
    spin_unlock(&proc_tree_lock);
    return old;
}

static void take_files_and_cred(struct exec *exec)
{
    struct thread_user *user = &exec->self->user;
    struct fd_table *old_files = exec->files != NULL ? user->files : NULL;
    struct cred *old_cred = user->cred;

    spin_lock(&proc_tree_lock);
    if (exec->files != NULL)
        user->files = exec->files;
    user->cred = exec->cred;
    spin_unlock(&proc_tree_lock);
    exec->files = NULL;
    exec->cred = NULL;
    cred_put(old_cred);
    if (old_files != NULL)
        fd_table_put(old_files);
    fd_close_on_exec(user->files);
}

static void reset_registers(struct exec *exec, struct hal_trap *trap)
{
    void *area = current_task()->fpu_area;

    if (HAL_VECTOR_BYTES != 0 && area != NULL)
        vector_free(vector_swap(NULL));
    if (area != NULL) {
        uintptr_t state = hal_irq_save();

        hal_fpu_init(area);
        hal_fpu_switch(NULL, area);
        hal_irq_restore(state);
    }
    hal_user_init(trap, exec->image.entry, exec->image.sp);
}

/* Cannot fail. */
static void commit(struct exec *exec, struct hal_trap *trap)
{
    struct task_object *object = object_of(current_task());

    thread_clear_tid(exec->self);
    struct space *old = change_over(exec);

    space_get(exec->space); /* the process's has been given to it; this is the task's */
    object->space = exec->space;
    use_space(exec->space);
    exec->space = NULL;
    thread_return_memory(exec->self);
    space_put(old);
    space_put(old);
    take_files_and_cred(exec);
    futex_owner_begin(exec->self);
    signal_exec_commit(exec->self, exec->handlers);
    exec->handlers = NULL;
    exec->process->signals.return_code = exec->image.vdso.return_code;
    exec->self->user.set_tid = 0;
    store_relaxed(&exec->process->is_private, exec->is_secure);
    if (exec->is_secure)
        store_relaxed(&exec->self->user.parent_death_signal, 0);
    reset_registers(exec, trap);
}

static void give_back(struct exec *exec)
{
    args_end(&exec->args);
    close_program(exec->file);
    close_program(exec->interpreter_file);
    if (exec->space != NULL)
        space_put(exec->space);
    if (exec->files != NULL)
        fd_table_put(exec->files);
    if (exec->cred != NULL)
        cred_put(exec->cred);
    if (exec->program != NULL)
        program_put(exec->program);
    if (exec->handlers != NULL)
        signal_exec_cancel(exec->handlers);
    kfree(exec);
}

int process_exec(struct hal_trap *trap, const struct exec_request *request)
{
    struct exec *exec = kzalloc(sizeof *exec);

    if (exec == NULL)
        return -ENOMEM;
    exec->request = request;
    exec->self = thread_current();
    exec->process = exec->self->process;
    int result = check_count(exec->self);

    if (result == 0)
        result = prepare(exec);

    if (result == 0)
        result = be_alone(exec);
    if (result == 0)
        commit(exec, trap);
    give_back(exec);
    return result;
}
