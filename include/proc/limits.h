/* SPDX-License-Identifier: MIT */
/* Resource limits (getrlimit(2), prlimit(2)) and usage (getrusage(2)). Context: task. */
#pragma once

#include <proc/process.h>

#define LIMIT_NONE UINT64_MAX

/* RLIMIT_.. of all machines here. */
#define LIMIT_CPU 0u
#define LIMIT_FSIZE 1u
#define LIMIT_DATA 2u
#define LIMIT_STACK 3u
#define LIMIT_CORE 4u
#define LIMIT_NPROC 6u
#define LIMIT_NOFILE 7u
#define LIMIT_MEMLOCK 8u
#define LIMIT_AS 9u
#define LIMIT_SIGPENDING 11u
#define LIMIT_MSGQUEUE 12u
#define LIMIT_NICE 13u
#define LIMIT_RTPRIO 14u
#define LIMIT_RTTIME 15u

/* *out_old (may be NULL) is what it was; `wanted` (may be NULL) what it is then. -EINVAL: no such limit, or soft above
 * hard; -EPERM: above the hard one, and the caller may not raise it (CAP_SYS_RESOURCE), or more files than anybody may
 * have. No lock is held: a stack's limit is its space's, too. */
int process_limit_change(struct process *process, unsigned which, const struct process_limit *wanted, bool may_raise,
                         struct process_limit *out_old) MUST_USE;

/* The soft one. */
uint64_t process_limit_get(struct process *process, unsigned which);

/* Of the running thread. */
void thread_usage_get(struct process_usage *out);

/* Of the children that it has waited for, and theirs. */
void process_children_usage_get(struct process *process, struct process_usage *out);
