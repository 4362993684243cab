/* SPDX-License-Identifier: MIT */
/*
 * From the firmware to C, on the boot CPU and on the others. Everything here may run with the MMU off, at the physical
 * address: no absolute address is used before the jump up.
 *
 * Linux's arm64 boot protocol (Documentation/arch/arm64/booting.rst): MMU and D-cache off, interrupts masked, EL2 or
 * EL1, x0 = device tree; the loaded image is clean to the point of coherency, .bss is not.
 */
#include <machine_layout.h>

    .cfi_sections .debug_frame

/* Early image mapping: writable and executable for the kernel until core's own tables take over. */
#define BLOCK_IMAGE (PTE_VALID | PTE_ATTR_NORMAL | PTE_INNER_SHAREABLE | PTE_ACCESSED | PTE_USER_NO_EXEC)
/* Identity mapping of the boot code: not writable, as no code is. */
#define BLOCK_IDENTITY (BLOCK_IMAGE | PTE_READ_ONLY | PTE_NOT_GLOBAL)
#define BLOCK_BYTES 0x200000
#define TABLE (PTE_VALID | PTE_TABLE_OR_PAGE)

    .section .bss.boot_tables, "aw", %nobits
    .balign 4096
boot_identity_root: .skip 4096
boot_identity_l2: .skip 4096
boot_identity_l1: .skip 4096
    .globl boot_root, boot_empty_root
boot_root: .skip 4096
boot_image_l2: .skip 4096
boot_image_l1: .skip 2 * 4096   /* the top 2 GiB, where the image may be */
boot_empty_root: .skip 4096

    .section .bss.boot_stack, "aw", %nobits
    .balign 4096
boot_stack: .skip BOOT_STACK_BYTES
boot_stack_top:
    .globl boot_cpu_area
boot_cpu_area: .skip CPU_AREA_BYTES

    /* What a CPU that starts with its MMU off reads: written and cleaned by hal_cpu_start(). */
    .section .data.boot_kernel_root, "aw"
    .balign 64
    .globl boot_kernel_root
boot_kernel_root: .quad 0
    .balign 64

/* The arm64 Image header */
    .section .head, "ax"
    .globl _start
_start:
    b boot_primary
    .long 0
    .quad 0             /* text_offset: the image starts at a 2 MiB boundary */
    .quad __image_bytes /* memory to keep free, .bss included */
    .quad 0xa           /* little endian, 4 KiB pages, anywhere in RAM */
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0

/* Set the entry of \table that translates \va at \shift. Clobbers x9. */
.macro set_entry table, va, shift, value
    ubfx x9, \va, #\shift, #9
    str \value, [\table, x9, lsl #3]
.endm

/* \reg = the address of \symbol, wherever the image runs. */
.macro address_of reg, symbol
    adrp \reg, \symbol
    add \reg, \reg, :lo12:\symbol
.endm

/* The boot stack; and faults are reported from here on. SP_EL0 = 0: there is no task yet. Clobbers x9. */
.macro set_registers
    address_of x9, boot_stack_top
    mov sp, x9
    address_of x9, trap_vectors
    msr vbar_el1, x9
    address_of x9, boot_cpu_area
    msr tpidr_el1, x9
    msr sp_el0, xzr
    isb
.endm

/*
 * void boot_primary(device tree): never returns. Keeps x20 image, x21 device tree, x22 exception level, x23 slide.
 * The image runs where it was linked until its slide is known. Then it changes itself, is mapped there, too, and goes
 * on there (shared/slide.h).
 */
    .type boot_primary, %function
boot_primary:
    .cfi_startproc
    mov x21, x0
    bl boot_enter_el1
    mov x22, x0
    adrp x20, __image_start

    /* Lines of the tables that are dirty from before must not be written back over what is stored here... */
    adrp x0, __boot_tables_start
    adrp x1, __boot_tables_end
    bl boot_invalidate
    adrp x0, __boot_tables_start
1:  stp xzr, xzr, [x0], #16
    cmp x0, x1
    b.lo 1b

    adrp x4, boot_identity_root
    adrp x5, boot_identity_l2
    adrp x6, boot_identity_l1
    orr x7, x5, #TABLE
    set_entry x4, x20, 39, x7
    orr x7, x6, #TABLE
    set_entry x5, x20, 30, x7
    ldr x8, =BLOCK_IDENTITY
    orr x7, x20, x8
    set_entry x6, x20, 21, x7

    ldr x1, =__image_start
    adrp x4, boot_root
    adrp x5, boot_image_l2
    adrp x0, boot_image_l1
    orr x7, x5, #TABLE
    set_entry x4, x1, 39, x7
    orr x7, x0, #TABLE
    str x7, [x5, #510 * 8]
    add x7, x7, #4096
    str x7, [x5, #511 * 8]
    ldr x8, =BLOCK_IMAGE
    orr x2, x20, x8
    mov x3, #BLOCK_BYTES
    bl boot_set_image

    /* ... and lines that were loaded speculatively since then must not hide it. */
    dmb sy
    adrp x0, __boot_tables_start
    adrp x1, __boot_tables_end
    bl boot_invalidate

    adrp x0, boot_root
    ldr x1, =SCTLR_BOOT
    bl boot_enable_mmu
    ldr x9, =3f
    br x9

3:  adrp x0, __boot_tables_end
    adrp x1, __bss_end
4:  stp xzr, xzr, [x0], #16
    cmp x0, x1
    b.lo 4b

    set_registers
    mov x0, x21
    mov x1, x20
    mov x29, xzr
    bl boot_slide
    mov x23, x0
    cbz x23, 6f

    adrp x0, __image_start
    mov x1, x23
    address_of x2, relocs_words
    address_of x3, relocs_words_end
    address_of x4, relocs_halves
    address_of x5, relocs_halves_end
    bl boot_relocate                /* literals and data; no instruction changes */
    adrp x0, boot_image_l1
    adrp x1, __image_start
    add x1, x1, x23
    ldr x8, =BLOCK_IMAGE
    orr x2, x20, x8
    mov x3, #BLOCK_BYTES
    bl boot_set_image
    dsb ishst
    isb
    adr x9, 5f
    add x9, x9, x23
    br x9

5:  adrp x0, boot_image_l1          /* and from now on nothing is where it was linked */
    adrp x1, __image_start
    sub x1, x1, x23
    mov x2, xzr
    mov x3, xzr
    bl boot_set_image
    dsb ishst
    tlbi vmalle1
    dsb nsh
    isb

6:  set_registers
    mov x0, x21
    mov x1, x20
    mov x2, x22
    mov x29, xzr
    mov x30, xzr
    b boot_main
    .cfi_endproc
    .size boot_primary, . - boot_primary

/* void boot_secondary(struct task *): PSCI's entry point. Keeps x20 empty root, x21 task. */
    .globl boot_secondary
    .type boot_secondary, %function
boot_secondary:
    .cfi_startproc
    mov x21, x0
    bl boot_enter_el1
    adrp x20, boot_empty_root
    adrp x9, boot_kernel_root
    ldr x0, [x9, :lo12:boot_kernel_root]
    ldr x1, =SCTLR_KERNEL
    bl boot_enable_mmu
    ldr x9, =1f
    br x9
1:  msr ttbr0_el1, x20
    isb
    tlbi vmalle1
    dsb nsh
    isb
    mov x1, x21
    b context_load
    .cfi_endproc
    .size boot_secondary, . - boot_secondary

/*
 * uint64_t boot_enter_el1(void): go to EL1 if at EL2, MMU and interrupts off; returns the level it was called at.
 * Clobbers x9, x10. EL2 keeps nothing back from EL1 (ARM D17.2 for each register); its own vectors are never used.
 */
    .type boot_enter_el1, %function
boot_enter_el1:
    .cfi_startproc
    msr daifset, #0xf
    ldr x9, =SCTLR_RES1
    mrs x0, CurrentEL
    lsr x0, x0, #2
    cmp x0, #2
    b.hi 9f
    msr sctlr_el1, x9
    isb
    b.eq 1f
    ret

1:  ldr x9, =0x30c50830             /* SCTLR_EL2: RES1 bits, MMU off */
    msr sctlr_el2, x9
    ldr x9, =0x0000030080000000     /* HCR_EL2: EL1 is AArch64 (RW), pointer authentication not trapped */
    msr hcr_el2, x9
    isb
    mrs x10, id_aa64pfr0_el1
    ubfx x10, x10, #32, #4          /* SVE */
    mov x9, #0x33ff                 /* CPTR_EL2: FP not trapped; SME is, nobody uses it */
    cmp x10, #0
    mov x10, #0x32ff                /* nor SVE, if there is any */
    csel x9, x9, x10, eq
    msr cptr_el2, x9
    isb
    b.eq 6f
    mov x9, #0xf                    /* ZCR_EL2: registers of any length */
    msr S3_4_C1_C2_0, x9
6:
    mov x9, #3                      /* CNTHCTL_EL2: EL1 may use the physical counter and timer */
    msr cnthctl_el2, x9
    msr cntvoff_el2, xzr            /* virtual time is physical time, on every CPU */
    msr vttbr_el2, xzr
    msr hstr_el2, xzr
    mrs x9, midr_el1
    msr vpidr_el2, x9
    mrs x9, mpidr_el1
    msr vmpidr_el2, x9

    mrs x9, id_aa64dfr0_el1         /* MDCR_EL2.HPMN: all event counters are EL1's, if there is a PMU */
    sbfx x9, x9, #8, #4
    mov x10, xzr
    cmp x9, #1
    b.lt 2f
    mrs x10, pmcr_el0
    ubfx x10, x10, #11, #5
2:  msr mdcr_el2, x10

    mrs x9, id_aa64pfr0_el1         /* GICv3 or later: EL1 may use the system registers */
    ubfx x9, x9, #24, #4
    cbz x9, 3f
    mrs x9, icc_sre_el2
    orr x9, x9, #0x1                /* SRE */
    orr x9, x9, #0x8                /* Enable: EL1 may, too */
    msr icc_sre_el2, x9
    isb
    msr ich_hcr_el2, xzr

3:  mrs x9, id_aa64mmfr0_el1        /* fine-grained traps off, where they exist */
    ubfx x9, x9, #56, #4
    cbz x9, 4f
    msr S3_4_C1_C1_4, xzr           /* HFGRTR_EL2 */
    msr S3_4_C1_C1_5, xzr           /* HFGWTR_EL2 */
    msr S3_4_C1_C1_6, xzr           /* HFGITR_EL2 */
    msr S3_4_C3_C1_4, xzr           /* HDFGRTR_EL2 */
    msr S3_4_C3_C1_5, xzr           /* HDFGWTR_EL2 */
4:  mrs x9, id_aa64mmfr1_el1        /* and the extended hypervisor configuration */
    ubfx x9, x9, #40, #4
    cbz x9, 5f
    msr S3_4_C1_C2_2, xzr           /* HCRX_EL2 */
5:  mov x9, #0x3c5                  /* SPSR: EL1 on SP_EL1, everything masked */
    msr spsr_el2, x9
    msr elr_el2, x30
    eret

9:  wfi                             /* EL3: not what the protocol promises, and no way to say so */
    b 9b
    .cfi_endproc
    .size boot_enter_el1, . - boot_enter_el1

/*
 * void boot_set_image(table, va, entry, step): entries of boot_image_l1, as seen at x0, for an image at x1: x2, then x3
 * more for each block. Clobbers x1, x2, x4, x5.
 */
    .type boot_set_image, %function
boot_set_image:
    .cfi_startproc
    adrp x4, __image_end
    adrp x5, __image_start
    sub x4, x4, x5
    add x4, x4, x1
1:  ubfx x5, x1, #21, #10
    str x2, [x0, x5, lsl #3]
    add x2, x2, x3
    add x1, x1, #BLOCK_BYTES
    cmp x1, x4
    b.lo 1b
    ret
    .cfi_endproc
    .size boot_set_image, . - boot_set_image

/* void boot_invalidate(start, end): forget cached copies of [x0, x1). Clobbers x0, x2, x3. */
    .type boot_invalidate, %function
boot_invalidate:
    .cfi_startproc
    mrs x2, ctr_el0
    ubfx x2, x2, #16, #4            /* DminLine: log2 of the words in the smallest line */
    mov x3, #4
    lsl x3, x3, x2
1:  dc ivac, x0
    add x0, x0, x3
    cmp x0, x1
    b.lo 1b
    dsb sy
    ret
    .cfi_endproc
    .size boot_invalidate, . - boot_invalidate

/* void boot_enable_mmu(kernel root, SCTLR_EL1): returns at the physical address. Clobbers x9-x11. */
    .type boot_enable_mmu, %function
boot_enable_mmu:
    .cfi_startproc
    mov x9, #MAIR_VALUE
    msr mair_el1, x9
    mrs x9, id_aa64mmfr0_el1
    and x10, x9, #0xf               /* PARange; 6 and above need more than 48-bit descriptors */
    cmp x10, #5
    mov x11, #5
    csel x10, x10, x11, lo
    ldr x11, =TCR_VALUE
    bfi x11, x10, #32, #3           /* IPS */
    ubfx x10, x9, #5, #1            /* ASIDBits: 0 is 8 bits, 2 is 16 */
    bfi x11, x10, #36, #1           /* AS */
    msr tcr_el1, x11
    adrp x9, boot_identity_root
    msr ttbr0_el1, x9
    msr ttbr1_el1, x0
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    msr sctlr_el1, x1
    isb
    ret
    .cfi_endproc
    .size boot_enable_mmu, . - boot_enable_mmu

/*
 * void boot_replace_root(paddr_t root, uint64_t sctlr, paddr_t empty_root): change the kernel half under our feet.
 * Called at its physical address, in the identity map. Old and new tables map the same addresses with leaves of other
 * sizes and rights: every old translation is gone before the first new one can be made (ARM D8.14.1).
 */
    .globl boot_replace_root
    .type boot_replace_root, %function
boot_replace_root:
    .cfi_startproc
    msr ttbr1_el1, x2
    isb
    msr sctlr_el1, x1
    isb
    tlbi vmalle1
    dsb nsh
    isb
    msr ttbr1_el1, x0
    isb
    ret
    .cfi_endproc
    .size boot_replace_root, . - boot_replace_root

    .ltorg
    .globl __head_end
__head_end:
