/* SPDX-License-Identifier: MIT */
/*
 * The machine's table of system calls, made of core/syscall/calls.tbl by tools/gen_syscalls.py. A handler takes the
 * arguments out of *args, checks all of them, and then makes one call into the room that does the work. What it returns
 * is the user's result: -1..-ERRNO_MAX are errors (include/k/errno.h).
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

#define SYSCALL_NUMBERS 512 /* Linux 6.12's end at 462 on every machine here; tools/gen_syscalls.py has it, too */
#define SYSCALL_ARGUMENTS 6

struct hal_trap;

/* They lie where the user's registers were saved, and are gone when a handler has changed those. */
struct syscall_args {
    uint64_t arg[SYSCALL_ARGUMENTS]; /* as the registers had them: what is above a 32-bit argument's bits is no zero */
};

/* No result that a user could get. */
#define SYSCALL_WANTS_REGISTERS INT64_MIN

/* Of a handler that was given all registers, and has made them what the user gets, the result among them. */
#define SYSCALL_KEEPS_REGISTERS (INT64_MIN + 1)

/* `registers` are all of the user's, for a handler that reads or changes more than arguments and result. NULL at first:
 * such a handler then does nothing but return SYSCALL_WANTS_REGISTERS, and is called again with them.
 * Context: task, interrupts enabled, no lock; may sleep. */
typedef int64_t syscall_handler(const struct syscall_args *args, struct hal_trap *registers);

/* Opens the definition of a handler: SYSCALL(read) { ... args->arg[0] ... }. */
#define SYSCALL(name)                                                    \
    syscall_handler sys_##name;                                          \
    int64_t sys_##name([[maybe_unused]] const struct syscall_args *args, \
                       [[maybe_unused]] struct hal_trap *registers)

/* What differs between the machines besides numbers. Data of the generated table. */
struct syscall_abi {
    bool has_own_structs; /* of x86_64, where others have the generic ones: struct stat */
    /* Bits of open(2) flags as programs have them, for O_DIRECT, O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW of fs/abi.h. */
    uint32_t o_direct, o_largefile, o_directory, o_nofollow;
};
extern const struct syscall_abi syscall_abi;

/* By number. None is NULL: a number without a handler has sys_absent(). */
extern syscall_handler *const syscall_handlers[SYSCALL_NUMBERS];

/* By number: Linux's name, also of absent calls, or NULL. */
extern const char *const syscall_names[SYSCALL_NUMBERS];

/* -ENOSYS. */
syscall_handler sys_absent;

/* The handler of any number, never NULL. Context: any. */
static inline syscall_handler *syscall_find(uint64_t number)
{
    return LIKELY(number < SYSCALL_NUMBERS) ? syscall_handlers[number] : sys_absent;
}

/* The name of any number, or NULL. Context: any. */
static inline const char *syscall_name(uint64_t number)
{
    return number < SYSCALL_NUMBERS ? syscall_names[number] : NULL;
}
