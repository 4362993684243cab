/* SPDX-License-Identifier: MIT */
/*
 * The console: the 16550 that /chosen stdout-path names, else the firmware's. Never both, and no buffer. No lock: the
 * caller serialises.
 */
#include <hal/debug.h>
#include <shared/boot_fdt.h>
#include <shared/uart_ns16550.h>

#include "machine_priv.h"
#include "sbi.h"

struct console {
    bool has_uart;
    struct uart_ns16550 uart;
};
static struct console console RO_AFTER_INIT;

void console_init(const struct fdt *fdt, struct boot_info *boot)
{
    fdt_node_t node = boot_fdt_find_stdout(fdt);
    struct uart_ns16550_place place;

    if (node == FDT_NODE_NONE || uart_ns16550_find(fdt, node, &place) != 0)
        return;
    if (!direct_map_covers(place.base, place.bytes) || boot_add_device(boot, place.base, place.bytes) != 0)
        return;
    console.uart = uart_ns16550_at(&place, (vaddr_t)direct_map(place.base));
    console.has_uart = true;
}

void hal_console_put(char c)
{
    if (console.has_uart)
        uart_ns16550_put(&console.uart, c);
    else if (sbi_facts.has_dbcn)
        sbi_call(SBI_EXT_DBCN, SBI_DBCN_WRITE_BYTE, (unsigned char)c, 0, 0);
    else
        sbi_call(SBI_EXT_LEGACY_PUTCHAR, 0, (unsigned char)c, 0, 0);
}

int hal_console_get(void)
{
    if (console.has_uart)
        return uart_ns16550_get(&console.uart);
    if (sbi_facts.has_dbcn) {
        static volatile uint8_t byte;
        struct sbi_result result = sbi_call(SBI_EXT_DBCN, SBI_DBCN_READ, 1, image_paddr_of((const void *)&byte), 0);

        return result.error == 0 && result.value == 1 ? byte : -1;
    }
    long c = sbi_call(SBI_EXT_LEGACY_GETCHAR, 0, 0, 0, 0).error;

    return c >= 0 ? (int)(c & 0xff) : -1;
}
