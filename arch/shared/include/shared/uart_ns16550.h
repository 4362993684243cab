/* SPDX-License-Identifier: MIT */
/*
 * A 16550-compatible serial port in memory, polled, as the firmware set it up (speed and format are not touched). The
 * caller serialises.
 */
#pragma once

#include <k/compiler.h>
#include <k/types.h>
#include <parse/fdt.h>

/* Where a device tree says it is, and how its registers are spaced and accessed. */
struct uart_ns16550_place {
    paddr_t base;
    uint64_t bytes;
    unsigned shift; /* register n lies at n << shift */
    unsigned width; /* of an access: 1 or 4 bytes */
};

struct uart_ns16550 {
    vaddr_t base;
    unsigned shift;
    unsigned width;
};

/* Read the node. -ENODEV: no 16550; -EINVAL: one that cannot be used as described. */
int uart_ns16550_find(const struct fdt *fdt, fdt_node_t node, struct uart_ns16550_place *out) MUST_USE;

/* The port, once its registers are mapped at va. */
struct uart_ns16550 uart_ns16550_at(const struct uart_ns16550_place *place, vaddr_t va);

/* Waits until the transmitter has room. */
void uart_ns16550_put(const struct uart_ns16550 *uart, char c);

/* A received byte, or -1. */
int uart_ns16550_get(const struct uart_ns16550 *uart);
