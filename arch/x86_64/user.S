/* SPDX-License-Identifier: MIT */
/*
 * The code that touches user memory. With SMAP only between STAC and CLAC (SDM vol. 3, 4.6); trap_common clears
 * RFLAGS.AC for the kernel's C code and IRET brings it back. user.c has the table of what follows a fault that cannot
 * be repaired: user_X to user_X_end is left for user_X_failed.
 *
 * A copy that fails in a word begins again with single bytes, up to the one that cannot be copied: so the count of what
 * is left is exact.
 */
#include "layout.h"

    .cfi_sections .debug_frame
    .section .text.user, "ax", @progbits

/* From here on, long copies are the CPU's: a string instruction takes its time to begin. */
#define STRING_BYTES 64
#define MINUS_EFAULT -14

.macro user_open
    cmpb $0, cpu_has_smap(%rip)
    je .Lopen\@
    stac
.Lopen\@:
.endm

.macro user_close
    cmpb $0, cpu_has_smap(%rip)
    je .Lclosed\@
    clac
.Lclosed\@:
.endm

.macro user_label name
    .globl \name
\name:
.endm

/*
 * size_t hal_user_copy(void *kernel, vaddr_t user, size_t bytes, enum user_copy direction)
 * Owns rdi = to, rsi = from, rdx, rcx = bytes left as the labels say, rax.
 */
    .globl hal_user_copy
    .type hal_user_copy, @function
    .balign 16
hal_user_copy:
    .cfi_startproc
    test %ecx, %ecx
    jz 1f                       /* USER_COPY_IN is 0 */
    xchg %rdi, %rsi
1:  user_open
    cmp $STRING_BYTES, %rdx
    jae .Lstring
    sub $8, %edx
    jb .Ltail
user_label user_words           /* left: edx + 8 */
2:  mov (%rsi), %rax
    mov %rax, (%rdi)
    add $8, %rsi
    add $8, %rdi
    sub $8, %edx
    jae 2b
user_label user_words_end
    and $7, %edx                /* as many as before 8 was taken off */
    jz .Ldone
    jmp .Llast

.Ltail:
    and $7, %edx
    jz .Ldone
user_label user_tail            /* left: edx */
    test $4, %dl
    jz 3f
    mov (%rsi), %eax
    mov %eax, (%rdi)
    add $4, %rsi
    add $4, %rdi
    sub $4, %edx
3:  test $2, %dl
    jz 4f
    movzwl (%rsi), %eax
    mov %ax, (%rdi)
    add $2, %rsi
    add $2, %rdi
    sub $2, %edx
4:  test $1, %dl
    jz .Ldone
    movzbl (%rsi), %eax
    mov %al, (%rdi)
user_label user_tail_end
    jmp .Ldone

.Lstring:
    mov %rdx, %rcx
    shr $3, %rcx
    and $7, %edx
user_label user_string          /* left: rcx * 8 + edx */
    rep movsq
user_label user_string_end
    test %edx, %edx
    jz .Ldone

    /* The last word ends where the copy does, and begins in what is copied already. */
user_label user_last            /* left: edx */
.Llast:
    mov -8(%rsi,%rdx), %rax
    mov %rax, -8(%rdi,%rdx)
user_label user_last_end
.Ldone:
    user_close
    xor %eax, %eax
    ret

user_label user_words_failed
    lea 8(%rdx), %ecx
    jmp user_bytes
user_label user_last_failed
user_label user_tail_failed
    mov %edx, %ecx
    jmp user_bytes
user_label user_string_failed
    lea (%rdx,%rcx,8), %rcx
user_label user_bytes           /* left: rcx */
    rep movsb
user_label user_bytes_end
    jmp .Ldone
user_label user_bytes_failed
    user_close
    mov %rcx, %rax
    ret
    .cfi_endproc
    .size hal_user_copy, . - hal_user_copy

/*
 * int hal_user_cas(vaddr_t user, uint32_t *expected, uint32_t desired)
 * Owns eax. A locked instruction writes in any case (SDM vol. 2, CMPXCHG), and orders everything.
 */
    .globl hal_user_cas
    .type hal_user_cas, @function
    .balign 16
hal_user_cas:
    .cfi_startproc
    mov (%rsi), %eax
    user_open
user_label user_cas
    lock cmpxchg %edx, (%rdi)
user_label user_cas_end
    user_close
    mov %eax, (%rsi)
    xor %eax, %eax
    ret
user_label user_cas_failed
    user_close
    mov $MINUS_EFAULT, %eax
    ret
    .cfi_endproc
    .size hal_user_cas, . - hal_user_cas
