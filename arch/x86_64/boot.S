/* SPDX-License-Identifier: MIT */
/*
 * From the PVH entry (32-bit, paging off, EBX = start_info) to boot_main() in long mode on the boot stack. It is linked
 * high and runs low until the early tables are on: every address up to there is taken minus IMAGE_BASE. Then it runs
 * where it was linked until its slide is known, changes itself, is mapped there as well, and goes on there
 * (shared/slide.h). From there on addresses are taken relative to RIP, which is right on both sides of the jump.
 */
#include "layout.h"

#define PHYS(symbol) (symbol - IMAGE_BASE)

/* Any value that an empty bus would not return. */
#define IMAGE_END_MARK 0x56657264

/* The word that a PVH loader looks for (type 18: XEN_ELFNOTE_PHYS32_ENTRY). */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4                     /* bytes of the name */
    .long 8                     /* bytes of the address: QEMU reads a whole word from an ELF64 file */
    .long 18
    .asciz "Xen"
    .quad PHYS(boot_entry)

    .globl layout_image_base
    .set layout_image_base, IMAGE_BASE
    .globl layout_image_load
    .set layout_image_load, IMAGE_LOAD

    .section .text.boot, "ax", @progbits
    .code32
/*
 * [[noreturn]] void boot_entry(void)
 * In: EBX = start_info, CS and DS flat, interrupts off. Owns all registers. No stack.
 */
    .globl boot_entry
    .type boot_entry, @function
boot_entry:
    cld
    mov $PHYS(boot_small_text), %esi
    movl $IMAGE_END_MARK, PHYS(__image_end) - 4
    cmpl $IMAGE_END_MARK, PHYS(__image_end) - 4
    jne .Lunsuitable            /* .bss, and with it tables and stack, reaches beyond RAM */
    movl $0, PHYS(__image_end) - 4

    mov %ebx, %ebp              /* CPUID writes EBX: start_info is in EBP from here on */
    mov $PHYS(boot_unsuitable_text), %esi
    mov $0x80000000, %eax
    cpuid
    cmp $CPUID_EXTENDED_FEATURES, %eax
    jb .Lunsuitable
    mov $CPUID_EXTENDED_FEATURES, %eax
    cpuid
    bt $CPUID_EDX_LONG_MODE, %edx
    jnc .Lunsuitable
    bt $CPUID_EDX_NX, %edx
    jnc .Lunsuitable

/*
 * The early tables: four page directories of 2 MiB pages show physical 0..4 GiB
 *   at 0 (until the jump below, and for the trampoline of the other CPUs), and at DIRECT_MAP_BASE.
 * The top GiB, where a PC keeps its devices, is uncached. Two more show the image in the top 2 GiB.
 */
    mov $PHYS(boot_page_directories), %edi
    mov $0x83, %eax             /* large, writable, present */
    xor %edx, %edx
1:  cmp $0xc0000000, %eax
    jb 2f
    or $0x18, %eax              /* PCD, PWT: uncached */
2:  mov %eax, (%edi)
    mov %edx, 4(%edi)
    add $8, %edi
    add $0x200000, %eax
    jnc 1b                      /* wraps after 2048 entries */

    mov $IMAGE_LOAD + 0x83, %eax
    mov $PHYS(boot_image_directories) + (IMAGE_LOAD >> 21) * 8, %edi
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    cmp $PHYS(__image_end), %eax
    jb 1b
    movl $PHYS(boot_image_directories) + 3, PHYS(boot_high_pdpt) + 510 * 8
    movl $PHYS(boot_image_directories) + 4096 + 3, PHYS(boot_high_pdpt) + 511 * 8

    mov $PHYS(boot_page_directories) + 3, %eax
    mov %eax, PHYS(boot_low_pdpt)
    add $4096, %eax
    mov %eax, PHYS(boot_low_pdpt) + 8
    add $4096, %eax
    mov %eax, PHYS(boot_low_pdpt) + 16
    add $4096, %eax
    mov %eax, PHYS(boot_low_pdpt) + 24
    movl $PHYS(boot_low_pdpt) + 3, PHYS(boot_pml4)
    movl $PHYS(boot_low_pdpt) + 3, PHYS(boot_pml4) + 256 * 8
    movl $PHYS(boot_high_pdpt) + 3, PHYS(boot_pml4) + 511 * 8

    mov $(CR4_PAE | CR4_PGE), %eax
    mov %eax, %cr4
    mov $PHYS(boot_pml4), %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $(EFER_LME | EFER_NXE), %eax
    wrmsr
    mov $CR0_KERNEL, %eax
    mov %eax, %cr0
    lgdt PHYS(boot_gdt_pointer)
    ljmp $SELECTOR_KERNEL_CODE, $PHYS(.Lboot_long)

/* ESI = why not: say so on COM1 as the firmware left it, and stop. */
.Lunsuitable:
3:  lodsb
    test %al, %al
    jz 5f
    mov %al, %ah
    mov $(COM1_PORT + 5), %edx
4:  in %dx, %al
    test $0x20, %al             /* room in the transmitter */
    jz 4b
    mov %ah, %al
    mov $COM1_PORT, %edx
    out %al, %dx
    jmp 3b
5:  mov $0xf4, %edx             /* QEMU's exit device, as in hal_machine_exit(1) */
    mov $1, %eax
    out %eax, %dx
6:  cli
    hlt
    jmp 6b
    .size boot_entry, . - boot_entry

/* Here and not in .rodata, so that as little of the image as possible must be in RAM for the first of them. */
boot_small_text:
    .asciz "verdant: cannot start: too little memory for the kernel image\r\n"
boot_unsuitable_text:
    .asciz "verdant: cannot start: this CPU has no 64-bit mode or no no-execute pages\r\n"

    .code64
.Lboot_long:
    movabs $.Lboot_high, %rax
    jmp *%rax
.Lboot_high:
    mov $SELECTOR_KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    lea boot_stack_top(%rip), %rsp
    mov %ebp, %ebx              /* also clears the upper half */
    xor %ebp, %ebp
    mov %rbx, %rdi
    call boot_slide             /* (start_info) */
    mov %rax, %r12
    test %r12, %r12
    jz .Lboot_c

    lea __image_start(%rip), %rdi
    mov %r12, %rsi
    lea relocs_words(%rip), %rdx
    lea relocs_words_end(%rip), %rcx
    lea relocs_halves(%rip), %r8
    lea relocs_halves_end(%rip), %r9
    call boot_relocate

    lea __image_start(%rip), %rdi
    add %r12, %rdi
    mov $IMAGE_LOAD + 0x83, %esi
    mov $0x200000, %edx
    call boot_set_image         /* also serialises: the CPU sees the changed code */
    lea .Lboot_slid(%rip), %rax
    add %r12, %rax
    jmp *%rax

.Lboot_slid:                    /* and from now on nothing is where it was linked */
    add %r12, %rsp
    lea __image_start(%rip), %rdi
    sub %r12, %rdi
    xor %esi, %esi
    xor %edx, %edx
    call boot_set_image

.Lboot_c:
    lea boot_stack_top(%rip), %rsp
    mov %rbx, %rdi
    xor %ebp, %ebp
    pushq $0                    /* a backtrace ends here */
    jmp boot_main

/*
 * void boot_set_image(va, entry, step): entries of boot_image_directories for an image at RDI: RSI, then RDX more for
 * each 2 MiB. Clobbers RAX, RCX, RDI, RSI, R8.
 */
boot_set_image:
    lea __image_end(%rip), %rcx
    lea __image_start(%rip), %rax
    sub %rax, %rcx
    add %rdi, %rcx
    lea boot_image_directories(%rip), %r8
1:  mov %rdi, %rax
    shr $21, %rax
    and $1023, %eax
    mov %rsi, (%r8, %rax, 8)
    add %rdx, %rsi
    add $0x200000, %rdi
    cmp %rcx, %rdi
    jb 1b
    mov %cr3, %rax
    mov %rax, %cr3
    ret
    .size boot_set_image, . - boot_set_image

    .section .rodata.boot, "a", @progbits
/* Also used by the trampoline of the other CPUs; each goes on to its own GDT in hal_cpu_init(). */
    .balign 8
    .globl boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    /* SELECTOR_KERNEL_CODE: 64-bit code, accessed */
    .quad 0x00cf93000000ffff    /* SELECTOR_KERNEL_DATA: data, writable, accessed */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .globl boot_pml4
boot_pml4:
    .skip 4096
boot_low_pdpt:
    .skip 4096
boot_high_pdpt:
    .skip 4096
boot_image_directories:
    .skip 2 * 4096
boot_page_directories:
    .skip 4 * 4096
    .skip BOOT_STACK_BYTES
boot_stack_top:
