/* SPDX-License-Identifier: MIT */
/* Processes and threads begin, become others, end, and are waited for. No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/clone.h>
#include <proc/exec.h>
#include <proc/process.h>
#include <proc/signo.h>
#include <proc/task.h>

#include "syscall_priv.h"

#define CSIGNAL 0xffu

SYSCALL(exit)
{
    task_exit((int)args->arg[0] & 0xff);
}

SYSCALL(exit_group)
{
    process_exit_all(WAIT_STATUS_EXITED((int)args->arg[0]));
}

SYSCALL(fork)
{
    const struct clone_request request = { .exit_signal = PROCESS_SIGCHLD };

    return registers == NULL ? SYSCALL_WANTS_REGISTERS : process_clone(registers, &request);
}

SYSCALL(vfork)
{
    const struct clone_request request = { .flags = CLONE_VM | CLONE_VFORK, .exit_signal = PROCESS_SIGCHLD };

    return registers == NULL ? SYSCALL_WANTS_REGISTERS : process_clone(registers, &request);
}

/* The raw call: clone(2), "C library/kernel differences". */
SYSCALL(clone)
{
    const struct clone_request request = {
        .flags = (uint32_t)args->arg[0] & ~CSIGNAL & ~CLONE_DETACHED,
        .exit_signal = (int)(args->arg[0] & CSIGNAL),
        .stack = args->arg[1],
        .parent_tid = args->arg[2],
        .child_tid = args->arg[7 - HAL_CLONE_TLS],
        .tls = args->arg[HAL_CLONE_TLS],
    };

    return registers == NULL ? SYSCALL_WANTS_REGISTERS : process_clone(registers, &request);
}

/* struct clone_args of clone3(2): 64, 80 and 88 bytes are its versions. */
enum {
    FLAGS, PIDFD, CHILD_TID, PARENT_TID, EXIT_SIGNAL, STACK, STACK_BYTES, TLS, SET_TID, SET_TID_SIZE, CGROUP, WORDS
};
#define CLONE_ARGS_BYTES_MIN 64

static int check_clone3(const uint64_t word[WORDS])
{
    if ((word[FLAGS] & (CSIGNAL | CLONE_DETACHED)) != 0 || word[EXIT_SIGNAL] > 64)
        return -EINVAL;
    if ((word[FLAGS] & (CLONE_THREAD | CLONE_PARENT)) != 0 && word[EXIT_SIGNAL] != 0)
        return -EINVAL;
    if ((word[STACK] == 0) != (word[STACK_BYTES] == 0) || !user_range_is_valid(word[STACK], word[STACK_BYTES]))
        return -EINVAL;
    return word[SET_TID] != 0 || word[SET_TID_SIZE] != 0 ? -EINVAL : 0; /* ids are not chosen here */
}

SYSCALL(clone3)
{
    uint64_t word[WORDS] = { 0 };
    uint64_t bytes = args->arg[1];

    if (registers == NULL)
        return SYSCALL_WANTS_REGISTERS;
    if (bytes < CLONE_ARGS_BYTES_MIN)
        return -EINVAL;
    int result = copy_in_versioned(word, sizeof word, args->arg[0], bytes);

    if (result == 0)
        result = check_clone3(word);
    if (result != 0)
        return result;
    const struct clone_request request = {
        .flags = word[FLAGS],
        .exit_signal = (int)word[EXIT_SIGNAL],
        .stack = word[STACK] + word[STACK_BYTES],
        .tls = word[TLS],
        .parent_tid = word[PARENT_TID],
        .child_tid = word[CHILD_TID],
    };

    return process_clone(registers, &request);
}

/* ---- execve(2), execveat(2) ---- */

static int64_t execute(struct hal_trap *registers, struct exec_request *request, vaddr_t path)
{
    struct thread *self = thread_current();
    char *text = kmalloc(PATH_BYTES_MAX);

    if (text == NULL)
        return -ENOMEM;
    int64_t result = user_copy_string(text, path, PATH_BYTES_MAX);

    if (result >= 0) {
        request->place.context = self->user.paths;
        request->place.cred = self->user.cred;
        request->path = text;
        if (request->shown == NULL)
            request->shown = text;
        result = process_exec(registers, request);
    }
    kfree(text);
    return result;
}

SYSCALL(execve)
{
    struct exec_request request = { .flags = PATH_FOLLOW, .argv = args->arg[1], .envp = args->arg[2] };

    return registers == NULL ? SYSCALL_WANTS_REGISTERS : execute(registers, &request, args->arg[0]);
}

enum { EXECVEAT_CWD = -100, EXECVEAT_NOFOLLOW = 0x100, EXECVEAT_EMPTY_PATH = 0x1000 }; /* AT_.. */
#define DESCRIPTOR_TEXT_BYTES 32 /* "/dev/fd/N" */

SYSCALL(execveat)
{
    unsigned flags = (unsigned)args->arg[4];
    int fd = (int)args->arg[0];
    struct exec_request request = {
        .flags = ((flags & EXECVEAT_NOFOLLOW) != 0 ? 0 : PATH_FOLLOW) |
                 ((flags & EXECVEAT_EMPTY_PATH) != 0 ? PATH_EMPTY : 0),
        .argv = args->arg[2],
        .envp = args->arg[3],
    };
    struct file *at = NULL;
    char text[DESCRIPTOR_TEXT_BYTES];
    char first = 0;

    if (registers == NULL)
        return SYSCALL_WANTS_REGISTERS;
    if ((flags & ~(unsigned)(EXECVEAT_NOFOLLOW | EXECVEAT_EMPTY_PATH)) != 0)
        return -EINVAL;
    int64_t result = user_copy_in(&first, args->arg[1], 1);

    if (result != 0)
        return result;
    if (fd != EXECVEAT_CWD && first != '/') {
        struct fd_table *files = thread_current()->user.files;

        at = fd < 0 ? NULL : fd_get(files, (unsigned)fd);
        if (at == NULL)
            return -EBADF;
        if (at->name == NULL) {
            file_put(at);
            return -EACCES;
        }
        request.place.at = at->name;
        request.is_unreachable = fd_cloexec_get(files, (unsigned)fd) == 1;
        (void)fmt_print(text, sizeof text, "/dev/fd/%d", fd);
        if (first == 0)
            request.shown = text;
    }
    result = execute(registers, &request, args->arg[1]);
    if (at != NULL)
        file_put(at);
    return result;
}

/* ---- wait4(2), waitid(2) ---- */

SYSCALL(wait4)
{
    pid_t pid = (pid_t)args->arg[0];
    unsigned options = (unsigned)args->arg[2];
    struct wait_request request = {
        .which = pid > 0 ? WAIT_PID : pid == -1 ? WAIT_ANY : WAIT_GROUP,
        .id = pid > 0 ? pid : pid < -1 ? -pid : 0,
        .options = options | WEXITED,
    };
    struct wait_result found;

    if ((options & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WCLONE | WALL)) != 0)
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    int64_t result = process_wait_for(process_current(), &request, &found);

    if (result == -EINTR)
        result = -ERESTARTSYS;

    if (result <= 0)
        return result;
    if (args->arg[1] != 0 && user_copy_out(args->arg[1], &found.status, sizeof found.status) != 0)
        return -EFAULT;
    if (args->arg[3] != 0 && usage_copy_out(args->arg[3], &found.usage) != 0)
        return -EFAULT;
    return result;
}

enum { P_ALL, P_PID, P_PGID };

/* siginfo_t of SIGCHLD, as waitid(2) fills it in. */
struct child_info {
    int32_t signo, error, code, pad;
    int32_t pid;
    uint32_t user;
    int32_t status;
};

static void describe(const struct wait_result *found, struct child_info *out)
{
    int status = found->status;

    *out = (struct child_info){ .signo = PROCESS_SIGCHLD, .pid = found->pid, .user = found->user };
    if ((status & 0xff) == 0x7f) {
        out->code = CLD_STOPPED;
        out->status = status >> 8;
    } else if (status == 0xffff) {
        out->code = CLD_CONTINUED;
        out->status = SIGCONT;
    } else if ((status & 0x7f) == 0) {
        out->code = CLD_EXITED;
        out->status = status >> 8 & 0xff;
    } else {
        out->code = (status & 0x80) != 0 ? CLD_DUMPED : CLD_KILLED;
        out->status = status & 0x7f;
    }
}

SYSCALL(waitid)
{
    static const enum wait_which kinds[] = { [P_ALL] = WAIT_ANY, [P_PID] = WAIT_PID, [P_PGID] = WAIT_GROUP };
    unsigned kind = (unsigned)args->arg[0];
    pid_t id = (pid_t)args->arg[1];
    unsigned options = (unsigned)args->arg[3];
    struct child_info info = { .signo = 0 };
    struct wait_result found;

    if ((options & ~(WNOHANG | WNOWAIT | WEXITED | WUNTRACED | WCONTINUED | WNOTHREAD | WCLONE | WALL)) != 0 ||
        (options & (WEXITED | WUNTRACED | WCONTINUED)) == 0 || kind > P_PGID)
        return -EINVAL;
    if ((kind == P_PID && id <= 0) || (kind == P_PGID && id < 0))
        return -EINVAL;
    const struct wait_request request = { .which = kinds[kind], .id = id, .options = options };
    int64_t result = process_wait_for(process_current(), &request, &found);

    if (result == -EINTR)
        result = -ERESTARTSYS;

    if (result < 0)
        return result;
    if (result > 0)
        describe(&found, &info);
    if (result > 0 && args->arg[4] != 0 && usage_copy_out(args->arg[4], &found.usage) != 0)
        return -EFAULT;
    return args->arg[2] != 0 ? user_copy_out(args->arg[2], &info, sizeof info) : 0;
}
