/* SPDX-License-Identifier: MIT */
/*
 * The generic timer's virtual half: EL1 may always use it, also under a hypervisor, and boot.S has set its offset to 0
 * where that was ours to do. Reading and arming are inline in hal_machine.h; here is what the device tree says of it.
 */
#include <k/compiler.h>

#include "machine_priv.h"

/* Order of the timer's interrupts (Linux's binding arm,arch_timer): secure, physical, virtual, hypervisor. */
#define VIRTUAL_TIMER_INDEX 2u
#define SPECIFIER_IS_PPI 1u

static RO_AFTER_INIT uint32_t timer_irq;

uint32_t timer_interrupt(void)
{
    return timer_irq;
}

/* Leaves clock_hz at 0 if there is no usable timer: core says so, and stops. */
void timer_discover(const struct fdt *fdt)
{
    fdt_node_t node = fdt_find_compatible(fdt, FDT_NODE_NONE, "arm,armv8-timer");
    uint32_t cells = gic_interrupt_cells();
    uint32_t kind;
    uint32_t number;
    uint64_t hz;

    if (node == FDT_NODE_NONE)
        node = fdt_find_compatible(fdt, FDT_NODE_NONE, "arm,armv7-timer");
    if (node == FDT_NODE_NONE || fdt_get_cell(fdt, node, "interrupts", VIRTUAL_TIMER_INDEX * cells, &kind) != 0 ||
        fdt_get_cell(fdt, node, "interrupts", VIRTUAL_TIMER_INDEX * cells + 1, &number) != 0)
        return;
    if (kind != SPECIFIER_IS_PPI || number >= GIC_PPI_COUNT)
        return;
    timer_irq = GIC_PPI_BASE + number;

    /* The property is there when the firmware has left CNTFRQ unset or wrong. */
    if (fdt_get_number(fdt, node, "clock-frequency", &hz) != 0)
        hz = (uint32_t)SYSREG_READ(cntfrq_el0);
    boot_info.clock_hz = hz;
}
