/* SPDX-License-Identifier: MIT */
/*
 * execve(2), execveat(2): the running process becomes another program.
 *
 * All of the new program is made first, in a space of its own: what can fail fails there, and the old program has lost
 * nothing. Then the process's other threads are ended and waited for; from there on there is no way back, and nothing
 * that could fail. A kill that comes while it waits ends the process.
 *
 * Programs are ELF files (parse/elf.h), fixed or movable, with or without an interpreter (PT_INTERP), or scripts
 * (parse/script.h), EXEC_SCRIPTS_MAX of them one for the other.
 */
#pragma once

#include <fs/path.h>
#include <k/compiler.h>
#include <k/types.h>

struct hal_trap;

#define EXEC_SCRIPTS_MAX 4
#define EXEC_STRING_BYTES_MAX (32 * PAGE_BYTES) /* one argument, with its NUL: Linux's MAX_ARG_STRLEN */

struct exec_request {
    struct path_place place;
    const char *path;       /* in the kernel */
    unsigned flags;         /* PATH_FOLLOW, PATH_EMPTY */
    const char *shown;      /* what the program is told of where it comes from: AT_EXECFN, a script's own name */
    bool is_unreachable;    /* that is the name of a descriptor that closes: no script, -ENOENT */
    /* The vectors of strings: the user's, each ending in a null pointer, or 0; or the kernel's if kernel_argv is set.
     * */
    vaddr_t argv, envp;
    const char *const *kernel_argv, *const *kernel_envp;
};

/*
 * 0: `trap`, all of which is the program's, is where it begins. What path_lookup() says; -EACCES: no regular file, or
 * not executable; -ETXTBSY: somebody may write to it; -ENOEXEC: neither ELF for this machine nor a script, or damaged
 * (logged); -ELOOP: too many scripts; -E2BIG: arguments; -EAGAIN: RLIMIT_NPROC, since its user has changed; -EFAULT;
 * -ENOMEM; -ENOENT, too, for an interpreter that is not there; -EINTR: killed, or another thread's exec was faster.
 * Context: task of a process that has_user, no lock held; may sleep. The space of the task is another while it works.
 */
int process_exec(struct hal_trap *trap, const struct exec_request *request) MUST_USE;
