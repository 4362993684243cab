/* SPDX-License-Identifier: MIT */
/*
 * How every CPU but the first comes up: a start-up IPI puts it into real mode at the start of a page below 1 MiB, where
 * secondary_install() has put the trampoline. The trampoline needs no patching: it knows the image's addresses, and its
 * own only relative to CS.
 */
#include "layout.h"

#define PHYS(symbol) (symbol - IMAGE_BASE)

    .section .rodata.trampoline, "a", @progbits
    .balign 16
    .code16
/*
 * [[noreturn]] void trampoline_start(void)
 * In: CS = page / 16, IP = 0. Goes from real mode to long mode in one step (SDM vol. 3, 10.8.5 wants paging off, PAE,
 * CR3, LME, and then PG; PE and PG may be set together) over the early tables' identity map. No stack.
 */
    .globl trampoline_start, trampoline_end
trampoline_start:
    cli
    cld
    /* Without a 32-bit operand size LGDT would take 24 bits of the base. */
    lgdtl %cs:(.Lgdt_pointer - trampoline_start)
    movl $(CR4_PAE | CR4_PGE), %eax
    movl %eax, %cr4
    movl $PHYS(boot_pml4), %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $(EFER_LME | EFER_NXE), %eax
    wrmsr
    movl $CR0_KERNEL, %eax
    movl %eax, %cr0
    ljmpl $SELECTOR_KERNEL_CODE, $PHYS(secondary_long)
.Lgdt_pointer:
    .word 3 * 8 - 1
    .long PHYS(boot_gdt)
trampoline_end:

    .section .text.secondary, "ax", @progbits
    .code64
/*
 * [[noreturn]] void secondary_long(void)
 * Finds its own dense number by APIC id, takes the task that hal_cpu_start() left there and leaves 0, takes on the
 * kernel's tables, and goes on in context.S. A CPU that nobody asked for, or one that comes a second time for one
 * request, finds no task and halts.
 */
    .globl secondary_long
    .type secondary_long, @function
secondary_long:
    movabs $.Lsecondary_high, %rax
    jmp *%rax
.Lsecondary_high:
    mov $SELECTOR_KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs

    /* The APIC id as cpu_apic_id() reads it: leaf 0xb if the CPU fills it in, else the 8 bits of leaf 1. */
    xor %eax, %eax
    cpuid
    cmp $0xb, %eax
    jb 1f
    mov $0xb, %eax
    xor %ecx, %ecx
    cpuid
    test %ebx, %ebx
    jnz 2f
1:  mov $1, %eax
    cpuid
    shr $24, %ebx
    mov %ebx, %edx
2:  xor %ecx, %ecx
3:  cmp apic_count(%rip), %ecx
    jae .Lhalt
    cmp %edx, apic_ids(, %rcx, 4)
    je 4f
    inc %ecx
    jmp 3b

4:  xor %esi, %esi
    xchg %rsi, secondary_task(, %rcx, 8) /* PAIRS(secondary): acquires what hal_cpu_start() stored */
    test %rsi, %rsi
    jz .Lhalt
    mov secondary_root(%rip), %rax
    mov %rax, %cr3              /* from here on there is no identity map */
    jmp context_resume_first

.Lhalt:
    cli
    hlt
    jmp .Lhalt
    .size secondary_long, . - secondary_long
