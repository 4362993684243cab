/* SPDX-License-Identifier: MIT */
/*
 * User mode. A task that runs a user program has the user's registers in a struct hal_trap in its kernel stack, above
 * everything else: the one that hal_user_enter() was last given. Each entry from user mode stores them there and lets
 * the stack begin below, each way back loads them from there, so whatever core writes into it is what the user sees
 * next. It ends at a multiple of HAL_STACK_ALIGN.
 *
 * A trap from user mode is told by the same upcalls as one from the kernel (hal/upcall.h: trap_timer, trap_ipi,
 * trap_spurious) and four of its own: trap_syscall(), trap_syscall_end(), trap_user_fault(), trap_user_exit().
 *
 * Lvalues of type uintptr_t, of a user's struct hal_trap:
 *
 *   HAL_TRAP_PC(trap), HAL_TRAP_FRAME_POINTER(trap)    hal/debug.h
 *   HAL_USER_SP(trap)
 *   HAL_USER_NUMBER(trap)        of a system call
 *   HAL_USER_ARG(trap, i)        its arguments, i in 0..5: the elements of an array
 *   HAL_USER_RESULT(trap)        and its result; may lie where number or an argument did
 *   HAL_USER_TLS(trap, area)     the thread pointer of a task that is not running, in its trap frame or its
 *                                floating-point area
 *
 *   HAL_SYSCALL_BYTES            length of the instruction: a call is made anew by setting number and first argument
 *                                again and going back that far
 *   HAL_SIGNAL_AT(trap)          where the frame is that rt_sigreturn(2) means: what hal_signal_push() said, if the
 *                                program kept to the rules
 *   HAL_SIGNAL_FRAME_BYTES       constant: of a frame, what hal_signal_push() writes and hal_signal_pop() wants at most
 *   HAL_SIGNAL_VECTOR_AT         constant: if the area has a vector area, a frame that ends here is followed by
 *                                HAL_VECTOR_BYTES of that
 *   HAL_SIGNAL_HAS_VECTOR(frame) whether one that comes back says so; all of it is there
 *   HAL_SIGNAL_STACK_BYTES_MIN   MINSIGSTKSZ
 *   HAL_SIGNAL_HAS_RESTORER      0, 1: struct sigaction has a place for the handler's return address
 *   HAL_SIGNAL_RETURN_CODE       initialiser of bytes: instructions that call rt_sigreturn(2), for programs without one
 *   HAL_USER_RED_ZONE            bytes below the stack pointer that are the program's
 *   HAL_CLONE_TLS                which argument of clone(2) is the thread pointer, 3 or 4; the other one is child_tid
 *   HAL_ELF_MACHINE              e_machine of programs that run here (ELF specification)
 *
 * What follows is Linux's interface of the ISA: arch/ISA/signal.c names the sources.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <k/types.h>

struct hal_trap;

/* What the C libraries are told in the auxiliary vector. Constant after the machine's boot code. */
struct hal_user_facts {
    uint64_t hwcap, hwcap2; /* AT_HWCAP, AT_HWCAP2 */
    const char *platform;   /* AT_PLATFORM and uname's machine */
};
extern struct hal_user_facts hal_user_facts;

/* The registers that a new program sees: all zero but for these two; user mode, interrupts enabled. Also of the running
 * task's own trap, in a call that hal_user_enter() led to: it goes back to the new program. Context: any. */
void hal_user_init(struct hal_trap *trap, vaddr_t pc, vaddr_t sp);

/* Leave for user mode with these registers, all of them. `trap` lies in the running task's stack, and no lower than the
 * caller's frame; what stands below it is forgotten. Context: task, interrupts disabled, no lock held. */
[[noreturn]] void hal_user_enter(struct hal_trap *trap);

/* Which signal a fault is, by enum fault_kind (hal/upcall.h), but for FAULT_PAGE; `code` is siginfo's. */
struct hal_fault_signal {
    uint8_t number, code;
};
extern const struct hal_fault_signal hal_fault_signals[];

/* A signal on its way to a handler, or back from one. */
struct hal_signal {
    uint32_t number;
    bool has_info;          /* SA_SIGINFO: the handler gets the second and third argument, too */
    vaddr_t handler;
    vaddr_t restorer;       /* where the handler returns to */
    uint8_t info[128];      /* siginfo_t, alike on all 64-bit machines */
    uint64_t mask;          /* blocked signals, to come back */
    vaddr_t stack;          /* the alternate stack as it was: ss_sp, ss_flags, ss_size */
    uint32_t stack_flags;
    uint64_t stack_bytes;
};

/*
 * Build Linux's frame of `signal` below `sp`, with the registers of `trap` and what `area` holds, into `frame`, which
 * has HAL_SIGNAL_FRAME_BYTES; *out_va is the user address where it goes. Returns its length. `trap` then enters the
 * handler. `area` has been brought up to date; NULL: the task has none. Its vector area, if it has one and
 * the length is HAL_SIGNAL_VECTOR_AT, is completed to what follows in the frame. Context: any.
 */
size_t hal_signal_push(struct hal_trap *trap, const void *area, const struct hal_signal *signal, vaddr_t sp,
                       void *frame, vaddr_t *out_va);

/*
 * The way back: registers from the first `bytes` of a frame that the program may have changed into `trap` and `area`,
 * mask and stack into *out. Nothing that a program may not have comes in: state bits of the CPU are checked or forced.
 * If the frame has a vector area, that of `area` has been read from there,
 * else it is all zeros. False: no such frame, and trap and area are as they were, but for the latter. Context: any.
 */
bool hal_signal_pop(struct hal_trap *trap, void *area, const void *frame, size_t bytes, struct hal_signal *out);

/*
 * Calls that only this ISA has, by its own numbers (arch_prctl and the like, and what of prctl core does not know):
 * -ENOSYS if `number` is none, or asks for what is not there. They concern the running task's own registers. Context:
 * task, may fault user memory in.
 */
int64_t hal_user_call(struct hal_trap *trap, void *area, uintptr_t number);

#include <hal_machine.h>
