/* SPDX-License-Identifier: MIT */
/*
 * User programs for tests: functions of the host's that make system calls by name. A program that was cloned begins
 * anew, with the flags of the clone as its argument; what it is to do it finds in its memory, PROGRAM_MEMORY.
 */
#pragma once

#include "booted.h"

#include <fs/context.h>
#include <fs/cred.h>
#include <fs/fd.h>
#include <hal/usermode.h>
#include <host/machine.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/clone.h>
#include <proc/process.h>
#include <sched/sched.h>
#include <time/clock.h>

#define PROGRAM_MEMORY ((vaddr_t)0x100000) /* writable, there from the start */
#define PROGRAM_MEMORY_BYTES (16 * PAGE_BYTES)
#define PROGRAM_FORK ((uintptr_t)PROCESS_SIGCHLD) /* the argument of what fork(2) made */

/* A process of the kernel's with one thread that runs program(arg), as root, in a session of its own. A reference. */
struct process *program_start(host_user_program *program, uintptr_t arg);
/* Wait for it; drops the reference. The status as wait4(2) has it. */
int program_finish(struct process *process);
/* Both, and it must exit with 0. */
void program_run(host_user_program *program);

/* ---- For programs ---- */

/* A call by its name, up to six arguments. */
#define program_call(name, ...) program_call_array(name, (const uintptr_t[6]){ __VA_ARGS__ })
intptr_t program_call_array(const char *name, const uintptr_t arg[6]);
[[noreturn]] void program_exit(int status); /* exit_group(2) */

/* Aligned words of its memory. */
uint64_t program_load(vaddr_t va);
void program_store(vaddr_t va, uint64_t value);

/* An executable file, ELF, whose first instruction is `program`; with data of 16 bytes, 1 to 16, and then zeros up to
 * PROGRAM_DATA_BYTES. Fixed: at PROGRAM_BASE. `interpreter`: PT_INTERP, or NULL. */
#define PROGRAM_BASE ((vaddr_t)0x400000)
#define PROGRAM_DATA (PROGRAM_BASE + 0x2000)
#define PROGRAM_DATA_BYTES ((size_t)0x3010)
void program_file(const char *path, host_user_program *program, bool is_movable, const char *interpreter);
void program_text_file(const char *path, const void *bytes, size_t count, uint32_t mode);
void program_remove(const char *path);
