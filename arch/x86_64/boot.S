/* SPDX-License-Identifier: MIT */
/*
 * From the PVH entry (32-bit, paging off, EBX = start_info) to boot_main() in long mode on the boot stack. It is linked
 * high and runs low until the early tables are on: every address up to there is taken minus IMAGE_BASE.
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
 *   at 0 (until the jump below, and for the trampoline of the other CPUs), at DIRECT_MAP_BASE, and
 *   the first GiB at IMAGE_BASE. The top GiB, where a PC keeps its devices, is uncached.
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

    mov $PHYS(boot_page_directories) + 3, %eax
    mov %eax, PHYS(boot_low_pdpt)
    mov %eax, PHYS(boot_high_pdpt) + 510 * 8
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
    mov $boot_stack_top, %rsp
    mov %ebp, %edi              /* also clears the upper half */
    xor %ebp, %ebp
    pushq $0                    /* a backtrace ends here */
    jmp boot_main

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
boot_page_directories:
    .skip 4 * 4096
    .skip BOOT_STACK_BYTES
boot_stack_top:
