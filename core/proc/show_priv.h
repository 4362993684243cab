/* SPDX-License-Identifier: MIT */
/* What the files of /proc/NUMBER share. */
#pragma once

#include <proc/process.h>

#include "proc_priv.h"

struct procfs_text;

/* A process to look at, or one thread of it. */
struct shown {
    struct process *process; /* counted */
    tid_t tid;               /* of the thread that is meant; the process's: the first that there is */
};

/* NULL: it is gone. */
struct thread *shown_thread_locked(const struct shown *shown) REQUIRES(proc_tree_lock);

/* May the running thread look into its memory? ptrace(2), "Ptrace access mode checking", PTRACE_MODE_READ_FSCREDS. */
bool shown_may_look(const struct shown *shown);

/* show_program.c: registers its files. Boot. */
void show_program_init(void);
