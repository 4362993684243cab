/* SPDX-License-Identifier: MIT */
/*
 * Process groups and sessions (credentials(7)): job control's sets of processes. A group exists as long as it has
 * members, zombies among them; a session as long as it has groups. Their ids are those of the processes that made them,
 * and are not used again before they are gone. Everything is guarded by the process tree's lock.
 *
 * Context of all: task. Errors as the manual pages of the calls of those names say.
 */
#pragma once

#include <k/compiler.h>
#include <k/list.h>
#include <k/types.h>

struct process;

struct process_session {
    pid_t id;
    unsigned groups; /* that exist */
};

struct process_group {
    pid_t id;
    struct process_session *session;
    struct list_node members; /* process->group_link */
};

/* The first process's: a session and a group of its own. -ENOMEM. The same as setsid(2), for whoever has no group. */
int process_group_begin(struct process *process) MUST_USE;

/* setpgid(2): pid 0 is the caller, pgid 0 the process's own. -EINVAL, -ESRCH, -EACCES (it has executed), -EPERM,
 * -ENOMEM. */
int process_set_group(struct process *caller, pid_t pid, pid_t pgid) MUST_USE;

/* setsid(2): the new session's id. -EPERM, -ENOMEM. */
pid_t process_new_session(struct process *caller) MUST_USE;

/* Ids, 0 of a process without a user. */
pid_t process_group_id(struct process *process);
pid_t process_session_id(struct process *process);
