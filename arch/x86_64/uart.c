/* SPDX-License-Identifier: MIT */
/*
 * The console: COM1, a 16550 at the PC's architectural port. ACPI's SPCR would name another one; a PC has this one, and
 * if it answers like no UART then output goes nowhere and the system runs on. No lock: callers serialise.
 */
#include <hal/debug.h>

#include "machine.h"
#include "x86.h"

#define UART_DATA (COM1_PORT + 0)
#define UART_DIVISOR_LOW (COM1_PORT + 0)  /* with LINE_CONTROL_DIVISOR */
#define UART_DIVISOR_HIGH (COM1_PORT + 1) /* the same */
#define UART_INTERRUPT_ENABLE (COM1_PORT + 1)
#define UART_FIFO_CONTROL (COM1_PORT + 2)
#define UART_LINE_CONTROL (COM1_PORT + 3)
#define UART_MODEM_CONTROL (COM1_PORT + 4)
#define UART_LINE_STATUS (COM1_PORT + 5)
#define UART_SCRATCH (COM1_PORT + 7)

#define LINE_CONTROL_8N1 0x03
#define LINE_CONTROL_DIVISOR 0x80
#define FIFO_ON_AND_EMPTY 0x07
#define MODEM_DTR_RTS 0x03
#define LINE_STATUS_DATA 0x01
#define LINE_STATUS_ROOM 0x20
#define DIVISOR_115200 1 /* of the 1.8432 MHz / 16 clock */

static RO_AFTER_INIT bool uart_is_present;

void uart_init(void)
{
    /* Nothing keeps a value that nobody is there to keep: an empty bus reads 0xff. */
    out8(UART_SCRATCH, 0x5a);
    uart_is_present = in8(UART_SCRATCH) == 0x5a;
    if (!uart_is_present)
        return;
    out8(UART_INTERRUPT_ENABLE, 0);
    out8(UART_LINE_CONTROL, LINE_CONTROL_DIVISOR);
    out8(UART_DIVISOR_LOW, DIVISOR_115200);
    out8(UART_DIVISOR_HIGH, 0);
    out8(UART_LINE_CONTROL, LINE_CONTROL_8N1);
    out8(UART_FIFO_CONTROL, FIFO_ON_AND_EMPTY);
    out8(UART_MODEM_CONTROL, MODEM_DTR_RTS);
}

void hal_console_put(char c)
{
    if (!uart_is_present)
        return;
    while ((in8(UART_LINE_STATUS) & LINE_STATUS_ROOM) == 0)
        hal_cpu_relax();
    out8(UART_DATA, (uint8_t)c);
}

int hal_console_get(void)
{
    if (!uart_is_present || (in8(UART_LINE_STATUS) & LINE_STATUS_DATA) == 0)
        return -1;
    return in8(UART_DATA);
}
