/* SPDX-License-Identifier: MIT */
/*
 * 16550 by polling (National Semiconductor PC16550D data sheet, section 8; device-tree binding serial/8250.yaml). Uses
 * three registers and no interrupt. No lock: the caller's.
 */
#include <shared/uart_ns16550.h>

#include <k/errno.h>

#define REG_DATA 0u
#define REG_LINE_STATUS 5u
#define REG_COUNT 8u
#define LINE_DATA_READY 0x01u
#define LINE_TRANSMIT_EMPTY 0x20u

int uart_ns16550_find(const struct fdt *fdt, fdt_node_t node, struct uart_ns16550_place *out)
{
    uint32_t shift = 0;
    uint32_t width = 1;
    uint32_t offset = 0;
    uint64_t base;
    uint64_t bytes;

    if (!fdt_is_compatible(fdt, node, "ns16550a") && !fdt_is_compatible(fdt, node, "ns16550") &&
        !fdt_is_compatible(fdt, node, "snps,dw-apb-uart"))
        return -ENODEV;
    if (fdt_get_reg(fdt, node, 0, &base, &bytes) != 0)
        return -EINVAL;
    /* Optional, with these defaults. */
    if (fdt_get_cell(fdt, node, "reg-shift", 0, &shift) != 0)
        shift = 0;
    if (fdt_get_cell(fdt, node, "reg-io-width", 0, &width) != 0)
        width = 1;
    if (fdt_get_cell(fdt, node, "reg-offset", 0, &offset) != 0)
        offset = 0;
    if (shift > 4 || (width != 1 && width != 4) || offset % width != 0 || (width == 4 && shift < 2))
        return -EINVAL;
    if (bytes < offset || bytes - offset < (uint64_t)REG_COUNT << shift)
        return -EINVAL;
    *out = (struct uart_ns16550_place){
        .base = base + offset,
        .bytes = bytes - offset,
        .shift = shift,
        .width = width,
    };
    return 0;
}

struct uart_ns16550 uart_ns16550_at(const struct uart_ns16550_place *place, vaddr_t va)
{
    return (struct uart_ns16550){ .base = va, .shift = place->shift, .width = place->width };
}

static unsigned register_read(const struct uart_ns16550 *uart, unsigned index)
{
    vaddr_t va = uart->base + (index << uart->shift);

    return uart->width == 4 ? *(volatile uint32_t *)va & 0xff : *(volatile uint8_t *)va;
}

static void register_write(const struct uart_ns16550 *uart, unsigned index, uint8_t value)
{
    vaddr_t va = uart->base + (index << uart->shift);

    if (uart->width == 4)
        *(volatile uint32_t *)va = value;
    else
        *(volatile uint8_t *)va = value;
}

void uart_ns16550_put(const struct uart_ns16550 *uart, char c)
{
    while ((register_read(uart, REG_LINE_STATUS) & LINE_TRANSMIT_EMPTY) == 0)
        ;
    register_write(uart, REG_DATA, (uint8_t)c);
}

int uart_ns16550_get(const struct uart_ns16550 *uart)
{
    if ((register_read(uart, REG_LINE_STATUS) & LINE_DATA_READY) == 0)
        return -1;
    return (int)register_read(uart, REG_DATA);
}
