/* SPDX-License-Identifier: MIT */
/*
 * Register patterns on x86_64 (torture.h). Words:
 *   general         0 RFLAGS, 1 rax rbx rcx rdx rsi rdi rbp r8..r15
 *   floating point  0 MXCSR, 1 x87 control word, 2..9 MMX (the x87 registers' mantissas), 10..41 xmm0-15 by two words,
 *                   42..73 the upper halves of ymm0-15, where the system has switched AVX on
 * The chain of jumps changes neither a register nor a flag, and an emulator, too, looks for interrupts at each of them.
 */
#define JUMPS 512

#define W(n) (8 * (n))
#define FPU_MMX 2
#define FPU_XMM 10
#define FPU_YMM_UPPER 42
#define FPU_WORDS_SSE 42
#define FPU_WORDS_AVX 74

/* RFLAGS (SDM vol. 1, 3.4.3): CF PF AF ZF SF DF OF are free; IF and the bit that is always 1 are set. */
#define FLAGS_FREE 0xcd5
#define FLAGS_BASE 0x202

/* MXCSR (SDM vol. 1, 10.2.3): sticky flags, rounding, flush to zero are free; all exceptions stay masked. */
#define MXCSR_FREE 0xe03f
#define MXCSR_BASE 0x1f80

/* x87 control word (SDM vol. 1, 8.1.5): rounding is free. */
#define FCW_FREE 0x0c00
#define FCW_BASE 0x037f

/* CPUID leaf 1, ECX: OSXSAVE and AVX. XCR0: SSE and AVX (SDM vol. 1, 14.3). */
#define CPUID_AVX_ON ((1 << 27) | (1 << 28))
#define XCR0_AVX_ON 6

    .macro function name
    .globl \name
    .type \name, @function
    .balign 16
\name:
    .cfi_startproc
    .endm

    .macro end_function name
    .cfi_endproc
    .size \name, . - \name
    .endm

    .macro for_each_vector operation
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \operation \n
    .endr
    .endm

    .macro push_preserved
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rsi                   /* got */
    .cfi_adjust_cfa_offset 56
    .endm

    .macro pop_preserved
    pop %rsi
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    .cfi_adjust_cfa_offset -56
    .endm

    .cfi_sections .debug_frame
    .section .text.torture, "ax", @progbits

/* void torture_general_hold(const uint64_t *want, uint64_t *got) */
function torture_general_hold
    push_preserved
    pushq W(0)(%rdi)
    .cfi_adjust_cfa_offset 8
    mov W(1)(%rdi), %rax
    mov W(2)(%rdi), %rbx
    mov W(3)(%rdi), %rcx
    mov W(4)(%rdi), %rdx
    mov W(5)(%rdi), %rsi
    mov W(7)(%rdi), %rbp
    mov W(8)(%rdi), %r8
    mov W(9)(%rdi), %r9
    mov W(10)(%rdi), %r10
    mov W(11)(%rdi), %r11
    mov W(12)(%rdi), %r12
    mov W(13)(%rdi), %r13
    mov W(14)(%rdi), %r14
    mov W(15)(%rdi), %r15
    mov W(6)(%rdi), %rdi
    popfq
    .cfi_adjust_cfa_offset -8
    .rept JUMPS
    jmp 1f
1:
    .endr
    pushfq
    push %rax
    .cfi_adjust_cfa_offset 16
    cld
    mov 16(%rsp), %rax
    mov %rbx, W(2)(%rax)
    mov %rcx, W(3)(%rax)
    mov %rdx, W(4)(%rax)
    mov %rsi, W(5)(%rax)
    mov %rdi, W(6)(%rax)
    mov %rbp, W(7)(%rax)
    mov %r8, W(8)(%rax)
    mov %r9, W(9)(%rax)
    mov %r10, W(10)(%rax)
    mov %r11, W(11)(%rax)
    mov %r12, W(12)(%rax)
    mov %r13, W(13)(%rax)
    mov %r14, W(14)(%rax)
    mov %r15, W(15)(%rax)
    popq W(1)(%rax)
    popq W(0)(%rax)
    .cfi_adjust_cfa_offset -16
    pop_preserved
    ret
end_function torture_general_hold

/* void torture_general_yield(const uint64_t *want, uint64_t *got) */
function torture_general_yield
    push_preserved              /* the stack pointer is a multiple of 16 now */
    mov W(2)(%rdi), %rbx
    mov W(7)(%rdi), %rbp
    mov W(12)(%rdi), %r12
    mov W(13)(%rdi), %r13
    mov W(14)(%rdi), %r14
    mov W(15)(%rdi), %r15
    call task_yield
    mov (%rsp), %rax
    mov %rbx, W(2)(%rax)
    mov %rbp, W(7)(%rax)
    mov %r12, W(12)(%rax)
    mov %r13, W(13)(%rax)
    mov %r14, W(14)(%rax)
    mov %r15, W(15)(%rax)
    pop_preserved
    ret
end_function torture_general_yield

/* uint64_t torture_fpu_words(void) */
function torture_fpu_words
    push %rbx
    .cfi_adjust_cfa_offset 8
    mov $1, %eax
    xor %ecx, %ecx
    cpuid
    mov $FPU_WORDS_SSE, %r8d
    and $CPUID_AVX_ON, %ecx
    cmp $CPUID_AVX_ON, %ecx
    jne 1f
    xor %ecx, %ecx
    xgetbv
    and $XCR0_AVX_ON, %eax
    cmp $XCR0_AVX_ON, %eax
    jne 1f
    mov $FPU_WORDS_AVX, %r8d
1:  mov %r8d, %eax
    pop %rbx
    .cfi_adjust_cfa_offset -8
    ret
end_function torture_fpu_words

    .macro load_mmx n
    movq W(FPU_MMX + \n)(%rdi), %mm\n
    .endm
    .macro load_xmm n
    movups W(FPU_XMM + 2 * \n)(%rdi), %xmm\n
    .endm
    .macro load_ymm_upper n
    vinsertf128 $1, W(FPU_YMM_UPPER + 2 * \n)(%rdi), %ymm\n, %ymm\n
    .endm
    .macro dump_mmx n
    movq %mm\n, W(FPU_MMX + \n)(%rdi)
    .endm
    .macro dump_xmm n
    movups %xmm\n, W(FPU_XMM + 2 * \n)(%rdi)
    .endm
    .macro dump_ymm_upper n
    vextractf128 $1, %ymm\n, W(FPU_YMM_UPPER + 2 * \n)(%rdi)
    .endm

/* void torture_fpu_load(const uint64_t *want, uint64_t words) */
function torture_fpu_load
    ldmxcsr W(0)(%rdi)
    fldcw W(1)(%rdi)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    load_mmx \n
    .endr
    for_each_vector load_xmm
    cmp $FPU_WORDS_AVX, %rsi
    jne 1f
    for_each_vector load_ymm_upper
1:  ret
end_function torture_fpu_load

/* void torture_fpu_dump(uint64_t *got, uint64_t words) */
function torture_fpu_dump
    movq $0, W(0)(%rdi)
    movq $0, W(1)(%rdi)
    stmxcsr W(0)(%rdi)
    fnstcw W(1)(%rdi)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    dump_mmx \n
    .endr
    for_each_vector dump_xmm
    cmp $FPU_WORDS_AVX, %rsi
    jne 1f
    for_each_vector dump_ymm_upper
1:  ret
end_function torture_fpu_dump

/* void crash_use_fpu(void) */
function crash_use_fpu
    movaps %xmm0, %xmm0
    ret
end_function crash_use_fpu

    .section .rodata.torture, "a", @progbits
    .macro name_xmm n
    .ascii " xmm\n-low xmm\n-high"
    .endm
    .macro name_ymm_upper n
    .ascii " ymm\n-upper-low ymm\n-upper-high"
    .endm

    .globl torture_isa, torture_general_names, torture_fpu_names
    .balign 8
torture_isa:
    .quad 16
    .quad 0xf084                /* rbx, rbp, r12-r15: System V psABI, 3.2.1 */
    .quad FLAGS_FREE, FLAGS_BASE
    .quad MXCSR_FREE, MXCSR_BASE
    .quad FCW_FREE, FCW_BASE
torture_general_names:
    .asciz "rflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15"
torture_fpu_names:
    .ascii "mxcsr x87-control mm0 mm1 mm2 mm3 mm4 mm5 mm6 mm7"
    for_each_vector name_xmm
    for_each_vector name_ymm_upper
    .byte 0
