/* SPDX-License-Identifier: MIT */
/*
 * The console: a PL011 (Arm DDI 0183) that the firmware has set up, polled. Without one, text goes to a debugger, if
 * any. It refuses to set a baud rate: only the firmware knows the clock. No lock: the caller serialises.
 */
#include <hal/debug.h>

#include <hal/mmu.h>
#include <k/compiler.h>
#include <shared/boot_fdt.h>

#include "machine_priv.h"

#define UART_DR 0x00u
#define UART_FR 0x18u
#define UART_CR 0x30u
#define UART_IMSC 0x38u

#define FR_RX_EMPTY 0x10u
#define FR_TX_FULL 0x20u
#define CR_ENABLE 0x301u /* UARTEN, TXE, RXE */

static RO_AFTER_INIT uintptr_t uart_base; /* 0: there is none */

static bool is_pl011(const struct fdt *fdt, fdt_node_t node)
{
    return node != FDT_NODE_NONE && fdt_is_compatible(fdt, node, "arm,pl011");
}

void uart_discover(const struct fdt *fdt)
{
    fdt_node_t node = boot_fdt_find_stdout(fdt);
    uint64_t base;
    uint64_t bytes;

    if (!is_pl011(fdt, node))
        node = fdt_find_compatible(fdt, FDT_NODE_NONE, "arm,pl011");
    if (!is_pl011(fdt, node) || fdt_get_reg(fdt, node, 0, &base, &bytes) != 0 || bytes == 0)
        return;
    if (mmu_map_early(base, bytes, PROT_WRITE | PROT_DEVICE) < bytes)
        return;
    uart_base = phys_to_direct(base);
    boot_use_device(base, bytes, "console");

    mmio_write32(uart_base + UART_IMSC, 0);
    uint32_t control = mmio_read32(uart_base + UART_CR);

    if ((control & CR_ENABLE) != CR_ENABLE)
        mmio_write32(uart_base + UART_CR, control | CR_ENABLE);
}

void hal_console_put(char c)
{
    if (uart_base == 0) {
        semihost_put(c);
        return;
    }
    while ((mmio_read32(uart_base + UART_FR) & FR_TX_FULL) != 0)
        ;
    mmio_write32(uart_base + UART_DR, (uint8_t)c);
}

int hal_console_get(void)
{
    if (uart_base == 0 || (mmio_read32(uart_base + UART_FR) & FR_RX_EMPTY) != 0)
        return -1;
    return (int)(mmio_read32(uart_base + UART_DR) & 0xff);
}
