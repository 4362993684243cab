/* SPDX-License-Identifier: MIT */
/*
 * Traps in and out. Each of the 256 vectors has its VECTOR_ENTRY_BYTES of code that make the stack look alike, whether
 * the CPU pushes an error code or not; trap_common saves the rest as struct hal_trap (machine.h) and calls
 * trap_enter().
 *
 *     ss rsp rflags cs rip  error vector  rax rbx rcx r9 r8 r10 rdx rsi rdi rbp r11..r15  [rip rbp]
 *     `---- the CPU -----'  `- vector -'  `----------------- trap_common ---------------'   frame record: backtraces go
 *                                                                                           on across it
 *
 * A trap from user mode finds the user's GS base and swaps it for ours, and back on the way out. RFLAGS.AC, which opens
 * user memory where there is SMAP, is no trap's to inherit: the frame has it, and IRET brings it back.
 */
#include "layout.h"

    .cfi_sections .debug_frame
    .section .text.entry, "ax", @progbits

/* Vectors with an error code: SDM vol. 3, table 6-1. */
#define HAS_ERROR_CODE(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

/* trap.c, vector_stack(). */
#define IS_ALONE(v) ((v) == 2 || (v) == 8 || (v) == 18)

    .globl trap_vectors
    .type trap_vectors, @function
    .balign VECTOR_ENTRY_BYTES
trap_vectors:
    .set vector, 0
    .rept 256
    .balign VECTOR_ENTRY_BYTES
    .if !HAS_ERROR_CODE(vector)
    pushq $0
    .endif
    pushq $vector
    .if IS_ALONE(vector)
    jmp trap_alone
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr
    .size trap_vectors, . - trap_vectors

/* In: the stack as above up to `vector`. Owns nothing: restores every register. */
    .type trap_common, @function
    .balign 16
trap_common:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %rsp, 56
    .cfi_offset %rip, -40
    .cfi_offset %rsp, -16
    testb $3, 24(%rsp)          /* privilege level in the interrupted CS */
    jz 1f
    swapgs
1:
trap_swapped:
    push %rax
    push %rbx
    push %rcx
    push %r9
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    push %rbp
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    .cfi_def_cfa_offset 176
    pushq TRAP_RIP - 16(%rsp)   /* the record is not there yet: rip is 16 bytes nearer */
    push %rbp
    .cfi_def_cfa_offset TRAP_BYTES
    mov %rsp, %rbp
    mov %rsp, %rdi
    cld
    testl $RFLAGS_AC, TRAP_RFLAGS(%rsp)
    jnz 3f
2:  call trap_enter             /* aligned: the CPU rounds rsp down to 16, and TRAP_BYTES is a multiple */
    add $16, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %rbp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
    pop %rcx
    pop %rbx
    pop %rax
    testb $3, 24(%rsp)
    jz 4f
    swapgs
4:  add $16, %rsp               /* vector and error code */
    iretq

    /* Interrupted in user.S, or a user has set the flag for its own, older purpose. */
3:  cmpb $0, cpu_has_smap(%rip)
    je 2b
    clac
    jmp 2b
    .cfi_endproc
    .size trap_common, . - trap_common

/*
 * SYSCALL (SDM vol. 2): RCX is the user's RIP, R11 its RFLAGS; RSP is the user's still. The frame is laid out as that
 * of an interrupt; CS and SS stand there since hal_user_init(). Only what C may change is stored; RBX and R12 to R15
 * are the user's all the way, unless trap_syscall_end() says so. Nothing can interrupt before GS is ours,
 * but for NMI and machine check: trap_alone.
 */
    .macro user_preserved_save
    mov %rbx, TRAP_RBX(%rsp)
    mov %r12, TRAP_R12(%rsp)
    mov %r13, TRAP_R13(%rsp)
    mov %r14, TRAP_R14(%rsp)
    mov %r15, TRAP_R15(%rsp)
    .endm

    .macro user_preserved_load
    mov TRAP_RBX(%rsp), %rbx
    mov TRAP_R12(%rsp), %r12
    mov TRAP_R13(%rsp), %r13
    mov TRAP_R14(%rsp), %r14
    mov TRAP_R15(%rsp), %r15
    .endm

    .macro user_load
    mov TRAP_R10(%rsp), %r10
    mov TRAP_R9(%rsp), %r9
    mov TRAP_R8(%rsp), %r8
    mov TRAP_RBP(%rsp), %rbp
    mov TRAP_RDI(%rsp), %rdi
    mov TRAP_RSI(%rsp), %rsi
    mov TRAP_RDX(%rsp), %rdx
    mov TRAP_RAX(%rsp), %rax
    .endm

    .globl trap_enter_call
    .type trap_enter_call, @function
    .balign 16
trap_enter_call:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %rsp, TRAP_BYTES
    .cfi_undefined %rip
    swapgs
    mov %rsp, %gs:CPU_USER_SP
    mov %gs:CPU_USER_STACK, %rsp
    sub $TRAP_BYTES, %rsp
    mov %rax, TRAP_RAX(%rsp)
    mov %rcx, TRAP_RIP(%rsp)
    mov %r11, TRAP_RFLAGS(%rsp)
    mov %gs:CPU_USER_SP, %rcx
    mov %rdx, TRAP_RDX(%rsp)
    mov %rsi, TRAP_RSI(%rsp)
    mov %rdi, TRAP_RDI(%rsp)
    mov %rbp, TRAP_RBP(%rsp)
    mov %r8, TRAP_R8(%rsp)
    mov %r9, TRAP_R9(%rsp)
    mov %r10, TRAP_R10(%rsp)
    mov %rcx, TRAP_RSP(%rsp)
    mov %rbp, (%rsp)            /* the frame record, for backtraces */
    mov %rsp, %rbp
    mov %rsp, %rdi
    call trap_syscall
    mov %rax, %rsi
    mov %rsp, %rdi
    call trap_syscall_end
    test %eax, %eax
    jnz 1f

    /* The short way back. The address is the user's own next one, so that it is canonical (HAL_USER_END). */
    mov TRAP_RFLAGS(%rsp), %r11
    mov TRAP_RIP(%rsp), %rcx
    user_load
    mov TRAP_RSP(%rsp), %rsp
    swapgs
    sysretq

    /* RCX and R11 are what SYSCALL made of them. */
1:  mov TRAP_RIP(%rsp), %rcx
    mov TRAP_RFLAGS(%rsp), %r11
    user_preserved_save
    mov %rcx, TRAP_RCX(%rsp)
    mov %r11, TRAP_R11(%rsp)
    mov %eax, %esi
    mov %rsp, %rdi
    call trap_user_work
    jmp 2f
    .cfi_endproc
    .size trap_enter_call, . - trap_enter_call

/* [[noreturn]] void user_enter(struct hal_trap *trap): all registers, and to anywhere. */
    .globl user_enter
    .type user_enter, @function
user_enter:
    .cfi_startproc simple
    .cfi_undefined %rip
    mov %rdi, %rsp
2:  user_preserved_load
    user_load
    mov TRAP_RCX(%rsp), %rcx
    mov TRAP_R11(%rsp), %r11
    add $TRAP_RIP, %rsp
    swapgs
    iretq
    .cfi_endproc
    .size user_enter, . - user_enter

/*
 * NMI, double fault, machine check: each comes on a stack of its own, perhaps between a SYSCALL and its SWAPGS, so that
 * CS does not tell whose GS base is in use. The base itself does: ours lies in the kernel's half, and a user cannot
 * have such a one. They do not return to user mode.
 */
    .type trap_alone, @function
trap_alone:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %rsp, 56
    push %rax
    push %rcx
    push %rdx
    mov $MSR_GS_BASE_NUMBER, %ecx
    rdmsr
    test %edx, %edx
    js 1f
    swapgs
1:  pop %rdx
    pop %rcx
    pop %rax
    jmp trap_swapped
    .cfi_endproc
    .size trap_alone, . - trap_alone
