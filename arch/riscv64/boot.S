/* SPDX-License-Identifier: MIT */
/*
 * From the firmware to C: the Image header, the boot hart's way to boot_hart_main(), a started hart's way to its first
 * task. Runs at physical addresses wherever the loader put the image (2 MiB aligned), so everything is addressed
 * relative to pc until the MMU is on. Decides nothing but the paging mode.
 *
 * The MMU is switched on without an identity map: stvec holds the virtual address of the next step, and the fetch after
 * the write to satp faults into it. A mode that the hart lacks leaves satp unchanged (Privileged Architecture, section
 * 10.1.11), and the next instruction simply follows.
 */
#include "asm.h"
#include "offsets.h"
#include "riscv_csr.h"

#define BOOT_STACK_BYTES 16384

/* Linux's Documentation/arch/riscv/boot-image-header.rst; a boot loader reads it, the firmware jumps to its start. */
    .section .head.text, "ax"
    .option push
    .option norvc
    .globl _start
    .type _start, @function
_start:
    j       boot_start              /* code0 */
    .word   0                       /* code1 */
    .dword  0x200000                /* load offset from the start of RAM: its second 2 MiB */
    .dword  __image_bytes           /* with .bss */
    .dword  0                       /* flags: little endian */
    .word   2                       /* header version 0.2 */
    .word   0
    .dword  0
    .ascii  "RISCV\0\0\0"           /* magic of old loaders */
    .ascii  "RSC\x05"               /* magic */
    .word   0
    .size _start, . - _start
    .option pop

/*
 * [[noreturn]] void boot_start(uint64_t hart, paddr_t dtb)
 * Owns every register. s1 = hart, s2 = dtb, s3 = virtual minus physical address, s4 = slide. The image runs where it
 * was linked until its slide is known. Then it changes itself, is mapped there, too, and goes on there
 * (shared/slide.h). A fault before boot_hart_main() parks the hart.
 */
FUNCTION(boot_start)
    csrw    sie, zero
    csrci   sstatus, SSTATUS_SIE
    lla     t0, boot_entries
    li      t1, 1
    amoadd.w.aqrl t1, t1, (t0)
    bnez    t1, boot_late
    mv      s1, a0
    mv      s2, a1

    lla     t0, __bss_start
    lla     t1, __bss_end
1:  sd      zero, 0(t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b
    fence   rw, w
    li      t1, 1
    sw      t1, boot_bss_ready, t0

    lla     sp, boot_stack_top
    mv      s0, zero                /* backtraces end here */
    lla     a0, __image_start
    ld      a1, boot_image_va
    sub     s3, a1, a0
    call    boot_map_early          /* (image_paddr, image_va) */

    add     sp, sp, s3
    lla     t0, 2f
    add     t0, t0, s3
    csrw    stvec, t0
    sfence.vma
    lla     t1, boot_root_sv48
    srli    t1, t1, 12
    li      t0, SATP_MODE_SV48 << SATP_MODE_SHIFT
    or      t1, t1, t0
    csrw    satp, t1
    lla     t1, boot_root_sv39      /* no Sv48 here */
    srli    t1, t1, 12
    li      t0, SATP_MODE_SV39 << SATP_MODE_SHIFT
    or      t1, t1, t0
    csrw    satp, t1
1:  wfi                             /* no Sv39 either: no hart for a kernel in S-mode */
    j       1b

    .balign 4
2:  sfence.vma
    lla     t0, hart_park
    csrw    stvec, t0
    mv      a0, s2
    call    boot_slide
    mv      s4, a0
    beqz    s4, 4f

    lla     a0, __image_start
    mv      a1, s4
    lla     a2, relocs_words
    lla     a3, relocs_words_end
    lla     a4, relocs_halves
    lla     a5, relocs_halves_end
    call    boot_relocate
    lla     a0, __image_start
    add     a0, a0, s4
    li      a1, 1
    call    boot_map_image          /* (image_va, true) */
    sfence.vma
    add     sp, sp, s4
    lla     t0, 3f
    add     t0, t0, s4
    jr      t0

3:  lla     a0, __image_start       /* and from now on nothing is where it was linked */
    sub     a0, a0, s4
    li      a1, 0
    call    boot_map_image          /* (image_va, false) */
    lla     t0, hart_park
    csrw    stvec, t0
    sfence.vma

4:  mv      a0, s1
    mv      a1, s2
    mv      ra, zero
    tail    boot_hart_main
END(boot_start)

/*
 * [[noreturn]] static void boot_late(uint64_t hart)
 * A second hart at the image's start. Firmware without HSM sends them all: they sleep. And OpenSBI 1.1 has a race: it
 * lets a hart go before it has noted down where to, so a hart that hal_cpu_start() asked for may arrive here instead of
 * at secondary_start. It is recognised by its entry in hart_starts, which was written before the request.
 */
FUNCTION(boot_late)
    lw      t0, boot_bss_ready
    beqz    t0, hart_park           /* it came together with the boot hart: not asked for */
    fence   r, rw
    lla     a1, hart_starts
    li      t0, START_COUNT
1:  ld      t1, START_HART(a1)
    ld      t2, START_SATP(a1)
    bne     t1, a0, 2f
    bnez    t2, secondary_start
2:  addi    a1, a1, START_BYTES
    addi    t0, t0, -1
    bnez    t0, 1b
    j       hart_park
END(boot_late)

/*
 * [[noreturn]] void secondary_start(uint64_t hart, paddr_t start)
 * Where SBI starts a hart: MMU off, interrupts off, a1 = physical address of its struct hart_start.
 */
FUNCTION(secondary_start)
    csrw    sie, zero
    csrci   sstatus, SSTATUS_SIE
    ld      tp, START_TASK(a1)
    ld      t0, START_ENTRY(a1)
    ld      t1, START_SATP(a1)
    csrw    stvec, t0
    sfence.vma
    csrw    satp, t1
1:  wfi
    j       1b
END(secondary_start)

/* The same hart, at virtual addresses, becomes its task. A fault before hal_cpu_init() parks it: core sees a CPU that
 * does not answer. */
FUNCTION(secondary_virtual)
    sfence.vma
    lla     t0, hart_park
    csrw    stvec, t0
    mv      a1, tp
    tail    context_load
END(secondary_virtual)

FUNCTION(hart_park)
    wfi
    j       hart_park
END(hart_park)

    .section .data.boot, "aw"
    .balign 4
boot_entries:
    .word   0                       /* harts that came in at the image's start */
boot_bss_ready:
    .word   0

    .section .rodata
    .balign 8
boot_image_va:
    .dword  __image_start           /* the linked address, which pc-relative addressing cannot tell */

    .section .bss.boot_stack, "aw", @nobits
    .balign 16
    .skip   BOOT_STACK_BYTES
boot_stack_top:
