/* SPDX-License-Identifier: MIT */
/* clone(2), clone3(2), fork(2), vfork(2): a new thread, or a new process with one, that goes on as the caller does. */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

struct hal_trap;

/* Linux's, of all machines here. */
#define CLONE_VM UINT64_C(0x100)
#define CLONE_FS UINT64_C(0x200)
#define CLONE_FILES UINT64_C(0x400)
#define CLONE_SIGHAND UINT64_C(0x800)
#define CLONE_PIDFD UINT64_C(0x1000)
#define CLONE_PTRACE UINT64_C(0x2000)
#define CLONE_VFORK UINT64_C(0x4000)
#define CLONE_PARENT UINT64_C(0x8000)
#define CLONE_THREAD UINT64_C(0x10000)
#define CLONE_NEWNS UINT64_C(0x20000)
#define CLONE_SYSVSEM UINT64_C(0x40000)
#define CLONE_SETTLS UINT64_C(0x80000)
#define CLONE_PARENT_SETTID UINT64_C(0x100000)
#define CLONE_CHILD_CLEARTID UINT64_C(0x200000)
#define CLONE_DETACHED UINT64_C(0x400000)
#define CLONE_UNTRACED UINT64_C(0x800000)
#define CLONE_CHILD_SETTID UINT64_C(0x1000000)
#define CLONE_IO UINT64_C(0x80000000)
#define CLONE_CLEAR_SIGHAND UINT64_C(0x100000000)

struct clone_request {
    uint64_t flags;     /* CLONE_.., without a signal */
    int exit_signal;    /* 0..64; 0: none */
    vaddr_t stack;      /* where the child's stack pointer begins; 0: where the caller's is */
    vaddr_t tls;        /* CLONE_SETTLS */
    vaddr_t parent_tid; /* CLONE_PARENT_SETTID */
    vaddr_t child_tid;  /* CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID */
};

/*
 * The new thread's tid, which is its pid if it is a new process. It sees the registers of `trap`, but 0 as the result.
 * With CLONE_VFORK the caller waits until the child no longer needs its memory.
 * -EINVAL: flags that do not go together, or that are not known here (namespaces, CLONE_PIDFD); -EAGAIN: no id left, or
 * RLIMIT_NPROC, or the caller is a deadline task; -ENOMEM; -EINTR: the process is about to end. Nothing is left behind
 * then. Context: task that runs a program, complete registers in `trap`; may sleep.
 */
pid_t process_clone(const struct hal_trap *trap, const struct clone_request *request);
